/*-------------------------------------------------------------------------
 *
 * unopen.c
 *	  Comparisons of opened values become comparisons of sealed ones, and so do
 *	  LIKE, regular expressions and JSON containment.
 *
 * In column::numeric = x, PostgreSQL's own = compares the opened column.  Only our
 * operators find indexes (lookup.c) and join by keyed hashes, so the planner is
 * given that of the encrypted type: column = x.
 *
 * Nobody needs to write the cast for that.  An operator between an encrypted and
 * a base type would make statements on plain columns ambiguous where PostgreSQL
 * has none for another type that converts to both (int4 = numeric).  Such ones
 * are hidden in a schema of ours, where the parser finds none; it takes
 * PostgreSQL's own and adds the cast, or ours for two encrypted values and adds a
 * cast that seals the plain one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "search/unopen.h"
#include "value/basetype.h"

PG_FUNCTION_INFO_V1(pgseal_related_equality_support);

/* Is this function the cast between the types? */
static bool
is_cast(Oid function, Oid source, Oid target)
{
	HeapTuple	tuple = SearchSysCache2(CASTSOURCETARGET, ObjectIdGetDatum(source),
										ObjectIdGetDatum(target));
	bool		result;

	if (!HeapTupleIsValid(tuple))
		return false;
	result = ((Form_pg_cast) GETSTRUCT(tuple))->castfunc == function;
	ReleaseSysCache(tuple);
	return result;
}

/* The encrypted value that a cast opens; NULL when the expression is no such cast */
static Node *
opened_value(Node *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;
	Node	   *value;

	if (!IsA(expr, FuncExpr) || call->funcid < FirstNormalObjectId ||
		list_length(call->args) != 1)
		return NULL;
	value = linitial(call->args);
	return pgseal_type_by_oid(exprType(value)) != NULL &&
		is_cast(call->funcid, exprType(value), call->funcresulttype) ? value : NULL;
}

/* Whatever the user's search path and privileges */
static Oid
operator_in(Oid schema, char *name, Oid left, Oid right)
{
	return GetSysCacheOid4(OPERNAMENSP, Anum_pg_operator_oid, CStringGetDatum(name),
						   ObjectIdGetDatum(left), ObjectIdGetDatum(right),
						   ObjectIdGetDatum(schema));
}

/*
 * Our operator for these operands; InvalidOid when there is none.  By a cast to
 * another type than its own, an encrypted value may compare in another way
 * (text::bpchar): then only hidden ones are known to be what the cast means.
 */
static Oid
sealed_operator(char *name, Oid left, Oid right, bool hidden_only)
{
	Oid			operator = operator_in(pgseal_internal_schema(), name, left, right);

	return OidIsValid(operator) || hidden_only ? operator :
		operator_in(PG_CATALOG_NAMESPACE, name, left, right);
}

/* Is it opened as another type than its own? */
static bool
is_opened_as_other(Node *value, Oid opened_as)
{
	return value != NULL && pgseal_type_by_oid(exprType(value))->base->oid != opened_as;
}

/* Is it no explicit one?  One that an inlined function makes says so by its arguments. */
static bool
is_implicit_seal(FuncExpr *call)
{
	Const	   *is_explicit = list_length(call->args) == 3 ? lthird(call->args) : NULL;

	return call->funcformat == COERCE_IMPLICIT_CAST ||
		(is_explicit != NULL && IsA(is_explicit, Const) && is_explicit->consttype == BOOLOID &&
		 !is_explicit->constisnull && !DatumGetBool(is_explicit->constvalue));
}

/*
 * What an implicit cast seals only to compare it: of the encrypted type's base type.
 * NULL when the expression is no such cast.
 */
