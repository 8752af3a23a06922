/*-------------------------------------------------------------------------
 *
 * counters.c
 *	  What calls to key management services came to, for pgseal.stat_kms.
 *
 * A fixed number of servers in shared memory, each with its counters by
 * operation; a server that doesn't fit takes the place of the one whose last
 * call is the oldest.  They are counted since the server was started.
 *
 * A call is counted when it begins and its outcome when it ends, so that one
 * that was cancelled, or whose process was killed, isn't missing.  How long it
 * took counts for those that succeeded only: of the others, what took long is
 * known from pgseal.kms_timeout, and what was short says nothing of the KMS.
 * A login that an operation needed counts by itself, and within the operation.
 *
 * One LWLock guards all; a process comes here twice in a KMS call, which takes
 * a thousand times as long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "kms/counters.h"

#define NUM_SERVERS		64
#define TRANCHE			"pgseal_kms_stat"

typedef struct ServerSlot
{
	Oid			database;		/* InvalidOid: free */
	TimestampTz used_at;
	PgsealKmsServerStats stats;
} ServerSlot;

static const char *const operations[PGSEAL_STAT_OPERATIONS] = {
	"generate", "wrap", "unwrap", "rewrap", "describe", "login"
};

/* Of this process */
static uint64 num_retries = 0;

static ServerSlot *slots = NULL;
static LWLock *lock = NULL;

static void
request_memory(void)
{
	RequestAddinShmemSpace(NUM_SERVERS * sizeof(ServerSlot));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
attach_memory(void)
{
	bool		found;

	slots = ShmemInitStruct("pgseal kms statistics", NUM_SERVERS * sizeof(ServerSlot), &found);
	if (!found)
		memset(slots, 0, NUM_SERVERS * sizeof(ServerSlot));
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
}

void
pgseal_kms_counters_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	pgseal_shmem_register(request_memory, attach_memory);
}

/* The server's slot, or the one that it takes over; the lock is held. */
static ServerSlot *
slot_of(Oid server, TimestampTz now)
{
	ServerSlot *slot = &slots[0];

	for (int i = 0; i < NUM_SERVERS; i++)
	{
		if (slots[i].database == MyDatabaseId && slots[i].stats.server == server)
		{
			slots[i].used_at = now;
			return &slots[i];
		}
		/* a free one has never been used */
		if (slots[i].used_at < slot->used_at)
			slot = &slots[i];
	}
	memset(slot, 0, sizeof(ServerSlot));
	slot->database = MyDatabaseId;
	slot->used_at = now;
	slot->stats.server = server;
	slot->stats.since = now;
	return slot;
}

void
pgseal_kms_counters_begin(PgsealKmsTimer *out_timer, const PgsealKmsServer *server,
						  const char *operation)
{
	int			i = 0;

	while (strcmp(operations[i], operation) != 0)
		i++;
	out_timer->server = server->oid;
	out_timer->operation = i;
	out_timer->begun_at = GetCurrentTimestamp();
	INSTR_TIME_SET_CURRENT(out_timer->begun);
	out_timer->retries_before = num_retries;
	if (slots == NULL)
		return;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot_of(server->oid, out_timer->begun_at)->stats.operations[i].calls++;
	LWLockRelease(lock);
}

void
pgseal_kms_counters_retry(void)
{
	num_retries++;
}

static void
count_success(PgsealKmsStat *stat, double milliseconds, TimestampTz now)
{
	stat->min_ms = stat->succeeded == 0 ? milliseconds : Min(stat->min_ms, milliseconds);
	stat->max_ms = Max(stat->max_ms, milliseconds);
	stat->last_ms = milliseconds;
	stat->total_ms += milliseconds;
	stat->succeeded++;
	stat->last_success = now;
}

static void
count_failure(PgsealKmsStat *stat, PgsealKmsStatus status, const PgsealKmsError *error,
			  TimestampTz now)
{
	if (status == PGSEAL_KMS_UNREACHABLE)
		stat->unreachable++;
	else if (status == PGSEAL_KMS_REFUSED)
		stat->refused++;
	else
		stat->invalid++;
	stat->last_failure = now;
	stat->last_failure_status = status;
	strlcpy(stat->last_code, error->code, sizeof(stat->last_code));
}

void
pgseal_kms_counters_end(const PgsealKmsTimer *timer, PgsealKmsStatus status,
						const PgsealKmsError *error)
{
	TimestampTz now = GetCurrentTimestamp();
	instr_time	taken;
	ServerSlot *slot;

	if (slots == NULL)
		return;
	INSTR_TIME_SET_CURRENT(taken);
	INSTR_TIME_SUBTRACT(taken, timer->begun);

	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = slot_of(timer->server, now);

	/* Its beginning may have been forgotten by a reset */
	if (slot->stats.since <= timer->begun_at)
	{
		PgsealKmsStat *stat = &slot->stats.operations[timer->operation];

		stat->retries += num_retries - timer->retries_before;
		if (status == PGSEAL_KMS_OK)
			count_success(stat, INSTR_TIME_GET_MILLISEC(taken), now);
		else
			count_failure(stat, status, error, now);
	}
	LWLockRelease(lock);
}

int
pgseal_kms_counters_servers(PgsealKmsServerStats **out_stats)
{
	PgsealKmsServerStats *stats = palloc(NUM_SERVERS * sizeof(PgsealKmsServerStats));
	int			num = 0;

	*out_stats = stats;
	if (slots == NULL)
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	for (int i = 0; i < NUM_SERVERS; i++)
		if (slots[i].database == MyDatabaseId)
			stats[num++] = slots[i].stats;
	LWLockRelease(lock);
	return num;
}

const char *
pgseal_kms_counters_operation(int i)
{
	return operations[i];
}

void
pgseal_kms_counters_reset(Oid server)
{
	TimestampTz now = GetCurrentTimestamp();

	if (slots == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < NUM_SERVERS; i++)
	{
		PgsealKmsServerStats *stats = &slots[i].stats;

		if (slots[i].database != MyDatabaseId || (OidIsValid(server) && stats->server != server))
			continue;
		memset(stats->operations, 0, sizeof(stats->operations));
		stats->since = now;
	}
	LWLockRelease(lock);
}
