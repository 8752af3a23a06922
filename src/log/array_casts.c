/*-------------------------------------------------------------------------
 *
 * array_casts.c
 *	  Arrays that don't become encrypted ones by themselves.
 *
 * In ARRAY[1::int2] || salary, PostgreSQL finds that the common type of the elements is
 * encrypted_int4, to which int2 converts.  But int2[] converts to encrypted_int4[] where it
 * is assigned only: otherwise int2[] = '{1}' would be ambiguous.  PostgreSQL believes that
 * cannot be, and reports an internal error.  The hook for messages is the only place to say
 * what it is; the code of PL/pgSQL that catches the error has seen it before.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/compat.h"
#include "log/array_casts.h"

#define INTERNAL_FORMAT			"failed to find conversion function from %s to %s"
#define INTERNAL_BEGINNING		"failed to find conversion function from "
#define ENCRYPTED				" to encrypted_"

void
pgseal_explain_array_cast(ErrorData *error)
{
	char	   *message;

	if (error->elevel != ERROR || error->sqlerrcode != ERRCODE_INTERNAL_ERROR ||
		error->message_id == NULL || strcmp(error->message_id, INTERNAL_FORMAT) != 0 ||
		strstr(error->message, ENCRYPTED) == NULL || error->hint != NULL)
		return;
	message = psprintf("cannot cast type %s by itself", error->message + strlen(INTERNAL_BEGINNING));
	error->sqlerrcode = ERRCODE_CANNOT_COERCE;
	error->message = MemoryContextStrdup(error->assoc_context, message);
	error->hint = MemoryContextStrdup(error->assoc_context,
									  "Cast the plain array to the encrypted column's base type, as in numbers::int8[].");
	pfree(message);
}
