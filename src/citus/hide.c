/*-------------------------------------------------------------------------
 *
 * hide.c
 *	  Queries as Citus takes them to other nodes.
 *
 * Each call of a function of pgseal's that is VOLATILE or STABLE, by whatever node
 * of the tree, becomes one of pgseal_citus_call() (citus/calls.c).
 *
 * In INSERT of values, sealing stays VOLATILE: then Citus does it before it sends the
 * row, sealed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "funcapi.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "citus/assign.h"
#include "citus/hide.h"
#include "citus/names.h"
#include "statement/opened.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

/* Parts of CASE, of assignments and of sublinks stand for what only their place knows. */
static bool
is_placeholder(Node *argument)
{
	return IsA(argument, CaseTestExpr) || IsA(argument, CoerceToDomainValue) ||
		IsA(argument, SetToDefault) ||
		(IsA(argument, Param) && (((Param *) argument)->paramkind == PARAM_SUBLINK ||
								  ((Param *) argument)->paramkind == PARAM_MULTIEXPR));
}

/*
 * The text must have each argument's type: a cast that isn't written would be left
 * out, and the type of a parameter is known on another node only if it is built-in.
 */
static Node *
explicit_argument(Node *argument)
{
	if (IsA(argument, Param))
		return (Node *) makeRelabelType((Expr *) argument, exprType(argument), exprTypmod(argument),
										exprCollation(argument), COERCE_EXPLICIT_CAST);
	switch (nodeTag(argument))
	{
		case T_RelabelType:
			((RelabelType *) argument)->relabelformat = COERCE_EXPLICIT_CAST;
			break;
		case T_CoerceViaIO:
			((CoerceViaIO *) argument)->coerceformat = COERCE_EXPLICIT_CAST;
			break;
		case T_ArrayCoerceExpr:
			((ArrayCoerceExpr *) argument)->coerceformat = COERCE_EXPLICIT_CAST;
			break;
		case T_CoerceToDomain:
			((CoerceToDomain *) argument)->coercionformat = COERCE_EXPLICIT_CAST;
			break;
		case T_FuncExpr:
			if (((FuncExpr *) argument)->funcformat == COERCE_IMPLICIT_CAST)
				((FuncExpr *) argument)->funcformat = COERCE_EXPLICIT_CAST;
			break;
		default:
			break;
	}
	return argument;
}

static Node *
hidden(Node *node, PgsealCitusKind kind, Oid object, List *args, Oid input_collation)
{
	Oid			type = exprType(node);
	Oid			collation = exprCollation(node);
	char	   *name = pgseal_citus_is_of_function(kind) ? pgseal_citus_function(object) : pgseal_citus_operator(object);
	char	   *text;
	List	   *all;
	ListCell   *lc;

	if (name == NULL || !pgseal_citus_is_ours(kind, object))
		return node;
	text = psprintf("%s %s", pgseal_citus_kind_names[kind], name);
	all = list_make2(makeNullConst(type, -1, collation),
					 makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
							   CStringGetTextDatum(text), false, false));
	foreach(lc, args)
	{
		if (is_placeholder(lfirst(lc)))
			return node;
		all = lappend(all, explicit_argument(lfirst(lc)));
	}
	return (Node *) makeFuncExpr(pgseal_citus_call_function(), type, all, collation, input_collation,
								 COERCE_EXPLICIT_CALL);
}

static Node *hide_mutator(Node *node, void *context);

/* Citus calls a cast with one argument, too; the others have defaults, which aren't seen there */
static List *
all_arguments(FuncExpr *call)
{
	HeapTuple	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	List	   *args = call->args;

	if (HeapTupleIsValid(function))
	{
		args = expand_function_arguments(args, false, call->funcresulttype, function);
		ReleaseSysCache(function);
	}
	return args;
}

/*
 * Of what returns columns (pgseal.inspect()), those are known by the function alone.  Of
 * VARIADIC arguments that are an array only the array is there.
 */