static Node *
unsealed_value(Node *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;
	const PgsealType *type;
	Node	   *value;

	if (!IsA(expr, FuncExpr) || call->funcid < FirstNormalObjectId || call->args == NIL ||
		!is_implicit_seal(call))
		return NULL;
	type = pgseal_type_by_oid(call->funcresulttype);
	value = linitial(call->args);
	if (type == NULL || pgseal_type_by_oid(exprType(value)) != NULL ||
		!is_cast(call->funcid, exprType(value), type->oid))
		return NULL;
	return coerce_to_target_type(NULL, value, exprType(value), type->base->oid, -1,
								 COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
}

/*
 * x > 5 on an encrypted numeric: PostgreSQL takes the comparison of two encrypted
 * values and has 5 sealed, for each row anew.
 */
static void
unseal(Oid *opno, Oid *function, List *args)
{
	Oid			types[2];

	if (*opno < FirstNormalObjectId || list_length(args) != 2)
		return;
	op_input_types(*opno, &types[0], &types[1]);
	if (types[0] != types[1] || pgseal_type_by_oid(types[0]) == NULL)
		return;
	for (int i = 0; i < 2; i++)
	{
		Node	   *value = unsealed_value(list_nth(args, i));
		Oid			operator;

		if (value == NULL)
			continue;
		types[i] = exprType(value);
		operator = sealed_operator(get_opname(*opno), types[0], types[1], false);
		if (!OidIsValid(operator))
			return;
		lfirst(list_nth_cell(args, i)) = value;
		*opno = operator;
		*function = get_opcode(operator);
		return;
	}
}

/* Both operands are made sealed ones, or else the left or the right one. */
static void
unopen(Oid *opno, Oid *function, List *args, bool array)
{
	Node	   *opened[2];
	Oid			types[2];
	char	   *name;
	bool		compares;		/* others, as LIKE, are all hidden */

	if (*opno >= FirstNormalObjectId || list_length(args) != 2)
		return;
	opened[0] = opened_value(linitial(args));
	opened[1] = array ? NULL : opened_value(lsecond(args));
	if (opened[0] == NULL && opened[1] == NULL)
		return;
	compares = pgseal_compares(*opno);
	op_input_types(*opno, &types[0], &types[1]);
	name = get_opname(*opno);
	for (int choice = 3; choice > 0; choice--)
	{
		Node	   *left = (choice == 2) ? NULL : opened[0];
		Node	   *right = (choice == 1) ? NULL : opened[1];
		Oid			operator;

		if ((choice & 1 && left == NULL) || (choice & 2 && right == NULL))
			continue;
		operator = sealed_operator(name, left ? exprType(left) : types[0],
								   right ? exprType(right) : types[1],
								   !compares || is_opened_as_other(left, types[0]) ||
								   is_opened_as_other(right, types[1]));
		if (!OidIsValid(operator))
			continue;
		linitial(args) = left ? left : linitial(args);
		lsecond(args) = right ? right : lsecond(args);
		*opno = operator;
		*function = get_opcode(operator);
		return;
	}
}

/* Does it hold a value?  Asked of what COALESCE would take in its place. */
static Node *
is_not_null(Node *value)
{
	Node	   *unsealed = unsealed_value(value);
	NullTest   *test;
	List	   *any = NIL;
	ListCell   *lc;

	if (IsA(value, CoalesceExpr))
	{
		foreach(lc, ((CoalesceExpr *) value)->args)
			any = lappend(any, is_not_null(lfirst(lc)));
		return (Node *) make_orclause(any);
	}
	test = makeNode(NullTest);
	test->arg = (Expr *) copyObject(unsealed != NULL ? unsealed : value);
	test->nulltesttype = IS_NOT_NULL;
	test->location = -1;
	return (Node *) test;
}

static Node *opened(Node *value);

/*
 * COALESCE() of opened values is another value where one that isn't NULL is opened as
 * NULL (pgseal.on_denied): so it is a CASE.
 */
static Node *
opened_coalesce(CoalesceExpr *coalesce, const PgsealType *type)
{
	CaseExpr   *result = makeNode(CaseExpr);
	ListCell   *lc;

	result->casetype = type->base->oid;
	result->casecollid = coalesce->coalescecollid;
	result->location = -1;
	foreach(lc, coalesce->args)
	{
		CaseWhen   *when = makeNode(CaseWhen);

		when->expr = (Expr *) is_not_null(lfirst(lc));
		when->result = (Expr *) opened(lfirst(lc));
		when->location = -1;
		result->args = lappend(result->args, when);
	}
	result->defresult = (Expr *) makeNullConst(result->casetype, -1, result->casecollid);
	return (Node *) result;
}

/*
 * open(value) where it is sealed.  A value that is sealed only to be of the type of another one,
 * as in a column that two of different types are merged into (JOIN ... USING), is taken as
 * it was: sealing is volatile, and PostgreSQL neither hashes nor merges by what is.
 */
static Node *
opened(Node *value)
{
	Oid			argument = exprType(value);
	Oid			collation;
	const PgsealType *type = pgseal_type_by_oid(argument);
	Node	   *unsealed = unsealed_value(value);

	if (type == NULL || unsealed != NULL)
		return unsealed != NULL ? unsealed : value;
	if (IsA(value, CoalesceExpr))
		return opened_coalesce((CoalesceExpr *) value, type);
	if (IsA(value, RelabelType) && exprType((Node *) ((RelabelType *) value)->arg) == argument)
		return opened((Node *) ((RelabelType *) value)->arg);
	collation = exprCollation(value);
	return (Node *) makeFuncExpr(pgseal_internal_function("open", 1, &argument), type->base->oid,
								 list_make1(value), collation, collation, COERCE_EXPLICIT_CALL);
}

/* Is it sealed only to be of another one's type, or is it that or the other one? */
static bool
is_sealed_for_type(Node *value)
{
	ListCell   *lc;

	while (IsA(value, RelabelType))
		value = (Node *) ((RelabelType *) value)->arg;
	if (IsA(value, CoalesceExpr))
		foreach(lc, ((CoalesceExpr *) value)->args)
			if (is_sealed_for_type(lfirst(lc)))
				return true;
	return unsealed_value(value) != NULL;
}

Expr *
pgseal_unsealed_equality(FuncExpr *equality)
{
	Node	   *args[2];
	Oid			operator;

	if (list_length(equality->args) != 2 ||
		!(is_sealed_for_type(linitial(equality->args)) || is_sealed_for_type(lsecond(equality->args))) ||
		!contain_var_clause(linitial(equality->args)) || !contain_var_clause(lsecond(equality->args)))
		return NULL;
	for (int i = 0; i < 2; i++)
		args[i] = opened(copyObject(list_nth(equality->args, i)));
	operator = exprType(args[0]) != exprType(args[1]) ? InvalidOid :
		operator_in(PG_CATALOG_NAMESPACE, "=", exprType(args[0]), exprType(args[1]));
	return !OidIsValid(operator) ? NULL :
		make_opclause(operator, BOOLOID, false, (Expr *) args[0], (Expr *) args[1], InvalidOid,
					  equality->inputcollid);
}

/*
 * = of two related types.  It is ours where a constant or a parameter stands on one
 * side, as a sealed index finds that; between columns PostgreSQL's own one, of opened
 * values, which joins by hashes and by merging.
 */
Datum
pgseal_related_equality_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	Node	   *args[2];
	Oid			operator;

	if (!IsA(request, SupportRequestSimplify) || list_length(request->fcall->args) != 2)
		PG_RETURN_POINTER(NULL);
	for (int i = 0; i < 2; i++)
	{
		Node	   *arg = list_nth(request->fcall->args, i);

		if (!contain_var_clause(arg))
			PG_RETURN_POINTER(NULL);
		args[i] = opened(copyObject(arg));
	}
	operator = operator_in(PG_CATALOG_NAMESPACE, "=", exprType(args[0]), exprType(args[1]));
	if (!OidIsValid(operator))
		PG_RETURN_POINTER(NULL);
	PG_RETURN_POINTER(make_opclause(operator, BOOLOID, false, (Expr *) args[0], (Expr *) args[1],
									InvalidOid, request->fcall->inputcollid));
}

