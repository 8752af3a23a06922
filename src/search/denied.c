/*-------------------------------------------------------------------------
 *
 * denied.c
 *	  Conditions on values that the user may not open, beside rows that are hidden.
 *
 * Comparisons are LEAKPROOF (72_leakproof.sql), so PostgreSQL applies them to rows
 * before it knows whether row security or a security_barrier view hides them.  To
 * a role without USAGE on the server of the value's key the comparison is an error,
 * for any row that has a value: id = 5 AND salary > 0 would tell it whether there is a
 * row 5.  So is blind_index(), which is leakproof as well.
 *
 * Therefore, in statements where rows are hidden, a column that the user may not open
 * goes through a function that isn't leakproof.  It returns what it is given, but
 * PostgreSQL keeps the condition above what hides rows.  The user has lost no index by
 * it: he may not use one on such a column anyway.
 *
 * A column of any key counts as such for everybody: whether a value can be opened
 * differs from row to row.
 *
 * The conditions that hide rows are others', and must not be told NULL where the user
 * has said so (pgseal.on_denied): "vip IS NOT TRUE" would show what it hides.  There,
 * a column that the user may not open goes through the same function, written as an
 * implicit cast, by which it knows to fail.  Whether it is NULL may be asked.
 *
 * It is done before planning, when functions haven't been inlined, and with the columns
 * themselves, so whatever is done with them lies above.  HAVING is a condition
 * on rows as long as nothing in it is aggregated, but what it computes may be
 * what is grouped by: there, the condition goes through the function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "parser/parsetree.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "search/denied.h"
#include "search/hashindex.h"
#include "value/envelope.h"
#include "value/find_sealed.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_may_be_denied);

static get_relation_info_hook_type prev_get_relation_info = NULL;

static struct varlena *
must_be_seen(Datum sealed, const PgsealShape *shape, void *context)
{
	PgsealEnvelope envelope;

	if (pgseal_value_try_header(&envelope, sealed))
	{
		Oid			server = pgseal_keyring_info(envelope.key_version_id)->server;

		if (OidIsValid(server) && !pgseal_keyring_check_access(server))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied for encrypted values in a condition that hides rows")));
	}
	return NULL;
}

Datum
pgseal_may_be_denied(PG_FUNCTION_ARGS)
{
	FmgrInfo   *function = fcinfo->flinfo;
	Node	   *call = function->fn_expr;

	if (call != NULL && IsA(call, FuncExpr) &&
		((FuncExpr *) call)->funcformat == COERCE_IMPLICIT_CAST)
	{
		if (function->fn_extra == NULL)
		{
			MemoryContext caller = MemoryContextSwitchTo(function->fn_mcxt);

			function->fn_extra = pgseal_shape_of_type(get_fn_expr_argtype(function, 0),
													  PGSEAL_TYPMOD_NONE);
			MemoryContextSwitchTo(caller);
		}
		if (function->fn_extra != NULL)
			(void) pgseal_shape_visit(function->fn_extra, PG_GETARG_DATUM(0), must_be_seen, NULL);
	}
	PG_RETURN_DATUM(PG_GETARG_DATUM(0));
}

static bool
hides_rows(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		ListCell   *lc;

		if (((Query *) node)->withCheckOptions != NIL)
			return true;
		foreach(lc, ((Query *) node)->rtable)
		{
			RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

			if (rte->security_barrier || rte->securityQuals != NIL)
				return true;
		}
		return query_tree_walker((Query *) node, hides_rows, context, 0);
	}
	return expression_tree_walker(node, hides_rows, context);
}

/* May opening what is in the column be denied? */
static bool
may_be_denied(const Var *var)
{
	const PgsealShape *shape = pgseal_shape_of_type(var->vartype, var->vartypmod);

	if (shape != NULL && shape->kind == PGSEAL_SHAPE_ARRAY)
		shape = shape->members[0];
	if (shape == NULL)
		return false;
	return shape->kind != PGSEAL_SHAPE_VALUE || shape->typmod <= 0 ||
		!pgseal_may_use_key(shape->typmod);
}

static Node *
through_function(Node *expr, CoercionForm form)
{
	Oid			argument = ANYELEMENTOID;

	return (Node *) makeFuncExpr(pgseal_internal_function("may_be_denied", 1, &argument),
								 exprType(expr), list_make1(expr), exprCollation(expr),
								 exprCollation(expr), form);
}

static bool mark_query(Query *query);

/* The expression with such columns marked; queries in it are for mark_query() */
static Node *
mark_columns(Node *node, void *context)
{
	if (node == NULL || IsA(node, Query))
		return node;
	if (IsA(node, Var))
		return may_be_denied((Var *) node) ? through_function(node, COERCE_EXPLICIT_CALL) : node;
	return expression_tree_mutator(node, mark_columns, context);
}