static Node *
hide_function(FuncExpr *call)
{
	return call->funcretset || call->funcvariadic || pgseal_citus_function(call->funcid) == NULL ||
		get_func_result_type(call->funcid, NULL, NULL) == TYPEFUNC_COMPOSITE ? (Node *) call :
		hidden((Node *) call, PGSEAL_CITUS_CALL, call->funcid, all_arguments(call), call->inputcollid);
}

static Node *
hide_operator(OpExpr *op, PgsealCitusKind kind)
{
	return op->opretset ? (Node *) op :
		hidden((Node *) op, kind, op->opno, op->args, op->inputcollid);
}

static Node *
hide_array_comparison(ScalarArrayOpExpr *op)
{
	return hidden((Node *) op, op->useOr ? PGSEAL_CITUS_ANY : PGSEAL_CITUS_ALL, op->opno, op->args, op->inputcollid);
}

static Node *
hide_elements(ArrayCoerceExpr *coerced)
{
	FuncExpr   *call = (FuncExpr *) coerced->elemexpr;

	if (!IsA(call, FuncExpr) || call->args == NIL || !IsA(linitial(call->args), CaseTestExpr))
		return (Node *) coerced;
	return hidden((Node *) coerced, PGSEAL_CITUS_ELEMENTS, call->funcid,
				  lcons(coerced->arg, list_copy_tail(call->args, 1)), call->inputcollid);
}

/* CASE a WHEN b: CASE WHEN a = b, where it is our operator that compares */
static Node *
set_case_test(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, CaseTestExpr))
		return copyObject((Node *) context);
	if (IsA(node, CaseExpr) || IsA(node, ArrayCoerceExpr))
		return node;
	return expression_tree_mutator(node, set_case_test, context);
}

static CaseExpr *
spell_out_case(CaseExpr *expr)
{
	ListCell   *lc;
	bool		ours = false;

	foreach(lc, expr->arg != NULL ? expr->args : NIL)
	{
		OpExpr	   *op = (OpExpr *) lfirst_node(CaseWhen, lc)->expr;

		ours = ours || (IsA(op, OpExpr) && pgseal_citus_operator(op->opno) != NULL);
	}
	if (!ours)
		return expr;
	expr = copyObject(expr);
	foreach(lc, expr->args)
	{
		CaseWhen   *when = lfirst_node(CaseWhen, lc);

		when->expr = (Expr *) set_case_test((Node *) when->expr, expr->arg);
	}
	expr->arg = NULL;
	return expr;
}

static Node *
compare_column(const RowCompareExpr *rows, int column, StrategyNumber strategy)
{
	Oid			left;
	Oid			right;
	Oid			operator;
	OpExpr	   *op;

	op_input_types(list_nth_oid(rows->opnos, column), &left, &right);
	operator = get_opfamily_member(list_nth_oid(rows->opfamilies, column), left, right, strategy);
	if (!OidIsValid(operator))
		return NULL;
	op = (OpExpr *) make_opclause(operator, BOOLOID, false, copyObject(list_nth(rows->largs, column)),
								  copyObject(list_nth(rows->rargs, column)), InvalidOid,
								  list_nth_oid(rows->inputcollids, column));
	set_opfuncid(op);
	return hide_operator(op, PGSEAL_CITUS_OPERATOR);
}

/*
 * (a, b) < (c, d), which can be written in one way only: a <= c AND (a < c OR (a = c
 * AND b < d)).  The first part follows from the rest; an index may find by it.
 */
static Node *
spell_out_rows(RowCompareExpr *rows)
{
	StrategyNumber strategy = pgseal_row_compare_strategy(rows);
	bool		less = strategy <= BTLessEqualStrategyNumber;
	int			column = list_length(rows->opnos) - 1;
	Node	   *first = compare_column(rows, 0, less ? BTLessEqualStrategyNumber : BTGreaterEqualStrategyNumber);
	Node	   *result = compare_column(rows, column, strategy);
	bool		ours = false;
	ListCell   *lc;

	foreach(lc, rows->opnos)
		ours = ours || pgseal_citus_operator(lfirst_oid(lc)) != NULL;
	if (!ours || contain_volatile_functions((Node *) rows->largs) || contain_volatile_functions((Node *) rows->rargs))
		return (Node *) rows;
	while (result != NULL && --column >= 0)
	{
		Node	   *differ = compare_column(rows, column, less ? BTLessStrategyNumber : BTGreaterStrategyNumber);
		Node	   *equal = compare_column(rows, column, BTEqualStrategyNumber);

		result = differ == NULL || equal == NULL ? NULL :
			(Node *) make_orclause(list_make2(differ, make_andclause(list_make2(equal, result))));
	}
	return first == NULL || result == NULL ? (Node *) rows : (Node *) make_andclause(list_make2(first, result));
}

