/*-------------------------------------------------------------------------
 *
 * cache_slots.c
 *	  The memory of the key cache: slots, and how one is found.
 *
 * A fixed number of slots (pgseal.cache_size), found through hash chains by
 * (database, key version id).  A slot's key lies apart from it, in an array
 * that is page-aligned, locked into memory and left out of core dumps.  Even
 * there it is masked: XORed with a pad that is derived from a secret and the
 * number of the fill.  The secret lies in memory private to the server's
 * processes (drawn by the postmaster before it forks), so a copy of the
 * shared segment alone is worth nothing.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "miscadmin.h"
#include "port/pg_bitutils.h"
#include "storage/ipc.h"
#include "storage/procarray.h"
#include "storage/shmem.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "keys/cache_slots.h"
#include "keys/shared_cache.h"

#ifdef EXEC_BACKEND
#error "pgseal needs processes that are forked: they inherit the mask of the key cache"
#endif

#define TRANCHE_NAME			"pgseal"

/* Of how many entries the least recently used is evicted */
#define EVICTION_SAMPLE			16
/* What else the server locks (the mask, credentials), in kB, at most */
#define LOCKED_BESIDES			1024

PgsealCache *pgseal_cache = NULL;
LWLock	   *pgseal_cache_lock;
PgsealKmsError *pgseal_cache_errors;
uint8		(*pgseal_cache_keys)[PGSEAL_KEY_BYTES];

static int32 *buckets;

/* Private to the server's processes: drawn by the postmaster, inherited */
static uint8 *mask_secret = NULL;

/*
 * Memory
 */

static uint32
num_buckets(void)
{
	return pg_nextpower2_32(pgseal_cache_size);
}

