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
 * What was taken away is unloaded at once.  (The signal is sent twice: the first
 * may come before the invalidation, which the committing process sends last.)
 * What has expired, a twentieth of the time to live later at most, so that many
 * keys that nobody uses don't keep many sessions awake.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "storage/procsignal.h"
#include "utils/timestamp.h"

#include "base/settings.h"
#include "keys/idle.h"
#include "keys/shared_cache.h"

/* Neither a BackendId nor, since 17, a ProcNumber: the signal finds its slot by the pid */
#define BY_PID		(-1)

/* Read without a lock: a signal for a process that is gone finds no slot */
static void
wake_processes(void)
{
	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		const PGPROC *proc = &ProcGlobal->allProcs[i];
		int			pid = proc->pid;

		if (pid != 0 && pid != MyProcPid && OidIsValid(proc->databaseId))
			(void) SendProcSignal(pid, PROCSIG_CATCHUP_INTERRUPT, BY_PID);
	}
}

bool
pgseal_idle_wake(void)
{
	static uint64 taken_seen = 0;
	static uint64 expirations_seen = 0;
	static TimestampTz woken_at = 0;
	static bool again = false;
	uint64		taken = pgseal_keycache_taken();
	uint64		expirations = pgseal_keycache_expirations();
	TimestampTz now = GetCurrentTimestamp();

	if (taken == taken_seen && !again &&
		(expirations == expirations_seen ||
		 !TimestampDifferenceExceeds(woken_at, now, pgseal_cache_ttl * 1000 / 20)))
		return false;
	again = taken != taken_seen;
	taken_seen = taken;
	expirations_seen = expirations;
	woken_at = now;
	wake_processes();
	return again;
}
