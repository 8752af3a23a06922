/*-------------------------------------------------------------------------
 *
 * reencrypt.c
 *	  Moving stored values from old key versions to the current ones.
 *
 * A key version that is no longer the newest of its key gets a row in
 * pgseal_internal.rotation.  Once every transaction that may have sealed under it has
 * ended, it takes part in the next round.  That takes two waits: for the
 * snapshots from before the rotation, as who has one may still seal under the
 * old version; then for the transactions that were running by then, as one of
 * them may have begun to write only after it had sealed.  (Prepared transactions
 * are among them.)
 *
 * A round goes through all tables that may have values of the keys in it, some
 * blocks per transaction (reencrypt_table.c), and counts what it finds under each
 * version.  A version under which a whole round has found nothing is retired:
 * re-encryption is done with it.  If something was found there is another round,
 * which also comes back for the rows that were skipped as others had locked them.
 * A table that was made meanwhile, or given a column, is gone through before the
 * round ends; one that was rewritten while it was gone through, from its start
 * again (table_pass.c).  A table that can't be dealt with is named in pgseal_internal.rotation_table and
 * keeps the version from being retired.  Retired is a statement about what is
 * stored, not a deletion: destroying a version is for its owner to ask (destroy.c).
 * Where the key catalog comes by replication, or with a dump, "retired" tells what
 * another node has found in its tables; so each node also notes its own findings, in
 * pgseal_internal.retired_here, and goes through its tables until it has.  Where
 * tables of Citus may have values of the key, a node only does that; what it asks of all
 * of them is another matter (admin/retire_versions.c).
 *
 * So are the totals of ledgers of signed tables, and the records that aren't in them,
 * before a round ends (signed/ledger.c).
 *
 * Child keys that an old version of their parent wraps are wrapped by the
 * current one before the tables' turn.
 *
 * All state is in the two tables, changed in the transaction that does the work,
 * so a crash at any point repeats or loses nothing.
 *
 * No transaction waits for a lock on a table: it tries, and otherwise comes
 * back later.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "life/reencrypt.h"
#include "life/reencrypt_table.h"
#include "life/rewrap.h"
#include "life/table_pass.h"
#include "signed/ledger.h"
#include "signed/signed_holders.h"

/* Child keys rewrapped in one transaction */
#define CHILDREN_PER_STEP		500

/*
 * A round that got nothing done is repeated after so many times its duration, and
 * after pgseal.worker_interval, doubled for each that got nothing done so many times
 */
#define PAUSE_FACTOR			10
#define PAUSE_DOUBLINGS			6

static Oid
relation_filenode(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			filenode = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		filenode = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
		ReleaseSysCache(tuple);
	}
	return filenode;
}

/*
 * Beginning a round
 */

/* Of a key version v */
#define NOT_RETIRED_HERE \
	"(v.retired IS NULL OR NOT EXISTS" \
	" (SELECT FROM pgseal_internal.retired_here h WHERE h.key_version_id = v.id))"

/* Old versions that aren't known yet get their row */
static void
note_old_versions(void)
{
	(void) pgseal_query("DELETE FROM pgseal_internal.rotation r WHERE NOT EXISTS"
						" (SELECT FROM pgseal.key_version v"
						"  WHERE v.id = r.key_version_id AND v.wrapped IS NOT NULL AND " NOT_RETIRED_HERE ")", 0);
	(void) pgseal_query("DELETE FROM pgseal_internal.retired_here h WHERE NOT EXISTS"
						" (SELECT FROM pgseal.key_version v"
						"  WHERE v.id = h.key_version_id AND v.wrapped IS NOT NULL)", 0);
	if (pgseal_query("INSERT INTO pgseal_internal.rotation (key_version_id, since)"
					 " SELECT DISTINCT v.id, pg_current_xact_id()"
					 " FROM pgseal.key_version n JOIN pgseal.key_version v USING (key)"
					 " WHERE n.number > 1 AND n.purpose = 'd' AND n.wrapped IS NOT NULL"
					 "  AND v.purpose = 'd' AND v.wrapped IS NOT NULL AND " NOT_RETIRED_HERE
					 "  AND (v.number, v.id) < (n.number, n.id)"
					 " ON CONFLICT DO NOTHING", 0) > 0)
		/* Who rotates again, in the hope of getting on, needn't wait */
		(void) pgseal_query("UPDATE pgseal_internal.rotation SET pause_until = NULL, in_vain = 0"
							" WHERE pause_until IS NOT NULL", 0);
}

