/*-------------------------------------------------------------------------
 *
 * overloads.c
 *	  Which of several functions of one name takes an encrypted value.
 *
 * PostgreSQL chooses among functions of one name by the casts that the arguments
 * need.  An encrypted value converts to its base type and to what that converts to,
 * and PostgreSQL prefers none of these for being nearer.  Between f(int) and
 * f(numeric) it does not choose at all.  But between f(int) and f(float8), or f(date)
 * and f(timestamptz), it takes the type that is preferred among all of their kind,
 * though a plain column would be taken by the other: the answer would be another one
 * and nobody would know.  So where an encrypted value was converted to anything but
 * its base type, the function is looked up again for values of the base types.
 *
 * The statement is analyzed again then, with casts to the base types (call_casts.c).
 * Where its text isn't at hand, the other function takes the place of the first if it
 * returns the same type.  If it doesn't, what is around it is analyzed already, and
 * PostgreSQL's own error says what to do.  It also
 * does where a constant may have been a literal without a type, which has become of the
 * type that the first function takes.
 *
 * For PostgreSQL's functions and operators, and pgseal's, there is one for exactly each
 * encrypted type (test/parity).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_aggregate.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parse_oper.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "statement/overloads.h"
#include "value/basetype.h"

Node *
pgseal_overload_given(Node *arg)
{
	if (IsA(arg, NamedArgExpr))
		return pgseal_overload_given((Node *) ((NamedArgExpr *) arg)->arg);
	if (IsA(arg, FuncExpr) && ((FuncExpr *) arg)->funcformat == COERCE_IMPLICIT_CAST)
		return linitial(((FuncExpr *) arg)->args);
	if (IsA(arg, RelabelType) && ((RelabelType *) arg)->relabelformat == COERCE_IMPLICIT_CAST)
		return (Node *) ((RelabelType *) arg)->arg;
	return arg;
}

/* Its type, or that of the plain value */
static Oid
plain_type(Node *arg)
{
	Oid			declared = exprType(pgseal_overload_given(arg));
	const PgsealType *type;

	if (declared < FirstNormalObjectId)
		return declared;
	type = pgseal_type_by_oid(getBaseType(declared));
	return type != NULL ? type->base->oid : declared;
}

/* Was an encrypted value converted to another type than its base type? */
static bool
converts_further(List *args)
{
	ListCell   *lc;

	foreach(lc, args)
	{
		Node	   *arg = lfirst(lc);
		Oid			was = exprType(pgseal_overload_given(arg));

		if (was >= FirstNormalObjectId && exprType(arg) < FirstNormalObjectId &&
			exprType(arg) != plain_type(arg) && pgseal_type_by_oid(getBaseType(was)) != NULL)
			return true;
	}
	return false;
}

/* Functions and operators that are no user's have been made for encrypted values. */
static bool
is_of_user(Oid object, Oid schema)
{
	return object >= FirstNormalObjectId && schema != PG_CATALOG_NAMESPACE &&
		schema != pgseal_internal_schema();
}

bool
pgseal_overload_converts(Oid function, List *args)
{
	return function >= FirstNormalObjectId && converts_further(args) &&
		is_of_user(function, get_func_namespace(function));
}

pg_noreturn static void
say_not_unique(const char *name, List *args)
{
	Oid		   *types = palloc(sizeof(Oid) * list_length(args));
	ListCell   *lc;

	foreach(lc, args)
		types[foreach_current_index(lc)] = exprType(pgseal_overload_given(lfirst(lc)));
	ereport(ERROR,
			(errcode(ERRCODE_AMBIGUOUS_FUNCTION),
			 errmsg("function %s is not unique",
					func_signature_string(list_make1(makeString(pstrdup(name))), list_length(args), NIL,
										  types)),
			 errhint("Could not choose a best candidate function. You might need to add explicit type casts.")));
}

/* What may have had no type when the function was chosen, and has become of its parameter's */
typedef enum Untyped
{
	UNTYPED_NOTHING,
	UNTYPED_CONSTANTS,
	UNTYPED_PARAMETERS			/* and constants */
} Untyped;

