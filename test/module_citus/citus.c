/*-------------------------------------------------------------------------
 *
 * citus.c
 *	  An imitation of Citus, as far as it concerns pgseal.
 *
 * The planner's hook looks at a query on tables of pg_dist_partition as Citus does:
 * it refuses what is not IMMUTABLE in the same places, and makes the text that would
 * be sent to other nodes, which citus.sent() returns.  The query then runs on the table
 * itself.  A test runs the text in a session whose application_name is that of a node.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parse_coerce.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"

#include "base/compat.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

#define CITUS_FUNCTION(name) \
	extern PGDLLEXPORT Datum name(PG_FUNCTION_ARGS); \
	PG_FUNCTION_INFO_V1(name)

CITUS_FUNCTION(citus_sent);
CITUS_FUNCTION(citus_cast);
CITUS_FUNCTION(read_intermediate_result);
CITUS_FUNCTION(other_function);

static char *citus_version = NULL;
static char *sent = NULL;

static bool
is_citus_table(Oid relation)
{
	Oid			catalog = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	Relation	rel;
	SysScanDesc scan;
	HeapTuple	row;
	bool		found = false;

	if (!OidIsValid(catalog))
		return false;
	rel = table_open(catalog, AccessShareLock);
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	while (!found && HeapTupleIsValid(row = systable_getnext(scan)))
	{
		bool		isnull;

		found = DatumGetObjectId(heap_getattr(row, 1, RelationGetDescr(rel), &isnull)) == relation;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

static bool
is_citus_query(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if ((rte->rtekind == RTE_RELATION && is_citus_table(rte->relid)) ||
			(rte->rtekind == RTE_SUBQUERY && is_citus_query(rte->subquery)))
			return true;
	}
	foreach(lc, query->cteList)
		if (is_citus_query(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery)))
			return true;
	return false;
}

/* As ModifyQuerySupported() */
static void
check_volatility(Query *query)
{
	ListCell   *lc;

	if (query->commandType == CMD_SELECT)
		return;
	if (contain_volatile_functions((Node *) query->jointree->quals))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("functions used in the WHERE/ON/WHEN clause of modification queries on distributed tables must not be VOLATILE")));
	if (contain_mutable_functions((Node *) query->jointree->quals))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("STABLE functions used in UPDATE queries cannot be called with column references")));
	if (contain_mutable_functions((Node *) query->returningList))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("non-IMMUTABLE functions are not allowed in the RETURNING clause")));
	if (query->onConflict != NULL &&
		contain_mutable_functions((Node *) query->onConflict->onConflictSet))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("functions used in the DO UPDATE SET clause of INSERTs on distributed tables must be marked IMMUTABLE")));
	foreach(lc, query->commandType == CMD_UPDATE ? query->targetList : NIL)
		if (contain_mutable_functions((Node *) lfirst_node(TargetEntry, lc)->expr))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("functions used in UPDATE queries on distributed tables must not be VOLATILE")));
}

static PlannedStmt *
citus_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (is_citus_query(parse))
	{
		check_volatility(parse);
		if (sent != NULL)
			pfree(sent);
		sent = MemoryContextStrdup(TopMemoryContext, pg_get_querydef(copyObject(parse), false));
	}
	return standard_planner(parse, query_string, cursor_options, params);
}

/* sent(): the text of the last query on such a table */
Datum
citus_sent(PG_FUNCTION_ARGS)
{
	if (sent == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(sent));
}

/* cast_as(value, NULL::target): as CastExpr(), the cast's function with one argument */
Datum
citus_cast(PG_FUNCTION_ARGS)
{
	Oid			source = get_fn_expr_argtype(fcinfo->flinfo, 0);
	Oid			target = get_fn_expr_argtype(fcinfo->flinfo, 1);
	Oid			function;
	int16		length;
	bool		by_value;
	char		align;
	EState	   *estate = CreateExecutorState();
	Expr	   *expr;
	Datum		result;
	bool		isnull;

	if (find_coercion_pathway(target, source, COERCION_EXPLICIT, &function) != COERCION_PATH_FUNC)
		elog(ERROR, "no cast function");
	get_typlenbyvalalign(source, &length, &by_value, &align);
	expr = (Expr *) makeConst(source, -1, get_typcollation(source), length, PG_GETARG_DATUM(0),
							  false, by_value);
	expr = (Expr *) makeFuncExpr(function, target, list_make1(expr), get_typcollation(target),
								 get_typcollation(source), COERCE_EXPLICIT_CALL);
	result = ExecEvalExpr(ExecPrepareExpr(expr, estate), GetPerTupleExprContext(estate), &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

/* A value as another node sent it: (text, NULL::type) */
static Datum
input(FunctionCallInfo fcinfo)
{
	Oid			function;
	Oid			param;

	getTypeInputInfo(get_fn_expr_argtype(fcinfo->flinfo, 1), &function, &param);
	return OidInputFunctionCall(function, text_to_cstring(PG_GETARG_TEXT_PP(0)), param, -1);
}

/* Citus's function of this name takes what another part of the query left in a file. */
Datum
read_intermediate_result(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(input(fcinfo));
}

Datum
other_function(PG_FUNCTION_ARGS)
{
	PG_RETURN_DATUM(input(fcinfo));
}

void
_PG_init(void)
{
	/* Citus refuses to be loaded then; here it is for tests of its catalog alone */
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (planner_hook != NULL)
		ereport(ERROR, (errmsg("Citus has to be loaded first")));
	DefineCustomStringVariable("citus.version", "Shows the Citus version", NULL, &citus_version,
							   "imitation", PGC_INTERNAL, 0, NULL, NULL, NULL);
	planner_hook = citus_planner;
}
