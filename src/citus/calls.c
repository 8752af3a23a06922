/*-------------------------------------------------------------------------
 *
 * calls.c
 *	  How Citus takes pgseal's functions to other nodes.
 *
 * Citus sends a query to the nodes that have the rows, as text.  It refuses UPDATE,
 * RETURNING and more where a function in it is VOLATILE or STABLE, as another node
 * could answer something else; pgseal's are, so that PostgreSQL stores nothing of
 * what they return (opened values) and computes nothing once that is to differ from
 * row to row (sealed ones).  And nobody can name functions in pgseal_internal.
 *
 * So in a query that has a table of Citus, before Citus plans it, a call of such a
 * function becomes
 *
 *		pgseal_citus_call(NULL::type, 'call function(types)', arguments)
 *
 * which is declared IMMUTABLE and which anybody may name; an operator, a comparison
 * with the elements of an array and so on likewise.  Where the text is analyzed on
 * another node, the parser's hook makes of it what it was; so what finds indexes, and
 * all else, is done there.  Where it is computed before that, above the rows that
 * other nodes sent, it computes that.  No stored expression may have one (refuse.c).
 *
 * What stands for what is told by names, as OIDs differ between nodes.  It must be
 * the extension's and one that is hidden here, and who calls it must have the
 * privilege to execute it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "citus/calls.h"
#include "citus/hide.h"
#include "citus/names.h"
#include "statement/open_results.h"

PG_FUNCTION_INFO_V1(pgseal_citus_call);

static planner_hook_type prev_planner = NULL;
static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;

/* Has the query, or one inside of it, a table of Citus? */
static bool
has_citus_table(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId &&
			pgseal_is_citus_table(rte->relid);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_citus_table, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, has_citus_table, context);
}

static PlannedStmt *
citus_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	bool		saved_plans = pgseal_citus_plans;
	bool		plans = OidIsValid(pgseal_citus_call_function()) && has_citus_table((Node *) parse, NULL);
	Query	   *volatile query = plans ? pgseal_citus_hide(parse) : parse;
	PlannedStmt *plan = NULL;

	pgseal_citus_plans = plans;
	PG_TRY();
	{
		plan = prev_planner ?
			prev_planner(query, query_string, cursor_options, params) :
			standard_planner(query, query_string, cursor_options, params);
	}
	PG_FINALLY();
	{
		pgseal_citus_plans = saved_plans;
	}
	PG_END_TRY();
	return plan;
}

/*
 * Restoring
 */

static Node *
restored_operator(FuncExpr *hidden, PgsealCitusKind kind, Oid operator, List *args)
{
	OpExpr	   *op = (OpExpr *) make_opclause(operator, hidden->funcresulttype, false,
											  linitial(args),
											  list_length(args) > 1 ? lsecond(args) : NULL,
											  hidden->funccollid, hidden->inputcollid);

	set_opfuncid(op);
	if (kind == PGSEAL_CITUS_DISTINCT)
		NodeSetTag(op, T_DistinctExpr);
	if (kind == PGSEAL_CITUS_NULLIF)
		NodeSetTag(op, T_NullIfExpr);
	return (Node *) op;
}

static Node *
restored_array_comparison(FuncExpr *hidden, PgsealCitusKind kind, Oid operator, List *args)
{
	ScalarArrayOpExpr *op = makeNode(ScalarArrayOpExpr);

	op->opno = operator;
	op->opfuncid = get_opcode(operator);
	op->useOr = kind == PGSEAL_CITUS_ANY;
	op->inputcollid = hidden->inputcollid;
	op->args = args;
	op->location = -1;
	return (Node *) op;
}

static Node *
restored_elements(FuncExpr *hidden, Oid function, List *args)
{
	ArrayCoerceExpr *coerced = makeNode(ArrayCoerceExpr);
	CaseTestExpr *element = makeNode(CaseTestExpr);

	element->typeId = get_element_type(exprType(linitial(args)));
	element->typeMod = -1;
	element->collation = exprCollation(linitial(args));
	coerced->arg = linitial(args);
	coerced->elemexpr = (Expr *) makeFuncExpr(function, get_element_type(hidden->funcresulttype),
											  lcons(element, list_copy_tail(args, 1)),
											  hidden->funccollid, hidden->inputcollid,
											  COERCE_IMPLICIT_CAST);
	coerced->resulttype = hidden->funcresulttype;
	coerced->resulttypmod = -1;
	coerced->resultcollid = hidden->funccollid;
	coerced->coerceformat = COERCE_IMPLICIT_CAST;
	coerced->location = -1;
	return (Node *) coerced;
}