TransactionId
pgseal_reencrypt_horizon(void)
{
	Relation	rel = relation_open(pgseal_catalog_version_relation(), AccessShareLock);
	TransactionId horizon = GetOldestNonRemovableTransactionId(rel);

	relation_close(rel, AccessShareLock);
	return horizon;
}

/* The end of the first wait; true when any version has come to it */
static bool
settle_versions(TransactionId horizon)
{
	return pgseal_query("UPDATE pgseal_internal.rotation SET settled = true, since = pg_current_xact_id()"
						" WHERE NOT settled AND age(since::xid) > age($1)", 1,
						XIDOID, TransactionIdGetDatum(horizon)) > 0;
}

/*
 * The end of the second wait: marks the versions whose turn it is, and returns
 * the hashes of their keys
 */
static List *
choose_versions(TransactionId horizon)
{
	List	   *hashes = NIL;
	SPITupleTable *versions;
	uint64		num;

	num = pgseal_query("UPDATE pgseal_internal.rotation r"
					   " SET in_round = true, found = 0, round_began = now(), pause_until = NULL"
					   " FROM pgseal_internal.rotation before, pgseal.key_version v JOIN pgseal.key k ON k.name = v.key"
					   " WHERE v.id = r.key_version_id AND before.key_version_id = r.key_version_id"
					   "  AND r.settled AND (r.pause_until IS NULL OR r.pause_until <= now())"
					   "  AND age(r.since::xid) > age($1)"
					   " RETURNING k.name_hash, v.id, v.key, before.round_began IS NULL", 1,
					   XIDOID, TransactionIdGetDatum(horizon));
	versions = SPI_tuptable;
	for (uint64 i = 0; i < num; i++)
	{
		SPI_tuptable = versions;
		hashes = list_append_unique_int(hashes, (int32) pgseal_query_int64(i, 1));
		if (pgseal_query_int64(i, 4) != 0)
			pgseal_catalog_event("reencrypt_began", pgseal_query_text(i, 3),
								 pgseal_query_int64(i, 2), NULL);
	}
	return hashes;
}

static Datum
int4_array(List *ints)
{
	Datum	   *elements = palloc(Max(list_length(ints), 1) * sizeof(Datum));
	int			num = 0;
	ListCell   *lc;

	foreach(lc, ints)
		elements[num++] = Int32GetDatum(lfirst_int(lc));
	return PointerGetDatum(construct_array(elements, num, INT4OID, sizeof(int32), true,
										   TYPALIGN_INT));
}

static bool
may_hold_any(const PgsealHolder *holder, List *hashes)
{
	ListCell   *lc;

	foreach(lc, hashes)
		if (pgseal_shape_may_hold(holder, lfirst_int(lc)))
			return true;
	return false;
}

/*
 * Notes the tables that may have values of these keys, unless they are noted
 * already; true when any was new
 */
static bool
note_tables(List *hashes)
{
	bool		any_new = false;
	ListCell   *lc;

	foreach(lc, pgseal_signed_holders())
	{
		PgsealHolder *holder = lfirst(lc);
		const char *obstacle = pgseal_reencrypt_obstacle(holder);

		if (may_hold_any(holder, hashes) &&
			pgseal_query("INSERT INTO pgseal_internal.rotation_table AS t"
						 " (relid, filenode, key_hashes, phase, detail)"
						 " VALUES ($1, $2, $3, $4, nullif($5, ''))"
						 " ON CONFLICT (relid) DO UPDATE"
						 " SET filenode = excluded.filenode, key_hashes = excluded.key_hashes,"
						 "  phase = excluded.phase, detail = excluded.detail, next_block = 0"
						 " WHERE NOT t.key_hashes @> excluded.key_hashes", 5,
						 OIDOID, ObjectIdGetDatum(holder->relid),
						 OIDOID, ObjectIdGetDatum(relation_filenode(holder->relid)),
						 INT4ARRAYOID, int4_array(holder->key_hashes),
						 TEXTOID, CStringGetTextDatum(obstacle ? "untouchable" : "waiting"),
						 TEXTOID, CStringGetTextDatum(obstacle ? obstacle : "")) > 0)
			any_new = true;
	}
	return any_new;
}

