/*-------------------------------------------------------------------------
 *
 * create_as.c
 *	  CREATE TABLE AS, SELECT INTO, CREATE MATERIALIZED VIEW.
 *
 * The columns of what is made are those of the query, which isn't opened, as it isn't
 * a client's: encrypted columns stay sealed under their keys, and one that has none
 * gets the new table's own.
 *
 * CREATE TABLE AS EXECUTE runs a prepared statement, and that one's results are opened
 * if a client has prepared it.  It must not run here, as plaintexts would be stored.
 * So its text is analyzed again, as what it is here, with the types that its parameters
 * have got, and takes its place; the values of its parameters are computed here as
 * EXECUTE computes them (prepare.c).
 *
 * EXPLAIN ANALYZE makes the table, too, and no other statement than EXPLAIN goes
 * through the utility hook then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "commands/defrem.h"
#include "commands/prepare.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_expr.h"
#include "parser/parse_node.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "ddl/create_as.h"
#include "keys/catalog.h"
#include "statement/open_results.h"
#include "statement/opened.h"
#include "statement/result_columns.h"
#include "value/basetype.h"

CreateTableAsStmt *
pgseal_create_as_explained(Node *stmt)
{
	Query	   *explained = IsA(stmt, ExplainStmt) ?
		castNode(Query, ((ExplainStmt *) stmt)->query) : NULL;

	return explained != NULL && explained->commandType == CMD_UTILITY &&
		IsA(explained->utilityStmt, CreateTableAsStmt) ?
		(CreateTableAsStmt *) explained->utilityStmt : NULL;
}

bool
pgseal_create_as_is_run(Node *stmt)
{
	bool		result = !IsA(stmt, ExplainStmt);
	ListCell   *lc;

	if (!result)
		foreach(lc, ((ExplainStmt *) stmt)->options)
			if (strcmp(lfirst_node(DefElem, lc)->defname, "analyze") == 0)
				result = defGetBoolean(lfirst_node(DefElem, lc));
	return result;
}

/*
 * EXECUTE
 */

/* The arguments as expressions of the parameters' types */
static List *
coerced_arguments(ExecuteStmt *execute, CachedPlanSource *prepared, const char *query_string)
{
	ParseState *pstate = make_parsestate(NULL);
	List	   *result = NIL;
	ListCell   *lc;

	if (list_length(execute->params) != prepared->num_params)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("wrong number of parameters for prepared statement \"%s\"", execute->name),
				 errdetail("Expected %d parameters but got %d.", prepared->num_params,
						   list_length(execute->params))));
	pstate->p_sourcetext = query_string;
	foreach(lc, execute->params)
	{
		Oid			expected = prepared->param_types[foreach_current_index(lc)];
		Node	   *given = transformExpr(pstate, copyObject(lfirst(lc)),
										  EXPR_KIND_EXECUTE_PARAMETER);
		Node	   *coerced = coerce_to_target_type(pstate, given, exprType(given), expected, -1,
													COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);

		if (coerced == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_DATATYPE_MISMATCH),
					 errmsg("parameter $%d of type %s cannot be coerced to the expected type %s",
							foreach_current_index(lc) + 1, format_type_be(exprType(given)),
							format_type_be(expected)),
					 errhint("You will need to rewrite or cast the expression."),
					 parser_errposition(pstate, exprLocation(lfirst(lc)))));
		assign_expr_collations(pstate, coerced);
		result = lappend(result, coerced);
	}
	free_parsestate(pstate);
	return result;
}

/* Values of the arguments, as constant as EXECUTE's are */
static ParamListInfo
evaluated(List *arguments, ParamListInfo outer)
{
	EState	   *estate = CreateExecutorState();
	ExprContext *context;
	ParamListInfo result = makeParamList(list_length(arguments));
	ListCell   *lc;

	estate->es_param_list_info = outer;
	context = GetPerTupleExprContext(estate);
	foreach(lc, ExecPrepareExprList(arguments, estate))
	{
		ParamExternData *param = &result->params[foreach_current_index(lc)];
		int16		len;
		bool		byval;

		param->ptype = exprType(list_nth(arguments, foreach_current_index(lc)));
		param->pflags = PARAM_FLAG_CONST;
		param->value = ExecEvalExprSwitchContext(lfirst(lc), context, &param->isnull);
		get_typlenbyval(param->ptype, &len, &byval);
		if (!param->isnull)
			param->value = datumCopy(param->value, byval, len);
	}
	FreeExecutorState(estate);
	return result;
}

static bool
holds_sealed(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (!target->resjunk &&
			pgseal_opened(target->expr, PGSEAL_OPEN_RESULT, list_make1(query)) != NULL)
			return true;
	}
	return false;
}

ParamListInfo
pgseal_create_as_execute(CreateTableAsStmt *stmt, const char *query_string, ParamListInfo params)
{
	Query	   *query = castNode(Query, stmt->query);
	ExecuteStmt *execute;
	CachedPlanSource *prepared;
	Query	   *again;

	if (query->commandType != CMD_UTILITY || !IsA(query->utilityStmt, ExecuteStmt))
		return params;
	execute = (ExecuteStmt *) query->utilityStmt;
	prepared = FetchPreparedStatement(execute->name, true)->plansource;

	/* What is wrong with any other is said by PostgreSQL */
	if (prepared->raw_parse_tree == NULL || !IsA(prepared->raw_parse_tree->stmt, SelectStmt))
		return params;
	again = pgseal_analyze_sealed(prepared);
	if (again->commandType != CMD_SELECT || !holds_sealed(again))
		return params;
	params = prepared->num_params == 0 && execute->params == NIL ? NULL :
		evaluated(coerced_arguments(execute, prepared, query_string), params);
	stmt->query = (Node *) again;
	return params;
}

/*
 * Keys
 */

/* PgsealTargetMap: gives a column that inherits no key the new table's own */
static Expr *
reseal_target(TargetEntry *target, void *context)
{
	PgsealKeyOwner *owner = context;
	Expr	   *expr = target->expr;
	Oid			type = exprType((Node *) expr);
	Oid			element;
	Node	   *resealed;

	if (type < FirstNormalObjectId || exprTypmod((Node *) expr) != PGSEAL_TYPMOD_NONE)
		return NULL;
	element = get_element_type(type);
	if (pgseal_type_by_oid(OidIsValid(element) ? element : type) == NULL)
		return NULL;
	resealed = coerce_to_target_type(NULL, (Node *) copyObject(expr), type, type,
									 pgseal_catalog_name_hash(pgseal_own_key_name(owner)),
									 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(NULL, resealed);
	return (Expr *) resealed;
}

void
pgseal_create_as_complete(CreateTableAsStmt *stmt, PgsealKeyOwner *owner)
{
	Query	   *query = castNode(Query, stmt->query);

	if (query->commandType == CMD_UTILITY)
		return;
	pgseal_result_columns_map(query, reseal_target, owner);
	/* What REFRESH will run */
	if (stmt->into->viewQuery != NULL)
		pgseal_result_columns_map((Query *) stmt->into->viewQuery, reseal_target, owner);
}