/* What the function or operator returns for these arguments; InvalidOid if they aren't for it */
static Oid
result_for(PgsealCitusKind kind, Oid function, List *args)
{
	Oid			actual[FUNC_MAX_ARGS];
	Oid		   *declared;
	int			num_declared;
	int			num = 0;
	ListCell   *lc;

	foreach(lc, args)
		actual[num++] = exprType(lfirst(lc));
	if (kind == PGSEAL_CITUS_ELEMENTS)
		actual[0] = get_element_type(actual[0]);
	if ((kind == PGSEAL_CITUS_ANY || kind == PGSEAL_CITUS_ALL) && num == 2)
		actual[1] = get_element_type(actual[1]);
	get_func_signature(function, &declared, &num_declared);
	if (num != num_declared)
		return InvalidOid;
	for (int i = 0; i < num; i++)
		if (declared[i] != actual[i] && !IsPolymorphicType(declared[i]) &&
			declared[i] != ANYOID && !(declared[i] == RECORDOID && type_is_rowtype(actual[i])))
			return InvalidOid;
	return enforce_generic_type_consistency(actual, declared, num, get_func_rettype(function), false);
}

/* Is that what the call was declared to return? */
static bool
is_result(PgsealCitusKind kind, FuncExpr *hidden, Oid result, List *args)
{
	switch (kind)
	{
		case PGSEAL_CITUS_CALL:
		case PGSEAL_CITUS_OPERATOR:
			return hidden->funcresulttype == result;
		case PGSEAL_CITUS_ELEMENTS:
			return OidIsValid(result) && get_element_type(hidden->funcresulttype) == result;
		case PGSEAL_CITUS_NULLIF:
			return result == BOOLOID && hidden->funcresulttype == exprType(linitial(args));
		default:
			return result == BOOLOID && hidden->funcresulttype == BOOLOID;
	}
}

static Node *
restore(FuncExpr *hidden, PgsealCitusKind kind, Oid object, List *args)
{
	switch (kind)
	{
		case PGSEAL_CITUS_CALL:
			return (Node *) makeFuncExpr(object, hidden->funcresulttype, args, hidden->funccollid,
										 hidden->inputcollid, COERCE_EXPLICIT_CALL);
		case PGSEAL_CITUS_ELEMENTS:
			return restored_elements(hidden, object, args);
		case PGSEAL_CITUS_ANY:
		case PGSEAL_CITUS_ALL:
			return restored_array_comparison(hidden, kind, object, args);
		default:
			return restored_operator(hidden, kind, object, args);
	}
}

/* The expression that the call stands for, with these arguments */
static Node *
restored(FuncExpr *hidden, List *args)
{
	Const	   *stands_for = lsecond_node(Const, hidden->args);
	char	   *what = stands_for->constisnull ? "" : TextDatumGetCString(stands_for->constvalue);
	char	   *name = strchr(what, ' ');
	Oid			object = InvalidOid;
	Oid			function = InvalidOid;
	PgsealCitusKind kind = PGSEAL_CITUS_CALL;

	for (int i = 0; name != NULL && i < lengthof(pgseal_citus_kind_names); i++)
		if (strlen(pgseal_citus_kind_names[i]) == name - what && strncmp(pgseal_citus_kind_names[i], what, name - what) == 0)
		{
			kind = i;
			object = pgseal_citus_find(kind, name + 1);
		}
	if (OidIsValid(object))
		function = pgseal_citus_is_of_function(kind) ? object : get_opcode(object);
	if (!OidIsValid(function) ||
		!is_result(kind, hidden, result_for(kind, function, args), args))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("pgseal_citus_call() knows no \"%s\" with these arguments", what),
				 errdetail("It is what Citus sends to other nodes; all of them need the same version of pgseal.")));
	if (pgseal_function_aclcheck(function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
	return restore(hidden, kind, object, args);
}

static bool
is_hidden(Node *node, Oid function)
{
	return IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == function &&
		list_length(((FuncExpr *) node)->args) > PGSEAL_CITUS_LEADING_ARGS &&
		IsA(lsecond(((FuncExpr *) node)->args), Const) &&
		!((FuncExpr *) node)->funcvariadic;
}

static bool
has_hidden(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (is_hidden(node, *(Oid *) context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_hidden, context, 0);
	return expression_tree_walker(node, has_hidden, context);
}

static Node *
restore_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, restore_mutator, context, 0);
	node = expression_tree_mutator(node, restore_mutator, context);
	return is_hidden(node, *(Oid *) context) ?
		restored((FuncExpr *) node, list_copy_tail(((FuncExpr *) node)->args, PGSEAL_CITUS_LEADING_ARGS)) :
		node;
}

