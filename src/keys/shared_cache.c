/*-------------------------------------------------------------------------
 *
 * shared_cache.c
 *	  Usable keys in shared memory, for all backends.
 *
 * What is where
 *
 * A fixed number of slots (pgseal.cache_size), found through hash chains by
 * (database, key version id).  A slot's key lies apart from it, in an array
 * that is page-aligned, locked into memory and left out of core dumps.  Even
 * there it is masked: XORed with a pad that is derived from a secret and the
 * number of the fill.  The secret lies in memory private to the server's
 * processes (drawn by the postmaster before it forks), so a copy of the
 * shared segment alone is worth nothing.
 *
 * States of an entry
 *
 * An entry may have a key or not, and independently of that be claimed or not:
 *
 *	 key, unclaimed		usable until expires_at; then the next who asks claims it
 *	 key, claimed		being fetched again; others go on with the old key
 *						until the end of the grace time
 *	 no key, claimed	being fetched; others wait
 *	 no key, unclaimed	the last fetch failed; until retry_at others get the
 *						same failure, then the next who asks claims it
 *
 * A claim belongs to one process.  It ends with publish(), fail() or abandon();
 * when the process exits; or, so that nothing can block a key for ever, at a
 * deadline beyond pgseal.kms_timeout, or when there is no such process: then
 * one who waits takes it over.  Only who holds the claim can publish, so a key
 * that was dropped while it was fetched doesn't come back.
 *
 * A KMS that can't be reached leaves a key in use until pgseal.cache_grace
 * after its expiry; one that refuses ends it at once.
 *
 * Locks
 *
 * One LWLock guards the slots and chains: shared for the lookup that finds a
 * fresh key, exclusive for all else.  A backend comes here once per key and
 * TTL, as it keeps its cipher contexts.  A second LWLock guards the seal
 * counts.  No lock is held during I/O, while waiting, or while a pad is
 * computed; nothing raises an error while one is held.  used_at, the counters
 * and the generation are atomic.
 *
 * One file, though a long one: these rules hold where the slots are touched, and
 * nobody else should be able to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/hashfn.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "keys/shared_cache.h"

#ifdef EXEC_BACKEND
#error "pgseal needs processes that are forked: they inherit the mask of the key cache"
#endif

#define TRANCHE_NAME			"pgseal"
#define NO_SLOT					(-1)

/* A claim is lost this long after pgseal.kms_timeout, in ms */
#define CLAIM_SLACK				5000
/* How often a waiting process looks whether the claimer still lives, in ms */
#define WAIT_CHECK				1000
/* How long a key past its expiry is handed out at a time, in ms */
#define STALE_USE				2000
/* Pause after a failed fetch, if there is a key to go on with, in ms */
#define RETRY_MIN				1000
#define RETRY_MAX				5000
/* How long a failure is remembered, if there is no key, in ms */
#define UNREACHABLE_MIN			750
#define UNREACHABLE_MAX			1250
#define REFUSED_MIN				4000
#define REFUSED_MAX				6000
/* An entry falls due in this part of its TTL */
#define REFRESH_MIN				0.80
#define REFRESH_MAX				0.95
/* Of how many entries the least recently used is evicted */
#define EVICTION_SAMPLE			16
/* At most one warning about a full cache in this time, in ms */
#define FULL_WARNING_PAUSE		60000

typedef struct CacheTag
{
	Oid			database;
	int64		key_version_id;
} CacheTag;

typedef struct CacheSlot
{
	CacheTag	tag;
	int32		next;			/* in the bucket's chain or the free list */
	int			claimer;		/* pid; 0 when unclaimed */
	TimestampTz claim_deadline;
	bool		refreshing;		/* claimed by claim_refresh() */
	bool		has_key;
	PgsealKmsStatus failure;	/* of the last fetch, if !has_key */
	uint64		fill;			/* selects the pad of the key */
	TimestampTz published_at;
	TimestampTz expires_at;

	/*
	 * Nobody needs to fetch before this.  With a fresh key: when it falls due.
	 * With a stale one or none: the end of the pause after a failure.
	 */
	TimestampTz retry_at;
	pg_atomic_uint64 used_at;	/* last HIT; written under a shared lock */
	ConditionVariable resolved; /* the claim has ended */
} CacheSlot;

typedef struct CacheShared
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 taken;		/* keys, for whose sake the generation moved on */
	pg_atomic_uint64 fills;
	pg_atomic_uint64 hits;
	pg_atomic_uint64 misses;
	pg_atomic_uint64 waits;
	pg_atomic_uint64 refreshes;
	pg_atomic_uint64 evictions;
	pg_atomic_uint64 expirations;
	pg_atomic_uint64 overflows;
	pg_atomic_uint64 failures;
	bool		locked;			/* set in the postmaster, then constant */

	int32		free_head;
	int32		touched;		/* slots from here on have never been used */
	int32		used;
	int32		hand;			/* where eviction goes on looking */
	TimestampTz full_warned_at;
	CacheSlot	slots[FLEXIBLE_ARRAY_MEMBER];
} CacheShared;

