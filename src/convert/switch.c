/*-------------------------------------------------------------------------
 *
 * switch.c
 *	  The copy of a table whose column is converted, and how it takes its place.
 *
 * The table must keep its OID and the place of its columns, which views, foreign
 * keys, publications, privileges and applications refer to.  So nothing but the
 * files are exchanged, as CLUSTER does it.  All that stands in the catalogs is
 * PostgreSQL's own doing: the table gets an empty file, and then an ordinary ALTER
 * TABLE ... TYPE is made on it, which takes no time on an empty table, carries
 * over defaults, checks and comments, and drops the statistics of the old type.
 * Then the files of the copy, and of its indexes, become those of the table.
 *
 * The copy is made like the transient table of CLUSTER, with dropped columns in
 * their places, so that its rows have the table's layout.  It belongs to the
 * table's owner, as the expressions of its indexes do; it lies in the schema
 * pgseal, goes when the table goes, and logical decoding passes over it
 * (pg_class.relrewrite).
 *
 * A rehearsal does the same on the table itself, in a transaction that is rolled
 * back, so that what PostgreSQL refuses is known before any row is copied.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/attmap.h"
#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/toast_internals.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "commands/cluster.h"
#include "commands/comment.h"
#include "commands/defrem.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "parser/parse_utilcmd.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/relation_changes.h"
#include "convert/convert.h"
#include "ddl/brin_networks.h"

/*
 * Indexes
 */

/* The parsed, not yet analyzed call blind_index(column) */
static Node *
token_call(const char *column)
{
	ColumnRef  *ref = makeNode(ColumnRef);

	ref->fields = list_make1(makeString(pstrdup(column)));
	ref->location = -1;
	return (Node *) makeFuncCall(list_make2(makeString("pg_catalog"),
											makeString("blind_index")),
								 list_make1(ref), COERCE_EXPLICIT_CALL, -1);
}

/* The class of an ordered index for the beginnings of texts; NIL: the default */
static List *
opclass_for(Relation index, const char *for_patterns)
{
	return pgseal_convert_is_for_patterns(index) ?
		list_make2(makeString("pg_catalog"), makeString(pstrdup(for_patterns))) : NIL;
}

/* Instead of an index on the column: one that serves the same on its new type */
static void
replace_index_element(const PgsealConversion *conversion, Relation index, IndexStmt *stmt)
{
	IndexElem  *element = linitial_node(IndexElem, stmt->indexParams);
	char	   *column = get_attname(conversion->relid, conversion->attnum, false);

	element->name = column;
	element->expr = NULL;
	element->opclass = NIL;
	element->opclassopts = NIL;
	element->indexcolname = NULL;
	switch (pgseal_convert_new_index(conversion, index))
	{
		case PGSEAL_NEW_SEALED_INDEX:
			element->opclass = opclass_for(index, "sealed_text_pattern_ops");
			stmt->accessMethod = "sealed";
			stmt->options = NIL;
			break;
		case PGSEAL_NEW_BTREE:
			element->opclass = opclass_for(index, "text_pattern_ops");
			stmt->accessMethod = "btree";
			stmt->options = NIL;
			break;
		case PGSEAL_NEW_BLIND_INDEX:
			element->name = NULL;
			element->collation = NIL;
			element->ordering = SORTBY_DEFAULT;
			element->nulls_ordering = SORTBY_NULLS_DEFAULT;
			element->expr = token_call(column);
			stmt->transformed = false;
			break;
		case PGSEAL_NEW_LIKE_INDEX:
			element->collation = NIL;
			/* What served < and > goes on to */
			if (!conversion->encrypts && index->rd_rel->relam == BRIN_AM_OID && conversion->type->base->oid == INETOID)
				element->opclass = pgseal_brin_inet_minmax();
			break;
		default:
			element->collation = NIL;
			break;
	}
}

/* A statement that makes an index like this one of the table */
static IndexStmt *
index_statement(const PgsealConversion *conversion, Oid relid)
{
	Relation	table = table_open(conversion->relid, NoLock);
	Relation	index = index_open(relid, AccessShareLock);
	AttrMap    *map = make_attrmap(RelationGetNumberOfAttributes(table));
	IndexStmt  *stmt;

	for (int i = 0; i < map->maplen; i++)
		map->attnums[i] = i + 1;
	stmt = generateClonedIndexStmt(NULL, index, map, NULL);
	if (pgseal_convert_replaces_index(conversion, relid))
		replace_index_element(conversion, index, stmt);
	free_attrmap(map);
	index_close(index, NoLock);
	table_close(table, NoLock);
	return stmt;
}

