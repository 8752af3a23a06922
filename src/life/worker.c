/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The worker of one database: what has to be done without a user asking.
 *
 * A worker does what is due in its database and exits: seal counts, rotation of
 * keys that are due, rewrapping, ledgers of signed tables, signing rows anew,
 * re-encryption.  Each piece of work is a transaction of its own; one that fails is logged and doesn't stop the others.
 * Long work goes on for some seconds at a time, so that every database gets its
 * turn.
 *
 * A worker stands in nobody's way.  During each piece of work it has the lock on
 * its database that every new connection takes for a moment, and doesn't wait
 * for it: if it isn't to be had, somebody drops, renames, moves or copies the
 * database, and the worker exits.  He in turn waits for the present piece of
 * work, instead of failing because there is another session.  What has locked a
 * table or a row finds the worker coming back later.
 *
 * On a hot standby keys are refreshed, but nothing is changed: all the rest is
 * the primary's.  A standby that is promoted takes over with the next round.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/twophase.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_database.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/lock.h"
#include "storage/proc.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/drop.h"
#include "keys/keyring.h"
#include "keys/reseals.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"
#include "life/redefine.h"
#include "life/reencrypt.h"
#include "life/rewrap.h"
#include "life/step_limit.h"
#include "life/worker.h"
#include "signed/ledger.h"

/* How long a worker goes on with long work, in ms */
#define SLICE					3000
/* A step of it is ended after so long, and the time that a KMS may take, in ms */
#define STEP_TIMEOUT			5000
/* Pause when others are in the way, in ms */
#define LATER					500
/* Longest wait for a lock, in ms; see also override_settings() */
#define LOCK_TIMEOUT			500
/* Rewraps, and exhausted versions, dealt with in one visit */
#define REWRAPS_MAX				1000
#define EXHAUSTED_MAX			64
/* Keys that the policy lets rotate in one visit */
#define POLICY_ROTATIONS_MAX	1000
#define FAILURES_MAX			3

/* A piece of a worker's work, run in a transaction with a snapshot */
typedef void (*WorkFunction) (int64 argument);

/* The error that ended the last piece of work that failed */
static int	last_failure_code;
static char last_failure[256];