/*
 * Seal counts lie in buckets of a few counters.  When a bucket is full, the
 * counter that has least to be saved (of those, the lowest) gives way, and the
 * bucket's floor is raised to what it had; a counter that starts in the bucket
 * starts at the floor.  So there is always room, and a count may be too high,
 * which means a rotation that comes early, but never too low.  Should more key
 * versions seal between two saves than there are counters, what was unsaved of
 * the one that gave way is missing from the catalog after a restart.
 */
#define SEAL_WAYS				8
#define SEAL_COUNTERS_PER_SLOT	4

typedef struct SealCounter
{
	CacheTag	tag;			/* database InvalidOid: free */
	uint64		reserved;
	uint64		saved;
} SealCounter;

typedef struct SealBucket
{
	uint64		floor;
	SealCounter counters[SEAL_WAYS];
} SealBucket;

/* Private to the server's processes: drawn by the postmaster, inherited */
static uint8 *mask_secret = NULL;

/* Shared memory; the pointers are inherited from the postmaster */
static CacheShared *cache = NULL;
static LWLock *cache_lock;
static int32 *buckets;
static PgsealKmsError *errors;	/* of slots with a failure */
static uint8 (*masked_keys)[PGSEAL_KEY_BYTES];
static SealBucket *seal_buckets;
static LWLock *seal_lock;

/* Claims that this process holds */
static int	num_claims = 0;

/* ---------- sizes ---------- */

static uint32
num_buckets(void)
{
	return pg_nextpower2_32(pgseal_cache_size);
}

static uint32
num_seal_buckets(void)
{
	return num_buckets() * SEAL_COUNTERS_PER_SLOT / SEAL_WAYS;
}

static Size
slots_bytes(void)
{
	return add_size(offsetof(CacheShared, slots), mul_size(pgseal_cache_size, sizeof(CacheSlot)));
}

/* Whole pages, which no other shared data shares */
static Size
keys_bytes(void)
{
	return TYPEALIGN(sysconf(_SC_PAGESIZE), mul_size(pgseal_cache_size, PGSEAL_KEY_BYTES));
}

static Size
errors_bytes(void)
{
	return mul_size(pgseal_cache_size, sizeof(PgsealKmsError));
}

static Size
buckets_bytes(void)
{
	return mul_size(num_buckets(), sizeof(int32));
}

static Size
seals_bytes(void)
{
	return mul_size(num_seal_buckets(), sizeof(SealBucket));
}

/* ---------- start and end of the server ---------- */

static void
request_shmem(void)
{
	RequestAddinShmemSpace(slots_bytes());
	RequestAddinShmemSpace(add_size(keys_bytes(), sysconf(_SC_PAGESIZE)));
	RequestAddinShmemSpace(errors_bytes());
	RequestAddinShmemSpace(buckets_bytes());
	RequestAddinShmemSpace(seals_bytes());
	RequestNamedLWLockTranche(TRANCHE_NAME, 2);
}

/* In the postmaster, after its children are gone */
static void
wipe_all(int code, Datum arg)
{
	pgseal_wipe(masked_keys, keys_bytes());
	pgseal_wipe(mask_secret, PGSEAL_KEY_BYTES);
}

static void
protect_keys(void)
{
	if (mlock(masked_keys, keys_bytes()) == 0)
		cache->locked = true;
	else
		ereport(WARNING,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("pgseal: could not lock the key cache into memory: %m"),
				 errdetail("The masked keys may be written to swap space."),
				 errhint("Raise the limit of locked memory (RLIMIT_MEMLOCK: LimitMEMLOCK= of the systemd unit, or ulimit -l) to at least %zu kB.",
						 (size_t) keys_bytes() / 1024 + 1)));

	/* Huge pages can't be split, but aren't dumped by default either */
	if (madvise(masked_keys, keys_bytes(), MADV_DONTDUMP) != 0)
		ereport(LOG,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("pgseal: could not exclude the key cache from core dumps: %m")));
}

