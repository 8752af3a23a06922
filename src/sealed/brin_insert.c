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
 * That is done when a statement's privileges on its tables are checked, where pgseal
 * itself writes rows, and, for the apply worker of a subscription, by the first
 * addValue.  The relation cache forgets it with the index, so what was done is
 * forgotten when any relation changes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/amapi.h"
#include "access/brin_internal.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "storage/lmgr.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/relation_changes.h"
#include "keys/facts.h"
#include "sealed/brin.h"
#include "value/seal.h"

static HTAB *watched = NULL;	/* OIDs of tables whose indexes have our aminsert */
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

static bool
sealed_brin_insert(Relation index, Datum *values, bool *isnull, ItemPointer tid, Relation heap,
				   IndexUniqueCheck check_unique, bool unchanged, IndexInfo *info)
{
	for (int i = 0; i < IndexRelationGetNumberOfKeyAttributes(index); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(index), i);
		int32		key_hash = attribute->atttypmod;

		if (isnull[i] || !pgseal_brin_is_our_column(index, i))
			continue;
		(void) getBaseTypeAndTypmod(attribute->atttypid, &key_hash);
		make_index_keys_ready(key_hash);
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
	if (watched != NULL && hash_get_num_entries(watched) > 0)
		pgseal_facts_empty_table(watched);
}

/* False when a lock would have to be waited for */
static bool
watch_indexes(Oid table)
{
	Relation	relation;
	ListCell   *lc;
	bool		done = true;

	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return false;
	relation = RelationIdGetRelation(table);
	foreach(lc, relation != NULL ? RelationGetIndexList(relation) : NIL)
	{
		Relation	index;

		if (!ConditionalLockRelationOid(lfirst_oid(lc), AccessShareLock))
		{
			done = false;
			continue;
		}
		index = RelationIdGetRelation(lfirst_oid(lc));
		if (index != NULL && pgseal_brin_is_ours(index))
			pgseal_brin_watch(index);
		if (index != NULL)
			RelationClose(index);
		UnlockRelationOid(lfirst_oid(lc), AccessShareLock);
	}
	if (relation != NULL)
		RelationClose(relation);
	UnlockRelationOid(table, AccessShareLock);
	return done;
}

void
pgseal_brin_watch_table(Oid table)
{
	bool		done = true;
	ListCell   *lc;

	if (watched == NULL)
		watched = pgseal_facts_make_table("pgseal BRIN tables", sizeof(Oid), sizeof(Oid));
	if (hash_search(watched, &table, HASH_FIND, NULL) != NULL)
		return;
	if (hash_get_num_entries(watched) > PGSEAL_MAX_KEPT_FACTS)
		forget_watched(InvalidOid);

	/* First: what changes meanwhile takes it away */
	(void) hash_search(watched, &table, HASH_ENTER, NULL);
	foreach(lc, find_all_inheritors(table, NoLock, NULL))
		done = watch_indexes(lfirst_oid(lc)) && done;
	if (!done)
		(void) hash_search(watched, &table, HASH_REMOVE, NULL);
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

void
pgseal_brin_init(void)
{
	pgseal_on_relation_change(forget_watched);
	prev_check_perms = ExecutorCheckPerms_hook;
	ExecutorCheckPerms_hook = check_perms;
}
