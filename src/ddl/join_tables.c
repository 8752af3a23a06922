/*-------------------------------------------------------------------------
 *
 * join_tables.c
 *	  Tables that become partition and parent, or child and parent; and views that
 *	  become those of other tables.
 *
 * PostgreSQL wants the same type modifier of the columns that meet.  Where the
 * one's columns have a key that nobody has named, they get the other's first: the
 * partition's those of its parent, with all that inherits from it; and where a
 * table has a parent already, the new parent's those of the table.  Where both
 * keys have been named they differ on purpose, and it is an error, as it is for
 * numeric(10,2) and numeric(12,2).
 *
 * Whoever may not make the tables partition and parent gets PostgreSQL's own
 * error: then nothing is done here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/analyze.h"
#include "parser/parse_type.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "ddl/join_tables.h"
#include "ddl/own_key.h"
#include "ddl/rekey.h"
#include "keys/catalog.h"

/* The direct parents of a table */
static List *
parents_of(Oid relation)
{
	Relation	rel = table_open(InheritsRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	List	   *parents = NIL;

	ScanKeyInit(&key, Anum_pg_inherits_inhrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	scan = systable_beginscan(rel, InheritsRelidSeqnoIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		parents = lappend_oid(parents, ((Form_pg_inherits) GETSTRUCT(tuple))->inhparent);
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return parents;
}

/*
 * All tables whose column is the same as this one's, by inheritance: children,
 * and other parents of theirs.  They are locked.
 */
static List *
family_of(Oid relation, const char *column)
{
	List	   *family = list_make1_oid(relation);

	LockRelationOid(relation, AccessExclusiveLock);
	for (int i = 0; i < list_length(family); i++)
	{
		Oid			member = list_nth_oid(family, i);
		List	   *parents = parents_of(member);
		ListCell   *lc;

		family = list_concat_unique_oid(family, find_inheritance_children(member, AccessExclusiveLock));
		foreach(lc, parents)
		{
			Oid			parent = lfirst_oid(lc);

			if (get_attnum(parent, column) == InvalidAttrNumber || list_member_oid(family, parent))
				continue;

			/*
			 * Not below what the user has named, so it isn't the user's to
			 * change
			 */
			if (!pgseal_owns_table(parent, GetUserId()))
				aclcheck_error(ACLCHECK_NOT_OWNER, get_relkind_objtype(get_rel_relkind(parent)),
							   get_rel_name(parent));
			LockRelationOid(parent, AccessExclusiveLock);
			family = lappend_oid(family, parent);
		}
	}
	return family;
}

typedef struct Column
{
	Oid			relation;
	AttrNumber	attnum;
	Oid			type;
	int32		typmod;
	bool		inherited;
} Column;

/* False when there is no such column */
static bool
find_column(Oid relation, const char *name, Column *out)
{
	HeapTuple	tuple = SearchSysCacheAttName(relation, name);
	Form_pg_attribute form;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_attribute) GETSTRUCT(tuple);
	out->relation = relation;
	out->attnum = form->attnum;
	out->type = form->atttypid;
	out->typmod = form->atttypmod;
	out->inherited = form->attinhcount > 0;
	ReleaseSysCache(tuple);
	return true;
}

/* What is planned for a relation so far, or now begins to be */
static PgsealRekeying *
rekeying_of(List **rekeyings, Oid relation)
{
	PgsealRekeying *rekeying;
	ListCell   *lc;

	foreach(lc, *rekeyings)
		if (((PgsealRekeying *) lfirst(lc))->relation == relation)
			return lfirst(lc);
	rekeying = palloc0(sizeof(PgsealRekeying));
	rekeying->relation = relation;
	*rekeyings = lappend(*rekeyings, rekeying);
	return rekeying;
}

static void
plan_column(List **rekeyings, const Column *column, int32 typmod)
{
	PgsealRekeying *rekeying = rekeying_of(rekeyings, column->relation);

	if (column->typmod == typmod || list_member_int(rekeying->attnums, column->attnum))
		return;
	rekeying->attnums = lappend_int(rekeying->attnums, column->attnum);
	rekeying->typmods = lappend_int(rekeying->typmods, typmod);
}

/* Adds what is to be done so that a column and its family get the key of another */
static void
plan_rekeying(List **rekeyings, const char *column, const Column *changed, int32 typmod)
{
	List	   *family = family_of(changed->relation, column);
	ListCell   *lc;

	foreach(lc, family)
	{
		Column		member;

		if (find_column(lfirst_oid(lc), column, &member) && member.type == changed->type)
			plan_column(rekeyings, &member, typmod);
	}
}

static void
report_named_keys(const char *column, const Column *child, const Column *parent)
{
	ereport(ERROR,
			(errcode(ERRCODE_DATATYPE_MISMATCH),
			 errmsg("column \"%s\" of table \"%s\" has another key than that of \"%s\"",
					column, get_rel_name(child->relation), get_rel_name(parent->relation)),
			 errdetail("The one is of type %s, the other of type %s.",
					   format_type_with_typemod(child->type, child->typmod),
					   format_type_with_typemod(parent->type, parent->typmod)),
			 errhint("Give the column its parent's type with ALTER TABLE ... ALTER COLUMN ... TYPE.")));
}

/* The columns of two tables, or of a table and a composite type, that will meet */
static void
join_columns(List **rekeyings, Oid child, Oid parent)
{
	Relation	rel = relation_open(parent, AccessShareLock);
	bool		parent_is_type = rel->rd_rel->relkind == RELKIND_COMPOSITE_TYPE;

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);
		char	   *name = pstrdup(NameStr(attribute->attname));
		Column		ours;
		Column		theirs;

		if (attribute->attisdropped || !OidIsValid(pgseal_own_key_type(attribute->atttypid)) ||
			!find_column(child, name, &ours) || !find_column(parent, name, &theirs) ||
			ours.type != theirs.type || ours.typmod == theirs.typmod)
			continue;
		if (!ours.inherited && pgseal_own_key_is(ours.typmod, child))
			plan_rekeying(rekeyings, name, &ours, theirs.typmod);
		else if (ours.inherited && !parent_is_type && pgseal_own_key_is(theirs.typmod, parent))
			plan_rekeying(rekeyings, name, &theirs, ours.typmod);
		else
			report_named_keys(name, &ours, &theirs);
	}
	relation_close(rel, NoLock);
}

