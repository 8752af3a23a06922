/*-------------------------------------------------------------------------
 *
 * worker.c
 *	  The background worker: what has to be done without a user asking.
 *
 * One launcher runs as long as the server does.  It is connected to no
 * database, so that it stands in the way of no DROP DATABASE; it wipes expired
 * keys, and starts a worker for each database where there is work: entries of
 * the key cache that should be fetched again ahead of their expiry; once per
 * pgseal.worker_interval, seal counts that should be saved; what a session asked
 * for (wakeup.c).  What only a database's catalog tells (keys whose schedule is
 * due, re-encryption that a crash has interrupted) is found by a visit to every
 * database when the server has started, and every few intervals from then on,
 * but for those that turned out not to have the extension: CREATE EXTENSION asks.
 *
 * A worker does what is due in its database and exits: seal counts, rotation of
 * keys that are due, rewrapping, re-encryption.  Each piece of work is a
 * transaction of its own; one that fails is logged and doesn't stop the others.
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

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
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
#include "storage/procsignal.h"
#include "tcop/tcopprot.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "keys/drop.h"
#include "keys/idle.h"
#include "keys/keyring.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"
#include "life/reencrypt.h"
#include "life/rewrap.h"
#include "life/step_limit.h"
#include "life/worker.h"

/* The library and the extension; the tests build this file under another */
#ifndef PGSEAL_MODULE
#define PGSEAL_MODULE "pgseal"
#endif

/* The launcher is started again so long after it ended, in seconds */
#define LAUNCHER_RESTART		5
/* Workers at a time, so that other users of worker slots get some too */
#define WORKERS_MAX				3
/* Databases that the launcher looks at in one round */
#define DATABASES_MAX			512
/* Shortest sleep of the launcher, in ms */
#define ROUND_MIN				1000

/*
 * Part of the TTL that the launcher sleeps at most: entries fall due no later
 * than at 95 % of it, so even one that was published while the launcher slept
 * is seen in time.
 */
#define ROUNDS_PER_TTL			20

/* At most one line about a lack of worker slots in this time, in ms */
#define NO_WORKER_LOG_PAUSE		60000

/* All databases are visited once in so many intervals */
#define INTERVALS_PER_VISIT		6
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

/* A piece of a worker's work, run in a transaction with a snapshot */
typedef void (*WorkFunction) (int64 argument);

typedef struct RunningWorker
{
	Oid			database;
	BackgroundWorkerHandle *handle; /* NULL: free */
} RunningWorker;

typedef enum DatabaseState
{
	DATABASE_CONNECTABLE,
	DATABASE_CLOSED,			/* to connections, or it doesn't exist */
	DATABASE_BUSY				/* ask again later */
} DatabaseState;

static RunningWorker running[WORKERS_MAX];

