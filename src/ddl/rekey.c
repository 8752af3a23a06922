/*-------------------------------------------------------------------------
 *
 * rekey.c
 *	  Puts columns that exist under another key.
 *
 * Tables that are declared alike have keys of their own, and PostgreSQL lets
 * only columns with the same type modifier be those of partition and parent.  So
 * when two such tables meet, the columns of the one get the other's key.  This is
 * what ALTER COLUMN ... TYPE encrypted_text('key') does, but for what depends on
 * the columns: views, policies, triggers and generated columns, for which ALTER
 * TYPE gives up, stay, since to them nothing changes.
 *
 * Where there are rows the table is rewritten as ALTER TABLE does it, with its
 * indexes, under the exclusive lock that the statement takes anyway.  So no column
 * ever holds values of a key that is not its own, and what looks for a key's values
 * (rotation, destruction) needs to know nothing of this.  A value whose key was
 * destroyed stays what it is.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "commands/cluster.h"
#include "commands/tablecmds.h"
#include "executor/executor.h"
#include "executor/nodeModifyTable.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/predicate.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "base/scan_rows.h"
#include "ddl/own_key.h"
#include "ddl/rekey.h"
#include "ddl/restate.h"
#include "search/stored_expressions.h"
#include "value/find_sealed.h"
#include "value/seal.h"

/*
 * The rows
 */

/* PgsealValueVisitor: puts a value under the key of its column */
static struct varlena *
reseal_value(Datum sealed, const PgsealShape *shape, void *context)
{
	PgsealEnvelope envelope;
	struct varlena *resealed;

	pgseal_value_header(&envelope, sealed);
	if (pgseal_keyring_info(envelope.key_version_id)->destroyed)
		return NULL;
	resealed = pgseal_value_reseal(shape->type, (struct varlena *) DatumGetPointer(sealed),
								   shape->typmod);
	return resealed == (struct varlena *) DatumGetPointer(sealed) ? NULL : resealed;
}

typedef struct Rewriter
{
	Relation	rel;
	Relation	new_rel;
	PgsealShape **shapes;
	ResultRelInfo *result_rel;
	EState	   *estate;
	TupleTableSlot *new_row;
	BulkInsertState bulk;
} Rewriter;

/* Tokens and what else is made of sealed values; code of the table's owner */
static void
compute_generated(Rewriter *rewriter)
{
	TupleConstr *constr = RelationGetDescr(rewriter->rel)->constr;
	PgsealCaller caller;

	if (constr == NULL || !constr->has_generated_stored)
		return;
	pgseal_as_owner_begin(&caller, rewriter->rel->rd_rel->relowner);
	ExecComputeStoredGenerated(rewriter->result_rel, rewriter->estate, rewriter->new_row,
							   CMD_INSERT);
	pgseal_as_owner_end(&caller);
}

/* PgsealRowVisitor */
static void
rewrite_row(TupleTableSlot *row, void *context)
{
	Rewriter   *rewriter = context;
	TupleDesc	desc = RelationGetDescr(rewriter->rel);
	TupleTableSlot *new_row = rewriter->new_row;

	slot_getallattrs(row);
	ExecClearTuple(new_row);
	for (int i = 0; i < desc->natts; i++)
	{
		new_row->tts_values[i] = row->tts_values[i];
		new_row->tts_isnull[i] = row->tts_isnull[i] || TupleDescAttr(desc, i)->attisdropped;
		if (!new_row->tts_isnull[i] && rewriter->shapes[i] != NULL)
			new_row->tts_values[i] = pgseal_shape_visit(rewriter->shapes[i], row->tts_values[i],
														reseal_value, NULL);
	}
	ExecStoreVirtualTuple(new_row);
	new_row->tts_tableOid = RelationGetRelid(rewriter->rel);
	compute_generated(rewriter);
	table_tuple_insert(rewriter->new_rel, new_row, GetCurrentCommandId(true),
					   TABLE_INSERT_SKIP_FSM, rewriter->bulk);
	ResetPerTupleExprContext(rewriter->estate);
}

static void
copy_rows(Relation rel, Oid new_relid)
{
	Rewriter	rewriter = {.rel = rel};
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	rewriter.bulk = GetBulkInsertState();
	rewriter.new_rel = table_open(new_relid, NoLock);
	rewriter.shapes = pgseal_shape_of_row(RelationGetDescr(rel));
	rewriter.new_row = MakeSingleTupleTableSlot(RelationGetDescr(rel), &TTSOpsVirtual);
	rewriter.estate = CreateExecutorState();
	rewriter.result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(rewriter.result_rel, rel, 0, NULL, 0);
	pgseal_scan_rows(rel, snapshot, rewrite_row, &rewriter);
	ExecDropSingleTupleTableSlot(rewriter.new_row);
	FreeExecutorState(rewriter.estate);
	FreeBulkInsertState(rewriter.bulk);
	table_finish_bulk_insert(rewriter.new_rel, TABLE_INSERT_SKIP_FSM);
	table_close(rewriter.new_rel, NoLock);
	UnregisterSnapshot(snapshot);
}

static void
rewrite(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	char		persistence = rel->rd_rel->relpersistence;
	Oid			new_relid;

	if (!RELKIND_HAS_TABLE_AM(rel->rd_rel->relkind) || RelationGetNumberOfBlocks(rel) == 0)
	{
		table_close(rel, NoLock);
		return;
	}
	CheckTableNotInUse(rel, "ALTER TABLE");
	new_relid = make_new_heap(relid, rel->rd_rel->reltablespace, rel->rd_rel->relam,
							  persistence, AccessExclusiveLock);
	TransferPredicateLocksToHeapRelation(rel);
	copy_rows(rel, new_relid);
	table_close(rel, NoLock);
	finish_heap_swap(relid, new_relid, false, false, false, true, RecentXmin,
					 ReadNextMultiXactId(), persistence);
}

