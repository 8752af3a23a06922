/*-------------------------------------------------------------------------
 *
 * launcher.c
 *	  The launcher: starts a worker in each database where there is work.
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
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "postmaster/interrupt.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/procsignal.h"
#include "utils/guc.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "keys/idle.h"
#include "keys/seal_counts.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"
#include "life/launcher.h"
#include "life/worker.h"

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
pgseal_launcher_init(void)
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
	strlcpy(worker.bgw_function_name, "pgseal_launcher_main", sizeof(worker.bgw_function_name));
	strlcpy(worker.bgw_name, "pgseal launcher", sizeof(worker.bgw_name));
	strlcpy(worker.bgw_type, "pgseal launcher", sizeof(worker.bgw_type));
	RegisterBackgroundWorker(&worker);
}

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
		if (!pgseal_worker_lock_database(database))
			state = DATABASE_BUSY;
		else if (is_connectable((Form_pg_database) GETSTRUCT(tuple)))
			state = DATABASE_CONNECTABLE;
		ReleaseSysCache(tuple);
	}
	CommitTransactionCommand();

	if (!exists)
		pgseal_shared_cache_drop_database(database);
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
	else if (TimestampDifferenceExceeds(logged_at, pgseal_clock(), NO_WORKER_LOG_PAUSE))
	{
		logged_at = pgseal_clock();
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
	int			num;

	/*
	 * Of which one it was, nothing is known; those that are vacant say so
	 * again
	 */
	if (pgseal_wakeup_take_lost() && vacant != NULL)
	{
		hash_destroy(vacant);
		vacant = NULL;
	}
	num = pgseal_wakeup_take_vacant(databases, DATABASES_MAX);
	if (vacant == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(Oid)};

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
		RunningWorker *place = free_place();	/* first, as it forgets those
												 * that ended */

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
	TimestampTz now = pgseal_clock();
	TimestampTz next_due = pgseal_shared_cache_next_due();
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
	int			num;

	if (!start_workers(databases, pgseal_shared_cache_due_databases(databases, DATABASES_MAX)))
		return false;
	/* What is destroyed on the primary says nothing here */
	if (standby && interval_is_over)
		return start_workers(databases, pgseal_shared_cache_databases(databases, DATABASES_MAX));
	if (standby)
		return true;
	if (interval_is_over &&
		!start_workers(databases, pgseal_seal_counts_unsaved_databases(databases, DATABASES_MAX)))
		return false;
	num = pgseal_wakeup_databases(databases, DATABASES_MAX);
	for (int i = 0; i < num; i++)
		(void) hash_search(vacant, &databases[i], HASH_REMOVE, NULL);
	return start_workers(databases, num);
}

void
pgseal_launcher_main(Datum arg)
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
	pgseal_no_transaction_timeout();
	pgseal_wakeup_attach();
	wait_event = pgseal_wait_event("PgsealLauncherMain");

	while (!ShutdownRequestPending)
	{
		TimestampTz now = pgseal_clock();
		int64		interval = pgseal_worker_interval * INT64CONST(1000);

		note_vacant();
		if (do_round(now >= next_interval) && now >= next_interval)
			next_interval = TimestampTzPlusMilliseconds(now, interval);
		if (now >= next_visit && !RecoveryInProgress() && visit_databases(&visit_next))
			next_visit = TimestampTzPlusMilliseconds(now, interval * INTERVALS_PER_VISIT);
		pgseal_idle_wake();

		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 sleep_time(next_interval), wait_event);
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
