/*-------------------------------------------------------------------------
 *
 * stored_expressions.c
 *	  Expressions that a table stores, and which of them compute tokens.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_index.h"
#include "catalog/pg_partitioned_table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/catalog.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"

/*
 * Reading expressions
 */

static List *
stored_list(Relation index, AttrNumber column)
{
	bool		isnull;
	Datum		stored = SysCacheGetAttr(INDEXRELID, index->rd_indextuple, column, &isnull);
	List	   *exprs = NIL;

	if (!isnull)
		exprs = (List *) stringToNode(TextDatumGetCString(stored));
	fix_opfuncids((Node *) exprs);
	return exprs;
}

List *
pgseal_stored_index_expressions(Relation index)
{
	return stored_list(index, Anum_pg_index_indexprs);
}

List *
pgseal_stored_index_predicate(Relation index)
{
	return stored_list(index, Anum_pg_index_indpred);
}

Node *
pgseal_stored_generation(Relation table, AttrNumber attnum)
{
	TupleConstr *constr = RelationGetDescr(table)->constr;

	for (int i = 0; constr != NULL && i < constr->num_defval; i++)
		if (constr->defval[i].adnum == attnum)
			return stringToNode(constr->defval[i].adbin);
	return NULL;
}

PgsealPartitionKey
pgseal_stored_partition_key(Relation table)
{
	PgsealPartitionKey key = {0};
	HeapTuple	row = SearchSysCache1(PARTRELID, ObjectIdGetDatum(RelationGetRelid(table)));
	Form_pg_partitioned_table form;
	Datum		stored;
	bool		isnull;

	if (!HeapTupleIsValid(row))
		return key;
	form = (Form_pg_partitioned_table) GETSTRUCT(row);
	key.num_columns = form->partnatts;
	for (int i = 0; i < key.num_columns; i++)
		key.columns[i] = form->partattrs.values[i];
	stored = SysCacheGetAttr(PARTRELID, row, Anum_pg_partitioned_table_partexprs, &isnull);
	if (!isnull)
		key.expressions = (List *) stringToNode(TextDatumGetCString(stored));
	fix_opfuncids((Node *) key.expressions);
	ReleaseSysCache(row);
	return key;
}

/*
 * What an expression is
 */

/* Without what changes neither the value nor the token */
static Node *
without_labels(Node *expr)
{
	while (expr != NULL)
	{
		if (IsA(expr, NamedArgExpr))
			expr = (Node *) ((NamedArgExpr *) expr)->arg;
		else if (IsA(expr, CollateExpr))
			expr = (Node *) ((CollateExpr *) expr)->arg;
		else if (IsA(expr, RelabelType))	/* of a domain */
			expr = (Node *) ((RelabelType *) expr)->arg;
		else
			break;
	}
	return expr;
}

int32
pgseal_stored_typmod(Node *column)
{
	Node	   *inner = without_labels(column);
	int32		typmod = exprTypmod(inner);

	/* A domain's own type modifier stands in pg_type only */
	if (typmod == PGSEAL_TYPMOD_NONE && (IsA(inner, Var) || IsA(inner, CoerceToDomain)))
		getBaseTypeAndTypmod(exprType(inner), &typmod);
	return typmod;
}

/* The first argument, also where arguments are named: WITH (bits => 5, value => c) */
static Node *
first_argument(const FuncExpr *call)
{
	ListCell   *lc;

	foreach(lc, call->args)
	{
		NamedArgExpr *named = lfirst(lc);

		if (!IsA(named, NamedArgExpr) || named->argnumber == 0)
			return lfirst(lc);
	}
	return NULL;
}

bool
pgseal_stored_is_token_function(Oid function)
{
	return function >= FirstNormalObjectId &&
		get_func_rettype(function) == BYTEAOID &&
		strcmp(get_func_name(function), "blind_index") == 0 &&
		getExtensionOfObject(ProcedureRelationId, function) == pgseal_extension_oid();
}

Var *
pgseal_stored_column(Node *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;
	Node	   *column;

	if (expr == NULL || !IsA(expr, FuncExpr) || call->funcresulttype != BYTEAOID)
		return NULL;
	column = without_labels(first_argument(call));
	if (column == NULL || !IsA(column, Var) ||
		pgseal_type_by_oid(getBaseType(exprType(column))) == NULL ||
		!pgseal_stored_is_token_function(call->funcid))
		return NULL;
	return (Var *) column;
}

