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
 * It is done before planning, when functions haven't been inlined, and with the columns
 * themselves, so whatever is done with them lies above.  HAVING is a condition
 * on rows as long as nothing in it is aggregated, but what it computes may be
 * what is grouped by: there, the condition goes through the function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "catalog/pg_type.h"
#include "parser/parsetree.h"

#include "base/compat.h"
#include "base/extension.h"
#include "search/denied.h"
#include "search/hashindex.h"
#include "value/find_sealed.h"

PG_FUNCTION_INFO_V1(pgseal_may_be_denied);

Datum
pgseal_may_be_denied(PG_FUNCTION_ARGS)
{
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
through_function(Node *expr)
{
	Oid			argument = ANYELEMENTOID;

	return (Node *) makeFuncExpr(pgseal_internal_function("may_be_denied", 1, &argument),
								 exprType(expr), list_make1(expr), exprCollation(expr),
								 exprCollation(expr), COERCE_EXPLICIT_CALL);
}

static bool mark_query(Query *query);

/* The expression with such columns marked; queries in it are for mark_query() */
static Node *
mark_columns(Node *node, void *context)
{
	if (node == NULL || IsA(node, Query))
		return node;
	if (IsA(node, Var))
		return may_be_denied((Var *) node) ? through_function(node) : node;
	return expression_tree_mutator(node, mark_columns, context);
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
mark_jointree(Node *node)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		from->quals = mark_columns(from->quals, NULL);
		foreach(lc, from->fromlist)
			mark_jointree(lfirst(lc));
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		join->quals = mark_columns(join->quals, NULL);
		mark_jointree(join->larg);
		mark_jointree(join->rarg);
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
	mark_jointree((Node *) query->jointree);
	pgseal_map_merge_condition(query, mark_columns, NULL);
	if (query->havingQual != NULL && has_denied_column(query->havingQual, query))
		query->havingQual = through_function(query->havingQual);
	return query_tree_walker(query, mark_queries, NULL, 0);
}

bool
pgseal_mark_denied(Query *query)
{
	if (!hides_rows((Node *) query, NULL))
		return false;
	(void) mark_query(query);
	return true;
}