/*
 * sum(encrypted) is an aggregate of ours, which Citus doesn't know how to divide among
 * nodes; PostgreSQL's of the same name, for the base types, it does.
 */
static Oid
plain_aggregate(Oid aggregate, List *args)
{
	Oid			types[FUNC_MAX_ARGS];
	Oid			plain;
	int			num = 0;
	ListCell   *lc;

	if (aggregate < FirstNormalObjectId || args == NIL ||
		getExtensionOfObject(ProcedureRelationId, aggregate) != pgseal_extension_oid())
		return InvalidOid;
	foreach(lc, args)
	{
		const PgsealType *type = pgseal_type_by_oid(exprType(lfirst(lc)));

		types[num++] = type != NULL ? type->base->oid : exprType(lfirst(lc));
	}
	plain = GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid,
							CStringGetDatum(get_func_name(aggregate)),
							PointerGetDatum(buildoidvector(types, num)),
							ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
	return OidIsValid(plain) && plain != aggregate &&
		get_func_rettype(plain) == get_func_rettype(aggregate) ? plain : InvalidOid;
}

static Expr *
opened_for_aggregate(Expr *argument)
{
	Expr	   *opened = pgseal_opened(argument, PGSEAL_OPEN_ARGUMENT, NIL);

	return opened == NULL ? argument : (Expr *) hide_function((FuncExpr *) opened);
}

static Node *
replace_aggregate(Aggref *aggregate)
{
	List	   *args = NIL;
	Oid			plain;
	ListCell   *lc;

	foreach(lc, aggregate->args)
		args = lappend(args, lfirst_node(TargetEntry, lc)->expr);
	plain = plain_aggregate(aggregate->aggfnoid, args);
	if (!OidIsValid(plain) || aggregate->aggorder != NIL || aggregate->aggdistinct != NIL)
		return (Node *) aggregate;
	aggregate->aggfnoid = plain;
	aggregate->aggargtypes = NIL;
	foreach(lc, aggregate->args)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		target->expr = opened_for_aggregate(target->expr);
		aggregate->aggargtypes = lappend_oid(aggregate->aggargtypes, exprType((Node *) target->expr));
	}
	return (Node *) aggregate;
}

static Node *
replace_window_function(WindowFunc *function)
{
	Oid			plain = plain_aggregate(function->winfnoid, function->args);
	ListCell   *lc;

	if (OidIsValid(plain))
	{
		function->winfnoid = plain;
		foreach(lc, function->args)
			lfirst(lc) = opened_for_aggregate(lfirst(lc));
	}
	return (Node *) function;
}


/*
 * a = ANY (SELECT …), which can be written in one way only: a = ANY (ARRAY(SELECT …)).
 * That takes the place of a join, so it is done only where Citus refuses what isn't
 * hidden: in what changes rows.
 */
static Node *
hide_sublink(SubLink *link)
{
	OpExpr	   *op = (OpExpr *) link->testexpr;
	ScalarArrayOpExpr *comparison;
	Node	   *hidden_comparison;

	if ((link->subLinkType != ANY_SUBLINK && link->subLinkType != ALL_SUBLINK) || !IsA(op, OpExpr) ||
		list_length(op->args) != 2 || !IsA(lsecond(op->args), Param) ||
		!OidIsValid(get_array_type(exprType(lsecond(op->args)))))
		return (Node *) link;
	comparison = makeNode(ScalarArrayOpExpr);
	comparison->opno = op->opno;
	comparison->opfuncid = op->opfuncid;
	comparison->useOr = link->subLinkType == ANY_SUBLINK;
	comparison->inputcollid = op->inputcollid;
	comparison->args = list_make2(hide_mutator(linitial(op->args), NULL), link);
	comparison->location = -1;
	link = copyObject(link);
	((SubLink *) lsecond(comparison->args))->subLinkType = ARRAY_SUBLINK;
	((SubLink *) lsecond(comparison->args))->testexpr = NULL;
	((SubLink *) lsecond(comparison->args))->operName = NIL;
	hidden_comparison = hide_array_comparison(comparison);
	return hidden_comparison == (Node *) comparison ? (Node *) link : hidden_comparison;
}

