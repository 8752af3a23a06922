/*-------------------------------------------------------------------------
 *
 * redefine.c
 *	  Signing rows anew where what is signed has changed.
 *
 * pgseal.sign_table() lets two definitions stand in the arguments of the trigger, and
 * rewrites nothing (signed/signing.c).  The rows that are signed by the former one
 * are verified and signed anew here, as re-encryption does it, some blocks per
 * transaction (reencrypt_table.c).  What doesn't verify is counted and left.
 *
 * Each pass goes through all of a table, or of each partition: pgseal_internal.redefinition
 * has one row for each.  When a pass has found no row by the former definition that
 * is good, nor one that others had locked, there is none: whatever is written since
 * is signed by the newest, also a row that moves.  Rows that came another way (a
 * partition that was attached, a table that was rewritten) are looked for as well.
 *
 * Then the former definition goes.  Not at once: a snapshot from before may see rows
 * as they were.  (That of a standby may be older still, if it has no
 * hot_standby_feedback.)  What it has signed is good no more after that.  Rows that
 * are bad don't keep it: as long as it stands, columns that it leaves out can be
 * changed unnoticed in the rows that it has signed.
 *
 * The rows of a table that a subscription fills are signed by the publisher, who may
 * be at it for longer; there, the former definition stays until sign_table() is called
 * again.
 *
 * No lock keeps out who reads or writes.  A statement that has been planned with the
 * former definition goes on without (signed/verify.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/brief_lock.h"
#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "life/redefine.h"
#include "life/reencrypt.h"
#include "life/reencrypt_table.h"
#include "life/table_pass.h"
#include "signed/signed_holders.h"
#include "signed/signing.h"

/* Pauses are pgseal.worker_interval, doubled so many times at most */
#define PAUSE_DOUBLINGS			6

/*
 * Which tables
 */

static bool
is_table(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_RELATION &&
		get_rel_persistence(relid) != RELPERSISTENCE_TEMP;
}