/* What a condition compares: itself, or what it opens in a form that isn't volatile */
static Node *
compared(Node *value)
{
	Node	   *sealed = opened_value(value);

	return opened(copyObject(sealed != NULL && is_sealed_for_type(sealed) ? sealed : value));
}

/* The = of one operand's type, to which the other one is converted; InvalidOid when there is none */
static Oid
widened(Node **args)
{
	for (int i = 0; i < 2; i++)
	{
		Oid			type = exprType(args[1 - i]);
		Node	   *converted = coerce_to_target_type(NULL, args[i], exprType(args[i]), type, -1,
													  COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);

		if (converted != NULL)
		{
			args[i] = converted;
			return operator_in(PG_CATALOG_NAMESPACE, "=", type, type);
		}
	}
	return InvalidOid;
}

/*
 * Columns of different types that a FULL JOIN merges may be what another one compares: by
 * an operator of ours that finds indexes, but joins neither by hashes nor by merging.  Then
 * opened values are compared.
 */
static void
compare_opened(OpExpr *comparison)
{
	Node	   *args[2];
	Oid			operator;

	if (list_length(comparison->args) != 2 || strcmp(get_opname(comparison->opno), "=") != 0 ||
		(op_mergejoinable(comparison->opno, exprType(linitial(comparison->args))) &&
		 !contain_volatile_functions((Node *) comparison)))
		return;
	for (int i = 0; i < 2; i++)
		args[i] = compared(list_nth(comparison->args, i));
	operator = operator_in(PG_CATALOG_NAMESPACE, "=", exprType(args[0]), exprType(args[1]));
	if (!OidIsValid(operator))
		operator = widened(args);
	if (!OidIsValid(operator) || !op_mergejoinable(operator, exprType(args[0])))
		return;
	comparison->args = list_make2(args[0], args[1]);
	comparison->opno = operator;
	comparison->opfuncid = get_opcode(operator);
}

