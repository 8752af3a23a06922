/*-------------------------------------------------------------------------
 *
 * extend_opened.c
 *	  Comparisons that find the blind index though they are no plain column = x.
 *
 * column::text = x, blind_index() that the user wrote, IS NOT DISTINCT FROM.  See
 * lookup.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/stratnum.h"
#include "access/transam.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "optimizer/clauses.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "search/extend.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"

/* Arguments of blind_index(plaintext, key, ...), NIL for all other expressions */
static List *
plaintext_call(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;
	HeapTuple	tuple;
	List	   *args;

	if (!IsA(node, FuncExpr) || call->funcresulttype != BYTEAOID ||
		!pgseal_stored_is_token_function(call->funcid))
		return NIL;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	args = expand_function_arguments(copyObject(call->args), false, call->funcresulttype, tuple);
	ReleaseSysCache(tuple);
	return pgseal_type_by_base(exprType(linitial(args))) != NULL ? args : NIL;
}

/*
 * The call of tokens() that takes the place of this of token(), made by
 * extend_tokens.c, while the index key is replaced; NULL for all else
 */
static FuncExpr *
tokens_of_all_versions(Node *node, PgsealExtension *extension)
{
	FuncExpr   *call = (FuncExpr *) node;
	Oid			types[4];

	if (!IsA(node, FuncExpr) || list_length(call->args) != 4 ||
		call->funcid < FirstNormalObjectId || !IsA(lsecond(call->args), Const))
		return NULL;
	for (int i = 0; i < 4; i++)
		types[i] = exprType(list_nth(call->args, i));
	types[0] = getBaseType(types[0]);
	if (call->funcid != pgseal_internal_function("token", 4, types))
		return NULL;
	extension->extended = true;
	if (pgseal_keyring_num_index_versions(DatumGetInt32(lsecond_node(Const, call->args)->constvalue)) < 2)
		return NULL;
	call = copyObject(call);
	call->funcid = pgseal_internal_function("tokens", 4, types);
	call->funcresulttype = get_func_rettype(call->funcid);
	return call;
}

/*
 * x = blind_index(plaintext, key, ...), written by the user, while the index
 * key is replaced: x = ANY (tokens of all versions).  NULL for all else.
 */
Node *
pgseal_extend_explicit(OpExpr *equality, PgsealExtension *extension)
{
	for (int side = 0; side < 2; side++)
	{
		Node	   *call = list_nth(equality->args, side);
		List	   *args = plaintext_call(call);
		Const	   *key = args != NIL && IsA(lsecond(args), Const) ? lsecond(args) : NULL;
		PgsealTokenForm form = {"", PGSEAL_TOKEN_BITS_MAX};
		ScalarArrayOpExpr *any;
		FuncExpr   *tokens;
		int32		hash;

		tokens = tokens_of_all_versions(call, extension);
		if (tokens == NULL)
		{
			if (key == NULL || key->constisnull)
				continue;
			extension->extended = true;
			hash = pgseal_catalog_name_hash(TextDatumGetCString(key->constvalue));
			if (pgseal_keyring_num_index_versions(hash) < 2)
				continue;
			tokens = (FuncExpr *) pgseal_lookup_token_call("tokens", linitial(args),
														   exprType(linitial(args)), hash, &form,
														   ((FuncExpr *) call)->inputcollid);
			if (list_length(args) > 2)
				lthird(tokens->args) = lthird(args);
			if (list_length(args) > 3)
				lfourth(tokens->args) = lfourth(args);
		}
		any = makeNode(ScalarArrayOpExpr);
		any->opno = ByteaEqualOperator;
		any->opfuncid = get_opcode(ByteaEqualOperator);
		any->useOr = true;
		any->args = list_make2(list_nth(equality->args, 1 - side), tokens);
		any->location = -1;
		return (Node *) any;
	}
	return NULL;
}

