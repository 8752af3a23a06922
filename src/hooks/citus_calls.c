/*-------------------------------------------------------------------------
 *
 * citus_calls.c
 *	  How Citus takes pgseal's functions to other nodes.
 *
 * Citus sends a query to the nodes that have the rows, as text.  It refuses UPDATE,
 * RETURNING and more where a function in it is VOLATILE or STABLE, as another node
 * could answer something else; pgseal's are, so that PostgreSQL stores nothing of
 * what they return (opened values) and computes nothing once that is to differ from
 * row to row (sealed ones).  And nobody can name functions in pgseal_internal.
 *
 * So in a query that has a table of Citus, before Citus plans it, a call of such a
 * function becomes
 *
 *		pgseal_citus_call(NULL::type, 'call function(types)', arguments)
 *
 * which is declared IMMUTABLE and which anybody may name; an operator, a comparison
 * with the elements of an array and so on likewise.  Where the text is analyzed on
 * another node, the parser's hook makes of it what it was; so what finds indexes, and
 * all else, is done there.  Where it is computed before that, above the rows that
 * other nodes sent, it computes that.  No stored expression may have one (refuse.c).
 *
 * What stands for what is told by names, as OIDs differ between nodes.  It must be
 * the extension's and one that is hidden here, and who calls it must have the
 * privilege to execute it.
 *
 * In INSERT of values, sealing stays VOLATILE: then Citus does it before it sends the
 * row, sealed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/catcache.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/extension.h"
#include "hooks/citus_calls.h"
#include "hooks/opened.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

/* Before the arguments: the result's type, what is called */
#define NUM_LEADING_ARGS		2

PG_FUNCTION_INFO_V1(pgseal_citus_call);

static planner_hook_type prev_planner = NULL;

/* What a call stands for, as it is written */
typedef enum Kind
{
	KIND_CALL,					/* of a function */
	KIND_OPERATOR,
	KIND_ANY,					/* operator ANY (array) */
	KIND_ALL,
	KIND_DISTINCT,				/* IS DISTINCT FROM, by that operator */
	KIND_NULLIF,
	KIND_ELEMENTS				/* a function of each element of an array */
} Kind;

static const char *const kind_names[] = {
	[KIND_CALL] = "call", [KIND_OPERATOR] = "operator", [KIND_ANY] = "any", [KIND_ALL] = "all",
	[KIND_DISTINCT] = "distinct", [KIND_NULLIF] = "nullif", [KIND_ELEMENTS] = "elements"
};

static inline bool
is_of_function(Kind kind)
{
	return kind == KIND_CALL || kind == KIND_ELEMENTS;
}

/* InvalidOid where the extension isn't installed */
static Oid
citus_call_function(void)
{
	Oid			types[] = {ANYELEMENTOID, TEXTOID, ANYOID};

	if (!OidIsValid(pgseal_extension_oid()))
		return InvalidOid;
	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum("pgseal_citus_call"),
						   PointerGetDatum(buildoidvector(types, lengthof(types))),
						   ObjectIdGetDatum(PG_CATALOG_NAMESPACE));
}

/*
 * Names of functions and operators
 */

static const char *
kind_of_schema(Oid schema)
{
	if (schema == PG_CATALOG_NAMESPACE)
		return "pg_catalog";
	if (schema == pgseal_schema())
		return PGSEAL_SCHEMA;
	return schema == pgseal_internal_schema() ? PGSEAL_INTERNAL_SCHEMA : NULL;
}

static char *
signature(const char *schema, const char *name, const Oid *types, int num_types)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%s.%s(", schema, name);
	for (int i = 0; i < num_types; i++)
		appendStringInfo(&text, "%s%s", i > 0 ? "," : "",
						 format_type_extended(types[i], -1, FORMAT_TYPE_FORCE_QUALIFY));
	appendStringInfoChar(&text, ')');
	return text.data;
}

/* Does it take or return encrypted values? */
static bool
is_of_encrypted(const Oid *types, int num_types, Oid result)
{
	for (int i = 0; i < num_types; i++)
		if (types[i] >= FirstNormalObjectId && pgseal_shape_of_type(types[i], -1) != NULL)
			return true;
	return pgseal_shape_of_type(result, -1) != NULL;
}