static bool
is_marked(const Node *node)
{
	Oid			argument = ANYELEMENTOID;

	return IsA(node, FuncExpr) && ((const FuncExpr *) node)->funcformat == COERCE_IMPLICIT_CAST &&
		((const FuncExpr *) node)->funcid >= FirstNormalObjectId &&
		((const FuncExpr *) node)->funcid == pgseal_internal_function("may_be_denied", 1, &argument);
}

typedef Node *(*Marker) (Node *node, void *context);

static void mark_jointree(Node *node, Marker marker);
static Node *mark_hiding(Node *node, void *context);

/*
 * Conditions of a query.  With grouping sets, what HAVING has of the columns may be
 * what is grouped by, and NULL of a set without it: that must stay as it is written.
 */
static void
mark_conditions(Query *query)
{
	mark_jointree((Node *) query->jointree, mark_hiding);
	if (query->groupingSets == NIL)
		query->havingQual = mark_hiding(query->havingQual, NULL);
}

/* The same of a condition that hides rows, and of the conditions of queries in it */
static Node *
mark_hiding(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
	{
		Query	   *query = copyObject((Query *) node);

		mark_conditions(query);
		return (Node *) query;
	}
	if (is_marked(node) || (IsA(node, NullTest) && IsA(((NullTest *) node)->arg, Var)))
		return node;
	if (IsA(node, Var))
		return may_be_denied((Var *) node) ? through_function(node, COERCE_IMPLICIT_CAST) : node;
	return expression_tree_mutator(node, mark_hiding, context);
}

/* What is grouped by is a column of the query's grouping since PostgreSQL 18. */
static bool
has_denied_column(Node *node, void *context)
{
	Query	   *query = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;
		List	   *grouped = var->varlevelsup == 0 ?
			pgseal_group_exprs(rt_fetch(var->varno, query->rtable)) : NIL;

		return grouped != NIL ? has_denied_column(list_nth(grouped, var->varattno - 1), context) :
			may_be_denied(var);
	}
	return expression_tree_walker(node, has_denied_column, context);
}

static void
mark_jointree(Node *node, Marker marker)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		from->quals = marker(from->quals, NULL);
		foreach(lc, from->fromlist)
			mark_jointree(lfirst(lc), marker);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		join->quals = marker(join->quals, NULL);
		mark_jointree(join->larg, marker);
		mark_jointree(join->rarg, marker);
	}
}

static bool
mark_queries(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return mark_query((Query *) node);
	return expression_tree_walker(node, mark_queries, context);
}

static bool
mark_query(Query *query)
{
	mark_jointree((Node *) query->jointree, mark_columns);
	pgseal_map_merge_condition(query, mark_columns, NULL);
	if (query->havingQual != NULL && has_denied_column(query->havingQual, query))
		query->havingQual = through_function(query->havingQual, COERCE_EXPLICIT_CALL);
	return query_tree_walker(query, mark_queries, NULL, 0);
}

/* A security_barrier view: the queries that it is made of, but for what hides rows in them */
static void
mark_view(Query *query)
{
	ListCell   *lc;

	mark_conditions(query);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY && !rte->security_barrier)
			mark_view(rte->subquery);
	}
	foreach(lc, query->cteList)
		mark_view((Query *) lfirst_node(CommonTableExpr, lc)->ctequery);
}

/* Policies, such views, and what both check of rows that are written */
static bool
mark_hiding_conditions(Node *node, void *context)
{
	Query	   *query = (Query *) node;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, mark_hiding_conditions, context);
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		rte->securityQuals = (List *) mark_hiding((Node *) rte->securityQuals, NULL);
		if (rte->rtekind == RTE_SUBQUERY && rte->security_barrier)
			mark_view(rte->subquery);
	}
	foreach(lc, query->withCheckOptions)
	{
		WithCheckOption *check = lfirst_node(WithCheckOption, lc);

		check->qual = mark_hiding(check->qual, NULL);
	}
	return query_tree_walker(query, mark_hiding_conditions, context, 0);
}

bool
pgseal_mark_hiding(Query *query)
{
	if (!hides_rows((Node *) query, NULL))
		return false;
	(void) mark_hiding_conditions((Node *) query, NULL);
	return true;
}

void
pgseal_mark_denied(Query *query)
{
	(void) mark_query(query);
}

/*
 * Policies of tables in SQL functions, which PostgreSQL inlines when it has begun to
 * plan.  It takes its conditions from here after that.
 */
static void
mark_policies(PlannerInfo *root, Oid relid, bool inhparent, RelOptInfo *rel)
{
	RangeTblEntry *rte = planner_rt_fetch(rel->relid, root);

	if (prev_get_relation_info)
		prev_get_relation_info(root, relid, inhparent, rel);
	if (rte->securityQuals != NIL && OidIsValid(pgseal_extension_oid()))
		rte->securityQuals = (List *) mark_hiding((Node *) rte->securityQuals, NULL);
}

void
pgseal_denied_init(void)
{
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = mark_policies;
}
