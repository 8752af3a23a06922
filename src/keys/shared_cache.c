/*-------------------------------------------------------------------------
 *
 * shared_cache.c
 *	  Usable keys in shared memory, for all backends.
 *
 * Slots, and where a key lies, are in cache_slots.c; what only looks, in cache_view.c.
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
 * An entry is of the server that its key's version names.  When that is another one
 * now, by pgseal.move_key() or a restored row, what the former gave or refused is
 * forgotten: who may use a key is decided by the server that unwraps it.  Options of a
 * server that change say only how it is reached; they count at the next fetch.
 *
 * A KMS that can't be reached leaves a key in use until pgseal.cache_grace
 * after its expiry; one that refuses ends it at once.
 *
 * Locks
 *
 * One LWLock guards the slots and chains: shared for the lookup that finds a
 * fresh key, exclusive for all else.  A backend comes here once per key and
 * TTL, as it keeps its cipher contexts.  It isn't held during I/O, while
 * waiting, or while a pad is computed; nothing raises an error while it is held.
 * used_at, the counters and the generation are atomic.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "keys/cache_slots.h"
#include "keys/seal_counts.h"
#include "keys/shared_cache.h"

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
/* At most one warning about a full cache in this time, in ms */
#define FULL_WARNING_PAUSE		60000

/* Claims that this process holds */
static int	num_claims = 0;

void
pgseal_shared_cache_init(void)
{
	pgseal_cache_slots_init();
	pgseal_seal_counts_init();
}

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

/*
 * Claims
 */

static void
end_claim(PgsealCacheSlot *slot)
{
	slot->claimer = 0;
	num_claims--;
	ConditionVariableBroadcast(&slot->resolved);
}

/* The slot that this process has claimed, or PGSEAL_NO_SLOT */
static int32
find_claimed(int64 key_version_id)
{
	int32		i = pgseal_slot_find(MyDatabaseId, key_version_id);

	return i != PGSEAL_NO_SLOT && pgseal_cache->slots[i].claimer == MyProcPid ? i : PGSEAL_NO_SLOT;
}

/* Without a key there is nothing to keep */
static void
abandon_claim(int32 i, TimestampTz now)
{
	PgsealCacheSlot *slot = &pgseal_cache->slots[i];

	end_claim(slot);
	if (slot->has_key)
		slot->retry_at = after(now, random_between(RETRY_MIN, RETRY_MAX));
	else
		pgseal_slot_free(i);
}

/* A process that ends (also by pg_terminate_backend) must not block others */
static void
abandon_all_claims(int code, Datum arg)
{
	TimestampTz now = pgseal_clock();

	if (num_claims <= 0)
		return;
	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	for (int32 i = 0; i < pgseal_cache->touched; i++)
	{
		if (pgseal_cache->slots[i].claimer == MyProcPid)
			abandon_claim(i, now);
	}
	LWLockRelease(pgseal_cache_lock);
}

static void
claim(PgsealCacheSlot *slot, Oid server, TimestampTz now, bool refreshing)
{
	slot->server = server;
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

/*
 * Looking up
 */

/* What another server gave, or refused, says nothing of the one that is asked now */
static void
forget_other_server(int32 i)
{
	if (pgseal_cache->slots[i].has_key)
		pg_atomic_fetch_add_u64(&pgseal_cache->taken, 1);
	pgseal_slot_wipe(i);
	pgseal_cache->slots[i].retry_at = 0;
}

/* Copies the masked key */
static void
take_key(int32 i, TimestampTz now,
		 uint8 out_masked[PGSEAL_KEY_BYTES], uint64 *out_fill, TimestampTz *out_expires_at)
{
	PgsealCacheSlot *slot = &pgseal_cache->slots[i];

	memcpy(out_masked, pgseal_cache_keys[i], PGSEAL_KEY_BYTES);
	*out_fill = slot->fill;
	*out_expires_at = now < slot->expires_at ? slot->expires_at :
		Min(after(now, STALE_USE), pgseal_slot_end_of_grace(slot));
	pg_atomic_write_u64(&slot->used_at, now);
	pg_atomic_fetch_add_u64(&pgseal_cache->hits, 1);
}

static PgsealCacheResult
hit(uint8 key[PGSEAL_KEY_BYTES], uint64 fill)
{
	if (!pgseal_slot_mask(key, key, fill))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not unmask a cached key")));
	return PGSEAL_CACHE_HIT;
}

/* Releases the lock */
static void
note_full(TimestampTz now)
{
	bool		warn = now >= after(pgseal_cache->full_warned_at, FULL_WARNING_PAUSE);

	if (warn)
		pgseal_cache->full_warned_at = now;
	LWLockRelease(pgseal_cache_lock);
	pg_atomic_fetch_add_u64(&pgseal_cache->overflows, 1);
	if (!warn)
		return;
	ereport(WARNING,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("pgseal: the key cache is full"),
			 errdetail("All %d entries are being fetched; keys are fetched without being kept.",
					   pgseal_cache_size),
			 errhint("Raise pgseal.cache_size.")));
}