static Oid
make_index(Oid relid, IndexStmt *stmt)
{
	Node	   *predicate = stmt->whereClause;
	ObjectAddress index;

	/* That of a cloned statement has been analyzed already */
	stmt->whereClause = NULL;
	stmt = transformIndexStmt(relid, stmt, "");
	stmt->whereClause = predicate;
	index = pgseal_define_index(relid, stmt);
	CommandCounterIncrement();
	return index.objectId;
}

/* Of the copy only the primary key is unique (copy.c). */
static Oid
make_copy_index(const PgsealConversion *conversion, Oid relid)
{
	IndexStmt  *stmt = index_statement(conversion, relid);

	stmt->unique = stmt->primary;
	stmt->primary = false;
	stmt->isconstraint = false;
	stmt->deferrable = false;
	stmt->initdeferred = false;
	stmt->excludeOpNames = NIL;
	pgseal_set_without_overlaps(stmt, false);
	stmt->idxcomment = NULL;
	return make_index(conversion->copy, stmt);
}

/*
 * Changing the catalogs
 */

/* ALTER TABLE ... ALTER COLUMN ... TYPE, without statement triggers and hooks */
static void
change_type(const PgsealConversion *conversion, Oid relid)
{
	AlterTableStmt *stmt = makeNode(AlterTableStmt);
	AlterTableCmd *cmd = makeNode(AlterTableCmd);
	PlannedStmt *planned = makeNode(PlannedStmt);
	AlterTableUtilityContext context = {.pstmt = planned, .queryString = "", .relid = relid};
	PgsealStorage before = pgseal_convert_storage(relid, conversion->attnum);
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(relid, conversion->attnum, &type, &typmod, &collation);
	cmd->subtype = AT_AlterColumnType;
	cmd->name = get_attname(relid, conversion->attnum, false);
	cmd->def = (Node *) makeColumnDef(cmd->name, conversion->new_type, conversion->new_typmod,
									  collation);
	stmt->relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
								  get_rel_name(relid), -1);
	stmt->cmds = list_make1(cmd);
	stmt->objtype = OBJECT_TABLE;
	planned->commandType = CMD_UTILITY;
	planned->utilityStmt = (Node *) stmt;
	AlterTable(stmt, AccessExclusiveLock, &context);
	CommandCounterIncrement();
	pgseal_convert_keep_storage(conversion, relid, &before);
}

/* The old file goes when the transaction commits. */
static void
make_empty(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);

	pgseal_set_new_file(rel);
	table_close(rel, NoLock);
	CommandCounterIncrement();
}

static void
drop_relation(Oid relid)
{
	ObjectAddress address;

	ObjectAddressSet(address, RelationRelationId, relid);
	performDeletion(&address, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	CommandCounterIncrement();
}

/* Drops an index that is to be replaced; returns how to make the new one */
static IndexStmt *
take_index(const PgsealConversion *conversion, Oid relid)
{
	IndexStmt  *stmt = index_statement(conversion, relid);

	stmt->idxname = get_rel_name(relid);
	stmt->idxcomment = GetComment(relid, RelationRelationId, 0);
	drop_relation(relid);
	return stmt;
}

/*
 * Empties the table, and changes the column's type and indexes.  Returns its
 * indexes as they are now, in the order of the conversion.
 */
static List *
change_catalogs(const PgsealConversion *conversion)
{
	List	   *statements = NIL;
	List	   *indexes = NIL;
	ListCell   *lc;
	ListCell   *stmt;

	foreach(lc, conversion->indexes)
		statements = lappend(statements,
							 pgseal_convert_replaces_index(conversion, lfirst_oid(lc)) ?
							 take_index(conversion, lfirst_oid(lc)) : NULL);
	make_empty(conversion->relid);
	change_type(conversion, conversion->relid);
	pgseal_convert_switch_signing(conversion);
	pgseal_convert_default(conversion);
	forboth(lc, conversion->indexes, stmt, statements)
		indexes = lappend_oid(indexes, lfirst(stmt) == NULL ? lfirst_oid(lc) :
							  make_index(conversion->relid, lfirst_node(IndexStmt, stmt)));
	return indexes;
}

void
pgseal_convert_rehearse(const PgsealConversion *conversion)
{
	(void) change_catalogs(conversion);
}

/*
 * The copy
 */

static Oid
rewrite_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			original = ((Form_pg_class) GETSTRUCT(tuple))->relrewrite;

	ReleaseSysCache(tuple);
	return original;
}

