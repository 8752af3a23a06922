/*-------------------------------------------------------------------------
 *
 * opened.c
 *	  The opened form of an expression.
 *
 * An encrypted value is opened by the cast's function, an array element by
 * element, a row that holds encrypted values by open_row(), which makes a record
 * of it.
 *
 * Whether a value of type record holds any is known only where it is made, so a
 * reference to one is followed through subqueries, WITH and joins.  A parameter of that
 * type is taken to: open_row() looks into each row.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "search/stored_expressions.h"
#include "statement/opened.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

/* The functions of each PgsealOpening */
static const struct
{
	const char *value;
	const char *row;
	const char *rows;
}			function_names[] =

{
	[PGSEAL_OPEN_ARGUMENT] = {"open", "open_row", "open_rows"},
	[PGSEAL_OPEN_RESULT] = {"open_result", "open_row_result", "open_rows_result"}
};

static Oid
our_function(const char *name, Oid argument)
{
	return pgseal_internal_function(name, 1, &argument);
}

static Expr *
call(Oid function, Oid result, Expr *arg, PgsealOpening opening)
{
	Oid			collation = exprCollation((Node *) arg);

	return (Expr *) makeFuncExpr(function, result, list_make1(arg),
								 get_typcollation(result) ? collation : InvalidOid, collation,
								 opening == PGSEAL_OPEN_RESULT ?
								 COERCE_EXPLICIT_CALL : COERCE_IMPLICIT_CAST);
}

static Expr *
open_value(const PgsealType *type, Expr *arg, PgsealOpening opening)
{
	return call(our_function(function_names[opening].value, type->oid), type->base->oid, arg,
				opening);
}

static Expr *
open_elements(const PgsealType *type, Expr *array, PgsealOpening opening)
{
	CaseTestExpr *element = makeNode(CaseTestExpr);
	ArrayCoerceExpr *coerced = makeNode(ArrayCoerceExpr);

	element->typeId = type->oid;
	element->typeMod = -1;
	element->collation = exprCollation((Node *) array);
	coerced->arg = array;
	coerced->elemexpr = open_value(type, (Expr *) element, opening);
	coerced->resulttype = get_array_type(type->base->oid);
	coerced->resulttypmod = -1;
	coerced->resultcollid = exprCollation((Node *) coerced->elemexpr);
	coerced->coerceformat = COERCE_IMPLICIT_CAST;
	coerced->location = -1;
	return (Expr *) coerced;
}

static Expr *
open_record(Expr *arg, bool array, PgsealOpening opening)
{
	return array ?
		call(our_function(function_names[opening].rows, ANYARRAYOID), RECORDARRAYOID, arg, opening) :
		call(our_function(function_names[opening].row, RECORDOID), RECORDOID, arg, opening);
}

/*
 * Records
 */

static bool record_holds_sealed(Node *expr, List *queries);

static bool
holds_sealed(Node *expr, List *queries)
{
	Oid			type = exprType(expr);

	return type == RECORDOID || type == RECORDARRAYOID ? record_holds_sealed(expr, queries) :
		pgseal_shape_of_type(type, exprTypmod(expr)) != NULL;
}

/* A column of a query's results, or any of them (0) */
static bool
column_holds_sealed(Query *query, AttrNumber column, List *outer)
{
	List	   *inner = lcons(query, outer);
	ListCell   *lc;

	foreach(lc, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if ((column == 0 ? !target->resjunk : target->resno == column) &&
			holds_sealed((Node *) target->expr, inner))
			return true;
	}
	return false;
}

/* One of these expressions, or any of them (0); NULL stands for a column that was dropped */
static bool
member_holds_sealed(List *members, AttrNumber column, List *queries)
{
	ListCell   *lc;

	foreach(lc, members)
		if ((column == 0 || foreach_current_index(lc) == column - 1) && lfirst(lc) != NULL &&
			holds_sealed(lfirst(lc), queries))
			return true;
	return false;
}

/* The same of VALUES */
static bool
values_hold_sealed(RangeTblEntry *rte, AttrNumber column, List *queries)
{
	ListCell   *row;

	foreach(row, rte->values_lists)
		if (member_holds_sealed(lfirst_node(List, row), column, queries))
			return true;
	return false;
}