/* Those that open rows whose type says nothing of them */
static bool
is_of_rows(const char *name)
{
	static const char *const names[] = {"open_row", "open_rows", "open_row_result", "open_rows_result"};

	for (int i = 0; i < lengthof(names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

/* The name of a function that is to be hidden; NULL of others */
static char *
function_signature(Oid oid)
{
	HeapTuple	row;
	Form_pg_proc form;
	const char *schema;
	char	   *result = NULL;

	if (oid < FirstNormalObjectId)
		return NULL;
	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(row))
		return NULL;
	form = (Form_pg_proc) GETSTRUCT(row);
	schema = kind_of_schema(form->pronamespace);
	if (schema != NULL && form->prokind == PROKIND_FUNCTION && !form->proretset &&
		form->provolatile != PROVOLATILE_IMMUTABLE &&
		(is_of_encrypted(form->proargtypes.values, form->pronargs, form->prorettype) ||
		 pgseal_stored_is_token_function(oid) ||
		 (form->pronamespace == pgseal_internal_schema() && is_of_rows(NameStr(form->proname)))) &&
		getExtensionOfObject(ProcedureRelationId, oid) == pgseal_extension_oid())
		result = signature(schema, NameStr(form->proname), form->proargtypes.values,
						   form->pronargs);
	ReleaseSysCache(row);
	return result;
}

static char *
operator_signature(Oid oid)
{
	HeapTuple	row;
	Form_pg_operator form;
	const char *schema;
	char	   *result = NULL;

	if (oid < FirstNormalObjectId)
		return NULL;
	row = SearchSysCache1(OPEROID, ObjectIdGetDatum(oid));
	if (!HeapTupleIsValid(row))
		return NULL;
	form = (Form_pg_operator) GETSTRUCT(row);
	schema = kind_of_schema(form->oprnamespace);
	if (schema != NULL && func_volatile(form->oprcode) != PROVOLATILE_IMMUTABLE &&
		getExtensionOfObject(OperatorRelationId, oid) == pgseal_extension_oid())
	{
		Oid			types[] = {form->oprleft, form->oprright};
		bool		is_prefix = !OidIsValid(form->oprleft);

		result = signature(schema, NameStr(form->oprname), types + is_prefix, 2 - is_prefix);
	}
	ReleaseSysCache(row);
	return result;
}

/* The function or operator that has this name, out of those of the same short name */
static Oid
find_by_signature(Kind kind, const char *wanted)
{
	const char *start = strchr(wanted, '.');
	const char *end = start != NULL ? strchr(start + 1, '(') : NULL;
	char	   *name;
	CatCList   *list;
	Oid			found = InvalidOid;

	if (end == NULL)
		return InvalidOid;
	name = pnstrdup(start + 1, end - start - 1);
	list = is_of_function(kind) ?
		SearchSysCacheList1(PROCNAMEARGSNSP, CStringGetDatum(name)) :
		SearchSysCacheList1(OPERNAMENSP, CStringGetDatum(name));
	for (int i = 0; i < list->n_members && !OidIsValid(found); i++)
	{
		HeapTuple	row = &list->members[i]->tuple;
		Oid			oid = is_of_function(kind) ?
			((Form_pg_proc) GETSTRUCT(row))->oid : ((Form_pg_operator) GETSTRUCT(row))->oid;
		char	   *candidate = is_of_function(kind) ? function_signature(oid) : operator_signature(oid);

		if (candidate != NULL && strcmp(candidate, wanted) == 0)
			found = oid;
	}
	ReleaseSysCacheList(list);
	return found;
}

/*
 * Hiding
 */

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
hidden(Node *node, Kind kind, const char *signature, List *args, Oid input_collation)
{
	Oid			type = exprType(node);
	Oid			collation = exprCollation(node);
	char	   *text = psprintf("%s %s", kind_names[kind], signature);
	List	   *all = list_make2(makeNullConst(type, -1, collation),
								 makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
										   CStringGetTextDatum(text), false, false));
	ListCell   *lc;

	foreach(lc, args)
	{
		if (is_placeholder(lfirst(lc)))
			return node;
		all = lappend(all, explicit_argument(lfirst(lc)));
	}
	return (Node *) makeFuncExpr(citus_call_function(), type, all, collation, input_collation,
								 COERCE_EXPLICIT_CALL);
}

static Node *
hide_function(FuncExpr *call)
{
	char	   *name = function_signature(call->funcid);

	/* Of VARIADIC arguments that are an array only the array is there */
	if (name == NULL || call->funcretset || call->funcvariadic)
		return (Node *) call;
	return hidden((Node *) call, KIND_CALL, name, call->args, call->inputcollid);
}

static Node *
hide_operator(OpExpr *op, Kind kind)
{
	char	   *name = operator_signature(op->opno);

	return name == NULL || op->opretset ? (Node *) op :
		hidden((Node *) op, kind, name, op->args, op->inputcollid);
}

static Node *
hide_array_comparison(ScalarArrayOpExpr *op)
{
	char	   *name = operator_signature(op->opno);

	return name == NULL ? (Node *) op :
		hidden((Node *) op, op->useOr ? KIND_ANY : KIND_ALL, name, op->args, op->inputcollid);
}

static Node *
hide_elements(ArrayCoerceExpr *coerced)
{
	FuncExpr   *call = (FuncExpr *) coerced->elemexpr;
	char	   *name = IsA(call, FuncExpr) && IsA(linitial(call->args), CaseTestExpr) ?
		function_signature(call->funcid) : NULL;

	return name == NULL ? (Node *) coerced :
		hidden((Node *) coerced, KIND_ELEMENTS, name,
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

		ours = ours || (IsA(op, OpExpr) && operator_signature(op->opno) != NULL);
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

static Query *hide_query(Query *query);

static Node *
hide_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) hide_query((Query *) node);
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
			return hide_operator((OpExpr *) node, KIND_OPERATOR);
		case T_DistinctExpr:
			return hide_operator((OpExpr *) node, KIND_DISTINCT);
		case T_NullIfExpr:
			return hide_operator((OpExpr *) node, KIND_NULLIF);
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
		literal = IsA(cast, FuncExpr) ? linitial(((FuncExpr *) cast)->args) : NULL;
	if (literal == NULL || !IsA(literal, Const) || !IsA(cast, FuncExpr) ||
		((FuncExpr *) cast)->funcformat != COERCE_IMPLICIT_CAST ||
		exprType((Node *) literal) != exprType((Node *) expr) ||
		function_signature(((FuncExpr *) cast)->funcid) == NULL)
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

/* A copy of the query in which the calls are hidden */
static Query *
hide_query(Query *original)
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

/* Has the query, or one inside of it, a table of Citus? */
static bool
has_citus_table(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		return rte->rtekind == RTE_RELATION && rte->relid >= FirstNormalObjectId &&
			pgseal_is_citus_table(rte->relid);
	}
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_citus_table, context,
								 QTW_EXAMINE_RTES_BEFORE);
	return expression_tree_walker(node, has_citus_table, context);
}

