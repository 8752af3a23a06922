/*-------------------------------------------------------------------------
 *
 * extend_tokens.c
 *	  Tokens that are compared with those of a column.
 *
 * blind_index(column) = blind_index('x'): the literal is an encrypted value of no
 * column, whose token would be made under the key "default" and never be equal.
 * What is meant is the token that the column would have for it, so that is what is
 * computed, as it is for column = 'x'.  The column may also be a generated one of
 * tokens.
 *
 * Tokens of two columns under two keys are never equal either, and nothing can be
 * meant by comparing them; that is said in a notice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "keys/catalog.h"
#include "search/extend.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"

/*
 * The type modifier of the encrypted column whose tokens the expression has, or none.
 * The queries are the one that it is in, and those around it.
 */
static int32
column_of_tokens(Node *expr, List *queries)
{
	Var		   *var = (Var *) expr;
	List	   *rtable;
	RangeTblEntry *rte;
	Relation	rel;
	int32		result = PGSEAL_TYPMOD_NONE;

	if (pgseal_stored_column(expr) != NULL)
		return pgseal_stored_column_typmod(expr);
	if (!IsA(expr, Var) || var->vartype != BYTEAOID || var->varattno <= 0 ||
		var->varlevelsup >= (Index) list_length(queries))
		return PGSEAL_TYPMOD_NONE;
	rtable = list_nth_node(Query, queries, var->varlevelsup)->rtable;
	if (var->varno > (Index) list_length(rtable))
		return PGSEAL_TYPMOD_NONE;
	rte = rt_fetch(var->varno, rtable);
	if (rte->rtekind != RTE_RELATION || get_attgenerated(rte->relid, var->varattno) == '\0')
		return PGSEAL_TYPMOD_NONE;
	rel = table_open(rte->relid, NoLock);
	expr = pgseal_stored_generation(rel, var->varattno);
	if (pgseal_stored_column(expr) != NULL)
		result = pgseal_stored_column_typmod(expr);
	table_close(rel, NoLock);
	return result;
}

/* The other side as the column would have it; NULL when that has a key of its own */
static Node *
token_alike(Node *expr, int32 typmod)
{
	FuncExpr   *call = pgseal_stored_value_call(expr);
	PgsealTokenForm form = {"", PGSEAL_TOKEN_BITS_MAX};
	FuncExpr   *token;
	ListCell   *lc;

	if (call == NULL || pgseal_stored_typmod(linitial(call->args)) > 0)
		return NULL;
	token = (FuncExpr *) pgseal_lookup_token_call("token", linitial(call->args),
												  getBaseType(exprType(linitial(call->args))),
												  typmod, &form, call->inputcollid);
	for_each_from(lc, call->args, 1)
	{
		if (exprType(lfirst(lc)) == TEXTOID)
			lthird(token->args) = lfirst(lc);
		else
			lfourth(token->args) = lfirst(lc);
	}
	return (Node *) token;
}

/* The same of tokens of a value that isn't a column */
static int32
key_of_tokens(Node *expr, List *queries)
{
	int32		typmod = column_of_tokens(expr, queries);
	FuncExpr   *call = typmod == PGSEAL_TYPMOD_NONE ? pgseal_stored_value_call(expr) : NULL;

	return call != NULL ? pgseal_stored_typmod(linitial(call->args)) : typmod;
}

/* PGSEAL_TYPMOD_NONE and _ANY say nothing of a key. */
static void
note_two_keys(int32 one, int32 other)
{
	if (one > 0 && other > 0 && one != other)
		ereport(NOTICE,
				(errmsg("tokens under key \"%s\" are never equal to tokens under key \"%s\"",
						pgseal_catalog_name(one), pgseal_catalog_name(other)),
				 errhint("Compare the columns themselves, or give them the same key.")));
}

static bool
make_alike(Node *node, void *context)
{
	OpExpr	   *comparison = (OpExpr *) node;
	List	   *queries = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, make_alike, lcons(node, queries), 0);
	if (IsA(node, OpExpr) && list_length(comparison->args) == 2 &&
		exprType(linitial(comparison->args)) == BYTEAOID &&
		(comparison->opno == ByteaEqualOperator || get_opcode(comparison->opno) == F_BYTEANE))
	{
		note_two_keys(key_of_tokens(linitial(comparison->args), queries),
					  key_of_tokens(lsecond(comparison->args), queries));
		for (int side = 0; side < 2; side++)
		{
			ListCell   *other = list_nth_cell(comparison->args, 1 - side);
			int32		typmod = column_of_tokens(list_nth(comparison->args, side), queries);
			Node	   *alike = typmod > 0 ? token_alike(lfirst(other), typmod) : NULL;

			if (alike != NULL)
				lfirst(other) = alike;
		}
	}
	return expression_tree_walker(node, make_alike, context);
}

void
pgseal_tokens_alike(Query *query)
{
	(void) make_alike((Node *) query, NULL);
}