/* A row of a function whose columns the query declares */
static bool
function_holds_sealed(RangeTblEntry *rte)
{
	ListCell   *function;
	ListCell   *type;

	foreach(function, rte->functions)
		foreach(type, lfirst_node(RangeTblFunction, function)->funccoltypes)
			if (pgseal_shape_of_type(lfirst_oid(type), -1) != NULL)
				return true;
	return false;
}

/* A row of what a trigger's statement has changed */
static bool
transition_table_holds_sealed(RangeTblEntry *rte)
{
	ListCell   *lc;

	foreach(lc, rte->coltypes)
		if (OidIsValid(lfirst_oid(lc)) && pgseal_shape_of_type(lfirst_oid(lc), -1) != NULL)
			return true;
	return false;
}

/* The query of a WITH clause, and of which of the queries it is part */
static Query *
with_query(RangeTblEntry *rte, List *queries, List **out_outer)
{
	ListCell   *lc;
	int			level = (int) rte->ctelevelsup;

	if (level >= list_length(queries))
		return NULL;
	*out_outer = list_copy_tail(queries, level);
	foreach(lc, linitial_node(Query, *out_outer)->cteList)
	{
		CommonTableExpr *with = lfirst_node(CommonTableExpr, lc);

		if (strcmp(with->ctename, rte->ctename) == 0 && !rte->self_reference &&
			IsA(with->ctequery, Query))
			return (Query *) with->ctequery;
	}
	return NULL;
}

static bool
reference_holds_sealed(Var *var, List *queries)
{
	RangeTblEntry *rte;
	List	   *outer;
	Query	   *with;

	if ((int) var->varlevelsup >= list_length(queries) || var->varattno < 0)
		return false;
	queries = list_copy_tail(queries, (int) var->varlevelsup);
	if (var->varno > (Index) list_length(linitial_node(Query, queries)->rtable))
		return false;
	rte = rt_fetch(var->varno, linitial_node(Query, queries)->rtable);
	if (pgseal_group_exprs(rte) != NIL)
		return holds_sealed(list_nth(pgseal_group_exprs(rte), var->varattno - 1), queries);
	switch (rte->rtekind)
	{
		case RTE_SUBQUERY:
			return column_holds_sealed(rte->subquery, var->varattno, queries);
		case RTE_CTE:
			with = with_query(rte, queries, &outer);
			return with != NULL && column_holds_sealed(with, var->varattno, outer);
		case RTE_VALUES:
			return values_hold_sealed(rte, var->varattno, queries);
		case RTE_FUNCTION:
			return var->varattno == 0 && function_holds_sealed(rte);
		case RTE_JOIN:
			return member_holds_sealed(rte->joinaliasvars, var->varattno, queries);
		case RTE_NAMEDTUPLESTORE:
			return var->varattno == 0 && transition_table_holds_sealed(rte);
		default:
			return member_holds_sealed(pgseal_group_exprs(rte), var->varattno, queries);
	}
}

/* What a record is made of, unless it is a reference or a list of columns */
static bool
ingredient_holds_sealed(Node *node, void *context)
{
	List	   *queries = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return column_holds_sealed((Query *) node, 1, queries);
	if (IsA(node, Var) || IsA(node, RowExpr) || IsA(node, FuncExpr) || IsA(node, Param))
		return holds_sealed(node, queries);
	return expression_tree_walker(node, ingredient_holds_sealed, context);
}

/* Of a user's function that doesn't say what columns its record has, each row is looked into. */
static bool
result_holds_sealed(FuncExpr *call, List *queries)
{
	TupleDesc	columns;

	switch (get_expr_result_type((Node *) call, NULL, &columns))
	{
		case TYPEFUNC_COMPOSITE:
			for (int i = 0; i < columns->natts; i++)
				if (TupleDescAttr(columns, i)->atttypid == RECORDOID ||
					pgseal_shape_of_type(TupleDescAttr(columns, i)->atttypid, -1) != NULL)
					return true;
			return false;
		case TYPEFUNC_RECORD:
			return call->funcid >= FirstNormalObjectId ||
				expression_tree_walker((Node *) call, ingredient_holds_sealed, queries);
		default:
			return expression_tree_walker((Node *) call, ingredient_holds_sealed, queries);
	}
}

