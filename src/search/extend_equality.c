/*-------------------------------------------------------------------------
 *
 * extend_equality.c
 *	  column = x finds the blind index.
 *
 * See lookup.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "search/extend.h"
#include "search/lookup.h"
#include "search/unopen.h"
#include "value/basetype.h"

PG_FUNCTION_INFO_V1(pgseal_equality_support);
PG_FUNCTION_INFO_V1(pgseal_recheck_support);

/* The comparison again, without the support function */
static Expr *
recheck_clause(OpExpr *equality, Oid left, Oid right, bool as_operator)
{
	List	   *operator_name = list_make2(makeString("pg_catalog"), makeString("="));
	Oid			types[2] = {left, right};
	Oid			function = pgseal_internal_function("recheck", 2, types);
	OpExpr	   *recheck;

	if (!as_operator)
		return (Expr *) makeFuncExpr(function, BOOLOID, equality->args, InvalidOid,
									 equality->inputcollid, COERCE_EXPLICIT_CALL);
	recheck = makeNode(OpExpr);
	recheck->opno = OpernameGetOprid(operator_name, left, right);
	recheck->opfuncid = function;
	recheck->opresulttype = BOOLOID;
	recheck->inputcollid = equality->inputcollid;
	recheck->args = equality->args;
	recheck->location = -1;
	return (Expr *) recheck;
}

/* Columns of one key have the same token for the same value. */
static bool
share_tokens(const PgsealLookup *a, const PgsealLookup *b)
{
	return a->typmod == b->typmod && a->num_versions == 1 && b->num_versions == 1 &&
		a->index.form.bits == b->index.form.bits &&
		strcmp(a->index.form.normalizer, b->index.form.normalizer) == 0 &&
		a->index.call->funcid == b->index.call->funcid &&
		a->index.call->inputcollid == b->index.call->inputcollid;
}

/*
 * Sets out_targets of the sides of an equality that are looked for by the other
 * one; are there any?
 */
static bool
find_targets(List *rtable, List *args, const bool encrypted[2], Oid collation,
			 PgsealLookup out_targets[2], bool out_found[2])
{
	for (int side = 0; side < 2; side++)
		out_found[side] = encrypted[side] && pgseal_lookup_is_searchable(list_nth(args, 1 - side)) &&
			pgseal_lookup_target(rtable, list_nth(args, side), collation, &out_targets[side]);
	return out_found[0] || out_found[1];
}

bool
pgseal_lookup_beside(PlannerInfo *root, List *args, Oid collation)
{
	PgsealLookup targets[2];
	bool		found[2];
	bool		encrypted[2];

	if (list_length(args) != 2 ||
		bms_overlap(pull_varnos(root, linitial(args)), pull_varnos(root, lsecond(args))))
		return false;
	for (int side = 0; side < 2; side++)
		encrypted[side] = pgseal_type_by_oid(getBaseType(exprType(list_nth(args, side)))) != NULL;
	return find_targets(root->parse->rtable, args, encrypted, collation, targets, found);
}

/* When an index key is replaced */
void
pgseal_plan_again_for_keys(PlannerInfo *root)
{
	root->glob->relationOids = list_append_unique_oid(root->glob->relationOids,
													  pgseal_catalog_version_relation());
}

/* Does it depend on a row of this query? */
static bool
depends_on_row(Node *node)
{
	return contain_vars_of_level(node, 0);
}

bool
pgseal_depends_on_outer_row(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > 0;
	return expression_tree_walker(node, pgseal_depends_on_outer_row, NULL);
}

/*
 * What is sealed only to be compared, as a parameter that the statement casts:
 * its token is that of the value, and the comparison needs no seal.
 */
Node *
pgseal_without_seal(Node *value)
{
	FuncExpr   *cast = (FuncExpr *) value;
	const PgsealType *type;
	Oid			arguments[3] = {InvalidOid, INT4OID, BOOLOID};

	if (!IsA(value, FuncExpr) || list_length(cast->args) != 3)
		return value;
	type = pgseal_type_by_oid(cast->funcresulttype);
	if (type == NULL)
		return value;
	arguments[0] = type->base->oid;
	if (cast->funcid != pgseal_internal_function("seal_cast", 3, arguments))
		return value;
	return linitial(cast->args);
}