void
pgseal_convert_hide_from_decoding(Oid relid, bool hide)
{
	Oid			original = hide ? relid : InvalidOid;
	Relation	classes;
	HeapTuple	tuple;

	if (rewrite_of(relid) == original)
		return;
	LockRelationOid(relid, ShareUpdateExclusiveLock);
	classes = table_open(RelationRelationId, RowExclusiveLock);
	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	((Form_pg_class) GETSTRUCT(tuple))->relrewrite = original;
	CatalogTupleUpdate(classes, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(classes, RowExclusiveLock);
	CommandCounterIncrement();
}

static Oid
toast_of(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			toast = ((Form_pg_class) GETSTRUCT(tuple))->reltoastrelid;

	ReleaseSysCache(tuple);
	return toast;
}

/* Out of the table's schema, under a name that says what it is */
static void
put_away(Oid copy, Oid relid)
{
	Relation	rel = table_open(copy, NoLock);
	ObjectAddresses *moved = new_object_addresses();
	ObjectAddress of_copy;
	ObjectAddress of_table;

	AlterTableNamespaceInternal(rel, RelationGetNamespace(rel),
								pgseal_schema(), moved);
	free_object_addresses(moved);
	table_close(rel, NoLock);
	CommandCounterIncrement();
	RenameRelationInternal(copy, psprintf("copy_of_%u", relid), true, false);
	ObjectAddressSet(of_copy, RelationRelationId, copy);
	ObjectAddressSet(of_table, RelationRelationId, relid);
	recordDependencyOn(&of_copy, &of_table, DEPENDENCY_AUTO);
	CommandCounterIncrement();
}

/*
 * The copy has no expressions.  What a generated column has stored, a row of the copy
 * gets as it is; and a virtual one, since 18, has NULL stored, whatever is NOT NULL.
 */
static void
generate_nothing(Oid copy, AttrNumber num_columns)
{
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);

	for (AttrNumber i = 1; i <= num_columns; i++)
	{
		HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(copy), Int16GetDatum(i));
		Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);

		if (form->attgenerated != '\0')
		{
			form->attgenerated = '\0';
			form->attnotnull = false;
			CatalogTupleUpdate(attributes, &tuple->t_self, tuple);
		}
		heap_freetuple(tuple);
	}
	table_close(attributes, RowExclusiveLock);
	CommandCounterIncrement();
}

void
pgseal_convert_make_copy(PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	Oid			tablespace = rel->rd_rel->reltablespace;
	Oid			method = rel->rd_rel->relam;
	char		persistence = rel->rd_rel->relpersistence;
	AttrNumber	num_columns = RelationGetNumberOfAttributes(rel);
	ListCell   *lc;

	table_close(rel, NoLock);
	conversion->copy = make_new_heap(conversion->relid, tablespace, method, persistence,
									 AccessExclusiveLock);
	CommandCounterIncrement();
	put_away(conversion->copy, conversion->relid);
	generate_nothing(conversion->copy, num_columns);
	change_type(conversion, conversion->copy);
	if (OidIsValid(toast_of(conversion->copy)))
		pgseal_convert_hide_from_decoding(toast_of(conversion->copy), true);
	conversion->copy_indexes = NIL;
	foreach(lc, conversion->indexes)
		conversion->copy_indexes = lappend_oid(conversion->copy_indexes,
											   make_copy_index(conversion, lfirst_oid(lc)));
}

/* The copy, if it is one: the OID may have been another relation's since. */
void
pgseal_convert_drop_copy(Oid relid, Oid copy)
{
	char	   *name = get_rel_name(copy);

	if (name != NULL && get_rel_namespace(copy) == pgseal_schema() &&
		strcmp(name, psprintf("copy_of_%u", relid)) == 0)
		drop_relation(copy);
}

/*
 * The switch
 */