static bool
record_holds_sealed(Node *expr, List *queries)
{
	ListCell   *lc;

	check_stack_depth();
	if (IsA(expr, FuncExpr) && ((FuncExpr *) expr)->funcresulttype == RECORDOID)
		return result_holds_sealed((FuncExpr *) expr, queries);
	if (IsA(expr, Var))
		return reference_holds_sealed((Var *) expr, queries);

	/* A variable of PL/pgSQL may hold any row */
	if (IsA(expr, Param))
		return true;
	if (!IsA(expr, RowExpr))
		return expression_tree_walker(expr, ingredient_holds_sealed, queries);
	foreach(lc, ((RowExpr *) expr)->args)
		if (holds_sealed(lfirst(lc), queries))
			return true;
	return false;
}

/*
 * Any expression
 */

Expr *
pgseal_opened(Expr *expr, PgsealOpening opening, List *queries)
{
	Oid			declared = exprType((Node *) expr);
	PgsealShape *shape;
	Expr	   *arg;

	/*
	 * In databases without the extension, no row holds any, and there is
	 * nothing to open it
	 */
	if (declared == RECORDOID || declared == RECORDARRAYOID)
		return OidIsValid(pgseal_extension_oid()) && record_holds_sealed((Node *) expr, queries) ?
			open_record(copyObject(expr), declared == RECORDARRAYOID, opening) : NULL;

	/* The built-in types of most statements cost no lookup */
	if (declared < FirstNormalObjectId)
		return NULL;
	shape = pgseal_shape_of_type(declared, -1);
	if (shape == NULL || shape->kind == PGSEAL_SHAPE_OPAQUE)
		return NULL;

	arg = copyObject(expr);
	if (getBaseType(declared) != declared)
		arg = (Expr *) makeRelabelType(arg, getBaseType(declared), -1,
									   exprCollation((Node *) arg), COERCE_IMPLICIT_CAST);
	if (shape->kind == PGSEAL_SHAPE_VALUE)
		return open_value(shape->type, arg, opening);
	if (shape->kind == PGSEAL_SHAPE_ROW)
		return open_record(arg, false, opening);
	if (shape->members[0]->kind == PGSEAL_SHAPE_VALUE)
		return open_elements(shape->members[0]->type, arg, opening);
	return shape->members[0]->kind == PGSEAL_SHAPE_ROW ? open_record(arg, true, opening) : NULL;
}

bool
pgseal_is_opened_result(Expr *expr)
{
	FuncExpr   *opened;
	Oid			argument;
	const PgsealType *type;

	/* As the type that a prepared statement has told (prepared_results.c) */
	if (IsA(expr, RelabelType))
		expr = ((RelabelType *) expr)->arg;
	else if (IsA(expr, ArrayCoerceExpr) && IsA(((ArrayCoerceExpr *) expr)->arg, ArrayCoerceExpr))
		expr = ((ArrayCoerceExpr *) expr)->arg;
	if (IsA(expr, ArrayCoerceExpr))
		expr = ((ArrayCoerceExpr *) expr)->elemexpr;
	if (!IsA(expr, FuncExpr))
		return false;
	opened = (FuncExpr *) expr;
	if (opened->funcid < FirstNormalObjectId || list_length(opened->args) != 1)
		return false;
	argument = exprType(linitial(opened->args));
	type = pgseal_type_by_oid(argument);
	if (type != NULL)
		return opened->funcid == our_function(function_names[PGSEAL_OPEN_RESULT].value, type->oid);
	if (!OidIsValid(pgseal_extension_oid()))
		return false;
	return opened->funcid == our_function(function_names[PGSEAL_OPEN_RESULT].row, RECORDOID) ||
		opened->funcid == our_function(function_names[PGSEAL_OPEN_RESULT].rows, ANYARRAYOID);
}

/*
 * Values that are made of sealed ones
 */

static bool
made_of_sealed_walker(Node *node, void *context)
{
	bool		in_aggregates = *(bool *) context;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && pgseal_stored_is_token_function(((FuncExpr *) node)->funcid))
		return false;
	if ((IsA(node, Var) || IsA(node, Aggref) || IsA(node, WindowFunc) || IsA(node, FuncExpr)) &&
		holds_sealed(node, NIL))
		return true;
	if ((IsA(node, Aggref) || IsA(node, WindowFunc)) && !in_aggregates)
		return false;
	return expression_tree_walker(node, made_of_sealed_walker, context);
}

bool
pgseal_is_made_of_sealed(Expr *expr, bool in_aggregates)
{
	return !IsA(expr, Var) && !holds_sealed((Node *) expr, NIL) &&
		made_of_sealed_walker((Node *) expr, &in_aggregates);
}
