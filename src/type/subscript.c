/*-------------------------------------------------------------------------
 *
 * subscript.c
 *	  prefs['a'], where prefs is an encrypted_jsonb.
 *
 * What is read is an element of the opened value: the parser is given (prefs::jsonb)['a'],
 * so that everything which looks for a call that opens finds it.  What is assigned to is
 * opened, changed as a jsonb and sealed again for the column; PostgreSQL's own functions
 * for jsonb do the rest.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/execExpr.h"
#include "nodes/nodeFuncs.h"
#include "nodes/subscripting.h"
#include "parser/parse_coerce.h"
#include "utils/fmgroids.h"

#include "base/compat.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_jsonb_subscript);

/* What an assignment keeps; PostgreSQL's own is put in its place for PostgreSQL's functions */
typedef struct Assignment
{
	void	   *of_jsonb;
	SubscriptExecSteps steps;
	const PgsealType *type;
	int32		typmod;			/* of the column */
} Assignment;

static const SubscriptRoutines *
of_jsonb(void)
{
	return (const SubscriptRoutines *) DatumGetPointer(OidFunctionCall1(F_JSONB_SUBSCRIPT_HANDLER,
																		(Datum) 0));
}

static void
transform(SubscriptingRef *subscripting, List *indirection, ParseState *pstate, bool is_slice,
		  bool is_assignment)
{
	int32		typmod = subscripting->reftypmod;

	of_jsonb()->transform(subscripting, indirection, pstate, is_slice, is_assignment);
	if (is_assignment)
	{
		subscripting->reftypmod = typmod;
		return;
	}
	subscripting->refexpr = (Expr *)
		coerce_to_target_type(pstate, (Node *) subscripting->refexpr, subscripting->refcontainertype,
							  JSONBOID, -1, COERCION_EXPLICIT, COERCE_EXPLICIT_CAST, -1);
	subscripting->refcontainertype = JSONBOID;
}

/* Whoever may not open the value would else replace all of it. */
static Datum
opened(const Assignment *assignment, Datum sealed)
{
	bool		isnull;
	Datum		value = pgseal_value_open(assignment->type, sealed, PGSEAL_ACCESS_CHECKED, &isnull);

	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to change an element of an encrypted value")));
	return value;
}

static bool
check_subscripts(ExprState *state, ExprEvalStep *op, ExprContext *context)
{
	SubscriptingRefState *subscripting = op->d.sbsref_subscript.state;
	Assignment *assignment = subscripting->workspace;
	bool		result;

	subscripting->workspace = assignment->of_jsonb;
	result = assignment->steps.sbs_check_subscripts(state, op, context);
	subscripting->workspace = assignment;
	return result;
}

static void
assign(ExprState *state, ExprEvalStep *op, ExprContext *context)
{
	SubscriptingRefState *subscripting = op->d.sbsref.state;
	Assignment *assignment = subscripting->workspace;

	if (!*op->resnull)
		*op->resvalue = opened(assignment, *op->resvalue);
	subscripting->workspace = assignment->of_jsonb;
	assignment->steps.sbs_assign(state, op, context);
	subscripting->workspace = assignment;
	*op->resvalue = PointerGetDatum(pgseal_value_seal(assignment->type, *op->resvalue,
													  assignment->typmod));
}

/* What is there before; it stays what is assigned to */
static void
fetch_old(ExprState *state, ExprEvalStep *op, ExprContext *context)
{
	SubscriptingRefState *subscripting = op->d.sbsref.state;
	Assignment *assignment = subscripting->workspace;
	Datum		sealed = *op->resvalue;

	if (!*op->resnull)
		*op->resvalue = opened(assignment, sealed);
	subscripting->workspace = assignment->of_jsonb;
	assignment->steps.sbs_fetch_old(state, op, context);
	subscripting->workspace = assignment;
	*op->resvalue = sealed;
}

static void
set_up(const SubscriptingRef *subscripting, SubscriptingRefState *state, SubscriptExecSteps *steps)
{
	Assignment *assignment = palloc0(sizeof(Assignment));

	of_jsonb()->exec_setup(subscripting, state, &assignment->steps);
	assignment->of_jsonb = state->workspace;
	assignment->type = pgseal_type_by_oid(subscripting->refcontainertype);
	assignment->typmod = subscripting->reftypmod;
	state->workspace = assignment;
	steps->sbs_check_subscripts = check_subscripts;
	steps->sbs_fetch = assignment->steps.sbs_fetch;
	steps->sbs_assign = assign;
	steps->sbs_fetch_old = fetch_old;
}

Datum
pgseal_jsonb_subscript(PG_FUNCTION_ARGS)
{
	static const SubscriptRoutines routines = {
		.transform = transform,
		.exec_setup = set_up,
		.fetch_strict = true,
		.fetch_leakproof = false,
		.store_leakproof = false
	};

	PG_RETURN_POINTER(&routines);
}
