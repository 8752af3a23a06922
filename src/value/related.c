/*-------------------------------------------------------------------------
 *
 * related.c
 *	  How values of two related base types are compared.
 *
 * By the comparison that the operator family of the one has for the other.  An
 * integer and a numeric share no family: PostgreSQL converts the integer, which
 * never fails nor loses anything, and so does this.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/nbtree.h"
#include "catalog/pg_type.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"
#include "utils/typcache.h"

#include "value/related.h"

static int32
compare_to_numeric(int64 integer, Datum numeric)
{
	Datum		converted = NumericGetDatum(int64_to_numeric(integer));
	int32		order = DatumGetInt32(DirectFunctionCall2(numeric_cmp, converted, numeric));

	pfree(DatumGetPointer(converted));
	return order;
}

#define COMPARE_TO_NUMERIC(type, get) \
static Datum \
type##_numeric_cmp(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_INT32(compare_to_numeric(get(0), PG_GETARG_DATUM(1))); \
} \
\
static Datum \
numeric_##type##_cmp(PG_FUNCTION_ARGS) \
{ \
	PG_RETURN_INT32(-compare_to_numeric(get(1), PG_GETARG_DATUM(0))); \
}

COMPARE_TO_NUMERIC(int2, PG_GETARG_INT16)
COMPARE_TO_NUMERIC(int4, PG_GETARG_INT32)
COMPARE_TO_NUMERIC(int8, PG_GETARG_INT64)

static const struct
{
	Oid			left;
	Oid			right;
	PGFunction	compare;
}			converting[] = {
	{INT2OID, NUMERICOID, int2_numeric_cmp}, {NUMERICOID, INT2OID, numeric_int2_cmp},
	{INT4OID, NUMERICOID, int4_numeric_cmp}, {NUMERICOID, INT4OID, numeric_int4_cmp},
	{INT8OID, NUMERICOID, int8_numeric_cmp}, {NUMERICOID, INT8OID, numeric_int8_cmp}
};

static Oid
comparison_in_family_of(Oid type, Oid left, Oid right)
{
	TypeCacheEntry *entry = lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY);

	return OidIsValid(entry->btree_opf) ?
		get_opfamily_proc(entry->btree_opf, left, right, BTORDER_PROC) : InvalidOid;
}

bool
pgseal_related_comparison(FmgrInfo *out_compare, Oid left, Oid right, MemoryContext context)
{
	Oid			function = comparison_in_family_of(left, left, right);

	if (!OidIsValid(function))
		function = comparison_in_family_of(right, left, right);
	if (OidIsValid(function))
	{
		fmgr_info_cxt(function, out_compare, context);
		return true;
	}
	for (int i = 0; i < lengthof(converting); i++)
		if (converting[i].left == left && converting[i].right == right)
		{
			memset(out_compare, 0, sizeof(*out_compare));
			out_compare->fn_addr = converting[i].compare;
			out_compare->fn_nargs = 2;
			out_compare->fn_strict = true;
			out_compare->fn_mcxt = context;
			return true;
		}
	return false;
}