static void
startup_shmem(void)
{
	bool		found;
	char	   *unaligned;

	/* Also after a crash: the pads of another life must not come again */
	if (!pgseal_random(mask_secret, PGSEAL_KEY_BYTES))
		ereport(FATAL,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("pgseal: could not draw random bytes")));

	cache = ShmemInitStruct("pgseal key cache", slots_bytes(), &found);
	unaligned = ShmemInitStruct("pgseal keys", add_size(keys_bytes(), sysconf(_SC_PAGESIZE)), &found);
	masked_keys = (void *) TYPEALIGN(sysconf(_SC_PAGESIZE), unaligned);
	errors = ShmemInitStruct("pgseal key cache errors", errors_bytes(), &found);
	buckets = ShmemInitStruct("pgseal key cache buckets", buckets_bytes(), &found);
	seal_buckets = ShmemInitStruct("pgseal seal counts", seals_bytes(), &found);
	cache_lock = &GetNamedLWLockTranche(TRANCHE_NAME)[0].lock;
	seal_lock = &GetNamedLWLockTranche(TRANCHE_NAME)[1].lock;

	memset(cache, 0, offsetof(CacheShared, slots));
	pg_atomic_init_u64(&cache->generation, 1);
	pg_atomic_init_u64(&cache->taken, 0);
	pg_atomic_init_u64(&cache->fills, 0);
	pg_atomic_init_u64(&cache->hits, 0);
	pg_atomic_init_u64(&cache->misses, 0);
	pg_atomic_init_u64(&cache->waits, 0);
	pg_atomic_init_u64(&cache->refreshes, 0);
	pg_atomic_init_u64(&cache->evictions, 0);
	pg_atomic_init_u64(&cache->expirations, 0);
	pg_atomic_init_u64(&cache->overflows, 0);
	pg_atomic_init_u64(&cache->failures, 0);
	cache->free_head = NO_SLOT;
	for (uint32 i = 0; i < num_buckets(); i++)
		buckets[i] = NO_SLOT;
	memset(seal_buckets, 0, seals_bytes());

	protect_keys();
	on_shmem_exit(wipe_all, (Datum) 0);
}

void
pgseal_keycache_init(void)
{
	long		page = sysconf(_SC_PAGESIZE);

	if (!process_shared_preload_libraries_in_progress)
		return;

	/* A page of its own: left out of core dumps in all processes */
	mask_secret = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (mask_secret == MAP_FAILED || madvise(mask_secret, page, MADV_DONTDUMP) != 0)
		ereport(FATAL,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("pgseal: could not allocate memory for the mask of the key cache: %m")));
	/* Best effort: protect_keys() warns when locking isn't allowed */
	(void) mlock(mask_secret, page);

	pgseal_shmem_register(request_shmem, startup_shmem);
}

bool
pgseal_keycache_attached(void)
{
	return cache != NULL;
}

/* ---------- small helpers; those on slots need the lock ---------- */

static TimestampTz
after(TimestampTz start, double milliseconds)
{
	return start + (TimestampTz) (milliseconds * 1000);
}

static double
random_between(double min, double max)
{
	return min + (max - min) * pg_prng_double(&pg_global_prng_state);
}

/* Masks and unmasks.  False if OpenSSL fails. */
static bool
mask_key(uint8 out_key[PGSEAL_KEY_BYTES], const uint8 key[PGSEAL_KEY_BYTES], uint64 fill)
{
	uint8		pad[PGSEAL_KEY_BYTES];

	if (!pgseal_hkdf_sha256(pad, sizeof(pad), mask_secret, PGSEAL_KEY_BYTES,
							NULL, 0, (uint8 *) &fill, sizeof(fill)))
		return false;
	for (int i = 0; i < PGSEAL_KEY_BYTES; i++)
		out_key[i] = key[i] ^ pad[i];
	pgseal_wipe(pad, sizeof(pad));
	return true;
}

static uint32
hash_tag(Oid database, int64 key_version_id)
{
	return hash_combine(hash_bytes((unsigned char *) &key_version_id, sizeof(key_version_id)),
						hash_bytes_uint32(database));
}

static int32 *
bucket_of(Oid database, int64 key_version_id)
{
	return &buckets[hash_tag(database, key_version_id) & (num_buckets() - 1)];
}

static int32
find_slot(Oid database, int64 key_version_id)
{
	int32		i;

	for (i = *bucket_of(database, key_version_id); i != NO_SLOT; i = cache->slots[i].next)
	{
		CacheTag   *tag = &cache->slots[i].tag;

		if (tag->key_version_id == key_version_id && tag->database == database)
			break;
	}
	return i;
}

static TimestampTz
end_of_grace(const CacheSlot *slot)
{
	return after(slot->expires_at, pgseal_cache_grace * 1000.0);
}

static bool
is_usable(const CacheSlot *slot, TimestampTz now)
{
	return slot->has_key && now < end_of_grace(slot);
}

static bool
is_claimed(const CacheSlot *slot, TimestampTz now)
{
	return slot->claimer != 0 &&
		now < slot->claim_deadline &&
		BackendPidGetProc(slot->claimer) != NULL;
}

/* Should the worker fetch it (now or later)? */
static bool
is_refreshable(CacheSlot *slot, TimestampTz now)
{
	return is_usable(slot, now) && !is_claimed(slot, now) &&
		pg_atomic_read_u64(&slot->used_at) >= (uint64) slot->published_at;
}

static void
wipe_key(int32 i)
{
	pgseal_wipe(masked_keys[i], PGSEAL_KEY_BYTES);
	cache->slots[i].has_key = false;
}

