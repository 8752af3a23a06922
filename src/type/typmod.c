/*-------------------------------------------------------------------------
 *
 * typmod.c
 *	  encrypted_text('payroll'): the type modifier names the key.
 *
 * A type modifier is the 31-bit hash of the key's name; '*' is 0 and keeps
 * whatever key a value was sealed under.  A hash whose name isn't known prints
 * as '#' and eight hex digits, which is accepted again, so that a dump of such
 * a column can be restored.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "keys/catalog.h"

PG_FUNCTION_INFO_V1(pgseal_typmod_in);
PG_FUNCTION_INFO_V1(pgseal_typmod_out);

/* "#0123abcd", or -1 */
static int32
hash_from_hex(const char *text)
{
	char	   *end;
	unsigned long hash;

	if (text[0] != '#' || strlen(text) != 9)
		return -1;
	hash = strtoul(text + 1, &end, 16);
	return (*end == '\0' && hash > 0 && hash <= PG_INT32_MAX) ? (int32) hash : -1;
}

Datum
pgseal_typmod_in(PG_FUNCTION_ARGS)
{
	ArrayType  *modifiers = PG_GETARG_ARRAYTYPE_P(0);
	Datum	   *elements;
	int			num_elements;
	char	   *name;
	int32		hash;

	deconstruct_array(modifiers, CSTRINGOID, -2, false, TYPALIGN_CHAR,
					  &elements, NULL, &num_elements);
	if (num_elements != 1)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an encrypted type takes one modifier, the name of a key"),
				 errhint("Keep a length, or a precision and scale, in a CHECK.")));
	name = DatumGetCString(elements[0]);
	if (strcmp(name, "*") == 0)
		PG_RETURN_INT32(PGSEAL_TYPMOD_ANY);
	if ((hash = hash_from_hex(name)) < 0)
	{
		pgseal_catalog_check_name(name);
		hash = pgseal_catalog_name_hash(name);
	}
	if (hash == pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"%s\" cannot be the key of a column", PGSEAL_DEFAULT_KEY),
				 errdetail("It seals values on their way to a column, and any role may have them resealed.")));
	PG_RETURN_INT32(hash);
}

Datum
pgseal_typmod_out(PG_FUNCTION_ARGS)
{
	int32		hash = PG_GETARG_INT32(0);
	char	   *name;

	if (hash == PGSEAL_TYPMOD_NONE)
		PG_RETURN_CSTRING(pstrdup(""));
	if (hash == PGSEAL_TYPMOD_ANY)
		PG_RETURN_CSTRING(pstrdup("('*')"));
	name = pgseal_catalog_name(hash);
	if (name == NULL)
		PG_RETURN_CSTRING(psprintf("('#%08x')", hash));
	PG_RETURN_CSTRING(psprintf("(%s)", quote_literal_cstr(name)));
}