static PlannedStmt *
citus_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	bool		saved_plans = pgseal_citus_plans;
	bool		plans = OidIsValid(citus_call_function()) && has_citus_table((Node *) parse, NULL);
	Query	   *volatile query = plans ? hide_query(parse) : parse;
	PlannedStmt *plan = NULL;

	pgseal_citus_plans = plans;
	PG_TRY();
	{
		plan = prev_planner ?
			prev_planner(query, query_string, cursor_options, params) :
			standard_planner(query, query_string, cursor_options, params);
	}
	PG_FINALLY();
	{
		pgseal_citus_plans = saved_plans;
	}
	PG_END_TRY();
	return plan;
}

/*
 * Restoring
 */

static Node *
restored_operator(FuncExpr *hidden, Kind kind, Oid operator, List *args)
{
	OpExpr	   *op = (OpExpr *) make_opclause(operator, hidden->funcresulttype, false,
											  linitial(args),
											  list_length(args) > 1 ? lsecond(args) : NULL,
											  hidden->funccollid, hidden->inputcollid);

	set_opfuncid(op);
	if (kind == KIND_DISTINCT)
		NodeSetTag(op, T_DistinctExpr);
	if (kind == KIND_NULLIF)
		NodeSetTag(op, T_NullIfExpr);
	return (Node *) op;
}

static Node *
restored_array_comparison(FuncExpr *hidden, Kind kind, Oid operator, List *args)
{
	ScalarArrayOpExpr *op = makeNode(ScalarArrayOpExpr);

	op->opno = operator;
	op->opfuncid = get_opcode(operator);
	op->useOr = kind == KIND_ANY;
	op->inputcollid = hidden->inputcollid;
	op->args = args;
	op->location = -1;
	return (Node *) op;
}

