/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Planner support: equality finds the blind index by itself.
 *
 * Where a column has an index on blind_index(column), the planner turns
 *
 *		column = x		into	blind_index(column) = token(x) AND recheck(column, x)
 *		column IN (...)	into	blind_index(column) = ANY (tokens(...)) AND ...
 *
 * so that the index can be used, whatever x is: a constant, a parameter or a
 * column of another table.  The comparison stays as a recheck.  While an index
 * key is replaced, tokens under both versions are searched for (rotate_index_key.c).
 *
 * This is done twice, always for all conditions of a query that decide whether a
 * row stays, by the query's own range table.  Before planning starts, so that a
 * condition on a view is extended where it can still be moved into it; and, for =,
 * when the planner has simplified the query and looks at its first table: there
 * is what came out of inlined functions, and the conditions of FULL JOINs are looked
 * at, too (unopen.c).  A planner support function would be the shorter way, but it
 * isn't told whose range table the columns are of: PostgreSQL simplifies the WHERE of
 * a sub-select with the root of the query around it (convert_EXISTS_to_ANY).
 *
 * The recheck isn't extended again.  It is a function; only where the planner must
 * see an operator, in joins (a semi-join can be turned round) and for partition
 * pruning, it is the operator again with another function behind it.  Neither
 * counts in estimates (estimates.c): the selectivity of the whole is that of the
 * token's clause.
 *
 * ANALYZE keeps nothing of tokens: stored_tokens.c tells the planner how they are
 * distributed.
 *
 * This file walks through the queries; extend_*.c extend a condition, each of a
 * kind, by what find_index.c finds.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_operator.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "rewrite/rewriteHandler.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "search/denied.h"
#include "search/extend.h"
#include "search/lookup.h"
#include "search/on_conflict.h"
#include "search/unopen.h"

static planner_hook_type prev_planner = NULL;
static get_relation_info_hook_type prev_get_relation_info = NULL;

static Node *extend_qual(Node *node, PgsealExtension *extension);

/*
 * Of AND or OR.  The planner counts on there being none below another of its kind,
 * and crashes otherwise, so what an AND's condition was extended to is part of it.
 */
static void
extend_arguments(BoolExpr *node, PgsealExtension *extension)
{
	List	   *args = NIL;
	ListCell   *lc;

	foreach(lc, node->args)
	{
		Node	   *arg = extend_qual(lfirst(lc), extension);

		if (IsA(arg, BoolExpr) && ((BoolExpr *) arg)->boolop == node->boolop)
			args = list_concat(args, ((BoolExpr *) arg)->args);
		else
			args = lappend(args, arg);
	}
	node->args = args;
}

/*
 * Only what decides whether a row stays: elsewhere, as below NOT, the added
 * clause would turn an unknown result into false.
 */
static Node *
extend_qual(Node *node, PgsealExtension *extension)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, List))
	{
		/* Of a query that is being planned: clauses, all of which must hold */
		List	   *clauses = NIL;
		ListCell   *lc;

		foreach(lc, (List *) node)
			clauses = list_concat(clauses,
								  make_ands_implicit((Expr *) extend_qual(lfirst(lc), extension)));
		return (Node *) clauses;
	}
	if (is_andclause(node) || is_orclause(node))
		extend_arguments((BoolExpr *) node, extension);
	else if (IsA(node, OpExpr) && pgseal_extends_equality((OpExpr *) node))
	{
		Node	   *extended = pgseal_extend_equality(extension->rtable, (OpExpr *) node);

		if (extended == NULL)
			return node;
		extension->extended = true;
		return extended;
	}
	else if (extension->is_planned)
		return node;
	else if (IsA(node, OpExpr))
	{
		Node	   *extended = NULL;

		if (((OpExpr *) node)->opno == ByteaEqualOperator)
			extended = pgseal_extend_explicit((OpExpr *) node, extension);
		if (extended == NULL)
			extended = pgseal_extend_opened((OpExpr *) node, extension);
		return extended != NULL ? extended : node;
	}
	else if (is_notclause(node) && IsA(get_notclausearg(node), DistinctExpr))
	{
		Node	   *extended = pgseal_extend_not_distinct((DistinctExpr *) get_notclausearg(node),
														  extension);

		return extended != NULL ? extended : node;
	}
	else if (IsA(node, ScalarArrayOpExpr))
	{
		Node	   *extended = pgseal_extend_any((ScalarArrayOpExpr *) node, extension);

		return extended != NULL ? extended : node;
	}
	else if (IsA(node, SubLink))
	{
		Node	   *array = (Node *) pgseal_values_as_array((SubLink *) node);
		Node	   *extended = extend_qual(array, extension);

		return extended != array ? extended : node;
	}
	return node;
}