static bool
may_be_untyped(Node *arg, Untyped untyped)
{
	if (IsA(arg, NamedArgExpr))
		return may_be_untyped((Node *) ((NamedArgExpr *) arg)->arg, untyped);
	return (untyped >= UNTYPED_CONSTANTS && IsA(arg, Const)) ||
		(untyped >= UNTYPED_PARAMETERS && IsA(arg, Param));
}

/*
 * The function of this name that PostgreSQL chooses for such arguments, with encrypted
 * values as these or as plain ones, and what has no type as such; InvalidOid where that
 * isn't clear.
 */
static Oid
choice(Oid function, List *args, bool plain, Untyped untyped, Oid *out_result, Oid **out_declared)
{
	List	   *name = list_make2(makeString(get_namespace_name(get_func_namespace(function))),
								  makeString(get_func_name(function)));
	Oid		   *types = palloc(sizeof(Oid) * list_length(args));
	List	   *names = NIL;
	Oid			found = InvalidOid;
	bool		returns_set;
	int			num_variadic;
	Oid			variadic;
	FuncDetailCode detail;
	ListCell   *lc;

	foreach(lc, args)
	{
		types[foreach_current_index(lc)] = may_be_untyped(lfirst(lc), untyped) ? UNKNOWNOID :
			plain ? plain_type(lfirst(lc)) : exprType(pgseal_overload_given(lfirst(lc)));
		if (IsA(lfirst(lc), NamedArgExpr))
			names = lappend(names, lfirst_node(NamedArgExpr, lc)->name);
	}
	detail = func_get_detail(name, NIL, names, list_length(args), types, true, true, false, &found,
							 out_result, &returns_set, &num_variadic, &variadic, out_declared, NULL);
	return detail == FUNCDETAIL_NORMAL || detail == FUNCDETAIL_AGGREGATE ||
		detail == FUNCDETAIL_WINDOWFUNC ? found : InvalidOid;
}

/* The other function that it should have been; InvalidOid when there is none */
static Oid
other_choice(Oid function, List *args, Oid *out_result, Oid **out_declared)
{
	Oid			other;

	if (!pgseal_overload_converts(function, args))
		return InvalidOid;
	other = choice(function, args, true, UNTYPED_NOTHING, out_result, out_declared);
	if (OidIsValid(other) && other != function)
		return other;
	other = choice(function, args, true, UNTYPED_CONSTANTS, out_result, out_declared);
	if (OidIsValid(other) && other != function &&
		choice(function, args, false, UNTYPED_CONSTANTS, out_result, out_declared) == function)
		say_not_unique(get_func_name(function), args);
	return InvalidOid;
}

/* The arguments as the function declares them; NIL when they can't be */
static List *
converted(List *args, const Oid *declared)
{
	List	   *result = NIL;
	ListCell   *lc;

	foreach(lc, args)
	{
		Node	   *arg = pgseal_overload_given(lfirst(lc));
		Node	   *made = IsA(lfirst(lc), NamedArgExpr) ? NULL :
			coerce_to_target_type(NULL, arg, exprType(arg), declared[foreach_current_index(lc)], -1,
								  COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);

		if (made == NULL)
			return NIL;
		result = lappend(result, made);
	}
	return result;
}

void
pgseal_overload_choose(FuncExpr *call)
{
	Oid			result;
	Oid		   *declared;
	Oid			other;
	List	   *args;

	if (call->funcformat != COERCE_EXPLICIT_CALL)
		return;
	other = other_choice(call->funcid, call->args, &result, &declared);
	if (!OidIsValid(other))
		return;
	args = call->funcvariadic || OidIsValid(get_func_variadictype(other)) ||
		result != call->funcresulttype || result == RECORDOID || IsPolymorphicType(result) ||
		get_func_retset(other) != call->funcretset ? NIL : converted(call->args, declared);
	if (args == NIL)
		say_not_unique(get_func_name(call->funcid), call->args);
	call->funcid = other;
	call->args = args;
}

