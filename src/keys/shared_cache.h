/*-------------------------------------------------------------------------
 *
 * shared_cache.h
 *	  Usable keys in shared memory, for all backends.
 *
 * See shared_cache.c for the states of an entry and for locking.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SHARED_CACHE_H
#define PGSEAL_SHARED_CACHE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"

#include "base/secret.h"
#include "kms/kms.h"

typedef enum PgsealCacheResult
{
	PGSEAL_CACHE_HIT,			/* out_key holds the key */
	PGSEAL_CACHE_CLAIMED,		/* the caller must fetch it, then publish(),
								 * fail() or let abandon() run on error */
	PGSEAL_CACHE_FAILED,		/* a recent fetch failed: out_status,
								 * out_error */
	PGSEAL_CACHE_FULL			/* no slot to be had: fetch without publishing */
} PgsealCacheResult;

/* Counters since the server was started, for pgseal.stat_cache */
typedef struct PgsealCacheStats
{
	int64		slots;
	int64		used;
	int64		hits;			/* backend took a key from shared memory */
	int64		misses;			/* fetched from the KMS */
	int64		waits;			/* waited for another backend's fetch */
	int64		refreshes;		/* fetched again ahead of expiry */
	int64		evictions;
	int64		expirations;
	int64		overflows;		/* FULL */
	int64		failures;		/* fetches that failed */
	bool		locked;			/* mlock() succeeded */
} PgsealCacheStats;

/* What is known of one key version, for pgseal.stat_keys */
typedef struct PgsealKeyStats
{
	int64		seals;			/* reserved; 0 when there is no counter */
	bool		cached;
	TimestampTz published_at;	/* these three: if cached */
	TimestampTz used_at;
	TimestampTz expires_at;
	PgsealKmsStatus failure;	/* of the last fetch, if it left no key */
} PgsealKeyStats;

/* _PG_init, while libraries are preloaded: asks for the shared memory */
extern void pgseal_shared_cache_init(void);

/*
 * Looks up a key of MyDatabaseId; waits (interruptibly) while another backend
 * fetches it.  What another server gave or refused doesn't count.  On HIT, out_key and out_expires_at (when the caller must ask
 * again) are set.
 */
extern PgsealCacheResult pgseal_shared_cache_get(Oid server, int64 key_version_id,
												 uint8 out_key[PGSEAL_KEY_BYTES],
												 TimestampTz *out_expires_at,
												 PgsealKmsStatus *out_status,
												 PgsealKmsError *out_error);

/*
 * After CLAIMED: the key, for all.  Returns when it expires; that is now, and
 * the key isn't kept, when the claim was lost meanwhile (to a drop, or to
 * another process because the fetch took far longer than pgseal.kms_timeout).
 */
extern TimestampTz pgseal_shared_cache_publish(int64 key_version_id,
											   const uint8 key[PGSEAL_KEY_BYTES]);

/*
 * After CLAIMED: the fetch failed.  Unreachable: an entry that still has a key
 * lives on for up to pgseal.cache_grace (then true is returned: get() again
 * gives HIT); refused or invalid: any key is wiped at once.  Remembered
 * briefly, so that not every backend asks again.
 */
extern bool pgseal_shared_cache_fail(int64 key_version_id, PgsealKmsStatus status,
									 const PgsealKmsError *error);

/* After CLAIMED, when nothing is known (query cancelled, error). */
extern void pgseal_shared_cache_abandon(int64 key_version_id);

/*
 * Wipes one key, or all keys of one database, everywhere; bumps generation.  A
 * fetch that is under way won't publish.
 */
extern void pgseal_shared_cache_drop(Oid database, int64 key_version_id);
extern void pgseal_shared_cache_drop_database(Oid database);

/*
 * Moves on whenever a key was taken away before its time (refusal, drop).  A
 * backend whose kept contexts were made under another generation must ask the
 * cache again.  Eviction isn't counted, as the key is still good, nor is
 * expiry, which the backend knows from out_expires_at.
 */
extern uint64 pgseal_shared_cache_generation(void);

/*
 * How many keys were taken away, and how many have expired.  (The generation moves
 * on for a refusal even if nobody had the key here.)
 */
extern uint64 pgseal_shared_cache_taken(void);
extern uint64 pgseal_shared_cache_expirations(void);

/*
 * A process has a key until then that isn't in the cache, as there was no place for
 * it or it was evicted: nobody sees it expire.  And when the last of them does.
 */
extern void pgseal_shared_cache_unlisted(TimestampTz until);
extern TimestampTz pgseal_shared_cache_unlisted_until(void);

/* Up to max databases that have keys; up to max keys of MyDatabaseId */
extern int	pgseal_shared_cache_databases(Oid *out_databases, int max);
extern int	pgseal_shared_cache_keys(int64 *out_key_version_ids, int max);

/* Would get() give a key of MyDatabaseId at once, without anybody's fetching it? */
extern bool pgseal_shared_cache_has(int64 key_version_id);

/*
 * For the worker.  An entry is due when it should be fetched again ahead of
 * its expiry: some time before it (jitter) if it was used since the last fetch.
 * What nobody uses expires, and doesn't cost a KMS call.
 */

/*
 * For the launcher: wipes what has expired, and returns up to max databases
 * with entries that are due
 */
extern int	pgseal_shared_cache_due_databases(Oid *out_databases, int max);

/* Up to max entries of MyDatabaseId that are due */
extern int	pgseal_shared_cache_due(int64 *out_key_version_ids, int max);

/*
 * Claims an entry if it is due; then as after CLAIMED.  get() of other backends
 * goes on with the old key.
 */
extern bool pgseal_shared_cache_claim_refresh(Oid server, int64 key_version_id);

/* When the next entry expires or falls due; 0 if none */
extern TimestampTz pgseal_shared_cache_next_due(void);

extern void pgseal_shared_cache_stats(PgsealCacheStats *out_stats);

/* Of a key version of MyDatabaseId */
extern void pgseal_shared_cache_key_stats(int64 key_version_id, PgsealKeyStats *out_stats);

#endif							/* PGSEAL_SHARED_CACHE_H */
