/*-------------------------------------------------------------------------
 *
 * wakeup.c
 *	  Asking for the background worker.
 *
 * Who makes work for the worker (a rotated key, a schedule, a key version that
 * has sealed enough) leaves the database's OID in shared memory and sets the
 * launcher's latch.  A request may get lost: when there are more databases
 * than places, or with the server.  The launcher looks into every database from
 * time to time anyway; a request only makes it sooner.  But it looks no more into those
 * that don't have the extension.  So a database where a prepared transaction has asked
 * isn't taken for one of them: who commits that isn't told what it did.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "storage/proc.h"
#include "storage/shmem.h"
#include "storage/spin.h"

#include "base/compat.h"
#include "base/shmem.h"
#include "keys/wakeup.h"

#define REQUESTS_MAX			64

typedef struct WakeupShared
{
	slock_t		mutex;			/* protects all below */
	Latch	   *launcher;		/* NULL while there is none */
	Oid			databases[REQUESTS_MAX];	/* InvalidOid: free */
	bool		lost;			/* a request for which there was no place */
	int			num_vacant;
	Oid			vacant[REQUESTS_MAX];	/* databases without the extension */
	Oid			prepared[REQUESTS_MAX]; /* where a prepared transaction has
										 * asked */
} WakeupShared;

static WakeupShared *shared = NULL;
static bool wanted_at_commit = false;
static void
request_shmem(void)
{
	RequestAddinShmemSpace(sizeof(WakeupShared));
}

static void
startup_shmem(void)
{
	bool		found;

	shared = ShmemInitStruct("pgseal requests", sizeof(WakeupShared), &found);
	if (!found)
	{
		memset(shared, 0, sizeof(WakeupShared));
		SpinLockInit(&shared->mutex);
	}
}

/* Where the database is in the list, or else a free place, or -1 */
static int
place_in(const Oid *databases)
{
	int			place = -1;

	for (int i = 0; i < REQUESTS_MAX; i++)
	{
		if (databases[i] == MyDatabaseId)
			return i;
		if (place < 0 && databases[i] == InvalidOid)
			place = i;
	}
	return place;
}

static void
note_prepared(void)
{
	int			place;

	SpinLockAcquire(&shared->mutex);
	place = place_in(shared->prepared);
	if (place >= 0)
		shared->prepared[place] = MyDatabaseId;
	SpinLockRelease(&shared->mutex);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	bool		wanted = wanted_at_commit;

	if (event != XACT_EVENT_COMMIT && event != XACT_EVENT_ABORT && event != XACT_EVENT_PREPARE)
		return;
	wanted_at_commit = false;
	if (wanted && event == XACT_EVENT_PREPARE)
		note_prepared();
	if (wanted && event != XACT_EVENT_ABORT)
		pgseal_wakeup_now();
}

void
pgseal_wakeup_init(void)
{
	pgseal_shmem_register(request_shmem, startup_shmem);
	RegisterXactCallback(end_of_transaction, NULL);
}

/* What a worker has said of this database, and the launcher hasn't heard yet */
static void
take_back_vacant(void)
{
	int			kept = 0;

	for (int i = 0; i < shared->num_vacant; i++)
		if (shared->vacant[i] != MyDatabaseId)
			shared->vacant[kept++] = shared->vacant[i];
	shared->num_vacant = kept;
}

void
pgseal_wakeup_now(void)
{
	Latch	   *launcher;
	int			place;

	SpinLockAcquire(&shared->mutex);
	place = place_in(shared->databases);
	if (place >= 0)
		shared->databases[place] = MyDatabaseId;
	else
		shared->lost = true;
	take_back_vacant();
	launcher = shared->launcher;
	SpinLockRelease(&shared->mutex);
	if (launcher != NULL)
		SetLatch(launcher);
}

void
pgseal_wakeup_launcher(void)
{
	Latch	   *launcher;

	SpinLockAcquire(&shared->mutex);
	launcher = shared->launcher;
	SpinLockRelease(&shared->mutex);
	if (launcher != NULL)
		SetLatch(launcher);
}

void
pgseal_wakeup_at_commit(void)
{
	wanted_at_commit = true;
}

static void
detach(int code, Datum arg)
{
	SpinLockAcquire(&shared->mutex);
	shared->launcher = NULL;
	SpinLockRelease(&shared->mutex);
}

void
pgseal_wakeup_prepared(void)
{
	bool		found;
	int			place;

	SpinLockAcquire(&shared->mutex);
	place = place_in(shared->prepared);
	found = place >= 0 && shared->prepared[place] == MyDatabaseId;
	if (found)
		shared->prepared[place] = InvalidOid;
	SpinLockRelease(&shared->mutex);
	if (found)
		pgseal_wakeup_now();
}

void
pgseal_wakeup_attach(void)
{
	before_shmem_exit(detach, (Datum) 0);
	SpinLockAcquire(&shared->mutex);
	shared->launcher = &MyProc->procLatch;
	SpinLockRelease(&shared->mutex);
}

int
pgseal_wakeup_databases(Oid *out_databases, int max)
{
	int			num = 0;

	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < REQUESTS_MAX && num < max; i++)
		if (OidIsValid(shared->databases[i]))
			out_databases[num++] = shared->databases[i];
	SpinLockRelease(&shared->mutex);
	return num;
}

void
pgseal_wakeup_answered(Oid database)
{
	SpinLockAcquire(&shared->mutex);
	for (int i = 0; i < REQUESTS_MAX; i++)
		if (shared->databases[i] == database)
			shared->databases[i] = InvalidOid;
	SpinLockRelease(&shared->mutex);
}

/* Does the list have this database? */
static bool
is_in(const Oid *databases)
{
	int			place = place_in(databases);

	return place >= 0 && databases[place] == MyDatabaseId;
}

void
pgseal_wakeup_vacant(void)
{
	SpinLockAcquire(&shared->mutex);
	if (shared->num_vacant < REQUESTS_MAX && !is_in(shared->prepared) && !is_in(shared->databases))
		shared->vacant[shared->num_vacant++] = MyDatabaseId;
	SpinLockRelease(&shared->mutex);
}

bool
pgseal_wakeup_take_lost(void)
{
	bool		lost;

	SpinLockAcquire(&shared->mutex);
	lost = shared->lost;
	shared->lost = false;
	SpinLockRelease(&shared->mutex);
	return lost;
}

int
pgseal_wakeup_take_vacant(Oid *out_databases, int max)
{
	int			num;

	SpinLockAcquire(&shared->mutex);
	num = Min(shared->num_vacant, max);
	memcpy(out_databases, shared->vacant, num * sizeof(Oid));
	shared->num_vacant = 0;
	SpinLockRelease(&shared->mutex);
	return num;
}
