/*-------------------------------------------------------------------------
 *
 * brin_insert.c
 *	  Keys for an insertion into BRIN, made ready before a block is locked.
 *
 * PostgreSQL calls addValue, and seals the new summary, under the lock of the
 * summary's block; there nobody may be asked for a key.  An operator class is told
 * of nothing before: not even opcinfo is called without the lock before 17, and it
 * doesn't learn which index it is for.  So the access method's aminsert, of which each
 * index in the relation cache has a copy of its own, is replaced there by one that
 * makes the keys of the row and of its summary ready first.
 *
 * That is done when a statement's privileges on its tables are checked, when a plan is
 * made for a table, where pgseal itself writes rows, at the first value that a
 * subscription's worker reads, and by the first addValue.  An index of the relation cache
 * that is made anew has PostgreSQL's aminsert again: such are noted here, and forgotten
 * when they change.  That may be between the check and the first row; and partitions,
 * of which there may be thousands, aren't opened only for this.  So the check makes index
 * keys ready, too, with which the first row of an index will do but for a value that is
 * under a version that nobody in this server has used.  A KMS that doesn't give them
 * fails no check: NULLs need none, and the first value asks again.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/brin_internal.h"
#include "access/genam.h"
#include "access/parallel.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_opclass.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/catcache.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/resowner.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/relation_changes.h"
#include "keys/facts.h"
#include "sealed/brin.h"
#include "type/sealed_input.h"
#include "value/seal.h"

/* Keys of a table that a check makes ready; of more, the first row may have none */
#define MAX_KEYS		8

/* A table that rows were written to, or an index that has our aminsert */
typedef struct Watched
{
	Oid			relation;		/* hash key: must be first */
	bool		is_table;
	int			num_keys;
	int32		keys[MAX_KEYS]; /* of its columns in such indexes */
} Watched;

static HTAB *watched = NULL;

/* Of the tables, some that have no such index: what most statements ask for is found here */
#define NUM_WITHOUT		64
static Oid	without[NUM_WITHOUT];

static bool all_watched = false;	/* of this database */
static ExecutorCheckPerms_hook_type prev_check_perms = NULL;

/* Those that seal and open summaries now; none if the key was destroyed */
static void
make_index_keys_ready(int32 key_hash)
{
	int			num = pgseal_keyring_num_index_versions(key_hash);
	ListCell   *lc;

	if (num == 1)
		(void) pgseal_keyring_index(key_hash, PGSEAL_ACCESS_INTERNAL);
	else if (num > 1)
		foreach(lc, pgseal_keyring_index_versions(key_hash))
			(void) pgseal_keyring_index_version(((PgsealVersionRow *) lfirst(lc))->id,
												PGSEAL_ACCESS_INTERNAL);
}

static bool
index_keys_are_at_hand(int32 key_hash)
{
	int			num = pgseal_keyring_num_index_versions(key_hash);
	ListCell   *lc;

	if (num == 1)
		return pgseal_keyring_index_at_hand(key_hash);
	if (num > 1)
		foreach(lc, pgseal_keyring_index_versions(key_hash))
			if (!pgseal_keyring_at_hand(((PgsealVersionRow *) lfirst(lc))->id))
				return false;
	return true;
}

/* The same, unless a KMS doesn't give them; in a subtransaction, which ends with its error */
static void
try_index_keys(int32 key_hash)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		make_index_keys_ready(key_hash);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
		if (error->sqlerrcode != ERRCODE_SYSTEM_ERROR &&
			error->sqlerrcode != ERRCODE_EXTERNAL_ROUTINE_EXCEPTION)
			ReThrowError(error);
		FreeErrorData(error);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

/* What can't be opened any more is not asked for: the range has no bounds then */
static void
make_value_key_ready(Datum value)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;

	if (!pgseal_value_try_header(&envelope, value))
		return;
	info = pgseal_keyring_info(envelope.key_version_id);
	if (info->known && !info->destroyed)
		(void) pgseal_keyring_open(envelope.key_version_id, PGSEAL_ACCESS_INTERNAL);
}

static int32
key_of_column(Relation index, int column)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(index), column);
	int32		key_hash = attribute->atttypmod;

	(void) getBaseTypeAndTypmod(attribute->atttypid, &key_hash);
	return key_hash;
}

static bool
sealed_brin_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
				   IndexUniqueCheck check_unique, bool unchanged, IndexInfo *info)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		if (isnull[i] || !pgseal_brin_is_our_column(index, i))
			continue;
		make_index_keys_ready(key_of_column(index, i));
		make_value_key_ready(values[i]);
	}
	return brininsert(index, values, isnull, tid, heap, check_unique, unchanged, info);
}

void
pgseal_brin_watch(Relation index)
{
	if (index->rd_indam->aminsert == brininsert)
		index->rd_indam->aminsert = sealed_brin_insert;
}

/*
 * Which tables
 */

static void
forget_watched(Oid relation)
{
	if (watched == NULL ||
		(OidIsValid(relation) && !all_watched &&
		 hash_search(watched, &relation, HASH_FIND, NULL) == NULL))
		return;
	all_watched = false;
	memset(without, 0, sizeof(without));
	pgseal_facts_empty_table(watched);
}