/* The usual case: a key that nobody needs to fetch; under a shared lock */
static bool
take_fresh_key(Oid server, int64 key_version_id,
			   uint8 out_masked[PGSEAL_KEY_BYTES], uint64 *out_fill, TimestampTz *out_expires_at)
{
	TimestampTz now = pgseal_clock();
	bool		fresh;
	int32		i;

	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	i = pgseal_slot_find(MyDatabaseId, key_version_id);
	fresh = i != PGSEAL_NO_SLOT && pgseal_cache->slots[i].has_key &&
		pgseal_cache->slots[i].server == server && now < pgseal_cache->slots[i].expires_at;
	if (fresh)
		take_key(i, now, out_masked, out_fill, out_expires_at);
	LWLockRelease(pgseal_cache_lock);
	return fresh;
}

/*
 * What an entry has for who asks, under the exclusive lock.  False: to wait until
 * another process has fetched the key.
 */
static bool
ask_slot(int32 i, Oid server, TimestampTz now, PgsealCacheResult *out_result,
		 uint8 out_masked[PGSEAL_KEY_BYTES], uint64 *out_fill, TimestampTz *out_expires_at,
		 PgsealKmsStatus *out_status, PgsealKmsError *out_error)
{
	PgsealCacheSlot *slot = &pgseal_cache->slots[i];
	bool		of_another;

	pgseal_slot_wipe_if_expired(i, now);
	if (slot->server != server && !pgseal_slot_is_claimed(slot, now))
		forget_other_server(i);

	/* A claim of our own was left behind by an error: it is still ours */
	of_another = slot->claimer != MyProcPid && pgseal_slot_is_claimed(slot, now);
	if (slot->has_key && slot->server == server &&
		(now < slot->expires_at || now < slot->retry_at || of_another))
	{
		take_key(i, now, out_masked, out_fill, out_expires_at);
		*out_result = PGSEAL_CACHE_HIT;
		return true;
	}
	if (of_another)
		return false;
	if (slot->claimer == 0 && now < slot->retry_at)
	{
		*out_status = slot->failure;
		*out_error = pgseal_cache_errors[i];
		*out_result = PGSEAL_CACHE_FAILED;
		return true;
	}
	claim(slot, server, now, false);
	pg_atomic_fetch_add_u64(&pgseal_cache->misses, 1);
	*out_result = PGSEAL_CACHE_CLAIMED;
	return true;
}