/* The equality without seals, and the types it compares then */
static OpExpr *
without_seals(OpExpr *equality, Oid *out_types)
{
	OpExpr	   *plain = makeNode(OpExpr);
	Oid		   *types;
	int			num_types;

	memcpy(plain, equality, sizeof(OpExpr));
	plain->args = NIL;
	get_func_signature(equality->opfuncid, &types, &num_types);
	for (int side = 0; side < 2; side++)
	{
		Node	   *arg = list_nth(equality->args, side);
		Node	   *value = pgseal_without_seal(arg);

		out_types[side] = value != arg ? exprType(value) : types[side];
		plain->args = lappend(plain->args, value);
	}
	return OidIsValid(pgseal_internal_function("recheck", 2, out_types)) ? plain : NULL;
}

/* The equality with what finds its index beside it; NULL where there is none */
Node *
pgseal_extend_equality(List *rtable, OpExpr *sealed_equality)
{
	Oid			types[2];
	OpExpr	   *equality = without_seals(sealed_equality, types);
	List	   *clauses = NIL;
	PgsealLookup targets[2];
	bool		found[2];
	bool		encrypted[2];
	Node	   *left;
	Node	   *right;
	bool		as_operator;

	if (equality == NULL)
		return NULL;
	left = linitial(equality->args);
	right = lsecond(equality->args);
	as_operator = depends_on_row(left) && depends_on_row(right);

	/*
	 * A column of a query around this one becomes a parameter, or one of this
	 * query: then it is clear what can be looked for by what.
	 */
	if (pgseal_depends_on_outer_row((Node *) equality->args, NULL) ||
		bms_overlap(pull_varnos(NULL, left), pull_varnos(NULL, right)))
		return NULL;
	for (int side = 0; side < 2; side++)
		encrypted[side] = pgseal_type_by_oid(types[side]) != NULL;
	if (!find_targets(rtable, equality->args, encrypted, equality->inputcollid, targets, found))
		return NULL;
	for (int side = 0; side < 2; side++)
		as_operator = as_operator || (found[side] && targets[side].index.prunes);

	/* One clause serves both indexes, and counts once in estimates */
	if (found[0] && found[1] && share_tokens(&targets[0], &targets[1]))
		clauses = list_make1(make_opclause(ByteaEqualOperator, BOOLOID, false,
										   pgseal_lookup_indexed_side(targets[0].column, &targets[0].index),
										   pgseal_lookup_indexed_side(targets[1].column, &targets[1].index),
										   InvalidOid, InvalidOid));
	else
		for (int side = 0; side < 2; side++)
			if (found[side])
				clauses = lappend(clauses, pgseal_lookup_clause(&targets[side],
																list_nth(equality->args, 1 - side),
																types[1 - side], "tokens"));
	clauses = lappend(clauses, recheck_clause(equality, types[0], types[1], as_operator));
	return (Node *) make_andclause(clauses);
}

/*
 * Of the functions behind the = of encrypted types.  Between columns, a value that is sealed
 * only to be compared is not (unopen.c).  For the rest, only conditions that the
 * planner makes for the children of a table or for the arms of a UNION come
 * late enough: as soon as a root has its relations, what is simplified with it is
 * of its own range table.
 */
Datum
pgseal_equality_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	OpExpr		equality = {.xpr.type = T_OpExpr};
	Node	   *extended;

	if (!IsA(request, SupportRequestSimplify))
		PG_RETURN_POINTER(NULL);
	extended = (Node *) pgseal_unsealed_equality(request->fcall);
	if (extended != NULL)
		PG_RETURN_POINTER(extended);
	if (request->root == NULL || request->root->simple_rel_array == NULL)
		PG_RETURN_POINTER(NULL);
	equality.opfuncid = request->fcall->funcid;
	equality.args = request->fcall->args;
	equality.inputcollid = request->fcall->inputcollid;
	extended = pgseal_extend_equality(request->root->parse->rtable, &equality);
	if (extended != NULL)
		pgseal_plan_again_for_keys(request->root);
	PG_RETURN_POINTER(extended);
}

/* Is the operator one that pgseal_extend_equality() is for? */
bool
pgseal_extends_equality(OpExpr *operator)
{
	Oid			support;
	FmgrInfo	function;

	if (operator->opno < FirstNormalObjectId || list_length(operator->args) != 2 ||
		(pgseal_type_by_oid(getBaseType(exprType(linitial(operator->args)))) == NULL &&
		 pgseal_type_by_oid(getBaseType(exprType(lsecond(operator->args)))) == NULL))
		return false;
	set_opfuncid(operator);
	support = get_func_support(operator->opfuncid);
	if (!OidIsValid(support))
		return false;
	fmgr_info(support, &function);
	return function.fn_addr == pgseal_equality_support;
}

/* The clause beside it has picked the rows */
Datum
pgseal_recheck_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSelectivity))
		PG_RETURN_POINTER(NULL);
	((SupportRequestSelectivity *) request)->selectivity = 1;
	PG_RETURN_POINTER(request);
}