static PgsealTableStep
begin_round(void)
{
	TransactionId horizon = pgseal_reencrypt_horizon();
	List	   *hashes;

	note_old_versions();
	if (settle_versions(horizon))
		return PGSEAL_STEP_MORE;
	hashes = choose_versions(horizon);
	if (hashes == NIL)
		return pgseal_query("SELECT FROM pgseal_internal.rotation"
							" WHERE pause_until IS NULL OR pause_until <= now() LIMIT 1", 0) > 0 ?
			PGSEAL_STEP_LATER : PGSEAL_STEP_IDLE;
	(void) pgseal_query("DELETE FROM pgseal_internal.rotation_table", 0);
	(void) note_tables(hashes);
	return PGSEAL_STEP_MORE;
}

/*
 * Within a round
 */

/*
 * From where the last step stopped, as those that have been dealt with leave
 * many dead entries in the index
 */
static bool
rewrap_children_of(int64 parent, int64 after)
{
	int64		ids[CHILDREN_PER_STEP];
	int			num = pgseal_catalog_children(parent, after, ids, lengthof(ids));

	/* Others may have come meanwhile */
	if (num == 0)
		num = pgseal_catalog_children(parent, PG_INT64_MIN, ids, lengthof(ids));
	if (num == 0)
		return false;
	pgseal_rewrap_children(ids, num);
	(void) pgseal_query("UPDATE pgseal_internal.rotation SET last_child = $2 WHERE key_version_id = $1", 2,
						INT8OID, Int64GetDatum(parent),
						INT8OID, Int64GetDatum(ids[num - 1]));
	return true;
}

static bool
rewrap_children(void)
{
	uint64		num = pgseal_query("SELECT key_version_id, last_child FROM pgseal_internal.rotation"
								   " WHERE in_round", 0);
	SPITupleTable *parents = SPI_tuptable;

	for (uint64 i = 0; i < num; i++)
	{
		SPI_tuptable = parents;
		if (rewrap_children_of(pgseal_query_int64(i, 1), pgseal_query_int64(i, 2)))
			return true;
	}
	return false;
}

static void
set_phase(Oid relid, const char *phase, const char *detail)
{
	(void) pgseal_query("UPDATE pgseal_internal.rotation_table SET phase = $2, detail = nullif($3, '')"
						" WHERE relid = $1", 3,
						OIDOID, ObjectIdGetDatum(relid),
						TEXTOID, CStringGetTextDatum(phase),
						TEXTOID, CStringGetTextDatum(detail ? detail : ""));
}

static void
save_batch(Relation rel, const PgsealBatchResult *result, BlockNumber next, BlockNumber blocks)
{
	ListCell   *lc;

	(void) pgseal_query("UPDATE pgseal_internal.rotation_table SET phase = $2, next_block = $3, blocks = $4,"
						" resealed = resealed + $5, skipped = skipped + $6, broken = broken + $7,"
						" filenode = $8, detail = NULL WHERE relid = $1", 8,
						OIDOID, ObjectIdGetDatum(RelationGetRelid(rel)),
						TEXTOID, CStringGetTextDatum(next >= blocks ? "done" : "scanning"),
						INT8OID, Int64GetDatum((int64) next),
						INT8OID, Int64GetDatum((int64) blocks),
						INT8OID, Int64GetDatum(result->resealed),
						INT8OID, Int64GetDatum(result->skipped),
						INT8OID, Int64GetDatum(result->broken),
						OIDOID, ObjectIdGetDatum(rel->rd_rel->relfilenode));
	foreach(lc, result->found)
	{
		PgsealFound *found = lfirst(lc);

		(void) pgseal_query("UPDATE pgseal_internal.rotation SET found = found + $2"
							" WHERE key_version_id = $1 AND in_round", 2,
							INT8OID, Int64GetDatum(found->key_version_id),
							INT8OID, Int64GetDatum(found->values));
	}
}