void
pgseal_worker_init(void)
{
	BackgroundWorker worker;

	/* pg_upgrade must be alone in both servers */
	if (!process_shared_preload_libraries_in_progress || IsBinaryUpgrade)
		return;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = LAUNCHER_RESTART;
	strlcpy(worker.bgw_library_name, PGSEAL_MODULE, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pgseal_worker_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pgseal launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "pgseal launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

/* ---------- the launcher ---------- */

/* Forgets workers that have ended; returns a free place, or NULL */
static RunningWorker *
free_place(void)
{
	RunningWorker *place = NULL;
	pid_t		pid;

	for (int i = 0; i < WORKERS_MAX; i++)
	{
		if (running[i].handle &&
			GetBackgroundWorkerPid(running[i].handle, &pid) == BGWH_STOPPED)
		{
			pfree(running[i].handle);
			running[i].handle = NULL;
		}
		if (!running[i].handle)
			place = &running[i];
	}
	return place;
}

static bool
has_worker(Oid database)
{
	for (int i = 0; i < WORKERS_MAX; i++)
	{
		if (running[i].handle && running[i].database == database)
			return true;
	}
	return false;
}

/*
 * The lock of a new connection to a database, until the end of the transaction;
 * false when somebody is about to drop, rename, move or copy the database
 */
static bool
lock_database(Oid database)
{
	LOCKTAG		tag;

	SET_LOCKTAG_OBJECT(tag, InvalidOid, DatabaseRelationId, database, 0);
	return LockAcquire(&tag, RowExclusiveLock, false, true) != LOCKACQUIRE_NOT_AVAIL;
}

/* One that a DROP DATABASE has left half dropped takes no connections either */
static bool
is_connectable(Form_pg_database database)
{
	return database->datallowconn && database->datconnlimit != DATCONNLIMIT_INVALID_DB;
}

/*
 * Can a worker connect?  What is left in shared memory of a database that was
 * dropped is wiped.
 */
static DatabaseState
check_database(Oid database)
{
	DatabaseState state = DATABASE_CLOSED;
	HeapTuple	tuple;
	bool		exists;

	StartTransactionCommand();
	tuple = SearchSysCache1(DATABASEOID, ObjectIdGetDatum(database));
	exists = HeapTupleIsValid(tuple);
	if (exists)
	{
		if (!lock_database(database))
			state = DATABASE_BUSY;
		else if (is_connectable((Form_pg_database) GETSTRUCT(tuple)))
			state = DATABASE_CONNECTABLE;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();

	if (!exists)
		pgseal_keycache_drop_database(database);
	return state;
}

/* A full table of workers only delays: the next round tries again */
static void
start_worker(RunningWorker *place, Oid database)
{
	static TimestampTz logged_at = 0;
	BackgroundWorker worker;
	MemoryContext old_context;
	bool		started;

	memset(&worker, 0, sizeof(worker));
	worker.bgw_flags = BGWORKER_SHMEM_ACCESS | BGWORKER_BACKEND_DATABASE_CONNECTION;
	worker.bgw_start_time = BgWorkerStart_ConsistentState;
	worker.bgw_restart_time = BGW_NEVER_RESTART;
	strlcpy(worker.bgw_library_name, PGSEAL_MODULE, sizeof(worker.bgw_library_name));
	strlcpy(worker.bgw_function_name, "pgseal_worker_main", sizeof(worker.bgw_function_name));
	snprintf(worker.bgw_name, sizeof(worker.bgw_name), "pgseal worker for database %u", database);
	strlcpy(worker.bgw_type, "pgseal worker", sizeof(worker.bgw_type));
	worker.bgw_main_arg = ObjectIdGetDatum(database);
	/* Tells when it has ended: there may be another request by then */
	worker.bgw_notify_pid = MyProcPid;

	old_context = MemoryContextSwitchTo(TopMemoryContext);
	started = RegisterDynamicBackgroundWorker(&worker, &place->handle);
	MemoryContextSwitchTo(old_context);

	if (started)
		place->database = database;
	else if (TimestampDifferenceExceeds(logged_at, GetCurrentTimestamp(), NO_WORKER_LOG_PAUSE))
	{
		logged_at = GetCurrentTimestamp();
		ereport(LOG,
				(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
				 errmsg("pgseal: no background worker slot is free for database %u", database),
				 errhint("Raise max_worker_processes.")));
	}
}

/* False when places ran out: the next round starts where this one stopped */
static bool
start_workers(const Oid *databases, int num)
{
	static int	first = 0;

	for (int i = 0; i < num; i++)
	{
		Oid			database = databases[(first + i) % num];
		RunningWorker *place = free_place();
		DatabaseState state;

		if (!place)
		{
			first = (first + i) % num;
			return false;
		}
		if (has_worker(database))
			continue;
		state = check_database(database);
		if (state != DATABASE_BUSY)
			pgseal_wakeup_answered(database);
		if (state == DATABASE_CONNECTABLE)
			start_worker(place, database);
	}
	return true;
}

/*
 * Visiting all databases.  There are fewer places for workers than databases, so
 * a visit goes on from where places ran out: each database gets one worker.
 */

/* Databases known not to have the extension, until one asks for a worker */
static HTAB *vacant = NULL;

static void
note_vacant(void)
{
	Oid			databases[DATABASES_MAX];
	int			num = pgseal_wakeup_take_vacant(databases, DATABASES_MAX);

	if (vacant == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(Oid)};

		vacant = hash_create("pgseal vacant databases", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	for (int i = 0; i < num; i++)
		(void) hash_search(vacant, &databases[i], HASH_ENTER, NULL);
}

/*
 * Databases that one can connect to, by OID.  Without an index: a process that is
 * connected to none can't open any.
 */
static List *
all_databases(void)
{
	MemoryContext caller = CurrentMemoryContext;
	List	   *databases = NIL;
	Relation	rel;
	TableScanDesc scan;
	HeapTuple	tuple;

	StartTransactionCommand();
	(void) GetTransactionSnapshot();
	rel = table_open(DatabaseRelationId, AccessShareLock);
	scan = table_beginscan_catalog(rel, 0, NULL);
	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
	{
		Form_pg_database database = (Form_pg_database) GETSTRUCT(tuple);
		MemoryContext transaction = MemoryContextSwitchTo(caller);

		if (is_connectable(database))
			databases = lappend_oid(databases, database->oid);
		MemoryContextSwitchTo(transaction);
	}
	table_endscan(scan);
	table_close(rel, AccessShareLock);
	CommitTransactionCommand();
	MemoryContextSwitchTo(caller);
	list_sort(databases, list_oid_cmp);
	return databases;
}

/* True when the visit is done; *next is where it goes on */
static bool
visit_databases(Oid *next)
{
	List	   *databases = all_databases();
	bool		done = true;

	for (int i = 0; i < list_length(databases) && done; i++)
	{
		Oid			database = list_nth_oid(databases, i);
		RunningWorker *place = free_place();	/* first, as it forgets those that ended */

		if (database < *next || has_worker(database) ||
			hash_search(vacant, &database, HASH_FIND, NULL) != NULL)
			continue;
		*next = database;
		if (place == NULL)
			done = false;
		else
		{
			if (check_database(database) == DATABASE_CONNECTABLE)
				start_worker(place, database);
			*next = database + 1;
		}
	}
	if (done)
		*next = InvalidOid;
	list_free(databases);
	return done;
}

/* How long the launcher may sleep, in ms */
static long
sleep_time(TimestampTz next_interval)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next_due = pgseal_keycache_next_due();
	long		sleep = pgseal_cache_ttl * 1000L / ROUNDS_PER_TTL;

	sleep = Min(sleep, TimestampDifferenceMilliseconds(now, next_interval));
	if (next_due != 0)
		sleep = Min(sleep, TimestampDifferenceMilliseconds(now, next_due));
	return Max(sleep, ROUND_MIN);
}

/* Work that this server's memory knows of */
static bool
do_round(bool interval_is_over)
{
	Oid			databases[DATABASES_MAX];
	bool		standby = RecoveryInProgress();
	int			num = pgseal_keycache_due_databases(databases, DATABASES_MAX,
													interval_is_over && !standby);

	if (!start_workers(databases, num))
		return false;
	/* What is destroyed on the primary says nothing here */
	if (standby && interval_is_over)
		return start_workers(databases, pgseal_keycache_databases(databases, DATABASES_MAX));
	if (standby)
		return true;
	num = pgseal_wakeup_databases(databases, DATABASES_MAX);
	for (int i = 0; i < num; i++)
		(void) hash_search(vacant, &databases[i], HASH_REMOVE, NULL);
	return start_workers(databases, num);
}

void
pgseal_worker_launcher_main(Datum arg)
{
	TimestampTz next_interval = 0;
	TimestampTz next_visit = 0;
	Oid			visit_next = InvalidOid;
	uint32		wait_event;

	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	pqsignal(SIGTERM, SignalHandlerForShutdownRequest);
	BackgroundWorkerUnblockSignals();

	/* The shared catalogs only, to see which databases there are */
	BackgroundWorkerInitializeConnection(NULL, NULL, 0);
	pgseal_wakeup_attach();
	wait_event = pgseal_wait_event("PgsealLauncherMain");

	while (!ShutdownRequestPending)
	{
		TimestampTz now = GetCurrentTimestamp();
		int64		interval = pgseal_worker_interval * INT64CONST(1000);
		bool		soon;

		note_vacant();
		if (do_round(now >= next_interval) && now >= next_interval)
			next_interval = TimestampTzPlusMilliseconds(now, interval);
		if (now >= next_visit && !RecoveryInProgress() && visit_databases(&visit_next))
			next_visit = TimestampTzPlusMilliseconds(now, interval * INTERVALS_PER_VISIT);
		soon = pgseal_idle_wake();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 soon ? ROUND_MIN : sleep_time(next_interval), wait_event);
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();

		if (ConfigReloadPending)
		{
			ConfigReloadPending = false;
			ProcessConfigFile(PGC_SIGHUP);
			next_interval = next_visit = 0;
		}
	}

	/* Not 0, for which the postmaster would never start a launcher again */
	proc_exit(1);
}

/* ---------- the worker of one database ---------- */

/* The error that ended the last piece of work that failed */
static int	last_failure_code;
static char last_failure[256];

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
		if (!lock_database(MyDatabaseId))
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
static int64 due_rewraps[REWRAPS_MAX];
static int	num_due_rewraps = 0;

static void
look_at_schedules(int64 unused)
{
	MemoryContext context = MemoryContextSwitchTo(TopMemoryContext);

	due_rotations = pgseal_lifecycle_due_rotations();
	MemoryContextSwitchTo(context);
	num_due_rewraps = pgseal_lifecycle_due_rewraps(due_rewraps, REWRAPS_MAX);
}

static void
rotate_due(int64 key_hash)
{
	PgsealKeyRow *key = pgseal_catalog_key((int32) key_hash);

	if (key != NULL)
		(void) pgseal_keyring_add_version(key->name, PGSEAL_PURPOSE_DATA, "reason=rotate_every");
}

static void
follow_schedules(void)
{
	ListCell   *lc;

	if (!run("look at the schedules of keys", look_at_schedules, 0))
		return;
	foreach(lc, due_rotations)
		(void) run("rotate key", rotate_due, lfirst_int(lc));
	for (int i = 0; i < num_due_rewraps; i++)
		(void) run("rewrap key version", pgseal_lifecycle_rewrap_version, due_rewraps[i]);
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
 * Re-encryption
 */

static PgsealReencryptStep last_step;

static void
reencrypt_step(int64 unused)
{
	last_step = pgseal_reencrypt_step();
}

static bool left_out;

static void
leave_out(int64 unused)
{
	left_out = pgseal_reencrypt_failed(last_failure_code, last_failure);
}

/* A step that would not end takes the worker with it: PgsealStepOverran */
static void
leave_out_overrun(void)
{
	/* Whoever waits for the database doesn't wait for this, too */
	if (lock_database(MyDatabaseId) &&
		pgseal_reencrypt_failed(ERRCODE_QUERY_CANCELED, "code of the table's owner did not end"))
		ereport(LOG,
				(errcode(ERRCODE_QUERY_CANCELED),
				 errmsg("pgseal: could not re-encrypt: code of the table's owner did not end")));
}

/* A table on which work fails is left out, so that it doesn't stop the others */
static bool
do_reencrypt_step(void)
{
	bool		done;

	/* The table's owner may have an index whose expression never ends */
	pgseal_step_limit_begin(STEP_TIMEOUT + pgseal_kms_timeout);
	done = run("re-encrypt", reencrypt_step, 0);
	pgseal_step_limit_end();
	if (done)
		return true;
	left_out = false;
	return run("note a failure", leave_out, 0) && left_out;
}

static void
reencrypt(void)
{
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SLICE);
	uint32		wait_event = pgseal_wait_event("PgsealReencrypt");

	while (do_reencrypt_step() && last_step != PGSEAL_REENCRYPT_IDLE)
	{
		int			delay = last_step == PGSEAL_REENCRYPT_LATER ? LATER : pgseal_reencrypt_delay;

		if (delay > 0)
		{
			(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
							 delay, wait_event);
			ResetLatch(MyLatch);
		}
		if (GetCurrentTimestamp() >= end)
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
	int			num = pgseal_keycache_due(ids, pgseal_cache_size);

	for (int i = 0; i < num; i++)
	{
		(void) run("refresh key version", refresh_key, ids[i]);

		/* An error between claim and result; harmless when there is no claim */
		pgseal_keycache_abandon(ids[i]);
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
	SetConfigOption("default_transaction_isolation", "read committed", PGC_SUSET, PGC_S_OVERRIDE);
	SetConfigOption("default_transaction_read_only", "off", PGC_SUSET, PGC_S_OVERRIDE);
}

void
pgseal_worker_main(Datum arg)
{
	Oid			database = DatumGetObjectId(arg);

	/* Unlike the default handler, this lets a KMS call end in order */
	pqsignal(SIGTERM, die);
	pqsignal(SIGHUP, SignalHandlerForConfigReload);
	BackgroundWorkerUnblockSignals();

	BackgroundWorkerInitializeConnectionByOid(database, InvalidOid, 0);
	override_settings();

	if (!is_installed())
	{
		pgseal_keycache_drop_database(database);
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
		pgseal_step_limit_init(leave_out_overrun);
		reencrypt();
	}

	proc_exit(0);
}