static void
extend_jointree(Node *node, PgsealExtension *extension)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		from->quals = extend_qual(from->quals, extension);
		foreach(lc, from->fromlist)
			extend_jointree(lfirst(lc), extension);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		join->quals = extend_qual(join->quals, extension);
		extend_jointree(join->larg, extension);
		extend_jointree(join->rarg, extension);
	}
}

/* The conditions of a query: its own, and those of row security */
static void
extend_query(Query *query, PgsealExtension *extension)
{
	ListCell   *lc;

	extension->rtable = query->rtable;
	extend_jointree((Node *) query->jointree, extension);
	if (!extension->is_planned)
		pgseal_map_merge_condition(query, extend_qual, extension);
	foreach(lc, query->rtable)
	{
		ListCell   *qual;

		foreach(qual, lfirst_node(RangeTblEntry, lc)->securityQuals)
			lfirst(qual) = extend_qual(lfirst(qual), extension);
	}
}

static bool
extend_queries(Node *node, void *context)
{
	PgsealExtension *extension = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		if (!pgseal_citus_plans)
			extend_query(query, extension);
		if (pgseal_names_conflict_column(query))
			pgseal_resolve_conflict_columns(query);
		return query_tree_walker(query, extend_queries, context, 0);
	}
	return expression_tree_walker(node, extend_queries, context);
}

/* Statements without them cost this walk and nothing else */
static bool
has_extensible(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, ScalarArrayOpExpr) &&
		((ScalarArrayOpExpr *) node)->opno >= FirstNormalObjectId)
		return true;
	if (IsA(node, OpExpr) && (((OpExpr *) node)->opno == ByteaEqualOperator ||
							  ((OpExpr *) node)->opno >= FirstNormalObjectId))
		return true;
	if (IsA(node, SubLink) && pgseal_values_as_array((SubLink *) node) != NULL)
		return true;
	if (IsA(node, DistinctExpr) && ((DistinctExpr *) node)->opno >= FirstNormalObjectId)
		return true;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid >= FirstNormalObjectId)
		return true;
	if (IsA(node, Query))
		return pgseal_names_conflict_column((Query *) node) ||
			query_tree_walker((Query *) node, has_extensible, context, 0);
	return expression_tree_walker(node, has_extensible, context);
}

static PlannedStmt *
lookup_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	PgsealExtension extension = {0};
	bool		hides_rows = false;
	PlannedStmt *plan;

	pgseal_unopen_comparisons(parse);
	if (OidIsValid(pgseal_extension_oid()))
		hides_rows = pgseal_mark_hiding(parse);
	if (has_extensible((Node *) parse, NULL) && OidIsValid(pgseal_extension_oid()))
	{
		if (hides_rows)
			pgseal_mark_denied(parse);
		pgseal_tokens_alike(parse);
		extend_queries((Node *) parse, &extension);
	}
	plan = prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);

	plan->dependsOnRole |= hides_rows;

	/* Plan again when an index key is replaced */
	if (extension.extended)
		plan->relationOids = list_append_unique_oid(plan->relationOids,
													pgseal_catalog_version_relation());
	return plan;
}

/*
 * Is it the first table of its query that the planner looks at?  By then the
 * conditions are simplified, but not yet distributed among the tables.
 */
static bool
is_first_table(const PlannerInfo *root, const RelOptInfo *rel)
{
	if (rel->reloptkind != RELOPT_BASEREL || root->parse->jointree == NULL)
		return false;
	for (int i = 1; i < root->simple_rel_array_size; i++)
	{
		const RelOptInfo *other = root->simple_rel_array[i];

		if (other != NULL && i != rel->relid && other->reloptkind == RELOPT_BASEREL &&
			root->simple_rte_array[i]->rtekind == RTE_RELATION)
			return false;
	}
	return true;
}

static void
lookup_get_relation_info(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	PgsealExtension extension = {.is_planned = true};

	if (prev_get_relation_info)
		prev_get_relation_info(root, relation, inhparent, rel);
	if (pgseal_citus_plans || !is_first_table(root, rel) || !OidIsValid(pgseal_extension_oid()))
		return;
	pgseal_unopen_full_joins((Node *) root->parse->jointree);
	extend_query(root->parse, &extension);
	if (extension.extended)
		pgseal_plan_again_for_keys(root);
}

void
pgseal_lookup_init(void)
{
	prev_planner = planner_hook;
	planner_hook = lookup_planner;
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = lookup_get_relation_info;
}