/* Where context isn't NULL, the query changes rows */
static Node *
hide_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) pgseal_citus_hide((Query *) node);
	if (IsA(node, SubLink))
	{
		SubLink    *link = (SubLink *) copyObject(node);

		link->subselect = hide_mutator(link->subselect, context);
		return context != NULL ? hide_sublink(link) : (Node *) link;
	}
	if (IsA(node, CaseExpr))
		node = (Node *) spell_out_case((CaseExpr *) node);
	if (IsA(node, ArrayCoerceExpr))
	{
		ArrayCoerceExpr *coerced = (ArrayCoerceExpr *) copyObject(node);

		coerced->arg = (Expr *) hide_mutator((Node *) coerced->arg, context);
		return hide_elements(coerced);
	}
	node = expression_tree_mutator(node, hide_mutator, context);
	switch (nodeTag(node))
	{
		case T_FuncExpr:
			return hide_function((FuncExpr *) node);
		case T_OpExpr:
			return hide_operator((OpExpr *) node, PGSEAL_CITUS_OPERATOR);
		case T_DistinctExpr:
			return hide_operator((OpExpr *) node, PGSEAL_CITUS_DISTINCT);
		case T_NullIfExpr:
			return hide_operator((OpExpr *) node, PGSEAL_CITUS_NULLIF);
		case T_RowCompareExpr:
			return spell_out_rows((RowCompareExpr *) node);
		case T_ScalarArrayOpExpr:
			return hide_array_comparison((ScalarArrayOpExpr *) node);
		case T_Aggref:
			return replace_aggregate((Aggref *) node);
		case T_WindowFunc:
			return replace_window_function((WindowFunc *) node);
		default:
			return node;
	}
}

/* INSERT of values: they are sealed before they are sent, if that stays VOLATILE. */
static bool
inserts_values(const Query *query, RangeTblEntry **out_values)
{
	ListCell   *lc;

	*out_values = NULL;
	if (query->commandType != CMD_INSERT)
		return false;
	foreach(lc, query->rtable)
	{
		RangeTblEntry *rte = lfirst_node(RangeTblEntry, lc);

		if (rte->rtekind == RTE_SUBQUERY)
			return false;
		if (rte->rtekind == RTE_VALUES)
			*out_values = rte;
	}
	return true;
}

Query *
pgseal_citus_hide(Query *original)
{
	Query	   *query = copyObject(original);
	List	   *targets = query->targetList;
	List	   *rows = NIL;
	RangeTblEntry *values;
	ListCell   *lc;

	if (query->commandType == CMD_UPDATE)
		pgseal_citus_leave_to_column(query->targetList);
	if (query->onConflict != NULL)
		pgseal_citus_leave_to_column(query->onConflict->onConflictSet);
	foreach(lc, query->mergeActionList)
		if (lfirst_node(MergeAction, lc)->commandType == CMD_UPDATE)
			pgseal_citus_leave_to_column(lfirst_node(MergeAction, lc)->targetList);

	if (!inserts_values(query, &values))
		return query_tree_mutator(query, hide_mutator, query->commandType == CMD_SELECT ? NULL : query, QTW_DONT_COPY_QUERY);
	query->targetList = NIL;
	if (values != NULL)
	{
		rows = values->values_lists;
		values->values_lists = NIL;
	}
	query = query_tree_mutator(query, hide_mutator, NULL, QTW_DONT_COPY_QUERY);
	query->targetList = targets;
	if (inserts_values(query, &values) && values != NULL)
		values->values_lists = rows;
	return query;
}