PgsealCacheResult
pgseal_shared_cache_get(Oid server, int64 key_version_id,
						uint8 out_key[PGSEAL_KEY_BYTES],
						TimestampTz *out_expires_at,
						PgsealKmsStatus *out_status,
						PgsealKmsError *out_error)
{
	static uint32 wait_event = 0;
	PgsealCacheResult result = PGSEAL_CACHE_FULL;
	bool		waited = false;
	uint64		fill;

	if (!pgseal_cache)
		return PGSEAL_CACHE_FULL;
	if (take_fresh_key(server, key_version_id, out_key, &fill, out_expires_at))
		return hit(out_key, fill);

	prepare_to_claim();
	for (;;)
	{
		TimestampTz now = pgseal_clock();
		bool		answered;
		int32		i;

		LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
		i = pgseal_slot_find(MyDatabaseId, key_version_id);
		if (i == PGSEAL_NO_SLOT)
			i = pgseal_slot_new(MyDatabaseId, key_version_id, now);
		if (i == PGSEAL_NO_SLOT)
		{
			note_full(now);
			break;
		}
		answered = ask_slot(i, server, now, &result, out_key, &fill, out_expires_at,
							out_status, out_error);
		LWLockRelease(pgseal_cache_lock);
		if (answered)
			break;

		if (!waited)
			pg_atomic_fetch_add_u64(&pgseal_cache->waits, 1);
		waited = true;
		if (wait_event == 0)
			wait_event = pgseal_wait_event("PgsealKeyFetch");

		/* The first call only enlists us: hence the loop looks again */
		(void) ConditionVariableTimedSleep(&pgseal_cache->slots[i].resolved, WAIT_CHECK,
										   wait_event);
	}

	ConditionVariableCancelSleep();
	return result == PGSEAL_CACHE_HIT ? hit(out_key, fill) : result;
}

/*
 * The end of a fetch
 */

TimestampTz
pgseal_shared_cache_publish(int64 key_version_id, const uint8 key[PGSEAL_KEY_BYTES])
{
	TimestampTz now = pgseal_clock();
	TimestampTz expires_at = now;
	uint8		masked[PGSEAL_KEY_BYTES];
	uint64		fill;
	int32		i;

	if (!pgseal_cache)
		return now;

	fill = pg_atomic_add_fetch_u64(&pgseal_cache->fills, 1);
	if (!pgseal_slot_mask(masked, key, fill))
	{
		pgseal_shared_cache_abandon(key_version_id);
		return now;
	}

	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	i = find_claimed(key_version_id);
	if (i != PGSEAL_NO_SLOT)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];
		double		ttl = pgseal_cache_ttl * 1000.0;

		expires_at = after(now, ttl);
		memcpy(pgseal_cache_keys[i], masked, PGSEAL_KEY_BYTES);
		slot->fill = fill;
		slot->has_key = true;
		slot->published_at = now;
		slot->expires_at = expires_at;
		slot->retry_at = after(now, ttl * random_between(REFRESH_MIN, REFRESH_MAX));
		if (slot->refreshing)
			pg_atomic_fetch_add_u64(&pgseal_cache->refreshes, 1);
		else
			pg_atomic_write_u64(&slot->used_at, now);
		end_claim(slot);
	}
	LWLockRelease(pgseal_cache_lock);

	return expires_at;
}

bool
pgseal_shared_cache_fail(int64 key_version_id, PgsealKmsStatus status, const PgsealKmsError *error)
{
	TimestampTz now = pgseal_clock();
	bool		unreachable = status == PGSEAL_KMS_UNREACHABLE;
	bool		usable = false;
	int32		i;

	Assert(status != PGSEAL_KMS_OK);
	if (!pgseal_cache)
		return false;

	pg_atomic_fetch_add_u64(&pgseal_cache->failures, 1);
	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	i = find_claimed(key_version_id);
	if (i != PGSEAL_NO_SLOT)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];

		pgseal_slot_wipe_if_expired(i, now);
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
				pg_atomic_fetch_add_u64(&pgseal_cache->taken, 1);
			pgseal_slot_wipe(i);
			slot->failure = status;
			pgseal_cache_errors[i] = *error;
			slot->retry_at = after(now, unreachable ?
								   random_between(UNREACHABLE_MIN, UNREACHABLE_MAX) :
								   random_between(REFUSED_MIN, REFUSED_MAX));
		}
		end_claim(slot);
	}
	LWLockRelease(pgseal_cache_lock);

	if (!unreachable)
		pg_atomic_fetch_add_u64(&pgseal_cache->generation, 1);
	return usable;
}

void
pgseal_shared_cache_abandon(int64 key_version_id)
{
	TimestampTz now = pgseal_clock();
	int32		i;

	if (!pgseal_cache)
		return;
	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	i = find_claimed(key_version_id);
	if (i != PGSEAL_NO_SLOT)
		abandon_claim(i, now);
	LWLockRelease(pgseal_cache_lock);
}

/*
 * Taking keys away
 */

