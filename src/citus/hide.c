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

#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "citus/hide.h"
#include "citus/names.h"
#include "statement/opened.h"
#include "value/basetype.h"

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

static Node *
hide_function(FuncExpr *call)
{
	/* Of VARIADIC arguments that are an array only the array is there */
	return call->funcretset || call->funcvariadic ? (Node *) call :
		hidden((Node *) call, PGSEAL_CITUS_CALL, call->funcid, call->args, call->inputcollid);
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


static Node *
hide_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) pgseal_citus_hide((Query *) node);
	if (IsA(node, SubLink))
	{
		/* What it compares with its rows can be written in one way only */
		SubLink    *link = (SubLink *) copyObject(node);

		link->subselect = hide_mutator(link->subselect, context);
		return (Node *) link;
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

/*
 * A literal for a column is sealed under the default key by now.  It is sealed anew
 * under the column's on the other node, as the parser there puts in the same cast
 * once more: for each row by itself.
 */
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

static void
leave_to_column(List *targets)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		Expr	   *literal = literal_for_column(target->expr);

		if (literal != NULL)
			target->expr = literal;
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
		leave_to_column(query->targetList);
	if (query->onConflict != NULL)
		leave_to_column(query->onConflict->onConflictSet);
	foreach(lc, query->mergeActionList)
		if (lfirst_node(MergeAction, lc)->commandType == CMD_UPDATE)
			leave_to_column(lfirst_node(MergeAction, lc)->targetList);

	if (!inserts_values(query, &values))
		return query_tree_mutator(query, hide_mutator, NULL, QTW_DONT_COPY_QUERY);
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
