/*-------------------------------------------------------------------------
 *
 * extend_in.c
 *	  column IN (...) and column = ANY (...) find the blind index.
 *
 * See lookup.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "search/extend.h"
#include "value/basetype.h"

/* IN over a UNION is spelled out up to this many elements */
#define MAX_SPELLED_OUT			100

/* Is the operator the = of an encrypted type, with whatever on its right? */
bool
pgseal_is_sealed_equality(Oid operator)
{
	Oid			left;
	Oid			right;

	if (operator < FirstNormalObjectId)
		return false;
	op_input_types(operator, &left, &right);
	return pgseal_type_by_oid(left) != NULL &&
		strcmp(get_opname(operator), "=") == 0 &&
		get_func_namespace(get_opcode(operator)) == pgseal_internal_schema();
}

/*
 * What makes tokens of an array that a column is compared with by this operator.
 * Tokens are of a type: 7::int8 has another one than the 7 of an int4 column.
 * So arrays of a relative of the column's type are converted first, by one of
 * the functions of 47_related_types.sql; NULL where there is none.
 */
static const char *
tokens_function(Oid operator, Oid array_type)
{
	Oid			left;
	Oid			right;
	Oid			arguments[4] = {array_type, INT4OID, TEXTOID, INT4OID};
	const PgsealType *type;
	char	   *name;
	bool		exists;

	op_input_types(operator, &left, &right);
	type = pgseal_type_by_oid(left);
	if (right == left || right == type->base->oid)
		return "tokens";
	name = psprintf("tokens_of_%s", type->base->name);
	exists = OidIsValid(pgseal_internal_function(name, 4, arguments));
	return exists ? name : NULL;
}

/* Does a column come out of a set operation? */
static bool
is_set_operation_column(List *rtable, Node *column)
{
	Var		   *var = (Var *) column;
	RangeTblEntry *rte;

	if (!IsA(column, Var) || var->varlevelsup != 0)
		return false;
	rte = rt_fetch(var->varno, rtable);
	return rte->rtekind == RTE_SUBQUERY && rte->subquery->setOperations != NULL;
}

/* The value that a subquery's row stands for, in the place of its Param */
static Node *
put_for_row(Node *node, void *value)
{
	if (node != NULL && IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
		return copyObject(value);
	return expression_tree_mutator(node, put_for_row, value);
}

/*
 * column IN (VALUES (a), (b)) as column = ANY (ARRAY[a, b]), as the planner itself
 * does since PostgreSQL 18 where it is too late for us; NULL for all else.
 */
ScalarArrayOpExpr *
pgseal_values_as_array(SubLink *in)
{
	OpExpr	   *equality = (OpExpr *) in->testexpr;
	Query	   *query = (Query *) in->subselect;
	RangeTblEntry *values;
	ArrayExpr  *array;
	ScalarArrayOpExpr *any;
	Oid			left;
	Oid			right;
	ListCell   *lc;

	if (in->subLinkType != ANY_SUBLINK || !IsA(equality, OpExpr) ||
		!pgseal_is_sealed_equality(equality->opno) || list_length(query->rtable) != 1 ||
		query->setOperations != NULL || query->sortClause != NIL || query->limitCount != NULL ||
		query->limitOffset != NULL || query->hasSubLinks)
		return NULL;
	values = linitial_node(RangeTblEntry, query->rtable);
	if (values->rtekind != RTE_VALUES)
		return NULL;

	array = makeNode(ArrayExpr);
	op_input_types(equality->opno, &left, &right);
	foreach(lc, values->values_lists)
		array->elements = lappend(array->elements,
								  put_for_row(lsecond(equality->args), linitial(lfirst(lc))));
	if (contain_volatile_functions((Node *) array->elements))
		return NULL;
	IncrementVarSublevelsUp((Node *) array->elements, -1, 1);
	array->element_typeid = right;
	array->array_typeid = get_array_type(right);
	array->array_collid = get_typcollation(right);
	array->location = -1;

	any = makeNode(ScalarArrayOpExpr);
	any->opno = equality->opno;
	any->opfuncid = equality->opfuncid;
	any->useOr = true;
	any->inputcollid = equality->inputcollid;
	any->args = list_make2(linitial(equality->args), array);
	any->location = -1;
	return any;
}

/*
 * column IN (a, b) as column = a OR column = b; NULL for long lists and for
 * arrays whose elements aren't known.
 */
static Node *
spell_out(ScalarArrayOpExpr *any)
{
	Node	   *column = linitial(any->args);
	Node	   *array = lsecond(any->args);
	Oid			left;
	Oid			right;
	List	   *elements = NIL;
	List	   *clauses = NIL;
	ListCell   *lc;

	op_input_types(any->opno, &left, &right);
	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
		elements = ((ArrayExpr *) array)->elements;
	else if (IsA(array, Const) && !((Const *) array)->constisnull)
	{
		ArrayIterator it = array_create_iterator(DatumGetArrayTypeP(((Const *) array)->constvalue),
												 0, NULL);
		int16		len;
		bool		byval;
		Datum		element;
		bool		isnull;

		get_typlenbyval(right, &len, &byval);
		while (array_iterate(it, &element, &isnull))
			elements = lappend(elements, makeConst(right, -1, ((Const *) array)->constcollid, len,
												   element, isnull, byval));
	}
	if (elements == NIL || list_length(elements) > MAX_SPELLED_OUT)
		return NULL;
	foreach(lc, elements)
	{
		Expr	   *clause = make_opclause(any->opno, BOOLOID, false,
										   (Expr *) copyObject(column),
										   (Expr *) lfirst(lc), InvalidOid, any->inputcollid);

		clauses = lappend(clauses, clause);
	}
	return list_length(clauses) == 1 ? linitial(clauses) : (Node *) make_orclause(clauses);
}

Node *
pgseal_extend_any(ScalarArrayOpExpr *any, PgsealExtension *extension)
{
	Node	   *array = lsecond(any->args);
	Oid			array_type;
	const char *function;
	PgsealLookup target;

	if (!any->useOr || !pgseal_is_sealed_equality(any->opno))
		return NULL;
	array_type = getBaseType(exprType(array));
	function = tokens_function(any->opno, array_type);
	if (function != NULL && pgseal_lookup_is_searchable(array) &&
		pgseal_lookup_target(extension->rtable, linitial(any->args), any->inputcollid, &target))
	{
		extension->extended = true;
		return (Node *) make_andclause(list_make2(pgseal_lookup_clause(&target, array, array_type,
																	   function),
												  any));
	}

	/* Each arm of a UNION will extend the equalities in its own way */
	if (is_set_operation_column(extension->rtable, linitial(any->args)))
		return spell_out(any);
	return NULL;
}
