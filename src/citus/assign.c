/*-------------------------------------------------------------------------
 *
 * assign.c
 *	  What UPDATE assigns, as Citus takes it to other nodes.
 *
 * The parser there puts the cast to the column's type and key in once more.  So what
 * has that type already is sent without it, and sealed anew there under the column's
 * key, for each row by itself: a literal, and what SET (a, b) = (SELECT …) selects.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"

#include "citus/assign.h"
#include "citus/names.h"
#include "value/find_sealed.h"

/* A literal for a column is sealed under the default key by now */
static Expr *
literal_for_column(Expr *expr)
{
	Expr	   *cast = expr;
	Expr	   *literal;

	if (IsA(expr, ArrayCoerceExpr))
	{
		literal = ((ArrayCoerceExpr *) expr)->arg;
		cast = ((ArrayCoerceExpr *) expr)->elemexpr;
	}
	else
		literal = IsA(cast, FuncExpr) && ((FuncExpr *) cast)->args != NIL ?
			linitial(((FuncExpr *) cast)->args) : NULL;
	if (literal == NULL || !IsA(literal, Const) || !IsA(cast, FuncExpr) ||
		((FuncExpr *) cast)->funcformat != COERCE_IMPLICIT_CAST ||
		exprType((Node *) literal) != exprType((Node *) expr) ||
		pgseal_citus_function(((FuncExpr *) cast)->funcid) == NULL)
		return NULL;
	return literal;
}

/*
 * SET (a, b) = (SELECT …)
 */

static bool
is_encrypted(Oid type)
{
	return pgseal_shape_of_type(type, -1) != NULL;
}

/* The column of a subquery that implicit casts are put around, if they are ours */
static Param *
subquery_column(Expr *expr)
{
	Param	   *param = (Param *) strip_implicit_coercions((Node *) expr);

	return IsA(param, Param) && param->paramkind == PARAM_MULTIEXPR && (Expr *) param != expr &&
		(is_encrypted(param->paramtype) || is_encrypted(exprType((Node *) expr))) ? param : NULL;
}

static Query *
subquery_of(List *targets, const Param *param)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		SubLink    *link = (SubLink *) lfirst_node(TargetEntry, lc)->expr;

		if (IsA(link, SubLink) && link->subLinkType == MULTIEXPR_SUBLINK &&
			link->subLinkId == param->paramid >> 16)
			return castNode(Query, link->subselect);
	}
	return NULL;
}

static TargetEntry *
selected_column(const Query *subquery, int number)
{
	ListCell   *lc;

	foreach(lc, subquery->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk && --number == 0)
			return lfirst_node(TargetEntry, lc);
	return NULL;
}

typedef struct Selected
{
	const Param *column;
	Expr	   *expr;			/* what the subquery has for it */
} Selected;

/* A value is sealed under the default key, as that of the column follows */
static void
forget_key(List *args)
{
	Const	   *typmod = list_length(args) > 1 ? lsecond(args) : NULL;

	if (typmod != NULL && IsA(typmod, Const) && typmod->consttype == INT4OID)
		lsecond(args) = makeConst(INT4OID, -1, InvalidOid, sizeof(int32), Int32GetDatum(-1), false, true);
}

static Node *
cast_selected(Node *node, void *context)
{
	Selected   *selected = context;

	if (node == NULL)
		return NULL;
	if (IsA(node, Param))
		return equal(node, selected->column) ? (Node *) copyObject(selected->expr) : node;
	node = expression_tree_mutator(node, cast_selected, context);
	if (IsA(node, FuncExpr) && is_encrypted(((FuncExpr *) node)->funcresulttype))
		forget_key(((FuncExpr *) node)->args);
	if (IsA(node, ArrayCoerceExpr) && is_encrypted(((ArrayCoerceExpr *) node)->resulttype))
		((ArrayCoerceExpr *) node)->resulttypmod = -1;
	return node;
}

/* By what the subquery sorts or groups stays what it was: a column that isn't seen */
static void
keep_selected(Query *subquery, TargetEntry *target)
{
	TargetEntry *kept = makeTargetEntry(copyObject(target->expr), list_length(subquery->targetList) + 1,
										NULL, true);

	kept->ressortgroupref = target->ressortgroupref;
	target->ressortgroupref = 0;
	subquery->targetList = lappend(subquery->targetList, kept);
}

/* What isn't of the column's type becomes that in the subquery, whose columns can be hidden */
static bool
cast_in_subquery(List *targets, Expr *expr, Param *param)
{
	Query	   *subquery = subquery_of(targets, param);
	TargetEntry *target = subquery == NULL ? NULL : selected_column(subquery, param->paramid & 0xFFFF);
	Selected	selected = {param};
	Node	   *cast;

	if (target == NULL || subquery->setOperations != NULL || subquery->distinctClause != NIL)
		return false;
	selected.expr = target->expr;
	cast = cast_selected((Node *) expr, &selected);
	if (target->ressortgroupref != 0)
		keep_selected(subquery, target);
	target->expr = (Expr *) cast;
	param->paramtype = exprType(cast);
	param->paramtypmod = exprTypmod(cast);
	param->paramcollid = exprCollation(cast);
	return true;
}

void
pgseal_citus_leave_to_column(List *targets)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		Expr	   *literal = literal_for_column(target->expr);
		Param	   *column = literal == NULL ? subquery_column(target->expr) : NULL;

		if (literal != NULL)
			target->expr = literal;
		else if (column != NULL && (column->paramtype == exprType((Node *) target->expr) ||
									cast_in_subquery(targets, target->expr, column)))
			target->expr = (Expr *) column;
	}
}