static Size
slots_bytes(void)
{
	return add_size(offsetof(PgsealCache, slots), mul_size(pgseal_cache_size, sizeof(PgsealCacheSlot)));
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

static void
request_shmem(void)
{
	RequestAddinShmemSpace(slots_bytes());
	RequestAddinShmemSpace(add_size(keys_bytes(), sysconf(_SC_PAGESIZE)));
	RequestAddinShmemSpace(errors_bytes());
	RequestAddinShmemSpace(buckets_bytes());
	RequestNamedLWLockTranche(TRANCHE_NAME, 1);
}

/* In the postmaster, after its children are gone */
static void
wipe_all(int code, Datum arg)
{
	pgseal_wipe(pgseal_cache_keys, keys_bytes());
	pgseal_wipe(mask_secret, PGSEAL_KEY_BYTES);
}

static void
protect_keys(void)
{
	if (mlock(pgseal_cache_keys, keys_bytes()) == 0)
		pgseal_cache->locked = true;
	else
		ereport(WARNING,
				(errcode(ERRCODE_SYSTEM_ERROR),
				 errmsg("pgseal: could not lock the key cache into memory: %m"),
				 errdetail("The masked keys may be written to swap space."),
				 errhint("Raise the limit of locked memory (RLIMIT_MEMLOCK: LimitMEMLOCK= of the systemd unit, or ulimit -l) to at least %zu kB.",
						 (size_t) keys_bytes() / 1024 + LOCKED_BESIDES)));

	/* Huge pages can't be split, but aren't dumped by default either */
	if (madvise(pgseal_cache_keys, keys_bytes(), MADV_DONTDUMP) != 0)
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

	pgseal_cache = ShmemInitStruct("pgseal key cache", slots_bytes(), &found);
	unaligned = ShmemInitStruct("pgseal keys", add_size(keys_bytes(), sysconf(_SC_PAGESIZE)), &found);
	pgseal_cache_keys = (void *) TYPEALIGN(sysconf(_SC_PAGESIZE), unaligned);
	pgseal_cache_errors = ShmemInitStruct("pgseal key cache errors", errors_bytes(), &found);
	buckets = ShmemInitStruct("pgseal key cache buckets", buckets_bytes(), &found);
	pgseal_cache_lock = &GetNamedLWLockTranche(TRANCHE_NAME)->lock;

	memset(pgseal_cache, 0, offsetof(PgsealCache, slots));
	pg_atomic_init_u64(&pgseal_cache->generation, 1);
	pg_atomic_init_u64(&pgseal_cache->taken, 0);
	pg_atomic_init_u64(&pgseal_cache->unlisted_until, 0);
	pg_atomic_init_u64(&pgseal_cache->fills, 0);
	pg_atomic_init_u64(&pgseal_cache->hits, 0);
	pg_atomic_init_u64(&pgseal_cache->misses, 0);
	pg_atomic_init_u64(&pgseal_cache->waits, 0);
	pg_atomic_init_u64(&pgseal_cache->refreshes, 0);
	pg_atomic_init_u64(&pgseal_cache->evictions, 0);
	pg_atomic_init_u64(&pgseal_cache->expirations, 0);
	pg_atomic_init_u64(&pgseal_cache->overflows, 0);
	pg_atomic_init_u64(&pgseal_cache->failures, 0);
	pgseal_cache->free_head = PGSEAL_NO_SLOT;
	for (uint32 i = 0; i < num_buckets(); i++)
		buckets[i] = PGSEAL_NO_SLOT;

	protect_keys();
	on_shmem_exit(wipe_all, (Datum) 0);
}

void
pgseal_cache_slots_init(void)
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

/*
 * Slots; but for the mask, what is here needs the lock
 */

bool
pgseal_slot_mask(uint8 out_key[PGSEAL_KEY_BYTES], const uint8 key[PGSEAL_KEY_BYTES], uint64 fill)
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

static int32 *
bucket_of(Oid database, int64 key_version_id)
{
	return &buckets[pgseal_key_tag_hash(database, key_version_id) & (num_buckets() - 1)];
}

int32
pgseal_slot_find(Oid database, int64 key_version_id)
{
	int32		i;

	for (i = *bucket_of(database, key_version_id); i != PGSEAL_NO_SLOT; i = pgseal_cache->slots[i].next)
	{
		if (pgseal_key_tag_is(&pgseal_cache->slots[i].tag, database, key_version_id))
			break;
	}
	return i;
}

TimestampTz
pgseal_slot_end_of_grace(const PgsealCacheSlot *slot)
{
	return slot->expires_at + pgseal_cache_grace * USECS_PER_SEC;
}

bool
pgseal_slot_is_usable(const PgsealCacheSlot *slot, TimestampTz now)
{
	return slot->has_key && now < pgseal_slot_end_of_grace(slot);
}

bool
pgseal_slot_is_claimed(const PgsealCacheSlot *slot, TimestampTz now)
{
	return slot->claimer != 0 &&
		now < slot->claim_deadline &&
		BackendPidGetProc(slot->claimer) != NULL;
}

void
pgseal_slot_wipe(int32 i)
{
	pgseal_wipe(pgseal_cache_keys[i], PGSEAL_KEY_BYTES);
	pgseal_cache->slots[i].has_key = false;
}

void
pgseal_slot_wipe_if_expired(int32 i, TimestampTz now)
{
	PgsealCacheSlot *slot = &pgseal_cache->slots[i];

	if (slot->has_key && !pgseal_slot_is_usable(slot, now))
	{
		pgseal_slot_wipe(i);
		slot->retry_at = now;
		pg_atomic_fetch_add_u64(&pgseal_cache->expirations, 1);
	}
}

void
pgseal_slot_free(int32 i)
{
	PgsealCacheSlot *slot = &pgseal_cache->slots[i];
	int32	   *link = bucket_of(slot->tag.database, slot->tag.key_version_id);

	pgseal_slot_wipe(i);
	while (*link != i)
		link = &pgseal_cache->slots[*link].next;
	*link = slot->next;
	slot->next = pgseal_cache->free_head;
	pgseal_cache->free_head = i;
	slot->claimer = 0;
	slot->tag.database = InvalidOid;
	pgseal_cache->used--;
	ConditionVariableBroadcast(&slot->resolved);
}

void
pgseal_shared_cache_unlisted(TimestampTz until)
{
	uint64		known;

	if (!pgseal_cache)
		return;
	known = pg_atomic_read_u64(&pgseal_cache->unlisted_until);
	while (known < until &&
		   !pg_atomic_compare_exchange_u64(&pgseal_cache->unlisted_until, &known, until))
		continue;
}

/*
 * Frees the least recently used of the next few entries, so that a large cache
 * isn't searched as a whole.  Never a claimed one.
 */
static bool
evict_slot(TimestampTz now)
{
	int32		victim = PGSEAL_NO_SLOT;
	uint64		victim_used_at = 0;
	int			candidates = 0;

	for (int i = 0; i < pgseal_cache_size && candidates < EVICTION_SAMPLE; i++)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[pgseal_cache->hand];
		uint64		used_at = slot->has_key ? pg_atomic_read_u64(&slot->used_at) : 0;

		if (!pgseal_slot_is_claimed(slot, now))
		{
			candidates++;
			if (victim == PGSEAL_NO_SLOT || used_at < victim_used_at)
			{
				victim = pgseal_cache->hand;
				victim_used_at = used_at;
			}
		}
		pgseal_cache->hand = (pgseal_cache->hand + 1) % pgseal_cache_size;
	}

	if (victim == PGSEAL_NO_SLOT)
		return false;
	if (pgseal_cache->slots[victim].has_key)
	{
		pg_atomic_fetch_add_u64(&pgseal_cache->evictions, 1);
		pgseal_shared_cache_unlisted(Max(pgseal_cache->slots[victim].expires_at,
										 pgseal_cache->slots[victim].retry_at));
	}
	pgseal_slot_free(victim);
	return true;
}

int32
pgseal_slot_new(Oid database, int64 key_version_id, TimestampTz now)
{
	int32	   *bucket = bucket_of(database, key_version_id);
	PgsealCacheSlot *slot;
	int32		i;

	if (pgseal_cache->free_head == PGSEAL_NO_SLOT && pgseal_cache->touched == pgseal_cache_size && !evict_slot(now))
		return PGSEAL_NO_SLOT;

	if (pgseal_cache->free_head != PGSEAL_NO_SLOT)
	{
		i = pgseal_cache->free_head;
		slot = &pgseal_cache->slots[i];
		pgseal_cache->free_head = slot->next;
	}
	else
	{
		i = pgseal_cache->touched++;
		slot = &pgseal_cache->slots[i];
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
	pgseal_cache->used++;
	return i;
}