/* The operator for values of the base types; InvalidOid when there is none but this */
static Oid
other_operator(OpExpr *call)
{
	HeapTuple	tuple;
	Oid			schema;
	Oid			other;

	if (call->opno < FirstNormalObjectId || !converts_further(call->args))
		return InvalidOid;
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(call->opno));
	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	schema = ((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace;
	ReleaseSysCache(tuple);
	if (!is_of_user(call->opno, schema) || list_length(call->args) != 2)
		return InvalidOid;
	other = OpernameGetOprid(list_make2(makeString(get_namespace_name(schema)),
										makeString(get_opname(call->opno))),
							 plain_type(linitial(call->args)), plain_type(lsecond(call->args)));
	return other != call->opno ? other : InvalidOid;
}

Oid
pgseal_overload_function(Node *call, List **out_args)
{
	ListCell   *lc;

	*out_args = NIL;
	switch (nodeTag(call))
	{
		case T_FuncExpr:
			*out_args = ((FuncExpr *) call)->args;
			return ((FuncExpr *) call)->funcformat == COERCE_EXPLICIT_CALL ?
				((FuncExpr *) call)->funcid : InvalidOid;
		case T_OpExpr:
			*out_args = ((OpExpr *) call)->args;
			return get_opcode(((OpExpr *) call)->opno);
		case T_WindowFunc:
			*out_args = ((WindowFunc *) call)->args;
			return ((WindowFunc *) call)->winfnoid;
		case T_Aggref:
			foreach(lc, ((Aggref *) call)->args)
				if (!lfirst_node(TargetEntry, lc)->resjunk)
					*out_args = lappend(*out_args, lfirst_node(TargetEntry, lc)->expr);
			return ((Aggref *) call)->aggkind == AGGKIND_NORMAL ?
				((Aggref *) call)->aggfnoid : InvalidOid;
		default:
			return InvalidOid;
	}
}

bool
pgseal_overload_may_differ(Node *call)
{
	List	   *args;
	Oid			function = pgseal_overload_function(call, &args);
	Oid			result;
	Oid		   *declared;
	ListCell   *lc;

	if (!pgseal_overload_converts(function, args))
		return false;
	if (IsA(call, OpExpr))
	{
		foreach(lc, args)
			if (may_be_untyped(lfirst(lc), UNTYPED_PARAMETERS))
				return true;
		return OidIsValid(other_operator((OpExpr *) call));
	}
	for (Untyped untyped = UNTYPED_NOTHING; untyped <= UNTYPED_PARAMETERS; untyped++)
	{
		Oid			other = choice(function, args, true, untyped, &result, &declared);

		if (OidIsValid(other) && other != function)
			return true;
	}
	return false;
}

bool
pgseal_overload_nullif_differs(const NullIfExpr *nullif)
{
	Node	   *left = linitial(nullif->args);
	Oid			types[2] = {plain_type(left), plain_type(lsecond(nullif->args))};
	Operator	operator;
	Oid			result;

	/* NULLIF is of the type to which its "=" converts the first argument. */
	if (nullif->opno < FirstNormalObjectId || types[0] == types[1])
		return false;
	operator = oper(NULL, list_make1(makeString("=")), types[0], types[1], true, -1);
	if (operator == NULL)
		return false;
	result = ((Form_pg_operator) GETSTRUCT(operator))->oprleft;
	ReleaseSysCache(operator);
	return result != exprType(left) && result != plain_type(left);
}

void
pgseal_overload_check(Node *call)
{
	List	   *args;
	Oid			function;
	Oid			result;
	Oid		   *declared;

	if (IsA(call, OpExpr))
	{
		if (OidIsValid(other_operator((OpExpr *) call)))
			say_not_unique(get_opname(((OpExpr *) call)->opno), ((OpExpr *) call)->args);
		return;
	}
	function = pgseal_overload_function(call, &args);
	if (OidIsValid(function) && OidIsValid(other_choice(function, args, &result, &declared)))
		say_not_unique(get_func_name(function), args);
}
