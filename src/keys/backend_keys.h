/*-------------------------------------------------------------------------
 *
 * backend_keys.h
 *	  What sealing_key.c needs of backend_keys.c; all others use keyring.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_BACKEND_KEYS_H
#define PGSEAL_BACKEND_KEYS_H

#include "keys/keyring.h"

/*
 * The key that was used last for a key's hash.  Pointers to keys are renewed, and
 * the last one is none any more, when keys are unloaded, facts are forgotten, or
 * a transaction is rolled back.
 */
typedef struct PgsealLastKey
{
	PgsealKey  *key;
	int32		key_hash;
	uint64		renewal;
} PgsealLastKey;

extern bool pgseal_backend_key_is_last(const PgsealLastKey *last, int32 key_hash);

/* Unless the facts of the epoch, by which it was found, hold no more */
extern void pgseal_backend_key_remember(PgsealLastKey *last, int32 key_hash, PgsealKey *key,
										uint64 epoch);

/* The key of a version, ready for use, whatever its purpose */
extern PgsealKey *pgseal_backend_key(int64 id);

/* The version's row, or 42704 */
extern PgsealVersionRow *pgseal_backend_key_version(int64 id);

/* May what the key opens go to the current user?  Errors or false as on_denied says */
extern bool pgseal_backend_key_may_open(PgsealKey *key, PgsealAccess access);

/* The id of a key of this backend alone, for literals that nothing can store */
extern int64 pgseal_backend_key_ephemeral(void);

/* A key of this backend alone, for hashes that nothing stores */
extern PgsealKey *pgseal_backend_key_own_hash(void);

#endif							/* PGSEAL_BACKEND_KEYS_H */
