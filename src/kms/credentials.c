/*-------------------------------------------------------------------------
 *
 * credentials.c
 *	  What the backends share about key management services: credentials,
 *	  which endpoints don't answer, how far our clock is off theirs.
 *
 * Without sharing, every new backend would ask STS, the instance's metadata
 * service or Vault's login again, all of which have low limits.
 *
 * Two small arrays of fixed size in shared memory, both protected by one
 * LWLock, which is never held across I/O.  A credential lies there sealed
 * (AES-256-GCM) under a key that the postmaster drew and that only its children
 * have, so a copy of the segment alone is worth nothing; slots are page-aligned,
 * locked into memory where the system allows it and left out of core dumps.
 *
 * One backend at a time gets a credential (loader): the others wait on the
 * slot's condition variable, or go on with the old one while it is valid.  A
 * loader that dies is replaced after loading_until.  A backend that was told
 * "expired" by the KMS forgets only the version that it used, so that a hundred
 * such backends cause one login.
 *
 * Without shared memory (library not preloaded) nothing is shared: get()
 * always claims.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <sys/mman.h>
#include <unistd.h>

#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/condition_variable.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "base/settings.h"
#include "base/shmem.h"
#include "kms/credentials.h"

#define NUM_CREDENTIALS			32
#define NUM_ENDPOINTS			64
#define FAILURE_MEMORY_MS		1000
#define LOADING_MARGIN_MS		1000
#define BREAKER_THRESHOLD		3	/* operations without an answer */
#define BREAKER_FIRST_MS		1000
#define BREAKER_MAX_MS			5000
#define TRANCHE					"pgseal_kms"

typedef struct CredentialSlot
{
	bool		used;
	uint8		key[PGSEAL_CREDENTIAL_KEY_BYTES];
	TimestampTz used_at;		/* for eviction */
	ConditionVariable changed;

	/* the credential; version 0: none.  Both times also lie here in clear. */
	uint64		version;
	int64		refresh_at;
	int64		expires_at;
	uint8		nonce[PGSEAL_NONCE_BYTES];
	uint8		tag[PGSEAL_TAG_BYTES];
	uint8		sealed[sizeof(PgsealCredential)];

	/* who gets a new one, and until when we believe it; 0: nobody */
	int			loader;
	TimestampTz loading_until;

	/* the last login failed, and that is believed until failed_until */
	TimestampTz failed_until;
	PgsealVerdict verdict;
	PgsealKmsError error;
} CredentialSlot;

typedef struct Endpoint
{
	bool		used;
	uint8		key[PGSEAL_CREDENTIAL_KEY_BYTES];
	int			failures;		/* operations in a row without an answer */
	TimestampTz closed_until;	/* nobody asks before */
	int64		clock_offset;
} Endpoint;

typedef struct Shared
{
	uint64		last_version;
	int			next_endpoint;	/* to reuse */
	Endpoint	endpoints[NUM_ENDPOINTS];
	CredentialSlot credentials[NUM_CREDENTIALS];
} Shared;

static Shared *shared = NULL;
static LWLock *lock = NULL;

/* Drawn by the postmaster, inherited by its children */
static uint8 sealing_key[PGSEAL_KEY_BYTES];

/* This process's context of it */
static PgsealAead *sealing_aead = NULL;

/*
 * Shared memory
 */

/* Whole pages, which no other shared data shares */
static size_t
shared_bytes(void)
{
	return TYPEALIGN(sysconf(_SC_PAGESIZE), sizeof(Shared));
}

static void
request_memory(void)
{
	RequestAddinShmemSpace(shared_bytes() + sysconf(_SC_PAGESIZE));
	RequestNamedLWLockTranche(TRANCHE, 1);
}

static void
wipe_memory(int code, Datum arg)
{
	pgseal_wipe(shared, sizeof(Shared));
}

