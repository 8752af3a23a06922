/*-------------------------------------------------------------------------
 *
 * compare_arrays.c
 *	  Comparison of an array of encrypted values with one of plain values.
 *
 * tags @> ARRAY['a'], on either side, means what it means for an array of the base
 * type: the encrypted elements are opened, and PostgreSQL's own function compares.
 *
 * The plain operand is declared as anyarray.  An operator for exactly text[] would
 * be the nearest one for a plain text[] beside an untyped literal; anyarray is as
 * near as PostgreSQL's own operator is, and that wins, since the literal is then
 * taken for text[].  So what PostgreSQL would refuse to compare is refused here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "parser/parse_coerce.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "type/constraint_caller.h"
#include "value/basetype.h"

/* What a call site compares */
typedef struct Comparison
{
	FmgrInfo	function;		/* PostgreSQL's */
	PgsealConstraint constraint;
} Comparison;

static Comparison *
comparison(FunctionCallInfo fcinfo, Oid function)
{
	Comparison *call = fcinfo->flinfo->fn_extra;

	if (call == NULL)
	{
		call = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Comparison));
		fmgr_info_cxt(function, &call->function, fcinfo->flinfo->fn_mcxt);
		call->constraint = pgseal_constraint_caller(fcinfo->flinfo);
		fcinfo->flinfo->fn_extra = call;
	}
	return call;
}

/* NULL when the user may not open an element (pgseal.on_denied = null) */
static ArrayType *
opened(ArrayType *sealed, const PgsealType *type, PgsealConstraint constraint)
{
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elements;
	bool	   *nulls;
	int			num;
	ArrayType  *result;

	get_typlenbyvalalign(type->oid, &len, &byval, &align);
	deconstruct_array(sealed, type->oid, len, byval, align, &elements, &nulls, &num);
	for (int i = 0; i < num; i++)
	{
		bool		denied = false;

		if (nulls[i])
			continue;
		elements[i] = pgseal_open_for_constraint(type, elements[i], constraint, &denied);
		if (denied)
			return NULL;
	}
	get_typlenbyvalalign(type->base->oid, &len, &byval, &align);
	result = construct_md_array(elements, nulls, ARR_NDIM(sealed), ARR_DIMS(sealed),
								ARR_LBOUND(sealed), type->base->oid, len, byval, align);
	for (int i = 0; i < num && !byval; i++)
		if (!nulls[i])
			pfree(DatumGetPointer(elements[i]));
	pfree(elements);
	pfree(nulls);
	return result;
}

/* The operand as an array of the base type, or NULL as above */
static ArrayType *
operand(ArrayType *array, Oid base, PgsealConstraint constraint)
{
	const PgsealType *type = pgseal_type_by_oid(ARR_ELEMTYPE(array));

	if (type != NULL)
		return opened(array, type, constraint);
	if (ARR_ELEMTYPE(array) != base)
	{
		array = (ArrayType *) pg_detoast_datum_copy((struct varlena *) array);
		ARR_ELEMTYPE(array) = base;
	}
	return array;
}

/* An error unless PostgreSQL compares what the two become; the type of their elements */
static Oid
common_base(Oid left, Oid right)
{
	const PgsealType *left_type = pgseal_type_by_oid(left);
	const PgsealType *right_type = pgseal_type_by_oid(right);
	Oid			base = left_type != NULL ? left_type->base->oid : right_type->base->oid;
	Oid			other = left_type != NULL ? right : left;

	if (!IsBinaryCoercible(other, base))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("arrays of type %s cannot be compared with arrays of type %s",
						format_type_be(left), format_type_be(right)),
				 errhint("You might need to add explicit type casts.")));
	return base;
}

static Datum
compare(FunctionCallInfo fcinfo, Oid function)
{
	Comparison *call = comparison(fcinfo, function);
	ArrayType  *arrays[2] = {PG_GETARG_ARRAYTYPE_P(0), PG_GETARG_ARRAYTYPE_P(1)};
	ArrayType  *operands[2];
	Oid			base = common_base(ARR_ELEMTYPE(arrays[0]), ARR_ELEMTYPE(arrays[1]));
	Datum		result;

	for (int i = 0; i < 2; i++)
	{
		operands[i] = operand(arrays[i], base, call->constraint);
		if (operands[i] == NULL)
			PG_RETURN_NULL();
	}
	result = FunctionCall2Coll(&call->function, PG_GET_COLLATION(),
							   PointerGetDatum(operands[0]), PointerGetDatum(operands[1]));
	for (int i = 0; i < 2; i++)
		if (operands[i] != arrays[i])
			pfree(operands[i]);
	return result;
}

#define COMPARISON(name, function) \
PG_FUNCTION_INFO_V1(name); \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	return compare(fcinfo, function); \
}

COMPARISON(pgseal_array_eq, F_ARRAY_EQ)
COMPARISON(pgseal_array_ne, F_ARRAY_NE)
COMPARISON(pgseal_array_lt, F_ARRAY_LT)
COMPARISON(pgseal_array_le, F_ARRAY_LE)
COMPARISON(pgseal_array_gt, F_ARRAY_GT)
COMPARISON(pgseal_array_ge, F_ARRAY_GE)
COMPARISON(pgseal_array_contains, F_ARRAYCONTAINS)
COMPARISON(pgseal_array_contained, F_ARRAYCONTAINED)
COMPARISON(pgseal_array_overlaps, F_ARRAYOVERLAP)

/* For comparisons of rows */
COMPARISON(pgseal_array_cmp, F_BTARRAYCMP)