static Node *
restored_elements(FuncExpr *hidden, Oid function, List *args)
{
	ArrayCoerceExpr *coerced = makeNode(ArrayCoerceExpr);
	CaseTestExpr *element = makeNode(CaseTestExpr);

	element->typeId = get_element_type(exprType(linitial(args)));
	element->typeMod = -1;
	element->collation = exprCollation(linitial(args));
	coerced->arg = linitial(args);
	coerced->elemexpr = (Expr *) makeFuncExpr(function, get_element_type(hidden->funcresulttype),
											  lcons(element, list_copy_tail(args, 1)),
											  hidden->funccollid, hidden->inputcollid,
											  COERCE_IMPLICIT_CAST);
	coerced->resulttype = hidden->funcresulttype;
	coerced->resulttypmod = -1;
	coerced->resultcollid = hidden->funccollid;
	coerced->coerceformat = COERCE_IMPLICIT_CAST;
	coerced->location = -1;
	return (Node *) coerced;
}

/* What the function or operator returns for these arguments; InvalidOid if they aren't for it */
static Oid
result_for(Kind kind, Oid function, List *args)
{
	Oid			actual[FUNC_MAX_ARGS];
	Oid		   *declared;
	int			num_declared;
	int			num = 0;
	ListCell   *lc;

	foreach(lc, args)
		actual[num++] = exprType(lfirst(lc));
	if (kind == KIND_ELEMENTS)
		actual[0] = get_element_type(actual[0]);
	if ((kind == KIND_ANY || kind == KIND_ALL) && num == 2)
		actual[1] = get_element_type(actual[1]);
	get_func_signature(function, &declared, &num_declared);
	if (num != num_declared)
		return InvalidOid;
	for (int i = 0; i < num; i++)
		if (declared[i] != actual[i] && !IsPolymorphicType(declared[i]) &&
			declared[i] != ANYOID && !(declared[i] == RECORDOID && type_is_rowtype(actual[i])))
			return InvalidOid;
	return enforce_generic_type_consistency(actual, declared, num, get_func_rettype(function), false);
}

/* Is that what the call was declared to return? */
static bool
is_result(Kind kind, FuncExpr *hidden, Oid result, List *args)
{
	switch (kind)
	{
		case KIND_CALL:
		case KIND_OPERATOR:
			return hidden->funcresulttype == result;
		case KIND_ELEMENTS:
			return OidIsValid(result) && get_element_type(hidden->funcresulttype) == result;
		case KIND_NULLIF:
			return result == BOOLOID && hidden->funcresulttype == exprType(linitial(args));
		default:
			return result == BOOLOID && hidden->funcresulttype == BOOLOID;
	}
}

static Node *
restore(FuncExpr *hidden, Kind kind, Oid object, List *args)
{
	switch (kind)
	{
		case KIND_CALL:
			return (Node *) makeFuncExpr(object, hidden->funcresulttype, args, hidden->funccollid,
										 hidden->inputcollid, COERCE_EXPLICIT_CALL);
		case KIND_ELEMENTS:
			return restored_elements(hidden, object, args);
		case KIND_ANY:
		case KIND_ALL:
			return restored_array_comparison(hidden, kind, object, args);
		default:
			return restored_operator(hidden, kind, object, args);
	}
}

/* The expression that the call stands for, with these arguments */
static Node *
restored(FuncExpr *hidden, List *args)
{
	Const	   *stands_for = lsecond_node(Const, hidden->args);
	char	   *what = stands_for->constisnull ? "" : TextDatumGetCString(stands_for->constvalue);
	char	   *name = strchr(what, ' ');
	Oid			object = InvalidOid;
	Oid			function = InvalidOid;
	Kind		kind = KIND_CALL;

	for (int i = 0; name != NULL && i < lengthof(kind_names); i++)
		if (strlen(kind_names[i]) == name - what && strncmp(kind_names[i], what, name - what) == 0)
		{
			kind = i;
			object = find_by_signature(kind, name + 1);
		}
	if (OidIsValid(object))
		function = is_of_function(kind) ? object : get_opcode(object);
	if (!OidIsValid(function) ||
		!is_result(kind, hidden, result_for(kind, function, args), args))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_FUNCTION),
				 errmsg("pgseal_citus_call() knows no \"%s\" with these arguments", what),
				 errdetail("It is what Citus sends to other nodes; all of them need the same version of pgseal.")));
	if (pgseal_function_aclcheck(function, GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FUNCTION, get_func_name(function));
	return restore(hidden, kind, object, args);
}