static void
wipe_if_expired(int32 i, TimestampTz now)
{
	CacheSlot  *slot = &cache->slots[i];

	if (slot->has_key && !is_usable(slot, now))
	{
		wipe_key(i);
		slot->retry_at = now;
		pg_atomic_fetch_add_u64(&cache->expirations, 1);
	}
}

/* Takes the entry out; who waits for it looks again */
static void
free_slot(int32 i)
{
	CacheSlot  *slot = &cache->slots[i];
	int32	   *link = bucket_of(slot->tag.database, slot->tag.key_version_id);

	wipe_key(i);
	while (*link != i)
		link = &cache->slots[*link].next;
	*link = slot->next;
	slot->next = cache->free_head;
	cache->free_head = i;
	slot->claimer = 0;
	slot->tag.database = InvalidOid;
	cache->used--;
	ConditionVariableBroadcast(&slot->resolved);
}

/*
 * Frees the least recently used of the next few entries, so that a large cache
 * isn't searched as a whole.  Never a claimed one.
 */
static bool
evict_slot(TimestampTz now)
{
	int32		victim = NO_SLOT;
	uint64		victim_used_at = 0;
	int			candidates = 0;

	for (int i = 0; i < pgseal_cache_size && candidates < EVICTION_SAMPLE; i++)
	{
		CacheSlot  *slot = &cache->slots[cache->hand];
		uint64		used_at = slot->has_key ? pg_atomic_read_u64(&slot->used_at) : 0;

		if (!is_claimed(slot, now))
		{
			candidates++;
			if (victim == NO_SLOT || used_at < victim_used_at)
			{
				victim = cache->hand;
				victim_used_at = used_at;
			}
		}
		cache->hand = (cache->hand + 1) % pgseal_cache_size;
	}

	if (victim == NO_SLOT)
		return false;
	if (cache->slots[victim].has_key)
		pg_atomic_fetch_add_u64(&cache->evictions, 1);
	free_slot(victim);
	return true;
}

/* An unclaimed entry without a key, or NO_SLOT when all are claimed */
static int32
new_slot(Oid database, int64 key_version_id, TimestampTz now)
{
	int32	   *bucket = bucket_of(database, key_version_id);
	CacheSlot  *slot;
	int32		i;

	if (cache->free_head == NO_SLOT && cache->touched == pgseal_cache_size && !evict_slot(now))
		return NO_SLOT;

	if (cache->free_head != NO_SLOT)
	{
		i = cache->free_head;
		slot = &cache->slots[i];
		cache->free_head = slot->next;
	}
	else
	{
		i = cache->touched++;
		slot = &cache->slots[i];
		ConditionVariableInit(&slot->resolved);
		pg_atomic_init_u64(&slot->used_at, 0);
	}

	slot->tag.database = database;
	slot->tag.key_version_id = key_version_id;
	slot->claimer = 0;
	slot->has_key = false;
	slot->failure = PGSEAL_KMS_OK;
	slot->retry_at = now;
	slot->next = *bucket;
	*bucket = i;
	cache->used++;
	return i;
}

/* ---------- claims ---------- */

static void
end_claim(CacheSlot *slot)
{
	slot->claimer = 0;
	num_claims--;
	ConditionVariableBroadcast(&slot->resolved);
}

/* The slot that this process has claimed, or NO_SLOT */
static int32
find_claimed(int64 key_version_id)
{
	int32		i = find_slot(MyDatabaseId, key_version_id);

	return i != NO_SLOT && cache->slots[i].claimer == MyProcPid ? i : NO_SLOT;
}

/* Without a key there is nothing to keep */
static void
abandon_claim(int32 i, TimestampTz now)
{
	CacheSlot  *slot = &cache->slots[i];

	end_claim(slot);
	if (slot->has_key)
		slot->retry_at = after(now, random_between(RETRY_MIN, RETRY_MAX));
	else
		free_slot(i);
}

/* A process that ends (also by pg_terminate_backend) must not block others */
static void
abandon_all_claims(int code, Datum arg)
{
	TimestampTz now = GetCurrentTimestamp();

	if (num_claims <= 0)
		return;
	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	for (int32 i = 0; i < cache->touched; i++)
	{
		if (cache->slots[i].claimer == MyProcPid)
			abandon_claim(i, now);
	}
	LWLockRelease(cache_lock);
}

static void
claim(CacheSlot *slot, TimestampTz now, bool refreshing)
{
	if (slot->claimer != MyProcPid)
		num_claims++;
	slot->claimer = MyProcPid;
	slot->claim_deadline = after(now, (double) pgseal_kms_timeout + CLAIM_SLACK);
	slot->refreshing = refreshing;
}

/* Before the lock is taken, as it allocates */
static void
prepare_to_claim(void)
{
	static bool registered = false;

	if (!registered)
		before_shmem_exit(abandon_all_claims, (Datum) 0);
	registered = true;
}

/* ---------- looking up ---------- */

