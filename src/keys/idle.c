/*-------------------------------------------------------------------------
 *
 * idle.c
 *	  Keys leave the memory of processes that don't use them.
 *
 * A process unloads what was destroyed, refused or has expired at the end of its
 * next transaction (backend_keys.c).  For one that is idle there may be none for
 * days.  So the launcher sends it the signal by which PostgreSQL itself asks
 * processes to catch up with invalidations: it is heeded while a session waits for
 * its client, and answered with an empty transaction, or with reading the
 * invalidations where the session is idle in a transaction.  Whoever is at work
 * has its own end of transaction.
 *
 * Where there is nothing to read, nothing is called either.  So an invalidation of
 * a shared catalog that nobody has in mind, sent first, sees to it that there is.
 *
 * What was taken away is unloaded at once.  What has expired, a twentieth of the
 * time to live later at most, so that many keys that nobody uses don't keep many
 * sessions awake.  Of keys that a full cache has evicted, or never had, nobody sees
 * when they expire: until the last of them has, sessions are woken as often.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_shdescription.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "storage/sinval.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/settings.h"
#include "keys/idle.h"
#include "keys/shared_cache.h"

/* Neither a BackendId nor, since 17, a ProcNumber: the signal finds its slot by the pid */
#define BY_PID		(-1)

static void
send_invalidation(void)
{
	SharedInvalidationMessage message = {0};

	message.rc.id = SHAREDINVALRELCACHE_ID;
	message.rc.dbId = InvalidOid;	/* shared */
	message.rc.relId = SharedDescriptionRelationId;
	SendSharedInvalidMessages(&message, 1);
}

/* Read without a lock: a signal for a process that is gone finds no slot */
static void
wake_processes(void)
{
	send_invalidation();
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		const PGPROC *proc = &ProcGlobal->allProcs[i];
		int			pid = proc->pid;

		if (pid != 0 && pid != MyProcPid && OidIsValid(proc->databaseId))
			(void) SendProcSignal(pid, PROCSIG_CATCHUP_INTERRUPT, BY_PID);
	}
}

void
pgseal_idle_wake(void)
{
	static uint64 taken_seen = 0;
	static uint64 expirations_seen = 0;
	static TimestampTz woken_at = 0;
	uint64		taken = pgseal_shared_cache_taken();
	uint64		expirations = pgseal_shared_cache_expirations();
	TimestampTz unlisted = pgseal_shared_cache_unlisted_until();
	TimestampTz now = pgseal_clock();

	if (taken == taken_seen &&
		((expirations == expirations_seen && (unlisted == 0 || unlisted < woken_at)) ||
		 !TimestampDifferenceExceeds(woken_at, now, pgseal_cache_ttl * 1000 / 20)))
		return;
	taken_seen = taken;
	expirations_seen = expirations;
	woken_at = now;
	wake_processes();
}