/* A copy with its arguments in their places */
static FuncExpr *
with_sorted_arguments(const FuncExpr *call)
{
	FuncExpr   *copy = copyObject(unconstify(FuncExpr *, call));
	HeapTuple	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	copy->args = expand_function_arguments(copy->args, false, copy->funcresulttype, tuple);
	ReleaseSysCache(tuple);
	return copy;
}

static bool
is_call(Node *expr)
{
	FuncExpr   *call = (FuncExpr *) expr;

	return IsA(expr, FuncExpr) && call->funcresulttype == BYTEAOID && call->args != NIL &&
		pgseal_stored_is_token_function(call->funcid);
}

FuncExpr *
pgseal_stored_any_call(Node *expr)
{
	return is_call(expr) ? with_sorted_arguments((FuncExpr *) expr) : NULL;
}

bool
pgseal_stored_is_of_value(FuncExpr *call)
{
	return pgseal_type_by_oid(getBaseType(exprType(first_argument(call)))) != NULL;
}

FuncExpr *
pgseal_stored_value_call(Node *expr)
{
	if (!is_call(expr) || !pgseal_stored_is_of_value((FuncExpr *) expr))
		return NULL;
	return with_sorted_arguments((FuncExpr *) expr);
}

FuncExpr *
pgseal_stored_call(Node *expr)
{
	return pgseal_stored_column(expr) != NULL ? pgseal_stored_value_call(expr) : NULL;
}

int32
pgseal_stored_column_typmod(Node *expr)
{
	return pgseal_stored_typmod((Node *) pgseal_stored_column(expr));
}

static bool
has_tokens_walker(Node *node, void *context)
{
	int32		typmod = *(int32 *) context;

	if (node == NULL)
		return false;
	if (pgseal_stored_column(node) != NULL &&
		(typmod == PGSEAL_TYPMOD_NONE ||
		 pgseal_stored_column_typmod(node) == typmod))
		return true;
	return expression_tree_walker(node, has_tokens_walker, context);
}

bool
pgseal_stored_has_tokens(Node *expr, int32 typmod)
{
	return has_tokens_walker(expr, &typmod);
}

/* Of this key, or of any */
static bool
is_column_of_key(Node *expr, int32 key_hash)
{
	Node	   *inner = without_labels(expr);
	int32		typmod;

	if (inner == NULL || !IsA(inner, Var) ||
		pgseal_type_by_oid(getBaseType(exprType(inner))) == NULL)
		return false;
	typmod = pgseal_stored_typmod(inner);
	return typmod == key_hash || typmod == PGSEAL_TYPMOD_ANY;
}

typedef struct ForeignCall
{
	int32		key_hash;
	Oid			function;
} ForeignCall;

static bool
foreign_call_walker(Node *node, void *context)
{
	ForeignCall *found = context;
	FuncExpr   *call = (FuncExpr *) node;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && call->funcid >= FirstNormalObjectId &&
		getExtensionOfObject(ProcedureRelationId, call->funcid) != pgseal_extension_oid())
		foreach(lc, call->args)
			if (is_column_of_key(lfirst(lc), found->key_hash))
			{
				found->function = call->funcid;
				return true;
			}
	return expression_tree_walker(node, foreign_call_walker, context);
}

Oid
pgseal_stored_foreign_call(Node *expr, int32 key_hash)
{
	ForeignCall found = {key_hash, InvalidOid};

	foreign_call_walker(expr, &found);
	return found.function;
}

static bool
has_tokens_of_column_walker(Node *node, void *context)
{
	Var		   *column = node != NULL ? pgseal_stored_column(node) : NULL;

	if (node == NULL)
		return false;
	if (column != NULL && column->varattno == *(AttrNumber *) context)
		return true;
	return expression_tree_walker(node, has_tokens_of_column_walker, context);
}

Oid
pgseal_stored_index_of(Relation rel, AttrNumber attnum)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(rel))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		found = has_tokens_of_column_walker((Node *) pgseal_stored_index_expressions(index), &attnum) ||
			has_tokens_of_column_walker((Node *) pgseal_stored_index_predicate(index), &attnum);

		index_close(index, AccessShareLock);
		if (found)
			return lfirst_oid(lc);
	}
	return InvalidOid;
}