static bool
owns_both(Oid child, Oid parent)
{
	return OidIsValid(child) && OidIsValid(parent) && child != parent &&
		pgseal_owns_table(child, GetUserId()) && pgseal_owns_table(parent, GetUserId());
}

static void
join_tables(Oid child, Oid parent, LOCKMODE parent_lock)
{
	List	   *rekeyings = NIL;

	if (!owns_both(child, parent))
		return;
	LockRelationOid(parent, parent_lock);
	join_columns(&rekeyings, child, parent);
	pgseal_rekey(rekeyings);
}

/* ALTER TABLE ... OF type */
static void
join_type(Oid relation, TypeName *type_name)
{
	Oid			type = LookupTypeNameOid(NULL, type_name, true);
	Oid			row = OidIsValid(type) ? get_typ_typrelid(type) : InvalidOid;
	List	   *rekeyings = NIL;

	if (!OidIsValid(row) || !pgseal_owns_table(relation, GetUserId()))
		return;
	join_columns(&rekeyings, relation, row);
	pgseal_rekey(rekeyings);
}

void
pgseal_join_altered(const AlterTableStmt *stmt, Oid relation)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		switch (cmd->subtype)
		{
			case AT_AttachPartition:
				join_tables(RangeVarGetRelid(((PartitionCmd *) cmd->def)->name, NoLock, true),
							relation, AlterTableGetLockLevel(stmt->cmds));
				break;
			case AT_AddInherit:
				join_tables(relation, RangeVarGetRelid((RangeVar *) cmd->def, NoLock, true),
							ShareUpdateExclusiveLock);
				break;
			case AT_AddOf:
				join_type(relation, (TypeName *) cmd->def);
				break;
			default:
				break;
		}
	}
}

void
pgseal_join_parents(const List *parents)
{
	List	   *oids = NIL;
	ListCell   *lc;

	/* Columns of the same name become one: they get the first parent's key */
	foreach(lc, parents)
	{
		Oid			parent = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);
		ListCell   *earlier;

		foreach(earlier, oids)
			join_tables(parent, lfirst_oid(earlier), ShareUpdateExclusiveLock);
		oids = lappend_oid(oids, parent);
	}
}

void
pgseal_join_added(Oid relation, const char *column, Oid type, int32 typmod)
{
	List	   *rekeyings = NIL;
	List	   *children = find_inheritance_children(relation, AccessExclusiveLock);
	ListCell   *lc;

	foreach(lc, children)
	{
		Column		theirs;

		if (find_column(lfirst_oid(lc), column, &theirs) && theirs.type == type &&
			theirs.typmod != typmod && pgseal_own_key_is(theirs.typmod, lfirst_oid(lc)))
			plan_rekeying(&rekeyings, column, &theirs, typmod);
	}
	pgseal_rekey(rekeyings);
}

static bool
has_encrypted_column(Oid relation)
{
	Relation	rel = relation_open(relation, AccessShareLock);
	bool		found = false;

	for (int i = 0; i < RelationGetNumberOfAttributes(rel) && !found; i++)
		found = OidIsValid(pgseal_own_key_type(TupleDescAttr(RelationGetDescr(rel), i)->atttypid));
	relation_close(rel, AccessShareLock);
	return found;
}

void
pgseal_join_view(const ViewStmt *stmt, const char *query_string)
{
	Oid			view = get_relname_relid(stmt->view->relname,
										 RangeVarGetCreationNamespace(stmt->view));
	ParseState *pstate = make_parsestate(NULL);
	RawStmt    *raw = makeNode(RawStmt);
	List	   *rekeyings = NIL;
	AttrNumber	attnum = 0;
	Query	   *query;
	ListCell   *lc;

	if (!OidIsValid(view) || get_rel_relkind(view) != RELKIND_VIEW ||
		!pgseal_owns_table(view, GetUserId()) || !has_encrypted_column(view))
		return;
	raw->stmt = copyObject(stmt->query);
	pstate->p_sourcetext = query_string;
	query = transformTopLevelStmt(pstate, raw);
	free_parsestate(pstate);
	if (query->commandType != CMD_SELECT || query->utilityStmt != NULL)
		return;
	LockRelationOid(view, AccessExclusiveLock);
	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		Column		column;
		char	   *name;

		if (target->resjunk)
			continue;
		name = get_attname(view, ++attnum, true);
		if (name == NULL || !find_column(view, name, &column) ||
			!OidIsValid(pgseal_own_key_type(column.type)) ||
			exprType((Node *) target->expr) != column.type)
			continue;
		plan_column(&rekeyings, &column, exprTypmod((Node *) target->expr));
	}
	pgseal_rekey(rekeyings);
}