static void
attach_memory(void)
{
	size_t		size = shared_bytes();
	char	   *memory;
	bool		found;

	memory = ShmemInitStruct("pgseal kms", size + sysconf(_SC_PAGESIZE), &found);
	shared = (Shared *) TYPEALIGN(sysconf(_SC_PAGESIZE), memory);
	lock = &GetNamedLWLockTranche(TRANCHE)->lock;
	if (!found)
	{
		memset(shared, 0, sizeof(Shared));
		for (int i = 0; i < NUM_CREDENTIALS; i++)
			ConditionVariableInit(&shared->credentials[i].changed);

		/* both are best effort: RLIMIT_MEMLOCK may be low */
		if (mlock(shared, size) != 0)
			elog(DEBUG1, "pgseal: mlock() of credentials failed: %m");
		if (madvise(shared, size, MADV_DONTDUMP) != 0)
			elog(DEBUG1, "pgseal: madvise() of credentials failed: %m");
		if (!IsUnderPostmaster)
			on_shmem_exit(wipe_memory, (Datum) 0);
	}
}

void
pgseal_credentials_init(void)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (!pgseal_random(sealing_key, sizeof(sealing_key)))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not generate random bytes")));
	pgseal_shmem_register(request_memory, attach_memory);
}

/*
 * Credentials.  All static functions expect the lock to be held.
 */

static CredentialSlot *
find_slot(const uint8 *key)
{
	for (int i = 0; i < NUM_CREDENTIALS; i++)
	{
		CredentialSlot *slot = &shared->credentials[i];

		if (slot->used && memcmp(slot->key, key, sizeof(slot->key)) == 0)
			return slot;
	}
	return NULL;
}

static void
clear_credential(CredentialSlot *slot)
{
	pgseal_wipe(slot->sealed, sizeof(slot->sealed));
	slot->version = 0;
	slot->refresh_at = 0;
	slot->expires_at = 0;
}

static void
clear_slot(CredentialSlot *slot)
{
	clear_credential(slot);
	slot->loader = 0;
	slot->loading_until = 0;
	slot->failed_until = 0;
}

/* A free slot, or the one that has been idle longest; NULL: all are loading. */
static CredentialSlot *
take_slot(const uint8 *key, TimestampTz at)
{
	CredentialSlot *best = NULL;

	for (int i = 0; i < NUM_CREDENTIALS; i++)
	{
		CredentialSlot *slot = &shared->credentials[i];

		if (slot->used && slot->loading_until > at)
			continue;
		if (best == NULL || (best->used && (!slot->used || slot->used_at < best->used_at)))
			best = slot;
	}
	if (best != NULL)
	{
		clear_slot(best);
		best->used = true;
		memcpy(best->key, key, sizeof(best->key));
	}
	return best;
}

static PgsealAead *
get_sealing_aead(void)
{
	if (sealing_aead == NULL)
		sealing_aead = pgseal_aead_new(sealing_key);
	return sealing_aead;
}

static bool
open_slot(PgsealCredential *out_credential, const CredentialSlot *slot)
{
	return slot->version != 0 && get_sealing_aead() != NULL &&
		pgseal_aead_open(sealing_aead, (uint8 *) out_credential, slot->nonce, slot->tag,
						 slot->key, sizeof(slot->key), slot->sealed, sizeof(slot->sealed));
}

/*
 * One look at the slot.  Returns true with the result, or false when the
 * caller shall wait for the loader of *out_slot.
 */
