/*-------------------------------------------------------------------------
 *
 * aggregate.c
 *	  Transition functions that open their arguments.
 *
 * An aggregate on an encrypted type is the one of PostgreSQL on the base type,
 * with another transition function: the one here, which opens what is sealed
 * and calls PostgreSQL's own.  That one has the same name, in pg_catalog, and
 * the same arguments but for the encrypted ones, so this needs no list of
 * aggregates.  It gets the caller's context, and so works with the aggregate's
 * memory as if it had been called directly.
 *
 * max() and min() exist a second time with a sealed result (statement/late_opening.c):
 * one function for all types, which keeps the sealed value that is the larger one.
 *
 * The SQL functions are not STRICT, because an encrypted value can't become
 * the first state of min() or sum() as it is; strictness is done here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "parser/parse_func.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_transition);
PG_FUNCTION_INFO_V1(pgseal_sealed_larger);
PG_FUNCTION_INFO_V1(pgseal_sealed_smaller);

/* The state and the arguments; no aggregate that we forward has more */
#define MAX_ARGUMENTS			4

/* What a call site calls */
typedef struct Transition
{
	FmgrInfo	function;
	const PgsealType *type[MAX_ARGUMENTS];	/* NULL: not encrypted */
	bool		first_is_state; /* the first value may be the state */
} Transition;

static Transition *
find_transition(FunctionCallInfo fcinfo)
{
	Oid			oid = fcinfo->flinfo->fn_oid;
	Transition *transition = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Transition));
	Oid		   *types;
	int			num_arguments;
	List	   *name;

	get_func_signature(oid, &types, &num_arguments);
	if (num_arguments > MAX_ARGUMENTS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_ARGUMENTS),
				 errmsg("function %u has more than %d arguments", oid, MAX_ARGUMENTS)));
	for (int i = 0; i < num_arguments; i++)
	{
		transition->type[i] = pgseal_type_by_oid(types[i]);
		if (transition->type[i] != NULL)
			types[i] = transition->type[i]->base->oid;
	}
	transition->first_is_state = num_arguments > 1 && types[0] == types[1];
	name = list_make2(makeString("pg_catalog"), makeString(get_func_name(oid)));
	fmgr_info_cxt(LookupFuncName(name, num_arguments, types, false), &transition->function,
				  fcinfo->flinfo->fn_mcxt);
	fcinfo->flinfo->fn_extra = transition;
	return transition;
}

/* state, arguments → state */
Datum
pgseal_transition(PG_FUNCTION_ARGS)
{
	LOCAL_FCINFO(call, MAX_ARGUMENTS);
	Transition *transition = fcinfo->flinfo->fn_extra;
	Datum		result;

	/* The state is a pointer that only an aggregate can be trusted with */
	if (!AggCheckCallContext(fcinfo, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an aggregate's function was called in non-aggregate context")));
	if (transition == NULL)
		transition = find_transition(fcinfo);

	InitFunctionCallInfoData(*call, &transition->function, PG_NARGS(), PG_GET_COLLATION(),
							 fcinfo->context, NULL);
	for (int i = 0; i < PG_NARGS(); i++)
	{
		call->args[i] = fcinfo->args[i];
		if (transition->type[i] != NULL && !PG_ARGISNULL(i))
			call->args[i].value = pgseal_value_open(transition->type[i], PG_GETARG_DATUM(i),
													PGSEAL_ACCESS_CHECKED,
													&call->args[i].isnull);
	}

	/* As nodeAgg.c does for a strict function: the first value is the state */
	if (transition->function.fn_strict)
	{
		for (int i = 1; i < PG_NARGS(); i++)
		{
			if (!call->args[i].isnull)
				continue;
			if (PG_ARGISNULL(0))
				PG_RETURN_NULL();
			PG_RETURN_DATUM(PG_GETARG_DATUM(0));
		}
		if (PG_ARGISNULL(0) && !transition->first_is_state)
			PG_RETURN_NULL();
		if (PG_ARGISNULL(0))
			PG_RETURN_DATUM(call->args[1].value);
	}

	result = FunctionCallInvoke(call);
	if (call->isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* Which of two sealed values stays: 1 the first, if it is the larger one; -1 the smaller */
static Datum
kept(FunctionCallInfo fcinfo, int sign)
{
	const PgsealType *type = pgseal_type_by_oid(get_fn_expr_argtype(fcinfo->flinfo, 0));
	Datum		values[2];
	int32		order;

	/* Only what the planner calls knows the type */
	if (type == NULL || !AggCheckCallContext(fcinfo, NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an aggregate's function was called in non-aggregate context")));
	for (int i = 0; i < 2; i++)
	{
		bool		isnull;

		values[i] = pgseal_value_open(type, PG_GETARG_DATUM(i), PGSEAL_ACCESS_CHECKED, &isnull);
		if (isnull)
			PG_RETURN_NULL();	/* denied */
	}
	order = DatumGetInt32(FunctionCall2Coll((FmgrInfo *) &type->compare, PG_GET_COLLATION(),
											values[0], values[1]));
	PG_RETURN_DATUM(PG_GETARG_DATUM(sign * order > 0 ? 0 : 1));
}

Datum
pgseal_sealed_larger(PG_FUNCTION_ARGS)
{
	return kept(fcinfo, 1);
}

Datum
pgseal_sealed_smaller(PG_FUNCTION_ARGS)
{
	return kept(fcinfo, -1);
}
