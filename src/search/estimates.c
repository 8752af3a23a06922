/*-------------------------------------------------------------------------
 *
 * estimates.c
 *	  How many rows = on encrypted values is thought to let through.
 *
 * As on plain columns, by the number of distinct values.  But where the planner
 * looks for a token as well (lookup.c), the token's clause has the selectivity
 * of the whole, and the comparison beside it lets all of those rows through;
 * otherwise the same condition would count twice, and joins seem to be small.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "optimizer/optimizer.h"
#include "utils/fmgrprotos.h"

#include "base/compat.h"
#include "search/lookup.h"

PG_FUNCTION_INFO_V1(pgseal_eqsel);
PG_FUNCTION_INFO_V1(pgseal_eqjoinsel);

/* eqsel(root, operator, arguments, relation) */
Datum
pgseal_eqsel(PG_FUNCTION_ARGS)
{
	if (pgseal_lookup_beside((PlannerInfo *) PG_GETARG_POINTER(0),
							 (List *) PG_GETARG_POINTER(2), PG_GET_COLLATION()))
		PG_RETURN_FLOAT8(1.0);
	return DirectFunctionCall4Coll(eqsel, PG_GET_COLLATION(), PG_GETARG_DATUM(0),
								   PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3));
}

/* eqjoinsel(root, operator, arguments, join type, join) */
Datum
pgseal_eqjoinsel(PG_FUNCTION_ARGS)
{
	if (pgseal_lookup_beside((PlannerInfo *) PG_GETARG_POINTER(0),
							 (List *) PG_GETARG_POINTER(2), PG_GET_COLLATION()))
		PG_RETURN_FLOAT8(1.0);
	return DirectFunctionCall5Coll(eqjoinsel, PG_GET_COLLATION(), PG_GETARG_DATUM(0),
								   PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3),
								   PG_GETARG_DATUM(4));
}
