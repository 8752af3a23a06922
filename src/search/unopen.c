/*-------------------------------------------------------------------------
 *
 * unopen.c
 *	  Comparisons of opened values become comparisons of sealed ones.
 *
 * In column::numeric = x, PostgreSQL's own = compares the opened column.  Only our
 * operators find indexes (lookup.c) and join by keyed hashes, so the planner is
 * given that of the encrypted type: column = x.
 *
 * Nobody needs to write the cast for that.  An operator between an encrypted and
 * a base type would make statements on plain columns ambiguous where PostgreSQL
 * has none for another type that converts to both (int4 = numeric).  Such ones
 * are hidden in a schema of ours, where the parser finds none; it takes
 * PostgreSQL's own and adds the cast.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_cast.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "nodes/nodeFuncs.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "search/unopen.h"
#include "value/basetype.h"

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

/* Both operands are made sealed ones, or else the left or the right one. */
static void
unopen(Oid *opno, Oid *function, List *args, bool array)
{
	Node	   *opened[2];
	Oid			types[2];
	char	   *name;

	if (*opno >= FirstNormalObjectId || list_length(args) != 2)
		return;
	opened[0] = opened_value(linitial(args));
	opened[1] = array ? NULL : opened_value(lsecond(args));
	if ((opened[0] == NULL && opened[1] == NULL) || get_op_btree_interpretation(*opno) == NIL)
		return;
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
								   is_opened_as_other(left, types[0]) ||
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