/* Copies the masked key */
static void
take_key(int32 i, TimestampTz now,
		 uint8 out_masked[PGSEAL_KEY_BYTES], uint64 *out_fill, TimestampTz *out_expires_at)
{
	CacheSlot  *slot = &cache->slots[i];

	memcpy(out_masked, masked_keys[i], PGSEAL_KEY_BYTES);
	*out_fill = slot->fill;
	*out_expires_at = now < slot->expires_at ? slot->expires_at :
		Min(after(now, STALE_USE), end_of_grace(slot));
	pg_atomic_write_u64(&slot->used_at, now);
	pg_atomic_fetch_add_u64(&cache->hits, 1);
}

static PgsealCacheResult
hit(uint8 key[PGSEAL_KEY_BYTES], uint64 fill)
{
	if (!mask_key(key, key, fill))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not unmask a cached key")));
	return PGSEAL_CACHE_HIT;
}

static void
warn_full(void)
{
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("pgseal: the key cache is full"),
			 errdetail("All %d entries are being fetched; keys are fetched without being kept.",
					   pgseal_cache_size),
			 errhint("Raise pgseal.cache_size.")));
}

PgsealCacheResult
pgseal_keycache_get(int64 key_version_id,
					uint8 out_key[PGSEAL_KEY_BYTES],
					TimestampTz *out_expires_at,
					PgsealKmsStatus *out_status,
					PgsealKmsError *out_error)
{
	static uint32 wait_event = 0;
	bool		waited = false;
	TimestampTz now;
	uint64		fill;
	int32		i;

	if (!cache)
		return PGSEAL_CACHE_FULL;

	now = GetCurrentTimestamp();
	LWLockAcquire(cache_lock, LW_SHARED);
	i = find_slot(MyDatabaseId, key_version_id);
	if (i != NO_SLOT && cache->slots[i].has_key && now < cache->slots[i].expires_at)
	{
		take_key(i, now, out_key, &fill, out_expires_at);
		LWLockRelease(cache_lock);
		return hit(out_key, fill);
	}
	LWLockRelease(cache_lock);

	prepare_to_claim();
	for (;;)
	{
		CacheSlot  *slot;

		now = GetCurrentTimestamp();
		LWLockAcquire(cache_lock, LW_EXCLUSIVE);

		i = find_slot(MyDatabaseId, key_version_id);
		if (i == NO_SLOT)
			i = new_slot(MyDatabaseId, key_version_id, now);
		if (i == NO_SLOT)
		{
			bool		warn = now >= after(cache->full_warned_at, FULL_WARNING_PAUSE);

			if (warn)
				cache->full_warned_at = now;
			LWLockRelease(cache_lock);
			pg_atomic_fetch_add_u64(&cache->overflows, 1);
			if (warn)
				warn_full();
			break;
		}

		slot = &cache->slots[i];
		wipe_if_expired(i, now);

		if (slot->has_key &&
			(now < slot->expires_at || now < slot->retry_at ||
			 (slot->claimer != MyProcPid && is_claimed(slot, now))))
		{
			take_key(i, now, out_key, &fill, out_expires_at);
			LWLockRelease(cache_lock);
			ConditionVariableCancelSleep();
			return hit(out_key, fill);
		}

		/* A claim of our own was left behind by an error: it is still ours */
		if (slot->claimer == MyProcPid || !is_claimed(slot, now))
		{
			if (slot->claimer == 0 && now < slot->retry_at)
			{
				*out_status = slot->failure;
				*out_error = errors[i];
				LWLockRelease(cache_lock);
				ConditionVariableCancelSleep();
				return PGSEAL_CACHE_FAILED;
			}

			claim(slot, now, false);
			LWLockRelease(cache_lock);
			pg_atomic_fetch_add_u64(&cache->misses, 1);
			ConditionVariableCancelSleep();
			return PGSEAL_CACHE_CLAIMED;
		}

		LWLockRelease(cache_lock);

		if (!waited)
			pg_atomic_fetch_add_u64(&cache->waits, 1);
		waited = true;
		if (wait_event == 0)
			wait_event = pgseal_wait_event("PgsealKeyFetch");

		/* The first call only enlists us: hence the loop looks again */
		(void) ConditionVariableTimedSleep(&slot->resolved, WAIT_CHECK, wait_event);
	}

	ConditionVariableCancelSleep();
	return PGSEAL_CACHE_FULL;
}

/* ---------- the end of a fetch ---------- */

