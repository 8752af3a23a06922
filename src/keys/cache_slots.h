/*-------------------------------------------------------------------------
 *
 * cache_slots.h
 *	  The memory of the key cache: slots, and how one is found.
 *
 * For shared_cache.c, which says by which rules entries change, and under which
 * lock, and cache_view.c.  Nobody else includes this.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CACHE_SLOTS_H
#define PGSEAL_CACHE_SLOTS_H

#include "datatype/timestamp.h"
#include "port/atomics.h"
#include "storage/condition_variable.h"
#include "storage/lwlock.h"

#include "base/secret.h"
#include "keys/key_tag.h"
#include "kms/kms.h"

#define PGSEAL_NO_SLOT			(-1)

typedef struct PgsealCacheSlot
{
	PgsealKeyTag tag;
	Oid			server;			/* that unwrapped the key, or refused to */
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
	 * Nobody needs to fetch before this.  With a fresh key: when it falls
	 * due. With a stale one or none: the end of the pause after a failure.
	 */
	TimestampTz retry_at;
	pg_atomic_uint64 used_at;	/* last HIT; written under a shared lock */
	ConditionVariable resolved; /* the claim has ended */
} PgsealCacheSlot;

typedef struct PgsealCache
{
	pg_atomic_uint64 generation;
	pg_atomic_uint64 taken;		/* keys, for whose sake the generation moved
								 * on */
	pg_atomic_uint64 unlisted_until;	/* when processes have unloaded keys
										 * that are no more here, or never
										 * were */
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
	PgsealCacheSlot slots[FLEXIBLE_ARRAY_MEMBER];
} PgsealCache;

/* Inherited from the postmaster; NULL when the library was not preloaded */
extern PgsealCache *pgseal_cache;
extern LWLock *pgseal_cache_lock;

/* By slot: what the last fetch failed with; the key, masked */
extern PgsealKmsError *pgseal_cache_errors;
extern uint8 (*pgseal_cache_keys)[PGSEAL_KEY_BYTES];

extern void pgseal_cache_slots_init(void);

/* Masks and unmasks, without the lock.  False if OpenSSL fails. */
extern bool pgseal_slot_mask(uint8 out_key[PGSEAL_KEY_BYTES],
							 const uint8 key[PGSEAL_KEY_BYTES], uint64 fill);

/* The following need the lock */

/* PGSEAL_NO_SLOT if there is none */
extern int32 pgseal_slot_find(Oid database, int64 key_version_id);

/* An unclaimed entry without a key, or PGSEAL_NO_SLOT when all are claimed */
extern int32 pgseal_slot_new(Oid database, int64 key_version_id, TimestampTz now);

/* Takes the entry out; who waits for it looks again */
extern void pgseal_slot_free(int32 i);

extern TimestampTz pgseal_slot_end_of_grace(const PgsealCacheSlot *slot);
extern bool pgseal_slot_is_usable(const PgsealCacheSlot *slot, TimestampTz now);
extern bool pgseal_slot_is_claimed(const PgsealCacheSlot *slot, TimestampTz now);
extern void pgseal_slot_wipe(int32 i);
extern void pgseal_slot_wipe_if_expired(int32 i, TimestampTz now);

#endif							/* PGSEAL_CACHE_SLOTS_H */
