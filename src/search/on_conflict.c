/*-------------------------------------------------------------------------
 *
 * on_conflict.c
 *	  ON CONFLICT (column), where the column's unique index is on its tokens.
 *
 * A value is unique by a unique index on blind_index(column), or on a generated
 * column of it.  The planner looks for an index that has just what ON CONFLICT
 * names; so before it does, columns are replaced by what the index has in their
 * place.  Only tokens of the whole value count: those of a normalizer, or of fewer
 * bits, are equal for values that aren't.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "search/on_conflict.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"

/* The encrypted column that an element of ON CONFLICT is, or 0 */
static AttrNumber
encrypted_column(const InferenceElem *element)
{
	Var		   *var = (Var *) element->expr;

	return IsA(var, Var) && var->varattno > 0 &&
		pgseal_type_by_oid(getBaseType(var->vartype)) != NULL ? var->varattno : InvalidAttrNumber;
}

/* The column whose whole tokens an expression has, or 0 */
static AttrNumber
token_column(Node *expr)
{
	Var		   *column = pgseal_stored_column(expr);

	return column != NULL && list_length(((FuncExpr *) expr)->args) == 1 ?
		column->varattno : InvalidAttrNumber;
}

/*
 * What the index has for the column: its expression, or the generated column as
 * a Var; NULL when it has nothing.
 */
static Node *
in_index(Relation table, Relation index, AttrNumber attnum)
{
	List	   *exprs = pgseal_stored_index_expressions(index);
	ListCell   *expr = list_head(exprs);

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	key = index->rd_index->indkey.values[i];

		if (key == 0)
		{
			if (token_column(lfirst(expr)) == attnum)
				return lfirst(expr);
			expr = lnext(exprs, expr);
		}
		else if (key > 0 && TupleDescAttr(RelationGetDescr(table), key - 1)->attgenerated &&
				 token_column(build_column_default(table, key)) == attnum)
			return (Node *) makeVar(1, key, BYTEAOID, -1, InvalidOid, 0);
	}
	return NULL;
}

static bool
has_key(Relation index, AttrNumber attnum)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		if (index->rd_index->indkey.values[i] == attnum)
			return true;
	return false;
}

/*
 * The elements as the index has them, NIL unless it has all columns.  Whether it
 * has just those, and its predicate, is for the planner to see.
 */
static List *
as_in_index(List *elements, Relation table, Relation index, Index varno)
{
	List	   *result = NIL;
	ListCell   *lc;

	if (list_length(elements) != index->rd_index->indnkeyatts)
		return NIL;
	foreach(lc, elements)
	{
		InferenceElem *element = copyObject(lfirst_node(InferenceElem, lc));
		AttrNumber	attnum = encrypted_column(element);

		if (attnum != InvalidAttrNumber)
		{
			element->expr = copyObject(in_index(table, index, attnum));
			if (element->expr == NULL)
				return NIL;
			ChangeVarNodes(element->expr, 1, varno, 0);
		}
		else if (IsA(element->expr, Var) &&
				 !has_key(index, ((Var *) element->expr)->varattno))
			return NIL;
		result = lappend(result, element);
	}
	return result;
}

bool
pgseal_names_conflict_column(Query *query)
{
	ListCell   *lc;

	if (query->onConflict == NULL)
		return false;
	foreach(lc, query->onConflict->arbiterElems)
		if (encrypted_column(lfirst_node(InferenceElem, lc)) != InvalidAttrNumber)
			return true;
	return false;
}

void
pgseal_resolve_conflict_columns(Query *query)
{
	RangeTblEntry *rte = rt_fetch(query->resultRelation, query->rtable);
	Relation	table = table_open(rte->relid, NoLock);
	List	   *found = NIL;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (found == NIL && index->rd_index->indisunique && index->rd_index->indisvalid)
			found = as_in_index(query->onConflict->arbiterElems, table, index,
								query->resultRelation);
		index_close(index, NoLock);
	}
	if (found != NIL)
		query->onConflict->arbiterElems = found;
	table_close(table, NoLock);
}