void
pgseal_unopen_full_joins(Node *jointree)
{
	ListCell   *lc;

	if (jointree != NULL && IsA(jointree, FromExpr))
		foreach(lc, ((FromExpr *) jointree)->fromlist)
			pgseal_unopen_full_joins(lfirst(lc));
	else if (jointree != NULL && IsA(jointree, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) jointree;

		pgseal_unopen_full_joins(join->larg);
		pgseal_unopen_full_joins(join->rarg);
		if (join->jointype == JOIN_FULL && join->quals != NULL && IsA(join->quals, List))
			foreach(lc, (List *) join->quals)
				if (IsA(lfirst(lc), OpExpr))
					compare_opened(lfirst(lc));
	}
}

static bool
unopen_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, unopen_walker, context, 0);
	if (IsA(node, OpExpr) || IsA(node, DistinctExpr))
	{
		OpExpr	   *comparison = (OpExpr *) node;

		unseal(&comparison->opno, &comparison->opfuncid, comparison->args);
		unopen(&comparison->opno, &comparison->opfuncid, comparison->args, false);
	}
	else if (IsA(node, ScalarArrayOpExpr))
	{
		ScalarArrayOpExpr *comparison = (ScalarArrayOpExpr *) node;

		unopen(&comparison->opno, &comparison->opfuncid, comparison->args, true);
	}
	return expression_tree_walker(node, unopen_walker, context);
}

void
pgseal_unopen_comparisons(Query *query)
{
	if (OidIsValid(pgseal_extension_oid()))
		(void) query_tree_walker(query, unopen_walker, NULL, 0);
}