static void
citus_post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	Query	   *analyzed = pgseal_analyzed_query(query);
	Oid			function = pgseal_citus_call_function();

	if (prev_post_parse_analyze)
		prev_post_parse_analyze(pstate, query, jstate);
	if (OidIsValid(function) && has_hidden((Node *) analyzed, &function))
		*analyzed = *query_tree_mutator(analyzed, restore_mutator, &function, 0);
}

bool
pgseal_citus_calls_has(Node *expr)
{
	Oid			function = pgseal_citus_call_function();

	return OidIsValid(function) && has_hidden(expr, &function);
}

/*
 * Computing, where it wasn't restored
 */

typedef struct Computation
{
	ExprState  *state;
	ExprContext *context;
	ParamListInfo values;
} Computation;

static Computation *
prepare(FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	FuncExpr   *hidden = (FuncExpr *) fcinfo->flinfo->fn_expr;
	Computation *computation = palloc0(sizeof(Computation));
	int			num = fcinfo->nargs - PGSEAL_CITUS_LEADING_ARGS;
	List	   *params = NIL;
	Node	   *expr;

	if (hidden == NULL || !IsA(hidden, FuncExpr) || num < 1 || hidden->funcvariadic)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pgseal_citus_call() is for Citus alone")));
	computation->values = makeParamList(num);
	for (int i = 0; i < num; i++)
	{
		Node	   *argument = list_nth(hidden->args, PGSEAL_CITUS_LEADING_ARGS + i);
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = i + 1;
		param->paramtype = exprType(argument);
		param->paramtypmod = exprTypmod(argument);
		param->paramcollid = exprCollation(argument);
		param->location = -1;
		computation->values->params[i].ptype = param->paramtype;
		params = lappend(params, param);
	}
	expr = restored(hidden, params);
	computation->state = ExecInitExprWithParams((Expr *) expr, computation->values);
	computation->context = CreateStandaloneExprContext();
	computation->context->ecxt_param_list_info = computation->values;
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = computation;
	return computation;
}

/* pgseal_citus_call(NULL::result, 'what', arguments) */
Datum
pgseal_citus_call(PG_FUNCTION_ARGS)
{
	Computation *computation = fcinfo->flinfo->fn_extra;
	bool		isnull;
	Datum		result;

	if (computation == NULL)
		computation = prepare(fcinfo);
	for (int i = 0; i < computation->values->numParams; i++)
	{
		computation->values->params[i].value = PG_GETARG_DATUM(PGSEAL_CITUS_LEADING_ARGS + i);
		computation->values->params[i].isnull = PG_ARGISNULL(PGSEAL_CITUS_LEADING_ARGS + i);
	}
	/* In the caller's memory, where the result is to be */
	result = ExecEvalExpr(computation->state, computation->context, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

void
pgseal_citus_restore_init(void)
{
	if (!pgseal_citus_is_loaded)
		return;
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = citus_post_parse_analyze;
}

void
pgseal_citus_calls_init(void)
{
	if (!pgseal_citus_is_loaded)
		return;
	prev_planner = planner_hook;
	planner_hook = citus_planner;
}
