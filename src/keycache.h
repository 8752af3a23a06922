/*-------------------------------------------------------------------------
 *
 * keycache.h
 *	  Usable keys in shared memory, for all backends.
 *
 * Layer 2.  See keycache.c for the states of an entry and for locking.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KEYCACHE_H
#define PGSEAL_KEYCACHE_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "port/atomics.h"

#include "kms/kms.h"
#include "secret.h"

typedef enum PgsealCacheResult
{
	PGSEAL_CACHE_HIT,			/* out_key holds the key */
	PGSEAL_CACHE_CLAIMED,		/* the caller must fetch it, then publish(),
								 * fail() or let abandon() run on error */
	PGSEAL_CACHE_FAILED,		/* a recent fetch failed: out_status, out_error */
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

/* One entry that should be fetched again soon, for the worker */
typedef struct PgsealCacheDue
{
	Oid			database;
	int64		key_version_id;
} PgsealCacheDue;

/* _PG_init: draws the mask; installs the shared memory hooks */
extern void pgseal_keycache_init(void);

/* False when the library was not preloaded: there is no shared memory */
extern bool pgseal_keycache_attached(void);

/*
 * Looks up a key of MyDatabaseId; waits (interruptibly) while another backend
 * fetches it.  On HIT, out_key and out_expires_at (when the caller must ask
 * again) are set.
 */
extern PgsealCacheResult pgseal_keycache_get(int64 key_version_id,
											 uint8 out_key[PGSEAL_KEY_BYTES],
											 TimestampTz *out_expires_at,
											 PgsealKmsStatus *out_status,
											 PgsealKmsError *out_error);

/* After CLAIMED: the key, for all.  Returns when it expires. */
extern TimestampTz pgseal_keycache_publish(int64 key_version_id,
										   const uint8 key[PGSEAL_KEY_BYTES]);

/*
 * After CLAIMED: the fetch failed.  Unreachable: an entry that still has a key
 * lives on for up to pgseal.cache_grace (then true is returned: get() again
 * gives HIT); refused or invalid: any key is wiped at once.  Remembered
 * briefly, so that not every backend asks again.
 */
extern bool pgseal_keycache_fail(int64 key_version_id, PgsealKmsStatus status,
								 const PgsealKmsError *error);

/* After CLAIMED, when nothing is known (query cancelled, error). */
extern void pgseal_keycache_abandon(int64 key_version_id);

/* Wipes one key, or all keys of one database, everywhere; bumps generation */
extern void pgseal_keycache_drop(Oid database, int64 key_version_id);
extern void pgseal_keycache_drop_database(Oid database);

/*
 * Moves on whenever a key was taken away (expiry, eviction is not: the key is
 * still good; refusal, drop).  A backend whose kept contexts were made under
 * another generation must ask the cache again.
 */
extern uint64 pgseal_keycache_generation(void);

/*
 * For the worker: wipes what has expired, and returns up to max entries that
 * are due for a refresh (of one database, or of all with InvalidOid).
 * Claiming one makes get() of other backends go on with the old key.
 */
extern int	pgseal_keycache_due(Oid database, PgsealCacheDue *out_due, int max);
extern bool pgseal_keycache_claim_refresh(int64 key_version_id);

/* When the next entry expires or falls due; 0 if none */
extern TimestampTz pgseal_keycache_next_due(void);

/*
 * Seal counts.  Reserves count seals under a key version and returns how many
 * have been reserved in all since first_known (the count that the catalog has,
 * used only to start a counter).  A counter lives apart from the key entries.
 */
extern uint64 pgseal_keycache_reserve_seals(int64 key_version_id, uint64 first_known, uint32 count);

extern void pgseal_keycache_stats(PgsealCacheStats *out_stats);

#endif							/* PGSEAL_KEYCACHE_H */
