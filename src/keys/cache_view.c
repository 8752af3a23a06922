/*-------------------------------------------------------------------------
 *
 * cache_view.c
 *	  What can be seen of the key cache: which keys are there, and counters.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/clock.h"
#include "base/settings.h"
#include "keys/cache_slots.h"
#include "keys/seal_counts.h"
#include "keys/shared_cache.h"

uint64
pgseal_shared_cache_generation(void)
{
	return pgseal_cache ? pg_atomic_read_u64(&pgseal_cache->generation) : 0;
}

uint64
pgseal_shared_cache_taken(void)
{
	return pgseal_cache ? pg_atomic_read_u64(&pgseal_cache->taken) : 0;
}

uint64
pgseal_shared_cache_expirations(void)
{
	return pgseal_cache ? pg_atomic_read_u64(&pgseal_cache->expirations) : 0;
}

TimestampTz
pgseal_shared_cache_unlisted_until(void)
{
	return pgseal_cache ? pg_atomic_read_u64(&pgseal_cache->unlisted_until) : 0;
}

bool
pgseal_shared_cache_has(int64 key_version_id)
{
	int32		i;
	bool		has;

	if (!pgseal_cache)
		return false;
	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	i = pgseal_slot_find(MyDatabaseId, key_version_id);
	has = i != PGSEAL_NO_SLOT && pgseal_cache->slots[i].has_key &&
		pgseal_clock() < pgseal_cache->slots[i].expires_at;
	LWLockRelease(pgseal_cache_lock);
	return has;
}

int
pgseal_shared_cache_databases(Oid *out_databases, int max)
{
	int			num = 0;

	if (!pgseal_cache)
		return 0;
	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	for (int32 i = 0; i < pgseal_cache->touched; i++)
		if (OidIsValid(pgseal_cache->slots[i].tag.database) && pgseal_cache->slots[i].has_key)
			pgseal_add_database(out_databases, &num, max, pgseal_cache->slots[i].tag.database);
	LWLockRelease(pgseal_cache_lock);
	return num;
}

int
pgseal_shared_cache_keys(int64 *out_key_version_ids, int max)
{
	int			num = 0;

	if (!pgseal_cache)
		return 0;
	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	for (int32 i = 0; i < pgseal_cache->touched && num < max; i++)
		if (pgseal_cache->slots[i].tag.database == MyDatabaseId && pgseal_cache->slots[i].has_key)
			out_key_version_ids[num++] = pgseal_cache->slots[i].tag.key_version_id;
	LWLockRelease(pgseal_cache_lock);
	return num;
}

void
pgseal_shared_cache_stats(PgsealCacheStats *out_stats)
{
	memset(out_stats, 0, sizeof(*out_stats));
	if (!pgseal_cache)
		return;

	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	out_stats->used = pgseal_cache->used;
	LWLockRelease(pgseal_cache_lock);
	out_stats->slots = pgseal_cache_size;
	out_stats->hits = pg_atomic_read_u64(&pgseal_cache->hits);
	out_stats->misses = pg_atomic_read_u64(&pgseal_cache->misses);
	out_stats->waits = pg_atomic_read_u64(&pgseal_cache->waits);
	out_stats->refreshes = pg_atomic_read_u64(&pgseal_cache->refreshes);
	out_stats->evictions = pg_atomic_read_u64(&pgseal_cache->evictions);
	out_stats->expirations = pg_atomic_read_u64(&pgseal_cache->expirations);
	out_stats->overflows = pg_atomic_read_u64(&pgseal_cache->overflows);
	out_stats->failures = pg_atomic_read_u64(&pgseal_cache->failures);
	out_stats->locked = pgseal_cache->locked;
}

void
pgseal_shared_cache_key_stats(int64 key_version_id, PgsealKeyStats *out_stats)
{
	int32		i;

	memset(out_stats, 0, sizeof(*out_stats));
	if (!pgseal_cache)
		return;

	LWLockAcquire(pgseal_cache_lock, LW_SHARED);
	i = pgseal_slot_find(MyDatabaseId, key_version_id);
	if (i != PGSEAL_NO_SLOT && !pgseal_cache->slots[i].has_key)
		out_stats->failure = pgseal_cache->slots[i].failure;
	if (i != PGSEAL_NO_SLOT && pgseal_cache->slots[i].has_key)
	{
		PgsealCacheSlot *slot = &pgseal_cache->slots[i];

		out_stats->cached = true;
		out_stats->published_at = slot->published_at;
		out_stats->used_at = pg_atomic_read_u64(&slot->used_at);
		out_stats->expires_at = slot->expires_at;
	}
	LWLockRelease(pgseal_cache_lock);

	out_stats->seals = pgseal_seal_counts_reserved(key_version_id);
}
