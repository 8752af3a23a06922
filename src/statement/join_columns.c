/*-------------------------------------------------------------------------
 *
 * join_columns.c
 *	  Columns that JOIN ... USING merges of two of different types.
 *
 * What an inner join merges two columns into is either of them, as they are equal.
 * PostgreSQL takes the one that needs no conversion to the type of both: of int4 and numeric
 * the latter, which may show more digits.  An encrypted column has a key as its type
 * modifier, and the merged one has none; so neither is of the merged column's type, and
 * PostgreSQL takes the left one and converts it.  Here the right one is put into its place
 * where that differs in its modifier only.
 *
 * The merged column is one of the join's, to which the query refers by its number.  Which
 * columns are merged is known by the join's condition.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"

#include "base/compat.h"
#include "base/extension.h"
#include "statement/join_columns.h"
#include "value/basetype.h"

/* The column below implicit casts; NULL when it is none */
static Var *
converted_column(Node *expr, bool *out_calls)
{
	*out_calls = false;
	for (;;)
		if (expr != NULL && IsA(expr, RelabelType))
			expr = (Node *) ((RelabelType *) expr)->arg;
		else if (expr != NULL && IsA(expr, FuncExpr) && ((FuncExpr *) expr)->args != NIL &&
				 ((FuncExpr *) expr)->funcformat == COERCE_IMPLICIT_CAST)
		{
			*out_calls = true;
			expr = linitial(((FuncExpr *) expr)->args);
		}
		else
			return expr != NULL && IsA(expr, Var) ? (Var *) expr : NULL;
}

/* The comparison of the columns that are merged into this one of the join's */
static OpExpr *
comparison_of(JoinExpr *join, int merged)
{
	Node	   *quals = join->quals;

	if (quals != NULL && is_andclause(quals) && merged < list_length(((BoolExpr *) quals)->args))
		quals = list_nth(((BoolExpr *) quals)->args, merged);
	else if (merged > 0)
		return NULL;
	return quals != NULL && IsA(quals, OpExpr) && list_length(((OpExpr *) quals)->args) == 2 ?
		(OpExpr *) quals : NULL;
}

/* A merged column and what takes its place, some queries further in */
typedef struct Exchange
{
	Node	   *column;
	Node	   *chosen;
	int			depth;
} Exchange;

static Node *
exchange(Node *node, void *context)
{
	Exchange   *within = context;
	bool		calls;
	Var		   *written = node != NULL && IsA(node, FuncExpr) ? converted_column(node, &calls) : NULL;
	Node	   *result;

	if (node == NULL)
		return NULL;
	/* What somebody has written has a place in the text */
	if (written != NULL && written->location < 0)
	{
		Node	   *column = copyObject(within->column);

		IncrementVarSublevelsUp(column, within->depth, 0);
		if (equal(node, column))
		{
			result = copyObject(within->chosen);
			IncrementVarSublevelsUp(result, within->depth, 0);
			return result;
		}
	}
	if (!IsA(node, Query))
		return expression_tree_mutator(node, exchange, context);
	within->depth++;
	result = (Node *) query_tree_mutator((Query *) node, exchange, context, 0);
	within->depth--;
	return result;
}

/*
 * Since version 18, a query that aggregates has in its results what its joins' columns are,
 * and no numbers.
 */
static void
exchange_in_results(Query *query, Node *column, Node *chosen)
{
	Exchange	within = {.column = column, .chosen = chosen};
	ListCell   *lc;
	ListCell   *grouped;

	if (!query->hasAggs && query->groupClause == NIL && query->groupingSets == NIL &&
		query->havingQual == NULL)
		return;
	query->targetList = (List *) exchange((Node *) query->targetList, &within);
	query->havingQual = exchange(query->havingQual, &within);
	foreach(lc, query->rtable)
		foreach(grouped, pgseal_group_exprs(lfirst_node(RangeTblEntry, lc)))
			lfirst(grouped) = exchange(lfirst(grouped), &within);
}

static void
choose_column(Query *query, JoinExpr *join, int merged, Node **column)
{
	Node	   *chosen;
	Oid			type = exprType(*column);
	OpExpr	   *comparison = comparison_of(join, merged);
	bool		calls;
	bool		other_calls;
	Var		   *left = converted_column(*column, &calls);
	Var		   *right;

	if (!calls || left == NULL || comparison == NULL || pgseal_type_by_oid(type) == NULL ||
		!equal(left, converted_column(linitial(comparison->args), &other_calls)))
		return;
	right = converted_column(lsecond(comparison->args), &other_calls);
	if (right == NULL || right->vartype != type)
		return;
	chosen = (Node *) makeRelabelType(copyObject((Expr *) right), type, exprTypmod(*column),
									  exprCollation(*column), COERCE_IMPLICIT_CAST);
	exchange_in_results(query, *column, chosen);
	*column = chosen;
}

static void
choose_in(Query *query, Node *node)
{
	ListCell   *lc;

	if (node != NULL && IsA(node, FromExpr))
		foreach(lc, ((FromExpr *) node)->fromlist)
			choose_in(query, lfirst(lc));
	else if (node != NULL && IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;
		RangeTblEntry *rte = join->rtindex > 0 ? rt_fetch(join->rtindex, query->rtable) : NULL;

		choose_in(query, join->larg);
		choose_in(query, join->rarg);
		if (join->jointype == JOIN_INNER && rte != NULL && rte->rtekind == RTE_JOIN)
			for (int i = 0; i < rte->joinmergedcols && i < list_length(rte->joinaliasvars); i++)
				choose_column(query, join, i, (Node **) &lfirst(list_nth_cell(rte->joinaliasvars, i)));
	}
}

static bool
merges_columns(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->rtable)
		if (lfirst_node(RangeTblEntry, lc)->rtekind == RTE_JOIN &&
			lfirst_node(RangeTblEntry, lc)->joinmergedcols > 0)
			return true;
	return false;
}

void
pgseal_join_columns_choose(Query *query)
{
	if (merges_columns(query) && OidIsValid(pgseal_extension_oid()))
		choose_in(query, (Node *) query->jointree);
}