void
pgseal_shared_cache_drop(Oid database, int64 key_version_id)
{
	int32		i;

	if (!pgseal_cache)
		return;
	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	i = pgseal_slot_find(database, key_version_id);
	if (i != PGSEAL_NO_SLOT)
		pgseal_slot_free(i);
	LWLockRelease(pgseal_cache_lock);
	pg_atomic_fetch_add_u64(&pgseal_cache->generation, 1);
	pg_atomic_fetch_add_u64(&pgseal_cache->taken, 1);
}

void
pgseal_shared_cache_drop_database(Oid database)
{
	if (!pgseal_cache)
		return;

	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	for (int32 i = 0; i < pgseal_cache->touched; i++)
	{
		if (pgseal_cache->slots[i].tag.database == database)
			pgseal_slot_free(i);
	}
	LWLockRelease(pgseal_cache_lock);
	pg_atomic_fetch_add_u64(&pgseal_cache->generation, 1);
	pg_atomic_fetch_add_u64(&pgseal_cache->taken, 1);

	pgseal_seal_counts_drop_database(database);
}

/*
 * For the worker
 */

/* Should the worker fetch it (now or later)? */
static bool
is_refreshable(PgsealCacheSlot *slot, TimestampTz now)
{
	return pgseal_slot_is_usable(slot, now) && !pgseal_slot_is_claimed(slot, now) &&
		pg_atomic_read_u64(&slot->used_at) >= (uint64) slot->published_at;
}

int
pgseal_shared_cache_due_databases(Oid *out_databases, int max)
{
	TimestampTz now = pgseal_clock();
	int			num = 0;

	if (!pgseal_cache)
		return 0;

	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	for (int32 i = 0; i < pgseal_cache->touched; i++)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];

		if (!OidIsValid(slot->tag.database))
			continue;
		pgseal_slot_wipe_if_expired(i, now);
		if (!slot->has_key && now >= slot->retry_at && !pgseal_slot_is_claimed(slot, now))
			pgseal_slot_free(i);
		else if (is_refreshable(slot, now) && now >= slot->retry_at)
			pgseal_add_database(out_databases, &num, max, slot->tag.database);
	}
	LWLockRelease(pgseal_cache_lock);

	return num;
}

int
pgseal_shared_cache_due(int64 *out_key_version_ids, int max)
{
	TimestampTz now = pgseal_clock();
	int			num = 0;

	if (!pgseal_cache)
		return 0;

	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	for (int32 i = 0; i < pgseal_cache->touched && num < max; i++)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];

		if (slot->tag.database == MyDatabaseId &&
			is_refreshable(slot, now) && now >= slot->retry_at)
			out_key_version_ids[num++] = slot->tag.key_version_id;
	}
	LWLockRelease(pgseal_cache_lock);
	return num;
}

bool
pgseal_shared_cache_claim_refresh(Oid server, int64 key_version_id)
{
	TimestampTz now = pgseal_clock();
	bool		claimed = false;
	int32		i;

	if (!pgseal_cache)
		return false;

	prepare_to_claim();
	LWLockAcquire(pgseal_cache_lock, LW_EXCLUSIVE);
	i = pgseal_slot_find(MyDatabaseId, key_version_id);
	if (i != PGSEAL_NO_SLOT)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];

		if (slot->server != server && !pgseal_slot_is_claimed(slot, now))
			forget_other_server(i);
		claimed = is_refreshable(slot, now) && now >= slot->retry_at;
		if (claimed)
			claim(slot, server, now, true);
	}
	LWLockRelease(pgseal_cache_lock);
	return claimed;
}

TimestampTz
pgseal_shared_cache_next_due(void)
{
	TimestampTz now = pgseal_clock();
	TimestampTz next = 0;

	if (!pgseal_cache)
		return 0;

	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	for (int32 i = 0; i < pgseal_cache->touched; i++)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];
		TimestampTz due;

		if (!slot->has_key)
			continue;
		due = is_refreshable(slot, now) ? slot->retry_at : pgseal_slot_end_of_grace(slot);
		if (next == 0 || due < next)
			next = due;
	}
	LWLockRelease(pgseal_cache_lock);
	return next;
}
