/*-------------------------------------------------------------------------
 *
 * late_opening.c
 *	  Keeping opened values out of what a sort spills.
 *
 * A sort carries the columns of the result besides those that it sorts by, and
 * writes them all to a temporary file when work_mem is not enough.  PostgreSQL
 * computes a column above the sort if it is volatile.  So a column that is made of
 * encrypted values, as lower(email) or row_to_json(c), and by which nothing is
 * sorted, is put into late(), which returns what it is given and is VOLATILE: what
 * goes through the sort is what it is made of, sealed.
 *
 * That is done to the columns that the planner is about to compute, when views and
 * subqueries are part of the query already; so a hook for paths is the place, of
 * which there are some before the columns are divided among the plan's nodes.  And
 * before that, max() and min() of encrypted values become aggregates that return
 * them sealed, for what an aggregate returns goes through the sort as it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/paths.h"
#include "optimizer/planner.h"
#include "utils/lsyscache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/extension.h"
#include "statement/late_opening.h"
#include "statement/opened.h"
#include "value/basetype.h"

static planner_hook_type prev_planner = NULL;
static set_rel_pathlist_hook_type prev_set_rel_pathlist = NULL;

PG_FUNCTION_INFO_V1(pgseal_late);

Datum
pgseal_late(PG_FUNCTION_ARGS)
{
	if (PG_ARGISNULL(0))
		PG_RETURN_NULL();
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

/*
 * Columns
 */

static bool
reveals_encrypted(const TargetEntry *target)
{
	/* What is in an aggregate is opened below the sort in any case */
	return target->ressortgroupref == 0 && pgseal_is_made_of_sealed(target->expr, false);
}

static Oid
our_function(const char *name)
{
	Oid			argument = ANYELEMENTOID;

	return pgseal_internal_function(name, 1, &argument);
}

static Expr *
late(Expr *expr)
{
	Oid			type = exprType((Node *) expr);
	int32		typmod = exprTypmod((Node *) expr);
	Oid			collation = exprCollation((Node *) expr);
	Expr	   *call = (Expr *) makeFuncExpr(our_function("late"), type, list_make1(expr), collation,
											 collation, COERCE_EXPLICIT_CALL);

	/* A call has no type modifier */
	return typmod == -1 ? call :
		(Expr *) makeRelabelType(call, type, typmod, collation, COERCE_IMPLICIT_CAST);
}

/* From the first of a query's relations on, nothing is left to do */
static void
late_set_rel_pathlist(PlannerInfo *root, RelOptInfo *rel, Index rti, RangeTblEntry *rte)
{
	List	   *targets = NIL;
	ListCell   *lc;

	if (prev_set_rel_pathlist)
		prev_set_rel_pathlist(root, rel, rti, rte);
	if (root->parse->commandType != CMD_SELECT || root->parse->sortClause == NIL ||
		!OidIsValid(pgseal_extension_oid()) || pgseal_citus_plans)
		return;
	foreach(lc, root->processed_tlist)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (reveals_encrypted(target) && !contain_volatile_functions((Node *) target->expr) &&
			!expression_returns_set((Node *) target->expr))
		{
			target = flatCopyTargetEntry(target);
			target->expr = late(target->expr);
		}
		targets = lappend(targets, target);
	}
	root->processed_tlist = targets;
}

/*
 * Aggregates
 */

/* Which of ours does the work of this one, of PostgreSQL or of ours for a type? */
static const char *
sealed_aggregate_name(Oid function)
{
	char	   *name = get_func_name(function);

	if (function >= FirstNormalObjectId &&
		getExtensionOfObject(ProcedureRelationId, function) != pgseal_extension_oid())
		return NULL;
	if (strcmp(name, "max") == 0)
		return "sealed_max";
	return strcmp(name, "min") == 0 ? "sealed_min" : NULL;
}