TimestampTz
pgseal_keycache_publish(int64 key_version_id, const uint8 key[PGSEAL_KEY_BYTES])
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz expires_at = now;
	uint8		masked[PGSEAL_KEY_BYTES];
	uint64		fill;
	int32		i;

	if (!cache)
		return now;

	fill = pg_atomic_add_fetch_u64(&cache->fills, 1);
	if (!mask_key(masked, key, fill))
	{
		pgseal_keycache_abandon(key_version_id);
		return now;
	}

	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	i = find_claimed(key_version_id);
	if (i != NO_SLOT)
	{
		CacheSlot  *slot = &cache->slots[i];
		double		ttl = pgseal_cache_ttl * 1000.0;

		expires_at = after(now, ttl);
		memcpy(masked_keys[i], masked, PGSEAL_KEY_BYTES);
		slot->fill = fill;
		slot->has_key = true;
		slot->published_at = now;
		slot->expires_at = expires_at;
		slot->retry_at = after(now, ttl * random_between(REFRESH_MIN, REFRESH_MAX));
		if (slot->refreshing)
			pg_atomic_fetch_add_u64(&cache->refreshes, 1);
		else
			pg_atomic_write_u64(&slot->used_at, now);
		end_claim(slot);
	}
	LWLockRelease(cache_lock);

	return expires_at;
}

bool
pgseal_keycache_fail(int64 key_version_id, PgsealKmsStatus status, const PgsealKmsError *error)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		unreachable = status == PGSEAL_KMS_UNREACHABLE;
	bool		usable = false;
	int32		i;

	Assert(status != PGSEAL_KMS_OK);
	if (!cache)
		return false;

	pg_atomic_fetch_add_u64(&cache->failures, 1);
	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	i = find_claimed(key_version_id);
	if (i != NO_SLOT)
	{
		CacheSlot  *slot = &cache->slots[i];

		wipe_if_expired(i, now);
		usable = unreachable && slot->has_key;
		if (usable)
		{
			/* Ahead of expiry there is no hurry: space the attempts */
			slot->retry_at = Max(after(now, random_between(RETRY_MIN, RETRY_MAX)),
								 now + (slot->expires_at - now) / 4);
		}
		else
		{
			if (slot->has_key)
				pg_atomic_fetch_add_u64(&cache->taken, 1);
			wipe_key(i);
			slot->failure = status;
			errors[i] = *error;
			slot->retry_at = after(now, unreachable ?
								   random_between(UNREACHABLE_MIN, UNREACHABLE_MAX) :
								   random_between(REFUSED_MIN, REFUSED_MAX));
		}
		end_claim(slot);
	}
	LWLockRelease(cache_lock);

	if (!unreachable)
		pg_atomic_fetch_add_u64(&cache->generation, 1);
	return usable;
}

void
pgseal_keycache_abandon(int64 key_version_id)
{
	TimestampTz now = GetCurrentTimestamp();
	int32		i;

	if (!cache)
		return;
	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	i = find_claimed(key_version_id);
	if (i != NO_SLOT)
		abandon_claim(i, now);
	LWLockRelease(cache_lock);
}

/* ---------- seal counts; the helpers need seal_lock ---------- */

static SealBucket *
seal_bucket_of(Oid database, int64 key_version_id)
{
	return &seal_buckets[hash_tag(database, key_version_id) & (num_seal_buckets() - 1)];
}

/* NULL if there is none */
static SealCounter *
find_seal_counter(SealBucket *bucket, Oid database, int64 key_version_id)
{
	for (int way = 0; way < SEAL_WAYS; way++)
	{
		CacheTag   *tag = &bucket->counters[way].tag;

		if (tag->key_version_id == key_version_id && tag->database == database)
			return &bucket->counters[way];
	}
	return NULL;
}

static void
retire_seal_counter(SealBucket *bucket, SealCounter *counter)
{
	bucket->floor = Max(bucket->floor, counter->reserved);
	memset(counter, 0, sizeof(*counter));
}