static Datum
oid_array(List *oids)
{
	Datum	   *elements = palloc(Max(list_length(oids), 1) * sizeof(Datum));
	int			num = 0;
	ListCell   *lc;

	foreach(lc, oids)
		elements[num++] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(elements, num, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* Those of which two definitions stand, and no others; true when any was new */
static bool
note_tables(void)
{
	List	   *relids = NIL;
	List	   *roots = NIL;
	List	   *formers = NIL;
	ListCell   *lc;
	ListCell   *part;

	foreach(lc, pgseal_signed_redefined())
	{
		PgsealRedefined *table = lfirst(lc);

		foreach(part, find_all_inheritors(table->relid, NoLock, NULL))
		{
			if (!is_table(lfirst_oid(part)))
				continue;
			relids = lappend_oid(relids, lfirst_oid(part));
			roots = lappend_oid(roots, table->relid);
			formers = lappend_oid(formers, table->former);
		}
	}
	(void) pgseal_query("DELETE FROM pgseal_internal.redefinition r WHERE NOT EXISTS"
						" (SELECT FROM unnest($1, $2, $3) t (relid, root, former)"
						"  WHERE t.relid = r.relid AND t.root = r.root AND t.former::int4 = r.former)", 3,
						OIDARRAYOID, oid_array(relids), OIDARRAYOID, oid_array(roots),
						OIDARRAYOID, oid_array(formers));
	return pgseal_query("INSERT INTO pgseal_internal.redefinition (relid, root, former)"
						" SELECT relid, root, former::int4 FROM unnest($1, $2, $3) t (relid, root, former)"
						" ON CONFLICT (relid) DO NOTHING", 3,
						OIDARRAYOID, oid_array(relids), OIDARRAYOID, oid_array(roots),
						OIDARRAYOID, oid_array(formers)) > 0;
}

/*
 * Passes
 */

static void
set_phase(Oid relid, const char *phase, const char *detail)
{
	(void) pgseal_query("UPDATE pgseal_internal.redefinition SET phase = $2, detail = nullif($3, '')"
						" WHERE relid = $1", 3,
						OIDOID, ObjectIdGetDatum(relid), TEXTOID, CStringGetTextDatum(phase),
						TEXTOID, CStringGetTextDatum(detail ? detail : ""));
}

/* It is looked at again later, and later still if that is in vain */
static void
put_off(Oid relid, const char *phase, const char *detail)
{
	set_phase(relid, phase, detail);
	(void) pgseal_query("UPDATE pgseal_internal.redefinition SET in_vain = in_vain + 1, next_block = 0,"
						" left_over = 0, broken = 0, pause_until = clock_timestamp() +"
						" $2 * (1 << least(in_vain, $3)) * interval '1 second' WHERE relid = $1", 3,
						OIDOID, ObjectIdGetDatum(relid),
						INT4OID, Int32GetDatum(pgseal_worker_interval),
						INT4OID, Int32GetDatum(PAUSE_DOUBLINGS));
}

/* What the pass has found so far is what was there when it came by */
static void
save_batch(Relation rel, const PgsealBatchResult *result, BlockNumber next, BlockNumber blocks)
{
	(void) pgseal_query("UPDATE pgseal_internal.redefinition SET phase = 'scanning', next_block = $2,"
						" blocks = $3, signed = signed + $4, broken = broken + $5, left_over = left_over + $6,"
						" filenode = $7, detail = NULL WHERE relid = $1", 7,
						OIDOID, ObjectIdGetDatum(RelationGetRelid(rel)),
						INT8OID, Int64GetDatum((int64) next), INT8OID, Int64GetDatum((int64) blocks),
						INT8OID, Int64GetDatum(result->signed_anew),
						INT8OID, Int64GetDatum(result->broken),
						INT8OID, Int64GetDatum(result->by_former + result->skipped),
						OIDOID, ObjectIdGetDatum(rel->rd_rel->relfilenode));
}

/* Another pass follows at once if this one has signed any row, and found others locked */
static void
end_pass(Oid relid)
{
	if (pgseal_query("UPDATE pgseal_internal.redefinition SET phase = 'done', since = pg_current_xact_id(),"
					 " in_vain = 0 WHERE relid = $1 AND left_over = 0", 1,
					 OIDOID, ObjectIdGetDatum(relid)) > 0)
		return;
	if (pgseal_query("UPDATE pgseal_internal.redefinition SET phase = 'waiting', next_block = 0,"
					 " left_over = 0, broken = 0, signed_before = signed, in_vain = 0"
					 " WHERE relid = $1 AND signed > signed_before", 1,
					 OIDOID, ObjectIdGetDatum(relid)) == 0)
		put_off(relid, "waiting", NULL);
}

static const char *
obstacle_of(Relation rel)
{
	if (pgseal_query("SELECT FROM pg_subscription_rel WHERE srrelid = $1", 1,
					 OIDOID, ObjectIdGetDatum(RelationGetRelid(rel))) > 0)
		return "a subscription brings its rows: when they are signed anew there, call pgseal.sign_table() again here";
	return pgseal_reencrypt_relation_obstacle(rel);
}

static void
continue_table(PgsealTablePass *pass)
{
	const char *obstacle;
	Relation	rel;

	pgseal_table_work_is_on(pass->relid);
	if (!ConditionalLockRelationOid(pass->relid, RowExclusiveLock))
	{
		put_off(pass->relid, "locked", NULL);
		return;
	}
	rel = try_relation_open(pass->relid, NoLock);
	if (rel == NULL)
	{
		(void) pgseal_query("DELETE FROM pgseal_internal.redefinition WHERE relid = $1", 1,
							OIDOID, ObjectIdGetDatum(pass->relid));
		return;
	}
	obstacle = obstacle_of(rel);
	if (obstacle != NULL)
		put_off(pass->relid, "untouchable", obstacle);
	else if (pgseal_pass_go_on(pass, rel, save_batch))
		end_pass(pass->relid);
	relation_close(rel, NoLock);
}

/*
 * The end
 */

/* Has the last pass found nothing in this table, and can nobody see what was before? */
static bool
is_done(Oid relid, Oid root, uint8 former, TransactionId horizon)
{
	return pgseal_query("SELECT FROM pgseal_internal.redefinition WHERE relid = $1 AND root = $2"
						" AND former = $3 AND phase = 'done' AND age(since::xid) > age($4)", 4,
						OIDOID, ObjectIdGetDatum(relid), OIDOID, ObjectIdGetDatum(root),
						INT4OID, Int32GetDatum(former),
						XIDOID, TransactionIdGetDatum(horizon)) > 0;
}

static bool
all_done(List *relids, uint8 former, TransactionId horizon)
{
	ListCell   *lc;

	foreach(lc, relids)
		if (is_table(lfirst_oid(lc)) &&
			!is_done(lfirst_oid(lc), linitial_oid(relids), former, horizon))
			return false;
	return true;
}

/* The table is locked; NULL when it has no former definition */
static PgsealSigning *
redefined(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	PgsealSigning *signing = pgseal_signing_of_relation(rel);

	table_close(rel, NoLock);
	return signing != NULL && signing->former != NULL ? signing : NULL;
}

static void
forget_former(Oid relid)
{
	PgsealSigning *signing = redefined(relid);
	PgsealSigning newest;

	if (signing == NULL)
		return;
	newest = *signing;
	newest.former = NULL;
	pgseal_signing_store(relid, pgseal_signing_arguments(&newest));
}

static void
report_end(Oid root, const PgsealSigning *signing)
{
	(void) pgseal_query("SELECT coalesce(sum(signed), 0)::int8, coalesce(sum(broken), 0)::int8"
						" FROM pgseal_internal.redefinition WHERE root = $1", 1,
						OIDOID, ObjectIdGetDatum(root));
	pgseal_catalog_event("definition_dropped", signing->key, 0,
						 psprintf("table=\"%s\" definition=%d rows=" INT64_FORMAT " broken=" INT64_FORMAT,
								  quote_qualified_identifier(get_namespace_name(get_rel_namespace(root)),
															 get_rel_name(root)),
								  signing->former->number, pgseal_query_int64(0, 1),
								  pgseal_query_int64(0, 2)));
}

/* False when somebody is in the way, or may still see what was */
static bool
drop_former(Oid root, TransactionId horizon)
{
	List	   *relids = find_all_inheritors(root, NoLock, NULL);
	PgsealSigning *signing;
	ListCell   *lc;

	if (!pgseal_try_lock(relids, ShareUpdateExclusiveLock, NULL) ||
		!SearchSysCacheExists1(RELOID, ObjectIdGetDatum(root)) ||
		!equal(relids, find_all_inheritors(root, NoLock, NULL)))
		return false;
	signing = redefined(root);
	if (signing == NULL || !all_done(relids, signing->former->number, horizon))
		return false;
	report_end(root, signing);
	foreach(lc, relids)
		forget_former(lfirst_oid(lc));
	(void) pgseal_query("DELETE FROM pgseal_internal.redefinition WHERE root = $1", 1,
						OIDOID, ObjectIdGetDatum(root));
	return true;
}

static PgsealTableStep
drop_formers(void)
{
	TransactionId horizon = pgseal_reencrypt_horizon();
	uint64		num = pgseal_query("SELECT root FROM pgseal_internal.redefinition GROUP BY root"
								   " HAVING bool_and(phase = 'done') ORDER BY random()", 0);
	SPITupleTable *roots = SPI_tuptable;

	for (uint64 i = 0; i < num; i++)
	{
		SPI_tuptable = roots;
		if (drop_former((Oid) pgseal_query_int64(i, 1), horizon))
			return PGSEAL_STEP_MORE;
	}
	/* What is left comes with the next interval */
	return PGSEAL_STEP_IDLE;
}

/*
 * Steps
 */

static PgsealTableStep
step(void)
{
	/* A worker of a launcher that is gone may still be at it */
	if (!ConditionalLockRelationOid(get_relname_relid("redefinition", pgseal_internal_schema()),
									ShareUpdateExclusiveLock))
		return PGSEAL_STEP_LATER;
	if (pgseal_query(psprintf("SELECT %s FROM pgseal_internal.redefinition"
							  " WHERE phase <> 'done' AND (pause_until IS NULL OR pause_until <= now())"
							  " ORDER BY phase = 'waiting', random() LIMIT 1",
							  pgseal_pass_columns("redefinition")), 0) > 0)
	{
		PgsealTablePass pass = pgseal_pass_found("redefinition");

		continue_table(&pass);
		return PGSEAL_STEP_MORE;
	}
	return note_tables() ? PGSEAL_STEP_MORE : drop_formers();
}

const PgsealTableWork pgseal_redefinition = {
	.what = "sign rows anew",
	.step = step,
	.put_off = put_off,
};