/* An encrypted argument, also where it is opened for the aggregate; or NULL */
static Expr *
sealed_argument(Expr *argument)
{
	FuncExpr   *call = (FuncExpr *) argument;
	Oid			type = exprType((Node *) argument);

	if (pgseal_type_by_oid(type) != NULL)
		return argument;
	if (!IsA(argument, FuncExpr) || list_length(call->args) != 1)
		return NULL;
	type = exprType(linitial(call->args));
	return pgseal_type_by_oid(type) != NULL &&
		call->funcid == pgseal_internal_function("open", 1, &type) ? linitial(call->args) : NULL;
}

/* The aggregate of ours to be called with this argument; InvalidOid where it can't be */
static Oid
sealed_aggregate(Oid function, List *args, Expr **out_argument)
{
	const char *name = list_length(args) == 1 ? sealed_aggregate_name(function) : NULL;

	*out_argument = name != NULL ? sealed_argument(linitial(args)) : NULL;
	return *out_argument != NULL ? our_function(name) : InvalidOid;
}

static Node *
seal_aggregate(Aggref *aggregate)
{
	Expr	   *argument;
	List	   *args = aggregate->args != NIL ?
		list_make1(linitial_node(TargetEntry, aggregate->args)->expr) : NIL;
	Oid			sealed = sealed_aggregate(aggregate->aggfnoid, args, &argument);

	if (!OidIsValid(sealed) || list_length(aggregate->args) != 1 ||
		aggregate->aggorder != NIL || aggregate->aggdistinct != NIL)
		return (Node *) aggregate;
	aggregate = copyObject(aggregate);
	aggregate->aggfnoid = sealed;
	aggregate->aggtype = exprType((Node *) argument);
	aggregate->aggargtypes = list_make1_oid(aggregate->aggtype);
	linitial_node(TargetEntry, aggregate->args)->expr = copyObject(argument);
	return (Node *) pgseal_opened((Expr *) aggregate, PGSEAL_OPEN_ARGUMENT, NIL);
}

static Node *
seal_window_function(WindowFunc *function)
{
	Expr	   *argument;
	Oid			sealed = sealed_aggregate(function->winfnoid, function->args, &argument);

	if (!OidIsValid(sealed))
		return (Node *) function;
	function = copyObject(function);
	function->winfnoid = sealed;
	function->wintype = exprType((Node *) argument);
	function->args = list_make1(copyObject(argument));
	return (Node *) pgseal_opened((Expr *) function, PGSEAL_OPEN_ARGUMENT, NIL);
}

static Node *
seal_aggregates_mutator(Node *node, void *context)
{
	if (node == NULL || IsA(node, Query))
		return node;			/* which is sorted by itself */
	if (IsA(node, Aggref))
		return seal_aggregate((Aggref *) node);
	node = expression_tree_mutator(node, seal_aggregates_mutator, context);
	return IsA(node, WindowFunc) ? seal_window_function((WindowFunc *) node) : node;
}

/* DISTINCT ON sorts, by its own columns if nothing else is said. */
static void
sort_by_distinct(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->targetList)
		if (reveals_encrypted(lfirst_node(TargetEntry, lc)))
		{
			query->sortClause = copyObject(query->distinctClause);
			return;
		}
}

static bool
seal_aggregates_walker(Node *node, void *context)
{
	Query	   *query = (Query *) node;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, seal_aggregates_walker, context);
	if (query->hasDistinctOn && query->sortClause == NIL)
		sort_by_distinct(query);
	if (query->sortClause != NIL && (query->hasAggs || query->hasWindowFuncs))
	{
		query->targetList = (List *) seal_aggregates_mutator((Node *) query->targetList, NULL);
		query->havingQual = seal_aggregates_mutator(query->havingQual, NULL);
	}
	return query_tree_walker(query, seal_aggregates_walker, context, 0);
}

static PlannedStmt *
late_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (OidIsValid(pgseal_extension_oid()) && !pgseal_citus_plans)
		(void) seal_aggregates_walker((Node *) parse, NULL);
	return prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
}

void
pgseal_late_opening_init(void)
{
	prev_planner = planner_hook;
	planner_hook = late_planner;
	prev_set_rel_pathlist = set_rel_pathlist_hook;
	set_rel_pathlist_hook = late_set_rel_pathlist;
}