static bool
is_hidden(Node *node, Oid function)
{
	return IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid == function &&
		list_length(((FuncExpr *) node)->args) > NUM_LEADING_ARGS &&
		IsA(lsecond(((FuncExpr *) node)->args), Const) &&
		!((FuncExpr *) node)->funcvariadic;
}

static bool
has_hidden(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (is_hidden(node, *(Oid *) context))
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_hidden, context, 0);
	return expression_tree_walker(node, has_hidden, context);
}

static Node *
restore_mutator(Node *node, void *context)
{
	if (node == NULL)
		return NULL;
	if (IsA(node, Query))
		return (Node *) query_tree_mutator((Query *) node, restore_mutator, context, 0);
	node = expression_tree_mutator(node, restore_mutator, context);
	return is_hidden(node, *(Oid *) context) ?
		restored((FuncExpr *) node, list_copy_tail(((FuncExpr *) node)->args, NUM_LEADING_ARGS)) :
		node;
}

void
pgseal_citus_calls_restore(Query *query)
{
	Oid			function = pgseal_citus_is_loaded ? citus_call_function() : InvalidOid;

	if (OidIsValid(function) && has_hidden((Node *) query, &function))
		*query = *query_tree_mutator(query, restore_mutator, &function, 0);
}

bool
pgseal_citus_calls_has(Node *expr)
{
	Oid			function = citus_call_function();

	return OidIsValid(function) && has_hidden(expr, &function);
}

/*
 * Computing, where it wasn't restored
 */

typedef struct Computation
{
	ExprState  *state;
	ExprContext *context;
	ParamListInfo values;
} Computation;

static Computation *
prepare(FunctionCallInfo fcinfo)
{
	MemoryContext old = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	FuncExpr   *hidden = (FuncExpr *) fcinfo->flinfo->fn_expr;
	Computation *computation = palloc0(sizeof(Computation));
	int			num = fcinfo->nargs - NUM_LEADING_ARGS;
	List	   *params = NIL;
	Node	   *expr;

	if (hidden == NULL || !IsA(hidden, FuncExpr) || num < 1 || hidden->funcvariadic)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("pgseal_citus_call() is for Citus alone")));
	computation->values = makeParamList(num);
	for (int i = 0; i < num; i++)
	{
		Node	   *argument = list_nth(hidden->args, NUM_LEADING_ARGS + i);
		Param	   *param = makeNode(Param);

		param->paramkind = PARAM_EXTERN;
		param->paramid = i + 1;
		param->paramtype = exprType(argument);
		param->paramtypmod = exprTypmod(argument);
		param->paramcollid = exprCollation(argument);
		param->location = -1;
		computation->values->params[i].ptype = param->paramtype;
		params = lappend(params, param);
	}
	expr = restored(hidden, params);
	computation->state = ExecInitExprWithParams((Expr *) expr, computation->values);
	computation->context = CreateStandaloneExprContext();
	computation->context->ecxt_param_list_info = computation->values;
	MemoryContextSwitchTo(old);
	fcinfo->flinfo->fn_extra = computation;
	return computation;
}

/* pgseal_citus_call(NULL::result, 'what', arguments) */
Datum
pgseal_citus_call(PG_FUNCTION_ARGS)
{
	Computation *computation = fcinfo->flinfo->fn_extra;
	bool		isnull;
	Datum		result;

	if (computation == NULL)
		computation = prepare(fcinfo);
	for (int i = 0; i < computation->values->numParams; i++)
	{
		computation->values->params[i].value = PG_GETARG_DATUM(NUM_LEADING_ARGS + i);
		computation->values->params[i].isnull = PG_ARGISNULL(NUM_LEADING_ARGS + i);
	}
	/* In the caller's memory, where the result is to be */
	result = ExecEvalExpr(computation->state, computation->context, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	PG_RETURN_DATUM(result);
}

void
pgseal_citus_calls_init(void)
{
	if (!pgseal_citus_is_loaded)
		return;
	prev_planner = planner_hook;
	planner_hook = citus_planner;
}