/* Free ones are all zeroes, so they come first */
static SealCounter *
most_dispensable(SealBucket *bucket)
{
	SealCounter *best = &bucket->counters[0];

	for (int way = 1; way < SEAL_WAYS; way++)
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
pgseal_keycache_reserve_seals(int64 key_version_id, uint64 first_known, uint32 count)
{
	SealBucket *bucket;
	SealCounter *counter;
	uint64		reserved;

	/* What can't be counted must not be sealed */
	if (!cache)
		return PG_UINT64_MAX;

	bucket = seal_bucket_of(MyDatabaseId, key_version_id);
	LWLockAcquire(seal_lock, LW_EXCLUSIVE);
	counter = find_seal_counter(bucket, MyDatabaseId, key_version_id);
	if (!counter)
	{
		counter = most_dispensable(bucket);
		retire_seal_counter(bucket, counter);
		counter->tag.database = MyDatabaseId;
		counter->tag.key_version_id = key_version_id;
		counter->reserved = Max(first_known, bucket->floor);
		counter->saved = first_known;
	}
	counter->reserved += count;
	reserved = counter->reserved;
	LWLockRelease(seal_lock);
	return reserved;
}

int
pgseal_keycache_unsaved_seals(PgsealSealCount *out_counts, int max)
{
	int			num = 0;

	if (!cache)
		return 0;

	LWLockAcquire(seal_lock, LW_SHARED);
	for (uint32 b = 0; b < num_seal_buckets() && num < max; b++)
	{
		for (int way = 0; way < SEAL_WAYS && num < max; way++)
		{
			SealCounter *counter = &seal_buckets[b].counters[way];

			if (counter->tag.database == MyDatabaseId && counter->reserved > counter->saved)
			{
				out_counts[num].key_version_id = counter->tag.key_version_id;
				out_counts[num++].seals = counter->reserved;
			}
		}
	}
	LWLockRelease(seal_lock);
	return num;
}

void
pgseal_keycache_seals_saved(const PgsealSealCount *counts, int num_counts)
{
	if (!cache)
		return;

	LWLockAcquire(seal_lock, LW_EXCLUSIVE);
	for (int i = 0; i < num_counts; i++)
	{
		int64		id = counts[i].key_version_id;
		SealCounter *counter = find_seal_counter(seal_bucket_of(MyDatabaseId, id),
												 MyDatabaseId, id);

		if (counter)
			counter->saved = Max(counter->saved, counts[i].seals);
	}
	LWLockRelease(seal_lock);
}

/* ---------- taking keys away ---------- */

void
pgseal_keycache_drop(Oid database, int64 key_version_id)
{
	int32		i;

	if (!cache)
		return;
	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	i = find_slot(database, key_version_id);
	if (i != NO_SLOT)
		free_slot(i);
	LWLockRelease(cache_lock);
	pg_atomic_fetch_add_u64(&cache->generation, 1);
	pg_atomic_fetch_add_u64(&cache->taken, 1);
}

void
pgseal_keycache_drop_database(Oid database)
{
	if (!cache)
		return;

	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	for (int32 i = 0; i < cache->touched; i++)
	{
		if (cache->slots[i].tag.database == database)
			free_slot(i);
	}
	LWLockRelease(cache_lock);
	pg_atomic_fetch_add_u64(&cache->generation, 1);
	pg_atomic_fetch_add_u64(&cache->taken, 1);

	/* There is no catalog to save them in.  Should there be one yet: floors */
	LWLockAcquire(seal_lock, LW_EXCLUSIVE);
	for (uint32 b = 0; b < num_seal_buckets(); b++)
	{
		for (int way = 0; way < SEAL_WAYS; way++)
		{
			SealCounter *counter = &seal_buckets[b].counters[way];

			if (counter->tag.database == database)
				retire_seal_counter(&seal_buckets[b], counter);
		}
	}
	LWLockRelease(seal_lock);
}

uint64
pgseal_keycache_generation(void)
{
	return cache ? pg_atomic_read_u64(&cache->generation) : 0;
}

uint64
pgseal_keycache_taken(void)
{
	return cache ? pg_atomic_read_u64(&cache->taken) : 0;
}

uint64
pgseal_keycache_expirations(void)
{
	return cache ? pg_atomic_read_u64(&cache->expirations) : 0;
}

bool
pgseal_keycache_has(int64 key_version_id)
{
	int32		i;
	bool		has;

	if (!cache)
		return false;
	LWLockAcquire(cache_lock, LW_SHARED);
	i = find_slot(MyDatabaseId, key_version_id);
	has = i != NO_SLOT && cache->slots[i].has_key &&
		GetCurrentTimestamp() < cache->slots[i].expires_at;
	LWLockRelease(cache_lock);
	return has;
}

/* ---------- for the worker ---------- */

/* Adds to a small set; false if it is full */
static bool
add_database(Oid *databases, int *num_databases, int max, Oid database)
{
	for (int i = 0; i < *num_databases; i++)
	{
		if (databases[i] == database)
			return true;
	}
	if (*num_databases == max)
		return false;
	databases[(*num_databases)++] = database;
	return true;
}

int
pgseal_keycache_databases(Oid *out_databases, int max)
{
	int			num = 0;

	if (!cache)
		return 0;
	LWLockAcquire(cache_lock, LW_SHARED);
	for (int32 i = 0; i < cache->touched; i++)
		if (OidIsValid(cache->slots[i].tag.database) && cache->slots[i].has_key)
			(void) add_database(out_databases, &num, max, cache->slots[i].tag.database);
	LWLockRelease(cache_lock);
	return num;
}

int
pgseal_keycache_keys(int64 *out_key_version_ids, int max)
{
	int			num = 0;

	if (!cache)
		return 0;
	LWLockAcquire(cache_lock, LW_SHARED);
	for (int32 i = 0; i < cache->touched && num < max; i++)
		if (cache->slots[i].tag.database == MyDatabaseId && cache->slots[i].has_key)
			out_key_version_ids[num++] = cache->slots[i].tag.key_version_id;
	LWLockRelease(cache_lock);
	return num;
}

int
pgseal_keycache_due_databases(Oid *out_databases, int max, bool with_seals)
{
	TimestampTz now = GetCurrentTimestamp();
	int			num = 0;

	if (!cache)
		return 0;

	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	for (int32 i = 0; i < cache->touched; i++)
	{
		CacheSlot  *slot = &cache->slots[i];

		if (!OidIsValid(slot->tag.database))
			continue;
		wipe_if_expired(i, now);
		if (!slot->has_key && now >= slot->retry_at && !is_claimed(slot, now))
			free_slot(i);
		else if (is_refreshable(slot, now) && now >= slot->retry_at)
			(void) add_database(out_databases, &num, max, slot->tag.database);
	}
	LWLockRelease(cache_lock);

	if (with_seals)
	{
		LWLockAcquire(seal_lock, LW_SHARED);
		for (uint32 b = 0; b < num_seal_buckets(); b++)
		{
			for (int way = 0; way < SEAL_WAYS; way++)
			{
				SealCounter *counter = &seal_buckets[b].counters[way];

				if (counter->reserved > counter->saved)
					(void) add_database(out_databases, &num, max, counter->tag.database);
			}
		}
		LWLockRelease(seal_lock);
	}
	return num;
}

int
pgseal_keycache_due(int64 *out_key_version_ids, int max)
{
	TimestampTz now = GetCurrentTimestamp();
	int			num = 0;

	if (!cache)
		return 0;

	LWLockAcquire(cache_lock, LW_SHARED);
	for (int32 i = 0; i < cache->touched && num < max; i++)
	{
		CacheSlot  *slot = &cache->slots[i];

		if (slot->tag.database == MyDatabaseId &&
			is_refreshable(slot, now) && now >= slot->retry_at)
			out_key_version_ids[num++] = slot->tag.key_version_id;
	}
	LWLockRelease(cache_lock);
	return num;
}

bool
pgseal_keycache_claim_refresh(int64 key_version_id)
{
	TimestampTz now = GetCurrentTimestamp();
	bool		claimed = false;
	int32		i;

	if (!cache)
		return false;

	prepare_to_claim();
	LWLockAcquire(cache_lock, LW_EXCLUSIVE);
	i = find_slot(MyDatabaseId, key_version_id);
	if (i != NO_SLOT)
	{
		CacheSlot  *slot = &cache->slots[i];

		claimed = is_refreshable(slot, now) && now >= slot->retry_at;
		if (claimed)
			claim(slot, now, true);
	}
	LWLockRelease(cache_lock);
	return claimed;
}

TimestampTz
pgseal_keycache_next_due(void)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz next = 0;

	if (!cache)
		return 0;

	LWLockAcquire(cache_lock, LW_SHARED);
	for (int32 i = 0; i < cache->touched; i++)
	{
		CacheSlot  *slot = &cache->slots[i];
		TimestampTz due;

		if (!slot->has_key)
			continue;
		due = is_refreshable(slot, now) ? slot->retry_at : end_of_grace(slot);
		if (next == 0 || due < next)
			next = due;
	}
	LWLockRelease(cache_lock);
	return next;
}