static PgsealTableStep
continue_table(PgsealTablePass *pass, bool was_locked)
{
	const char *obstacle;
	Relation	rel;

	if (!ConditionalLockRelationOid(pass->relid, RowExclusiveLock))
	{
		set_phase(pass->relid, "locked", NULL);
		return was_locked ? PGSEAL_STEP_LATER : PGSEAL_STEP_MORE;
	}
	rel = try_relation_open(pass->relid, NoLock);
	if (rel == NULL)
	{
		(void) pgseal_query("DELETE FROM pgseal_internal.rotation_table WHERE relid = $1", 1,
							OIDOID, ObjectIdGetDatum(pass->relid));
		return PGSEAL_STEP_MORE;
	}
	pgseal_table_work_is_on(pass->relid);
	obstacle = pgseal_reencrypt_relation_obstacle(rel);
	if (obstacle != NULL)
		set_phase(pass->relid, "untouchable", obstacle);
	else
		(void) pgseal_pass_go_on(pass, rel, save_batch);
	relation_close(rel, NoLock);
	return PGSEAL_STEP_MORE;
}

/*
 * The end of a round
 */

/* Keys of the versions that are in the round, by their hashes */
static List *
keys_in_round(void)
{
	List	   *hashes = NIL;
	uint64		num = pgseal_query("SELECT DISTINCT k.name_hash FROM pgseal_internal.rotation r"
								   " JOIN pgseal.key_version v ON v.id = r.key_version_id"
								   " JOIN pgseal.key k ON k.name = v.key WHERE r.in_round", 0);

	for (uint64 i = 0; i < num; i++)
		hashes = lappend_int(hashes, (int32) pgseal_query_int64(i, 1));
	return hashes;
}

/* The tables, as they are now, that the round couldn't go through */
static List *
unseen_holders(void)
{
	List	   *unseen = NIL;
	ListCell   *lc;

	foreach(lc, pgseal_signed_holders())
	{
		PgsealHolder *holder = lfirst(lc);

		if (pgseal_query("SELECT FROM pgseal_internal.rotation_table"
						 " WHERE relid = $1 AND phase = 'done' AND key_hashes @> $2", 2,
						 OIDOID, ObjectIdGetDatum(holder->relid),
						 INT4ARRAYOID, int4_array(holder->key_hashes)) == 0)
			unseen = lappend(unseen, holder);
	}
	return unseen;
}

/*
 * Names of the tables that keep a key's old version from being retired; they don't
 * keep this node from being done with it if they are Citus's, which have no rows here
 */
static char *
obstacles(List *unseen, int32 key_hash, bool *out_done_here)
{
	StringInfoData names;
	ListCell   *lc;

	*out_done_here = true;
	initStringInfo(&names);
	foreach(lc, unseen)
	{
		PgsealHolder *holder = lfirst(lc);
		char	   *name = get_rel_name(holder->relid);

		if (name == NULL || !pgseal_shape_may_hold(holder, key_hash))
			continue;
		*out_done_here = *out_done_here && holder->sharded;
		appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "",
						 quote_qualified_identifier(get_namespace_name(holder->schema), name));
	}
	return names.data;
}

static void
finish_version(int64 id, const char *key, bool retired, int64 found, const char *unseen,
			   bool done_here, bool progress)
{
	const char *complaint;

	if (found == 0 && done_here)
		(void) pgseal_query("INSERT INTO pgseal_internal.retired_here VALUES ($1) ON CONFLICT DO NOTHING", 1,
							INT8OID, Int64GetDatum(id));
	/* Of shards on other nodes pgseal.retire_versions() knows */
	if (found == 0 && done_here && (retired || unseen[0] == '\0'))
	{
		if (!retired)
			pgseal_catalog_retire_version(id);
		(void) pgseal_query("DELETE FROM pgseal_internal.rotation WHERE key_version_id = $1", 1,
							INT8OID, Int64GetDatum(id));
		pgseal_catalog_event("version_retired", key, id, NULL);
		return;
	}
	/* Said once, and again when it is something else */
	complaint = psprintf("values=" INT64_FORMAT " tables=\"%s\"", found, unseen);
	if (!progress &&
		pgseal_query("UPDATE pgseal_internal.rotation SET complaint = $2"
					 " WHERE key_version_id = $1 AND complaint IS DISTINCT FROM $2", 2,
					 INT8OID, Int64GetDatum(id), TEXTOID, CStringGetTextDatum(complaint)) > 0)
		pgseal_catalog_event("reencrypt_incomplete", key, id, complaint);
	(void) pgseal_query("UPDATE pgseal_internal.rotation SET in_round = false,"
						" in_vain = CASE WHEN $2 THEN 0 ELSE in_vain + 1 END, pause_until = CASE WHEN $2"
						" THEN NULL ELSE clock_timestamp() + greatest("
						"  $3 * (1 << least(in_vain, $5)) * interval '1 second',"
						"  $4 * (clock_timestamp() - round_began)) END"
						" WHERE key_version_id = $1", 5,
						INT8OID, Int64GetDatum(id),
						BOOLOID, BoolGetDatum(progress),
						INT4OID, Int32GetDatum(pgseal_worker_interval),
						INT4OID, Int32GetDatum(PAUSE_FACTOR),
						INT4OID, Int32GetDatum(PAUSE_DOUBLINGS));
}