static bool
try_get(PgsealCredentialResult *out_result, CredentialSlot **out_slot, const uint8 *key,
		PgsealCredential *out_credential, uint64 *out_version,
		PgsealVerdict *out_verdict, PgsealKmsError *out_error, int64 now)
{
	TimestampTz at = pgseal_clock();
	CredentialSlot *slot = find_slot(key);
	bool		valid;
	bool		fresh;

	if (slot == NULL)
		slot = take_slot(key, at);
	*out_slot = slot;
	*out_version = 0;
	*out_result = PGSEAL_CREDENTIAL_CLAIMED;
	if (slot == NULL)
		return true;			/* no room: log in without publishing */

	slot->used_at = at;
	valid = (slot->expires_at == 0 || now < slot->expires_at) &&
		open_slot(out_credential, slot);
	fresh = valid && now < slot->refresh_at;
	if (valid)
		*out_version = slot->version;

	if (fresh || (valid && (slot->loading_until > at || slot->failed_until > at)))
	{
		*out_result = PGSEAL_CREDENTIAL_HIT;
		return true;
	}
	if (slot->loading_until > at)
		return false;
	if (slot->failed_until > at)
	{
		*out_result = PGSEAL_CREDENTIAL_FAILED;
		*out_verdict = slot->verdict;
		*out_error = slot->error;
		return true;
	}
	slot->loader = MyProcPid;
	slot->loading_until = TimestampTzPlusMilliseconds(at, pgseal_kms_timeout + LOADING_MARGIN_MS);
	return true;
}

PgsealCredentialResult
pgseal_credential_get(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
					  PgsealCredential *out_credential, uint64 *out_version,
					  PgsealVerdict *out_verdict, PgsealKmsError *out_error,
					  int64 now, TimestampTz deadline)
{
	PgsealCredentialResult result = PGSEAL_CREDENTIAL_CLAIMED;
	CredentialSlot *slot;
	bool		done;

	*out_version = 0;
	if (shared == NULL)
		return result;

	for (;;)
	{
		TimestampTz at;

		LWLockAcquire(lock, LW_EXCLUSIVE);
		done = try_get(&result, &slot, key, out_credential, out_version,
					   out_verdict, out_error, now);
		if (!done)
			ConditionVariablePrepareToSleep(&slot->changed);
		LWLockRelease(lock);
		if (done)
			break;

		at = pgseal_clock();
		if (at >= deadline)
		{
			result = PGSEAL_CREDENTIAL_FAILED;
			*out_verdict = pgseal_kms_verdict(out_error, PGSEAL_VERDICT_UNREACHABLE, "timeout",
											  "Another session's login has not ended in time.", NULL);
			break;
		}
		/* the slot may be given to another key meanwhile: then we look again */
		ConditionVariableTimedSleep(&slot->changed,
									Min(TimestampDifferenceMilliseconds(at, deadline) + 1,
										LOADING_MARGIN_MS),
									pgseal_http_wait_event());
	}
	ConditionVariableCancelSleep();
	return result;
}

/* Ends a claim of this backend; the slot, or NULL if it was lost. */
static CredentialSlot *
end_claim(const uint8 *key)
{
	CredentialSlot *slot = find_slot(key);

	if (slot == NULL || slot->loader != MyProcPid)
		return NULL;
	slot->loader = 0;
	slot->loading_until = 0;
	return slot;
}

uint64
pgseal_credential_publish(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
						  const PgsealCredential *credential)
{
	CredentialSlot *slot;
	uint64		version = 0;

	if (shared == NULL)
		return 0;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = end_claim(key);
	if (slot != NULL)
	{
		clear_slot(slot);
		if (get_sealing_aead() != NULL && pgseal_random_nonce(slot->nonce) &&
			pgseal_aead_seal(sealing_aead, slot->sealed, slot->tag, slot->nonce,
							 slot->key, sizeof(slot->key),
							 (const uint8 *) credential, sizeof(*credential)))
		{
			version = slot->version = ++shared->last_version;
			slot->refresh_at = credential->refresh_at;
			slot->expires_at = credential->expires_at;
		}
		ConditionVariableBroadcast(&slot->changed);
	}
	LWLockRelease(lock);
	return version;
}

void
pgseal_credential_fail(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
					   PgsealVerdict verdict, const PgsealKmsError *error)
{
	CredentialSlot *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = end_claim(key);
	if (slot != NULL)
	{
		slot->failed_until = TimestampTzPlusMilliseconds(pgseal_clock(), FAILURE_MEMORY_MS);
		slot->verdict = verdict;
		slot->error = *error;
		ConditionVariableBroadcast(&slot->changed);
	}
	LWLockRelease(lock);
}