/* ---------- statistics ---------- */

void
pgseal_keycache_stats(PgsealCacheStats *out_stats)
{
	memset(out_stats, 0, sizeof(*out_stats));
	if (!cache)
		return;

	LWLockAcquire(cache_lock, LW_SHARED);
	out_stats->used = cache->used;
	LWLockRelease(cache_lock);
	out_stats->slots = pgseal_cache_size;
	out_stats->hits = pg_atomic_read_u64(&cache->hits);
	out_stats->misses = pg_atomic_read_u64(&cache->misses);
	out_stats->waits = pg_atomic_read_u64(&cache->waits);
	out_stats->refreshes = pg_atomic_read_u64(&cache->refreshes);
	out_stats->evictions = pg_atomic_read_u64(&cache->evictions);
	out_stats->expirations = pg_atomic_read_u64(&cache->expirations);
	out_stats->overflows = pg_atomic_read_u64(&cache->overflows);
	out_stats->failures = pg_atomic_read_u64(&cache->failures);
	out_stats->locked = cache->locked;
}

void
pgseal_keycache_key_stats(int64 key_version_id, PgsealKeyStats *out_stats)
{
	SealCounter *counter;
	int32		i;

	memset(out_stats, 0, sizeof(*out_stats));
	if (!cache)
		return;

	LWLockAcquire(cache_lock, LW_SHARED);
	i = find_slot(MyDatabaseId, key_version_id);
	if (i != NO_SLOT && cache->slots[i].has_key)
	{
		CacheSlot  *slot = &cache->slots[i];

		out_stats->cached = true;
		out_stats->published_at = slot->published_at;
		out_stats->used_at = pg_atomic_read_u64(&slot->used_at);
		out_stats->expires_at = slot->expires_at;
	}
	LWLockRelease(cache_lock);

	LWLockAcquire(seal_lock, LW_SHARED);
	counter = find_seal_counter(seal_bucket_of(MyDatabaseId, key_version_id),
								MyDatabaseId, key_version_id);
	if (counter)
		out_stats->seals = counter->reserved;
	LWLockRelease(seal_lock);
}