/*
 * The catalogs
 */

static void
set_typmod(Oid relation, AttrNumber attnum, int32 typmod)
{
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relation),
											Int16GetDatum(attnum));

	((Form_pg_attribute) GETSTRUCT(tuple))->atttypmod = typmod;
	CatalogTupleUpdate(attributes, &tuple->t_self, tuple);
	heap_freetuple(tuple);
	table_close(attributes, RowExclusiveLock);
	CommandCounterIncrement();
}

static void rekey_column(Oid relation, AttrNumber attnum, int32 typmod, List **relations);

/* A view's columns are what its query selects; a materialized one has rows */
static void
rekey_view(Oid view, List **relations)
{
	List	   *typmods = pgseal_restate_view_typmods(view);
	AttrNumber	attnum = 0;
	ListCell   *lc;

	LockRelationOid(view, AccessExclusiveLock);
	foreach(lc, typmods)
	{
		Oid			type;
		int32		typmod;
		Oid			collation;

		get_atttypetypmodcoll(view, ++attnum, &type, &typmod, &collation);
		if (!OidIsValid(pgseal_own_key_type(type)) || typmod == lfirst_int(lc))
			continue;
		/* Its rows would be under several keys, and its column under none */
		if (lfirst_int(lc) == PGSEAL_TYPMOD_NONE && get_rel_relkind(view) == RELKIND_MATVIEW)
			ereport(ERROR,
					(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
					 errmsg("column \"%s\" of materialized view \"%s\" would be of tables with different keys",
							get_attname(view, attnum, false), get_rel_name(view)),
					 errhint("Drop the materialized view first.")));
		rekey_column(view, attnum, lfirst_int(lc), relations);
	}
}

static void
rekey_column(Oid relation, AttrNumber attnum, int32 typmod, List **relations)
{
	List	   *views;
	ListCell   *lc;

	if (typmod > 0)
		pgseal_catalog_lock_columns(typmod, false);
	set_typmod(relation, attnum, typmod);
	*relations = list_append_unique_oid(*relations, relation);
	views = pgseal_restate_column(relation, attnum);
	foreach(lc, views)
		if (strchr("vm", get_rel_relkind(lfirst_oid(lc))))
			rekey_view(lfirst_oid(lc), relations);
}

/*
 * Rows of a table that is partitioned by tokens lie where their tokens belong, and
 * these will be others.
 */
static void
check_partitioned_by_tokens(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *expressions = pgseal_stored_partition_key(rel).expressions;
	List	   *members = NIL;
	ListCell   *lc;

	if (pgseal_stored_has_tokens((Node *) expressions, PGSEAL_TYPMOD_NONE))
		members = find_all_inheritors(relid, NoLock, NULL);
	foreach(lc, members)
	{
		Relation	member = table_open(lfirst_oid(lc), NoLock);

		if (RELKIND_HAS_STORAGE(member->rd_rel->relkind) && RelationGetNumberOfBlocks(member) > 0)
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("table \"%s\" cannot get another key while its partitions have rows",
							RelationGetRelationName(rel)),
					 errdetail("It is partitioned by blind_index(), and its rows would belong to other partitions."),
					 errhint("Declare its columns with the key of the other table, and insert the rows again.")));
		table_close(member, NoLock);
	}
	table_close(rel, NoLock);
}

/*
 * Rows that are stored elsewhere, as values of the row type of a changed relation or
 * of a type that has it inside, hold values of the columns, too.
 */
static void
add_users_of_type(Oid type, List **types, List **relations)
{
	Relation	rel;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;

	if (!OidIsValid(type) || list_member_oid(*types, type))
		return;
	*types = lappend_oid(*types, type);
	rel = table_open(DependRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(rel, DependReferenceIndexId, true, NULL, 2, keys);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);
		Oid			user = form->objid;

		if (form->classid == TypeRelationId)
			add_users_of_type(user, types, relations);
		if (form->classid != RelationRelationId || form->objsubid == 0)
			continue;
		LockRelationOid(user, AccessExclusiveLock);
		*relations = list_append_unique_oid(*relations, user);
		add_users_of_type(get_rel_type_id(user), types, relations);
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
}

static void
add_users_of_rows(List **relations)
{
	List	   *types = NIL;

	/* It grows meanwhile, by what has been looked at already */
	for (int i = 0, num = list_length(*relations); i < num; i++)
		add_users_of_type(get_rel_type_id(list_nth_oid(*relations, i)), &types, relations);
}

void
pgseal_rekey(List *rekeyings)
{
	List	   *relations = NIL;
	ListCell   *lc;
	ListCell   *attnum;
	ListCell   *typmod;

	foreach(lc, rekeyings)
	{
		PgsealRekeying *rekeying = lfirst(lc);

		forboth(attnum, rekeying->attnums, typmod, rekeying->typmods)
			rekey_column(rekeying->relation, lfirst_int(attnum), lfirst_int(typmod), &relations);
	}
	add_users_of_rows(&relations);
	foreach(lc, relations)
	{
		char		relkind = get_rel_relkind(lfirst_oid(lc));

		if (relkind == RELKIND_PARTITIONED_TABLE)
			check_partitioned_by_tokens(lfirst_oid(lc));
		else if (relkind == RELKIND_RELATION || relkind == RELKIND_MATVIEW)
			rewrite(lfirst_oid(lc));
	}
}
