/*-------------------------------------------------------------------------
 *
 * used_by_workers.c
 *	  Under which key versions parallel workers have sealed, told to their leader.
 *
 * A worker is gone when its leader commits what it has sealed (used.c).  So each
 * process has a few places in shared memory that its workers fill and it empties.
 * The leader reads them when its workers are through, so nothing needs a lock; a
 * version that finds no place makes the leader careful with all.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "miscadmin.h"
#include "port/atomics.h"
#include "storage/proc.h"
#include "storage/shmem.h"

#include "base/shmem.h"
#include "keys/used_by_workers.h"

typedef struct LeaderPlaces
{
	pg_atomic_uint32 reports;	/* may be more than there are places */
	int64		versions[PGSEAL_WORKERS_PLACES];
} LeaderPlaces;

/* One for each process that may lead; inherited from the postmaster */
static LeaderPlaces *leaders = NULL;

static Size
leaders_bytes(void)
{
	return mul_size(MaxBackends, sizeof(LeaderPlaces));
}

static LeaderPlaces *
places_of(const PGPROC *leader)
{
	int			number = leader == NULL ? -1 : leader - ProcGlobal->allProcs;

	return leaders == NULL || number < 0 || number >= MaxBackends ? NULL : &leaders[number];
}

void
pgseal_used_by_worker(int64 version)
{
	LeaderPlaces *places = places_of(MyProc->lockGroupLeader);
	uint32		place;

	if (places == NULL)
		elog(ERROR, "parallel worker cannot tell its leader of a key");
	place = pg_atomic_fetch_add_u32(&places->reports, 1);
	if (place < PGSEAL_WORKERS_PLACES)
		places->versions[place] = version;
}

uint32
pgseal_used_by_workers(int64 *versions)
{
	LeaderPlaces *places = places_of(MyProc);
	uint32		reports;

	if (places == NULL)
		return 0;
	reports = pg_atomic_read_u32(&places->reports);
	if (reports == 0)
		return 0;
	memcpy(versions, places->versions, Min(reports, PGSEAL_WORKERS_PLACES) * sizeof(int64));
	pg_atomic_write_u32(&places->reports, 0);
	return reports;
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(leaders_bytes());
}

static void
startup_shmem(void)
{
	bool		found;

	leaders = ShmemInitStruct("pgseal keys of workers", leaders_bytes(), &found);
	for (int i = 0; i < MaxBackends; i++)
		pg_atomic_init_u32(&leaders[i].reports, 0);
}

void
pgseal_used_by_workers_init(void)
{
	pgseal_shmem_register(request_shmem, startup_shmem);
}
