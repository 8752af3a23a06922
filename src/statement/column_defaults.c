/*-------------------------------------------------------------------------
 *
 * column_defaults.c
 *	  Defaults of columns in statements, told from what the user has written.
 *
 * The rewriter puts a column's default where the statement has none, or says DEFAULT.
 * What there is in the place of a column and is equal to its default is exchanged for a
 * call of column_default(), which opens values as the table's owner
 * (type/column_default.c).  A user who types the same gets what DEFAULT would give.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "statement/column_defaults.h"
#include "type/column_default.h"

static Node *
call(Relation rel, AttrNumber attnum, Node *value)
{
	static const Oid types[] = {REGCLASSOID, INT2OID, INTERNALOID};
	List	   *args;

	args = list_make3(makeConst(REGCLASSOID, -1, InvalidOid, sizeof(Oid),
								ObjectIdGetDatum(RelationGetRelid(rel)), false, true),
					  makeConst(INT2OID, -1, InvalidOid, sizeof(int16), Int16GetDatum(attnum),
								false, true),
					  makeConst(INTERNALOID, -1, InvalidOid, sizeof(Datum), (Datum) 0, true, true));
	return (Node *) makeFuncExpr(pgseal_internal_function("column_default", lengthof(types), types),
								 exprType(value), args, exprCollation(value), InvalidOid,
								 COERCE_EXPLICIT_CALL);
}

/* What stands for a column in a statement */
static void
mark_value(Relation rel, AttrNumber attnum, Node **value)
{
	Node	   *whole;

	if (IsA(*value, Const) || IsA(*value, Var) || IsA(*value, Param))
		return;
	whole = pgseal_default_of_owner(rel, attnum);
	if (whole == NULL || !equal(whole, *value))
		return;
	value = pgseal_default_value(value);
	*value = call(rel, attnum, *value);
}

static void
mark_targets(Query *query, Relation rel, List *targets)
{
	ListCell   *lc;
	ListCell   *row;

	foreach(lc, targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		Var		   *var = (Var *) target->expr;
		RangeTblEntry *source;

		if (target->resjunk)
			continue;
		mark_value(rel, target->resno, (Node **) &target->expr);
		if (!IsA(var, Var) || var->varlevelsup != 0)
			continue;
		/* DEFAULT in one of several rows of VALUES */
		source = rt_fetch(var->varno, query->rtable);
		if (source->rtekind == RTE_VALUES)
			foreach(row, source->values_lists)
				mark_value(rel, target->resno,
						   (Node **) &lfirst(list_nth_cell(lfirst(row), var->varattno - 1)));
	}
}

void
pgseal_column_defaults_mark(Query *query)
{
	Relation	rel;
	ListCell   *lc;

	foreach(lc, query->cteList)
		pgseal_column_defaults_mark(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	if (query->resultRelation == 0 || query->commandType == CMD_DELETE ||
		!OidIsValid(pgseal_extension_oid()))
		return;
	rel = table_open(rt_fetch(query->resultRelation, query->rtable)->relid, NoLock);
	mark_targets(query, rel, query->targetList);
	foreach(lc, query->mergeActionList)
		mark_targets(query, rel, lfirst_node(MergeAction, lc)->targetList);
	if (query->onConflict != NULL)
		mark_targets(query, rel, query->onConflict->onConflictSet);
	table_close(rel, NoLock);
}