bool
pgseal_worker_lock_database(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	return LockAcquire(&tag, RowExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

static bool
is_installed(void)
{
	bool		installed;

	StartTransactionCommand();
	installed = OidIsValid(get_extension_oid(PGSEAL_MODULE, true));
	CommitTransactionCommand();
	return installed;
}

/*
 * Is there a prepared transaction in this database, which may have made the extension?
 * Memory of what it asked for doesn't outlive the server, as it does.
 */
static bool
has_prepared(void)
{
	PgsealQuerySession session;
	bool		found;

	if (max_prepared_xacts == 0)
		return false;
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	pgseal_query_begin(&session);
	found = pgseal_query("SELECT 1 FROM pg_catalog.pg_prepared_xacts "
						 "WHERE database = pg_catalog.current_database() LIMIT 1", 0) > 0;
	pgseal_query_end(&session);
	PopActiveSnapshot();
	CommitTransactionCommand();
	return found;
}

/*
 * Logs an error that ends a piece of work, with our prefix; unless the reason
 * is that the extension was dropped meanwhile.  That others have locked what is
 * needed is ordinary: there will be another round.
 */
static void
log_failure(const char *work, int64 argument)
{
	ErrorData  *error;

	MemoryContextSwitchTo(TopMemoryContext);
	error = CopyErrorData();
	FlushErrorState();
	AbortCurrentTransaction();
	if (is_installed())
		ereport(error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ? DEBUG1 : LOG,
				(errcode(error->sqlerrcode),
				 argument == 0 ? errmsg("pgseal: could not %s: %s", work, error->message) :
				 errmsg("pgseal: could not %s " INT64_FORMAT ": %s", work, argument, error->message),
				 error->detail ? errdetail_internal("%s", error->detail) : 0,
				 error->hint ? errhint("%s", error->hint) : 0));
	last_failure_code = error->sqlerrcode;
	strlcpy(last_failure, error->message, sizeof(last_failure));
	FreeErrorData(error);
}

/* What there is to do waits until the database can be connected to again */
static void
leave_database(void)
{
	pgseal_wakeup_now();
	proc_exit(0);
}

/*
 * "Could not <work> [<argument>]" is what the log says when it fails; then the
 * result is false
 */
static bool
run(const char *work, WorkFunction function, int64 argument)
{
	MemoryContext context = CurrentMemoryContext;
	volatile bool done = false;

	CHECK_FOR_INTERRUPTS();
	if (ConfigReloadPending)
	{
		ConfigReloadPending = false;
		ProcessConfigFile(PGC_SIGHUP);
	}

	PG_TRY();
	{
		SetCurrentStatementStartTimestamp();
		StartTransactionCommand();
		if (!pgseal_worker_lock_database(MyDatabaseId))
			leave_database();
		PushActiveSnapshot(GetTransactionSnapshot());
		pgstat_report_activity(STATE_RUNNING, work);
		function(argument);
		PopActiveSnapshot();
		CommitTransactionCommand();
		done = true;
	}
	PG_CATCH();
	{
		HOLD_INTERRUPTS();
		log_failure(work, argument);
		RESUME_INTERRUPTS();
	}
	PG_END_TRY();

	pgstat_report_activity(STATE_IDLE, NULL);
	MemoryContextSwitchTo(context);
	return done;
}

/* The reasons for a failed refresh are the keyring's to log */
static void
refresh_key(int64 key_version_id)
{
	(void) pgseal_keyring_refresh(key_version_id);
}

/*
 * Seal counts, and keys that have sealed as much as they should
 */

static int64 exhausted[EXHAUSTED_MAX];
static int	num_exhausted = 0;

static void
save_seals(int64 unused)
{
	num_exhausted = pgseal_keyring_persist_seals(exhausted, EXHAUSTED_MAX);
}

static void
save_reseals(int64 unused)
{
	PgsealQuerySession session;

	pgseal_query_begin(&session);
	pgseal_reseals_save();
	pgseal_query_end(&session);
}

static void
rotate_exhausted(int64 key_version_id)
{
	PgsealVersionRow *version = pgseal_catalog_version(key_version_id);

	if (version != NULL && version->wrapped != NULL && version->purpose == PGSEAL_PURPOSE_DATA &&
		!pgseal_keyring_is_stale(key_version_id))
		(void) pgseal_keyring_add_version(version->key, PGSEAL_PURPOSE_DATA,
										  "reason=max_seals_per_key");
}

/*
 * Schedules
 */

static List *due_rotations = NIL;
static List *rotations_of_policy = NIL;
static int64 due_rewraps[REWRAPS_MAX];
static int	num_due_rewraps = 0;

static void
look_at_schedules(int64 unused)
{
	MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);

	due_rotations = pgseal_rewrap_due_rotations();
	rotations_of_policy = pgseal_rewrap_policy_rotations(POLICY_ROTATIONS_MAX);
	MemoryContextSwitchTo(context);
	num_due_rewraps = pgseal_rewrap_due(due_rewraps, REWRAPS_MAX);
}

static void
rotate(int64 key_hash, const char *reason)
{
	PgsealKeyRow *key = pgseal_catalog_key((int32) key_hash);

	if (key != NULL)
		(void) pgseal_keyring_add_version(key->name, PGSEAL_PURPOSE_DATA, reason);
}

static void
rotate_due(int64 key_hash)
{
	rotate(key_hash, "reason=rotate_every");
}

static void
rotate_by_policy(int64 key_hash)
{
	rotate(key_hash, "reason=policy");
}

static void
follow_schedules(void)
{
	int			failures = 0;
	ListCell   *lc;

	if (!run("look at the schedules of keys", look_at_schedules, 0))
		return;
	foreach(lc, due_rotations)
		(void) run("rotate key", rotate_due, lfirst_int(lc));

	/*
	 * Once is enough, if both are due.  When a KMS is away, all its keys'
	 * turn is later.
	 */
	foreach(lc, list_difference_int(rotations_of_policy, due_rotations))
		if (failures < FAILURES_MAX && !run("rotate key", rotate_by_policy, lfirst_int(lc)))
			failures++;
	if (failures == 0 && list_length(rotations_of_policy) == POLICY_ROTATIONS_MAX)
		pgseal_wakeup_now();
	for (int i = 0; i < num_due_rewraps; i++)
		(void) run("rewrap key version", pgseal_rewrap_version, due_rewraps[i]);
}

/*
 * Ledgers of signed tables, whose totals take in what transactions have recorded;
 * if their keys are here
 */
static int64 *unfolded = NULL;
static uint64 num_unfolded = 0;

static void
look_for_ledgers(int64 unused)
{
	PgsealQuerySession session;

	pgseal_query_begin(&session);
	num_unfolded = pgseal_query("SELECT DISTINCT c.ledger FROM pgseal.ledger c"
								" JOIN pgseal.ledger t USING (ledger)"
								" JOIN pgseal.key_version v ON v.id = t.key_version_id"
								" WHERE c.kind = 'c' AND t.kind = 't' AND v.wrapped IS NOT NULL", 0);
	unfolded = MemoryContextAllocHuge(TopMemoryContext, Max(num_unfolded, 1) * sizeof(int64));
	for (uint64 i = 0; i < num_unfolded; i++)
		unfolded[i] = pgseal_query_int64(i, 1);
	pgseal_query_end(&session);
}

static void
fold_ledger(int64 ledger)
{
	if (!pgseal_ledger_fold(ledger))
		ereport(LOG,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("pgseal: event=ledger_broken ledger=" INT64_FORMAT, ledger)));
}

