/*-------------------------------------------------------------------------
 *
 * rules.c
 *	  Rules whose actions return encrypted columns.
 *
 * PostgreSQL wants the RETURNING list of a rule's action to have the types and type
 * modifiers of the relation's columns.  On plain columns they are alike where two
 * tables are declared alike; encrypted ones have keys of their own.  So each entry
 * is cast to its column's type.  A list whose entries can't be counted stays as it
 * is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "nodes/makefuncs.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/own_key.h"
#include "ddl/rules.h"
#include "keys/catalog.h"
#include "statement/written_casts.h"

/* The entries that qualifier.* stands for */
static List *
all_columns(Oid relation, const char *qualifier)
{
	Relation	rel = relation_open(relation, AccessShareLock);
	List	   *result = NIL;

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);
		ResTarget  *target = makeNode(ResTarget);
		ColumnRef  *column = makeNode(ColumnRef);

		if (attribute->attisdropped)
			continue;
		column->fields = list_make2(makeString(pstrdup(qualifier)),
									makeString(pstrdup(NameStr(attribute->attname))));
		column->location = -1;
		target->val = (Node *) column;
		target->location = -1;
		result = lappend(result, target);
	}
	relation_close(rel, AccessShareLock);
	return result;
}

/* What is returned, without stars; false when it can't be told */
static bool
expand(List *targets, RangeVar *table, bool is_alone, Oid event, List **out)
{
	const char *name = table->alias != NULL ? table->alias->aliasname : table->relname;
	ListCell   *lc;

	*out = NIL;
	foreach(lc, targets)
	{
		ResTarget  *target = lfirst_node(ResTarget, lc);
		ColumnRef  *column = (ColumnRef *) target->val;
		const char *qualifier;
		Oid			relation;

		if (!IsA(column, ColumnRef) || !IsA(llast(column->fields), A_Star))
		{
			*out = lappend(*out, target);
			continue;
		}
		if (list_length(column->fields) > 2 ||
			(list_length(column->fields) == 1 && !is_alone))
			return false;
		qualifier = list_length(column->fields) == 1 ? name : strVal(linitial(column->fields));
		if (strcmp(qualifier, "new") == 0 || strcmp(qualifier, "old") == 0)
			relation = event;
		else if (strcmp(qualifier, name) == 0)
			relation = RangeVarGetRelid(table, AccessShareLock, true);
		else
			return false;
		if (!OidIsValid(relation))
			return false;
		*out = list_concat(*out, all_columns(relation, qualifier));
	}
	return true;
}

/* Casts the entries that stand for encrypted columns. */
static void
cast_entries(List *targets, Relation event)
{
	ListCell   *lc = list_head(targets);

	for (int i = 0; i < RelationGetNumberOfAttributes(event) && lc != NULL; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(event), i);
		ResTarget  *target = lfirst_node(ResTarget, lc);

		if (attribute->attisdropped)
			continue;
		lc = lnext(targets, lc);
		if (!OidIsValid(pgseal_own_key_type(attribute->atttypid)) ||
			attribute->atttypmod == PGSEAL_TYPMOD_NONE)
			continue;
		if (target->name == NULL && IsA(target->val, ColumnRef) &&
			IsA(llast(((ColumnRef *) target->val)->fields), String))
			target->name = pstrdup(strVal(llast(((ColumnRef *) target->val)->fields)));
		target->val = pgseal_written_cast(target->val, attribute->atttypid, attribute->atttypmod);
	}
}

static void
complete_returning(List **returning, RangeVar *table, bool is_alone, Relation event)
{
	List	   *expanded;

	if (returning == NULL || *returning == NIL ||
		!expand(*returning, table, is_alone, RelationGetRelid(event), &expanded))
		return;
	cast_entries(expanded, event);
	*returning = expanded;
}

void
pgseal_rules_complete(RuleStmt *rule)
{
	Oid			relation = RangeVarGetRelid(rule->relation, NoLock, true);
	Relation	event;
	ListCell   *lc;

	if (!OidIsValid(relation))
		return;
	event = relation_open(relation, AccessShareLock);
	foreach(lc, rule->actions)
	{
		InsertStmt *insert = lfirst(lc);
		UpdateStmt *update = lfirst(lc);
		DeleteStmt *delete = lfirst(lc);

		if (IsA(insert, InsertStmt))
			complete_returning(PGSEAL_RETURNING(insert), insert->relation, true, event);
		else if (IsA(update, UpdateStmt))
			complete_returning(PGSEAL_RETURNING(update), update->relation,
							   update->fromClause == NIL, event);
		else if (IsA(delete, DeleteStmt))
			complete_returning(PGSEAL_RETURNING(delete), delete->relation,
							   delete->usingClause == NIL, event);
	}
	relation_close(event, AccessShareLock);
}
