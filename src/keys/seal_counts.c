/*-------------------------------------------------------------------------
 *
 * seal_counts.c
 *	  How many values each key version has sealed, for all backends.
 *
 * Seal counts lie in buckets of a few counters.  When a bucket is full, the
 * counter that has least to be saved (of those, the lowest) gives way, and the
 * bucket's floor is raised to what it had; a counter that starts in the bucket
 * starts at the floor.  So there is always room, and a count may be too high,
 * which means a rotation that comes early, but never too low.  Should more key
 * versions seal between two saves than there are counters, what was unsaved of
 * the one that gave way is missing from the catalog after a restart.
 *
 * One LWLock guards them all; nothing raises an error while it is held.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/settings.h"
#include "base/shmem.h"
#include "keys/key_tag.h"
#include "keys/seal_counts.h"

#define TRANCHE_NAME			"pgseal_seal_counts"
#define WAYS					8
#define COUNTERS_PER_SLOT		4

typedef struct SealCounter
{
	PgsealKeyTag tag;			/* database InvalidOid: free */
	uint64		reserved;
	uint64		saved;
} SealCounter;

typedef struct SealBucket
{
	uint64		floor;
	SealCounter counters[WAYS];
} SealBucket;

/* Shared memory; the pointers are inherited from the postmaster */
static SealBucket *buckets = NULL;
static LWLock *lock;

static uint32
num_buckets(void)
{
	return pg_nextpower2_32(pgseal_cache_size) * COUNTERS_PER_SLOT / WAYS;
}

static Size
buckets_bytes(void)
{
	return mul_size(num_buckets(), sizeof(SealBucket));
}

static void
request_shmem(void)
{
	RequestAddinShmemSpace(buckets_bytes());
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

static void
startup_shmem(void)
{
	bool		found;

	buckets = ShmemInitStruct("pgseal seal counts", buckets_bytes(), &found);
	lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;
	memset(buckets, 0, buckets_bytes());
}

void
pgseal_seal_counts_init(void)
{
	pgseal_shmem_register(request_shmem, startup_shmem);
}

/* The helpers need the lock */

static SealBucket *
bucket_of(Oid database, int64 key_version_id)
{
	return &buckets[pgseal_key_tag_hash(database, key_version_id) & (num_buckets() - 1)];
}

/* NULL if there is none */
static SealCounter *
find_counter(SealBucket *bucket, Oid database, int64 key_version_id)
{
	for (int way = 0; way < WAYS; way++)
	{
		if (pgseal_key_tag_is(&bucket->counters[way].tag, database, key_version_id))
			return &bucket->counters[way];
	}
	return NULL;
}

static void
retire(SealBucket *bucket, SealCounter *counter)
{
	bucket->floor = Max(bucket->floor, counter->reserved);
	memset(counter, 0, sizeof(*counter));
}

/* Free ones are all zeroes, so they come first */
static SealCounter *
most_dispensable(SealBucket *bucket)
{
	SealCounter *best = &bucket->counters[0];

	for (int way = 1; way < WAYS; way++)
	{
		SealCounter *counter = &bucket->counters[way];
		uint64		unsaved = counter->reserved - counter->saved;
		uint64		best_unsaved = best->reserved - best->saved;

		if (unsaved < best_unsaved ||
			(unsaved == best_unsaved && counter->reserved < best->reserved))
			best = counter;
	}
	return best;
}

uint64
pgseal_seal_counts_reserve(int64 key_version_id, uint64 first_known, uint32 count)
{
	SealBucket *bucket;
	SealCounter *counter;
	uint64		reserved;

	/* What can't be counted must not be sealed */
	if (!buckets)
		return PG_UINT64_MAX;

	bucket = bucket_of(MyDatabaseId, key_version_id);
	LWLockAcquire(lock, LW_EXCLUSIVE);
	counter = find_counter(bucket, MyDatabaseId, key_version_id);
	if (!counter)
	{
		counter = most_dispensable(bucket);
		retire(bucket, counter);
		counter->tag.database = MyDatabaseId;
		counter->tag.key_version_id = key_version_id;
		counter->reserved = Max(first_known, bucket->floor);
		counter->saved = first_known;
	}
	counter->reserved += count;
	reserved = counter->reserved;
	LWLockRelease(lock);
	return reserved;
}

int
pgseal_seal_counts_unsaved(PgsealSealCount *out_counts, int max)
{
	int			num = 0;

	if (!buckets)
		return 0;

	LWLockAcquire(lock, LW_SHARED);
	for (uint32 b = 0; b < num_buckets() && num < max; b++)
	{
		for (int way = 0; way < WAYS && num < max; way++)
		{
			SealCounter *counter = &buckets[b].counters[way];

			if (counter->tag.database == MyDatabaseId && counter->reserved > counter->saved)
			{
				out_counts[num].key_version_id = counter->tag.key_version_id;
				out_counts[num++].seals = counter->reserved;
			}
		}
	}
	LWLockRelease(lock);
	return num;
}

void
pgseal_seal_counts_saved(const PgsealSealCount *counts, int num_counts)
{
	if (!buckets)
		return;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (int i = 0; i < num_counts; i++)
	{
		int64		id = counts[i].key_version_id;
		SealCounter *counter = find_counter(bucket_of(MyDatabaseId, id), MyDatabaseId, id);

		if (counter)
			counter->saved = Max(counter->saved, counts[i].seals);
	}
	LWLockRelease(lock);
}

int
pgseal_seal_counts_unsaved_databases(Oid *out_databases, int max)
{
	int			num = 0;

	if (!buckets)
		return 0;

	LWLockAcquire(lock, LW_SHARED);
	for (uint32 b = 0; b < num_buckets(); b++)
	{
		for (int way = 0; way < WAYS; way++)
		{
			SealCounter *counter = &buckets[b].counters[way];

			if (counter->reserved > counter->saved)
				pgseal_add_database(out_databases, &num, max, counter->tag.database);
		}
	}
	LWLockRelease(lock);
	return num;
}

void
pgseal_seal_counts_drop_database(Oid database)
{
	if (!buckets)
		return;

	LWLockAcquire(lock, LW_EXCLUSIVE);
	for (uint32 b = 0; b < num_buckets(); b++)
	{
		for (int way = 0; way < WAYS; way++)
		{
			SealCounter *counter = &buckets[b].counters[way];

			if (counter->tag.database == database)
				retire(&buckets[b], counter);
		}
	}
	LWLockRelease(lock);
}

uint64
pgseal_seal_counts_reserved(int64 key_version_id)
{
	SealCounter *counter;
	uint64		reserved;

	if (!buckets)
		return 0;

	LWLockAcquire(lock, LW_SHARED);
	counter = find_counter(bucket_of(MyDatabaseId, key_version_id), MyDatabaseId, key_version_id);
	reserved = counter != NULL ? counter->reserved : 0;
	LWLockRelease(lock);
	return reserved;
}