static void
fold_ledgers(void)
{
	if (!run("look for ledgers", look_for_ledgers, 0))
		return;
	for (uint64 i = 0; i < num_unfolded; i++)
		(void) run("fold ledger", fold_ledger, unfolded[i]);
}

static void
drop_destroyed(int64 unused)
{
	pgseal_drop_destroyed();
}

static void
make_default_key(int64 unused)
{
	pgseal_keyring_make_default();
}

/*
 * What goes through tables, a step at a time
 */

static const PgsealTableWork *present_work = NULL;
static PgsealTableStep last_step;

static void
do_step(int64 unused)
{
	last_step = pgseal_table_work_step(present_work);
}

static bool left_out;

static void
leave_out(int64 unused)
{
	left_out = pgseal_table_work_failed(present_work, last_failure_code, last_failure);
}

/* A step that would not end takes the worker with it: PgsealStepOverran */
static void
leave_out_overrun(void)
{
	/* Whoever waits for the database doesn't wait for this, too */
	if (pgseal_worker_lock_database(MyDatabaseId) &&
		pgseal_table_work_failed(present_work, ERRCODE_QUERY_CANCELED,
								 "code of the table's owner did not end"))
		ereport(LOG,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("pgseal: could not %s: code of the table's owner did not end",
						present_work->what)));
	save_reseals(0);
}

/* A table on which work fails is left out, so that it doesn't stop the others */
static bool
run_step(void)
{
	bool		done;

	/* The table's owner may have an index whose expression never ends */
	pgseal_step_limit_begin(STEP_TIMEOUT + pgseal_kms_timeout);
	done = run(present_work->what, do_step, 0);
	pgseal_step_limit_end();
	if (done)
		return true;
	left_out = false;
	return run("note a failure", leave_out, 0) && left_out;
}

static void
go_through_tables(const PgsealTableWork *work)
{
	TimestampTz end = TimestampTzPlusMilliseconds(pgseal_clock(), SLICE);
	uint32		wait_event = pgseal_wait_event("PgsealReencrypt");

	present_work = work;
	while (run_step() && last_step != PGSEAL_STEP_IDLE)
	{
		int			delay = last_step == PGSEAL_STEP_LATER ? LATER : pgseal_reencrypt_delay;

		if (delay > 0)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 delay, wait_event);
			ResetLatch(MyLatch);
		}
		if (pgseal_clock() >= end)
		{
			pgseal_wakeup_now();
			break;
		}
	}
}

static void
refresh_keys(void)
{
	int64	   *ids = MemoryContextAllocHuge(CurrentMemoryContext, pgseal_cache_size * sizeof(int64));
	int			num = pgseal_shared_cache_due(ids, pgseal_cache_size);

	for (int i = 0; i < num; i++)
	{
		(void) run("refresh key version", refresh_key, ids[i]);

		/* An error between claim and result; harmless when there is no claim */
		pgseal_shared_cache_abandon(ids[i]);
	}
	pfree(ids);
}

/*
 * What a database or role may have set for its users is not for us.  The worker
 * waits for a lock no longer than others wait before they look for a deadlock,
 * so that of the two it is the worker that gives in.
 */
static void
override_settings(void)
{
	char		lock_timeout[32];

	snprintf(lock_timeout, sizeof(lock_timeout), "%dms",
			 Max(Min(LOCK_TIMEOUT, DeadlockTimeout / 2), 1));
	SetConfigOption("search_path", "", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("statement_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("lock_timeout", lock_timeout, PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("idle_in_transaction_session_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE);
	pgseal_no_transaction_timeout();
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
}

void
pgseal_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);
	bool		prepared;

	/* Unlike the default handler, this lets a KMS call end in order */
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	override_settings();

	/* First: one that is committed in between shows by the extension */
	prepared = has_prepared();
	if (!is_installed())
	{
		pgseal_shared_cache_drop_database(database);
		if (!prepared)
			pgseal_wakeup_vacant();
		proc_exit(0);
	}

	(void) run("drop destroyed keys", drop_destroyed, 0);
	refresh_keys();
	if (!RecoveryInProgress())
	{
		(void) run("save seal counts", save_seals, 0);
		for (int i = 0; i < num_exhausted; i++)
			(void) run("rotate the key of version", rotate_exhausted, exhausted[i]);
		(void) run("make the default key", make_default_key, 0);
		follow_schedules();
		fold_ledgers();
		pgseal_step_limit_init(leave_out_overrun);
		go_through_tables(&pgseal_redefinition);
		pgseal_reseals_begin();
		go_through_tables(&pgseal_reencryption);
		pgseal_reseals_end();
		(void) run("save the seals of re-encryption", save_reseals, 0);
	}

	proc_exit(0);
}
