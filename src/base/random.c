/*-------------------------------------------------------------------------
 *
 * random.c
 *	  Random bytes, or an error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/random.h"

void
pgseal_random_bytes(void *out, size_t len)
{
	if (!pgseal_random(out, len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not obtain random bytes")));
}