/* The rows of the one must be rows of the other */
static void
check_layout(Oid a, Oid b)
{
	Relation	rel_a = table_open(a, NoLock);
	Relation	rel_b = table_open(b, NoLock);
	TupleDesc	desc_a = RelationGetDescr(rel_a);
	TupleDesc	desc_b = RelationGetDescr(rel_b);
	bool		same = desc_a->natts == desc_b->natts;

	for (int i = 0; same && i < desc_a->natts; i++)
	{
		Form_pg_attribute x = TupleDescAttr(desc_a, i);
		Form_pg_attribute y = TupleDescAttr(desc_b, i);

		same = x->atttypid == y->atttypid && x->attlen == y->attlen &&
			x->attbyval == y->attbyval && x->attalign == y->attalign &&
			x->attisdropped == y->attisdropped;
	}
	if (!same)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("table \"%s\" has another layout than its copy",
						RelationGetRelationName(rel_a))));
	table_close(rel_a, NoLock);
	table_close(rel_b, NoLock);
}

#define SWAP(type, a, b) \
	do { \
		type		swapped = (a); \
		(a) = (b); \
		(b) = swapped; \
	} while (0)

/* What pg_class says of the files, and the TOAST table */
static void
swap_files(Oid relid, Oid other)
{
	Relation	classes = table_open(RelationRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(relid));
	HeapTuple	other_tuple = SearchSysCacheCopy1(RELOID, ObjectIdGetDatum(other));
	Form_pg_class a = (Form_pg_class) GETSTRUCT(tuple);
	Form_pg_class b = (Form_pg_class) GETSTRUCT(other_tuple);
	Relation	rel;
	Relation	other_rel;

	SWAP(Oid, a->relfilenode, b->relfilenode);
	SWAP(Oid, a->reltablespace, b->reltablespace);
	SWAP(Oid, a->reltoastrelid, b->reltoastrelid);
	SWAP(int32, a->relpages, b->relpages);
	SWAP(float4, a->reltuples, b->reltuples);
	SWAP(int32, a->relallvisible, b->relallvisible);
	pgseal_swap_frozen_pages(a, b);
	SWAP(TransactionId, a->relfrozenxid, b->relfrozenxid);
	SWAP(TransactionId, a->relminmxid, b->relminmxid);
	CatalogTupleUpdate(classes, &tuple->t_self, tuple);
	CatalogTupleUpdate(classes, &other_tuple->t_self, other_tuple);
	table_close(classes, RowExclusiveLock);

	/* Which of the two has a file that an abort takes away */
	rel = relation_open(relid, NoLock);
	other_rel = relation_open(other, NoLock);
	pgseal_swapped_new_file(rel, other_rel);
	relation_close(rel, NoLock);
	relation_close(other_rel, NoLock);
	pgseal_close_files(relid);
	pgseal_close_files(other);
	CommandCounterIncrement();
}

static void
own_toast(Oid relid)
{
	Oid			toast = toast_of(relid);
	ObjectAddress of_toast;
	ObjectAddress of_table;

	if (!OidIsValid(toast))
		return;
	(void) deleteDependencyRecordsFor(RelationRelationId, toast, false);
	ObjectAddressSet(of_toast, RelationRelationId, toast);
	ObjectAddressSet(of_table, RelationRelationId, relid);
	recordDependencyOn(&of_toast, &of_table, DEPENDENCY_INTERNAL);
}

/* A TOAST table has the name of its table's OID. */
static void
name_toast(Oid relid)
{
	Oid			toast = toast_of(relid);

	if (!OidIsValid(toast))
		return;
	pgseal_convert_hide_from_decoding(toast, false);
	RenameRelationInternal(toast, psprintf("pg_toast_%u", relid), true, false);
	CommandCounterIncrement();
	RenameRelationInternal(toast_get_valid_index(toast, AccessShareLock),
						   psprintf("pg_toast_%u_index", relid), true, true);
	CommandCounterIncrement();
}

void
pgseal_convert_switch(const PgsealConversion *conversion)
{
	List	   *indexes;
	ListCell   *lc;
	ListCell   *other;

	pgseal_convert_switch_ledger(conversion);
	indexes = change_catalogs(conversion);
	check_layout(conversion->relid, conversion->copy);
	forboth(lc, indexes, other, conversion->copy_indexes)
	{
		LockRelationOid(lfirst_oid(lc), AccessExclusiveLock);
		LockRelationOid(lfirst_oid(other), AccessExclusiveLock);
		swap_files(lfirst_oid(lc), lfirst_oid(other));
	}
	swap_files(conversion->relid, conversion->copy);
	own_toast(conversion->relid);
	own_toast(conversion->copy);
	CommandCounterIncrement();

	pgseal_convert_drop_trigger(conversion->relid);
	drop_relation(conversion->copy);
	name_toast(conversion->relid);
	pgseal_row_type_changed();
}