/* The column in column::text and the like, NULL for all else */
static Node *
opened_column(Node *node)
{
	FuncExpr   *open;
	Oid			argument;

	while (IsA(node, RelabelType) && ((RelabelType *) node)->resulttypmod < 0)
		node = (Node *) ((RelabelType *) node)->arg;
	open = (FuncExpr *) node;
	if (!IsA(node, FuncExpr) || list_length(open->args) != 1)
		return NULL;
	argument = exprType(linitial(open->args));
	if (pgseal_type_by_oid(argument) == NULL ||
		(open->funcid != pgseal_internal_function("open", 1, &argument) &&
		 open->funcid != pgseal_internal_function("open_as_varchar", 1, &argument)))
		return NULL;
	return linitial(open->args);
}

/*
 * A value that equals what the column holds if this operator says so.  Only
 * conversions for which that is sure: one from timestamptz to timestamp would
 * miss the hours that clocks leave out.
 */
static Node *
as_column_type(Oid operator, Node *value, Oid base)
{
	TypeCacheEntry *entry = lookup_type_cache(base, TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);
	Oid			type = exprType(value);

	if (operator == entry->eq_opr)
		return value;
	if ((get_op_opfamily_strategy(operator, entry->btree_opf) != BTEqualStrategyNumber &&
		 !pgseal_is_sealed_equality(operator) && !pgseal_is_sealed_equality(get_commutator(operator))) ||
		!((base == TIMESTAMPTZOID && type == TIMESTAMPOID) ||
		  (base == TIMESTAMPTZOID && type == DATEOID) ||
		  (base == DATEOID && type == TIMESTAMPOID)))
		return NULL;
	return coerce_to_target_type(NULL, copyObject(value), type, base, -1, COERCION_EXPLICIT,
								 COERCE_IMPLICIT_CAST, -1);
}

/* column::text = x, as some tools write it, and column = x where x is of another type */
Node *
pgseal_extend_opened(OpExpr *equality, PgsealExtension *extension)
{
	for (int side = 0; side < 2 && list_length(equality->args) == 2; side++)
	{
		Node	   *arg = list_nth(equality->args, side);
		Node	   *column = pgseal_type_by_oid(exprType(arg)) != NULL ? arg : opened_column(arg);
		Node	   *value = list_nth(equality->args, 1 - side);
		const PgsealType *type;
		PgsealLookup target;

		if (column == NULL || pgseal_depends_on_outer_row((Node *) equality->args, NULL) ||
			bms_overlap(pull_varnos(NULL, column), pull_varnos(NULL, value)))
			continue;
		type = pgseal_type_by_oid(exprType(column));
		value = as_column_type(equality->opno, value, type->base->oid);
		if (value == NULL || !pgseal_lookup_is_searchable(value) ||
			!pgseal_lookup_target(extension->rtable, column, equality->inputcollid, &target))
			continue;
		extension->extended = true;
		return (Node *) make_andclause(list_make2(pgseal_lookup_clause(&target, value, type->base->oid,
																	   "tokens"),
												  equality));
	}
	return NULL;
}

static Expr *
is_null(Node *arg)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) copyObject(arg);
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return (Expr *) test;
}

/*
 * column IS NOT DISTINCT FROM x as column = x OR (column IS NULL AND x IS NULL),
 * where the first is extended; the index finds the second, too, since what is NULL
 * has no token.
 */
Node *
pgseal_extend_not_distinct(DistinctExpr *distinct, PgsealExtension *extension)
{
	OpExpr	   *equality = copyObject((OpExpr *) distinct);
	Node	   *extended;

	equality->xpr.type = T_OpExpr;
	if (!pgseal_extends_equality(equality))
		return NULL;
	extended = pgseal_extend_equality(extension->rtable, equality);
	if (extended == NULL)
		return NULL;
	for (int side = 0; side < 2; side++)
	{
		Node	   *column = list_nth(equality->args, side);
		Node	   *value = pgseal_without_seal(list_nth(equality->args, 1 - side));
		PgsealLookup target;

		if (!pgseal_lookup_target(extension->rtable, column, equality->inputcollid, &target))
			continue;
		extension->extended = true;
		return (Node *) make_orclause(list_make2(extended,
												 make_andclause(list_make3(is_null((Node *) pgseal_lookup_indexed_side(column, &target.index)),
																		   is_null(column),
																		   is_null(value)))));
	}
	return NULL;
}