void
pgseal_credential_abandon(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES])
{
	CredentialSlot *slot;

	if (shared == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = end_claim(key);
	if (slot != NULL)
		ConditionVariableBroadcast(&slot->changed);
	LWLockRelease(lock);
}

void
pgseal_credential_forget(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES], uint64 version)
{
	CredentialSlot *slot;

	if (shared == NULL || version == 0)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	slot = find_slot(key);
	/* who is getting a new one already goes on, and the caller will wait */
	if (slot != NULL && slot->version == version)
	{
		clear_credential(slot);
		slot->failed_until = 0;
	}
	LWLockRelease(lock);
}

/*
 * Endpoints
 */

/* The endpoint's slot; with make, an old one may be reused for it. */
static Endpoint *
find_endpoint(const uint8 *key, bool make)
{
	Endpoint   *endpoint;

	for (int i = 0; i < NUM_ENDPOINTS; i++)
	{
		endpoint = &shared->endpoints[i];
		if (endpoint->used && memcmp(endpoint->key, key, sizeof(endpoint->key)) == 0)
			return endpoint;
	}
	if (!make)
		return NULL;
	endpoint = &shared->endpoints[shared->next_endpoint];
	shared->next_endpoint = (shared->next_endpoint + 1) % NUM_ENDPOINTS;
	memset(endpoint, 0, sizeof(*endpoint));
	endpoint->used = true;
	memcpy(endpoint->key, key, sizeof(endpoint->key));
	return endpoint;
}

bool
pgseal_endpoint_allowed(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES])
{
	TimestampTz at = pgseal_clock();
	Endpoint   *endpoint;
	bool		allowed = true;

	if (shared == NULL)
		return true;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	endpoint = find_endpoint(key, false);
	if (endpoint != NULL && endpoint->failures >= BREAKER_THRESHOLD)
	{
		allowed = endpoint->closed_until <= at;

		/* one goes ahead and tries; the others wait for what it finds */
		if (allowed)
			endpoint->closed_until = TimestampTzPlusMilliseconds(at, BREAKER_MAX_MS);
	}
	LWLockRelease(lock);
	return allowed;
}

void
pgseal_endpoint_answered(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES], bool answered)
{
	Endpoint   *endpoint;

	if (shared == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	endpoint = find_endpoint(key, !answered);
	if (endpoint != NULL && answered)
		endpoint->failures = 0;
	else if (endpoint != NULL && ++endpoint->failures >= BREAKER_THRESHOLD)
	{
		int			doublings = Min(endpoint->failures - BREAKER_THRESHOLD, 3);
		int			pause_ms = Min(BREAKER_FIRST_MS << doublings, BREAKER_MAX_MS);

		/* half of it is left to chance */
		pause_ms = pause_ms / 2 + pg_prng_double(&pg_global_prng_state) * pause_ms / 2;
		endpoint->closed_until = TimestampTzPlusMilliseconds(pgseal_clock(), pause_ms);
	}
	LWLockRelease(lock);
}

int64
pgseal_endpoint_clock_offset(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES])
{
	Endpoint   *endpoint;
	int64		offset = 0;

	if (shared == NULL)
		return 0;
	LWLockAcquire(lock, LW_SHARED);
	endpoint = find_endpoint(key, false);
	if (endpoint != NULL)
		offset = endpoint->clock_offset;
	LWLockRelease(lock);
	return offset;
}

void
pgseal_endpoint_set_clock_offset(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES], int64 seconds)
{
	Endpoint   *endpoint;

	if (shared == NULL)
		return;
	LWLockAcquire(lock, LW_EXCLUSIVE);
	endpoint = find_endpoint(key, true);
	if (endpoint != NULL)
		endpoint->clock_offset = seconds;
	LWLockRelease(lock);
}