/*
 * The records of ledgers under an old version are of finished transactions by now:
 * the totals take them in and are sealed anew.  What can't be read stays.
 */
static void
fold_ledgers(void)
{
	uint64		num = pgseal_query("SELECT DISTINCT l.ledger FROM pgseal.ledger l"
								   " JOIN pgseal_internal.rotation r USING (key_version_id)"
								   " WHERE r.in_round", 0);
	SPITupleTable *ledgers = SPI_tuptable;

	for (uint64 i = 0; i < num; i++)
	{
		SPI_tuptable = ledgers;
		(void) pgseal_ledger_fold(pgseal_query_int64(i, 1));
	}
	(void) pgseal_query("UPDATE pgseal_internal.rotation r SET found = found +"
						" (SELECT count(*) FROM pgseal.ledger l WHERE l.key_version_id = r.key_version_id)"
						" WHERE in_round", 0);
}

static void
finish_round(void)
{
	bool		progress = pgseal_query("SELECT FROM pgseal_internal.rotation_table WHERE resealed > 0", 0) > 0;
	List	   *unseen = unseen_holders();
	uint64		num = pgseal_query("SELECT r.key_version_id, v.key, r.found, k.name_hash,"
								   "  v.retired IS NOT NULL"
								   " FROM pgseal_internal.rotation r"
								   " LEFT JOIN pgseal.key_version v ON v.id = r.key_version_id"
								   " LEFT JOIN pgseal.key k ON k.name = v.key"
								   " WHERE r.in_round", 0);
	SPITupleTable *versions = SPI_tuptable;

	for (uint64 i = 0; i < num; i++)
	{
		int64		id;
		int64		found;
		int32		key_hash;
		char	   *key;
		bool		retired;
		bool		done_here;
		char	   *names;

		SPI_tuptable = versions;
		id = pgseal_query_int64(i, 1);
		key = pgseal_query_text(i, 2);
		found = pgseal_query_int64(i, 3);
		key_hash = (int32) pgseal_query_int64(i, 4);
		retired = pgseal_query_int64(i, 5) != 0;
		names = obstacles(unseen, key_hash, &done_here);
		finish_version(id, key, retired, found, names, done_here, progress);
	}
	(void) pgseal_query("DELETE FROM pgseal_internal.rotation_table"
						" WHERE NOT EXISTS (SELECT FROM pgseal_internal.rotation)", 0);
}

/*
 * Steps
 */

static PgsealTableStep
step(void)
{
	PgsealTablePass pass;

	/* A worker of a launcher that is gone may still be at it */
	if (!ConditionalLockRelationOid(get_relname_relid("rotation", pgseal_internal_schema()),
									ShareUpdateExclusiveLock))
		return PGSEAL_STEP_LATER;
	if (pgseal_query("SELECT FROM pgseal_internal.rotation WHERE in_round LIMIT 1", 0) == 0)
		return begin_round();
	if (rewrap_children())
		return PGSEAL_STEP_MORE;
	if (pgseal_query(psprintf("SELECT %s, phase = 'locked' FROM pgseal_internal.rotation_table"
							  " WHERE phase IN ('waiting', 'scanning', 'locked')"
							  " ORDER BY phase = 'locked', phase = 'waiting', random() LIMIT 1",
							  pgseal_pass_columns("rotation_table")), 0) > 0)
	{
		pass = pgseal_pass_found("rotation_table");
		return continue_table(&pass, pgseal_query_int64(0, 6) != 0);
	}
	if (!note_tables(keys_in_round()))
	{
		fold_ledgers();
		finish_round();
	}
	return PGSEAL_STEP_MORE;
}

const PgsealTableWork pgseal_reencryption = {
	.what = "re-encrypt",
	.step = step,
	.put_off = set_phase,
};