static Watched *
note_watched(Oid relation)
{
	Watched    *entry;
	bool		found;

	if (watched == NULL)
		watched = pgseal_facts_make_table("pgseal BRIN", sizeof(Oid), sizeof(Watched));
	if (hash_get_num_entries(watched) > PGSEAL_MAX_KEPT_FACTS)
		forget_watched(InvalidOid);
	entry = hash_search(watched, &relation, HASH_ENTER, &found);
	if (!found)
	{
		entry->is_table = false;
		entry->num_keys = 0;
	}
	return entry;
}

static void
note_keys(Watched *entry, Relation index)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		int32		key_hash;
		bool		found = false;

		if (!pgseal_brin_is_our_column(index, i))
			continue;
		key_hash = key_of_column(index, i);
		for (int k = 0; k < entry->num_keys && !found; k++)
			found = entry->keys[k] == key_hash;
		if (!found && entry->num_keys < MAX_KEYS)
			entry->keys[entry->num_keys++] = key_hash;
	}
}

/* Of a table's index, or a partitioned one; false when a lock would have to be waited for */
static bool
watch_index(Oid oid, Watched *table)
{
	Relation	index;

	if (!ConditionalLockRelationOid(oid, AccessShareLock))
		return false;
	index = RelationIdGetRelation(oid);
	if (index != NULL && pgseal_brin_is_ours(index))
	{
		(void) note_watched(oid);
		if (index->rd_rel->relkind == RELKIND_INDEX)
			pgseal_brin_watch(index);
		note_keys(table, index);
	}
	if (index != NULL)
		RelationClose(index);
	UnlockRelationOid(oid, AccessShareLock);
	return true;
}

/* Fills what is known of a table, from its indexes */
static bool
watch_indexes(Watched *table)
{
	Relation	relation;
	bool		done = true;
	ListCell   *lc;

	if (!ConditionalLockRelationOid(table->relation, AccessShareLock))
		return false;
	relation = RelationIdGetRelation(table->relation);
	foreach(lc, relation != NULL ? RelationGetIndexList(relation) : NIL)
		done = watch_index(lfirst_oid(lc), table) && done;
	if (relation != NULL)
		RelationClose(relation);
	UnlockRelationOid(table->relation, AccessShareLock);
	return done;
}

void
pgseal_brin_watch_table(Oid table)
{
	Watched    *entry;
	Watched		seen = {.relation = table, .is_table = true};

	if (without[table % NUM_WITHOUT] == table)
		return;
	entry = watched == NULL ? NULL : hash_search(watched, &table, HASH_FIND, NULL);

	/* A copy: what is read may take the entry away */
	if (entry != NULL && entry->is_table)
		seen = *entry;
	else
	{
		/* First: what changes meanwhile takes it away */
		note_watched(table)->is_table = true;
		entry = NULL;
		if (!watch_indexes(&seen))
			(void) hash_search(watched, &table, HASH_REMOVE, NULL);
		else if ((entry = hash_search(watched, &table, HASH_FIND, NULL)) != NULL)
			*entry = seen;
	}
	if (entry != NULL && seen.num_keys == 0)
		without[table % NUM_WITHOUT] = table;
	for (int i = 0; i < seen.num_keys; i++)
		if (index_keys_are_at_hand(seen.keys[i]) || IsInParallelMode())
			make_index_keys_ready(seen.keys[i]);
		else
			try_index_keys(seen.keys[i]);
}

void
pgseal_brin_watch_planned(Oid index)
{
	Watched		table = {.relation = InvalidOid};

	if (watched == NULL || hash_search(watched, &index, HASH_FIND, NULL) == NULL)
		(void) watch_index(index, &table);
}

static bool
check_perms(PGSEAL_CHECK_PERMS_ARGS)
{
	ListCell   *lc;

	foreach(lc, PGSEAL_CHECK_PERMS_LIST)
	{
		PgsealPermissions *wanted = lfirst(lc);

		if (OidIsValid(wanted->relid) && (wanted->requiredPerms & (ACL_INSERT | ACL_UPDATE)) != 0)
			pgseal_brin_watch_table(wanted->relid);
	}
	return prev_check_perms == NULL || prev_check_perms(PGSEAL_CHECK_PERMS_CALL);
}

/*
 * A subscription's worker, which checks no privileges in a way that is told
 */

/* Those that depend on an operator class */
static void
watch_indexes_of_class(Oid opclass)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(OperatorClassRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(opclass));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, keys);
	while ((row = systable_getnext(scan)) != NULL)
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(row);

		if (form->classid == RelationRelationId)
			pgseal_brin_watch_planned(form->objid);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

static void
watch_all(void)
{
	CatCList   *classes;

	if (all_watched)
		return;
	all_watched = true;
	classes = SearchSysCacheList1(CLAAMNAMENSP, ObjectIdGetDatum(BRIN_AM_OID));
	for (int i = 0; i < classes->n_members; i++)
	{
		Oid			opclass = ((Form_pg_opclass) GETSTRUCT(&classes->members[i]->tuple))->oid;

		if (pgseal_brin_is_our_class(opclass))
			watch_indexes_of_class(opclass);
	}
	ReleaseCatCacheList(classes);
}

void
pgseal_brin_init(void)
{
	pgseal_on_relation_change(forget_watched);
	prev_check_perms = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_perms;
	pgseal_replicated_input = watch_all;
}
