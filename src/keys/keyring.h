/*-------------------------------------------------------------------------
 *
 * keyring.h
 *	  From a key version id (backend_keys.c), or a key's hash (sealing_key.c), to a
 *	  key that can be used; and making keys (create.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KEYRING_H
#define PGSEAL_KEYRING_H

#include "postgres.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "keys/catalog.h"

/*
 * A key version, ready for use in this backend.  Pointers to it are good until
 * the next call of a function of this header.
 */
typedef struct PgsealKey
{
	int64		id;				/* hash key: must be first */
	PgsealPurpose purpose;
	int32		key_hash;		/* of the key that it is a version of */
	int32		number;			/* of the version */
	Oid			server;			/* whose USAGE opens values */
	bool		ephemeral;		/* lives in this backend only */
	PgsealAead *aead;			/* PGSEAL_PURPOSE_DATA, or NULL: not loaded */
	PgsealHmac *hmac;			/* PGSEAL_PURPOSE_INDEX, or NULL: not loaded */
	PgsealAead *wrapper;		/* of child keys, or NULL: not needed yet */
	PgsealHmac *signer;			/* of rows, or NULL: not needed yet */
	PgsealAead *ledger;			/* seals records of ledgers of rows, or NULL:
								 * not needed yet */

	/* While all of this holds, the key may be used without asking anybody */
	uint64		generation;		/* of the shared cache */
	TimestampTz expires_at;
	TimestampTz loaded_until;	/* its context must go by then */
	Oid			allowed_role;	/* has USAGE on server */

	uint32		seals_left;		/* of those reserved in shared memory */
	uint32		seals_reserve;	/* so many were reserved last */
	uint64		used_in;		/* the era in which it was noted, used.h */
} PgsealKey;

typedef enum PgsealCurrency
{
	PGSEAL_CURRENCY_UNKNOWN,	/* nobody has asked yet */
	PGSEAL_CURRENCY_CURRENT,	/* new values are sealed by it */
	PGSEAL_CURRENCY_STALE		/* there is a newer version */
} PgsealCurrency;

/* What is known of a key version without unwrapping it */
typedef struct PgsealKeyInfo
{
	int64		id;				/* hash key: must be first */
	int32		key_hash;
	Oid			server;			/* InvalidOid when there is no such server
								 * here */
	PgsealPurpose purpose;
	bool		known;			/* it is in this database's catalog, */
	bool		destroyed;		/* but its wrapped bytes are gone */
	bool		retired;
	bool		ephemeral;
	bool		lost;			/* rolled back; this session may still open it */
	PgsealCurrency currency;	/* ask pgseal_keyring_is_stale() */
} PgsealKeyInfo;

/* Whether the current user must have USAGE on the key's server */
typedef enum PgsealAccess
{
	PGSEAL_ACCESS_CHECKED,		/* the value, or a fact about it, gets out */
	PGSEAL_ACCESS_INTERNAL		/* it stays inside: resealing, index upkeep */
} PgsealAccess;

/*
 * The key that opens values of a key version.  NULL when the current user may
 * not (pgseal.on_denied = null).  Errors: 42501; 42704 the version isn't known
 * in this database; 58000 the KMS failed.
 */
extern PgsealKey *pgseal_keyring_open(int64 id, PgsealAccess access);

/* The key that seals new values of the key with this hash; makes material. */
extern PgsealKey *pgseal_keyring_seal(int32 key_hash);

/* The newest index key of the key with this hash; makes material. */
extern PgsealKey *pgseal_keyring_index(int32 key_hash, PgsealAccess access);

/* Can that be used without asking a KMS?  Of a key that has one */
extern bool pgseal_keyring_index_at_hand(int32 key_hash);

/*
 * All index key versions in use, newest first, as a list of PgsealVersionRow:
 * more than one while an index key is replaced.  Empty when there is no
 * material yet.
 */
extern List *pgseal_keyring_index_versions(int32 key_hash);
extern int	pgseal_keyring_num_index_versions(int32 key_hash);

/*
 * The server that wraps new versions of the key with this hash, InvalidOid when
 * it is gone.  False: there is no such key.
 */
extern bool pgseal_keyring_find_server(int32 key_hash, Oid *out_server);

extern PgsealKey *pgseal_keyring_index_version(int64 id, PgsealAccess access);

/*
 * The index key of the default key, by which a query hashes what it doesn't store.
 * Where none can be made, one of this process, until the transaction ends.
 */
extern PgsealKey *pgseal_keyring_query_hash(void);

extern const PgsealKeyInfo *pgseal_keyring_info(int64 id);

/* Is there a version by which the key with this hash seals, or must it be made? */
extern bool pgseal_keyring_has_material(int32 key_hash);

/*
 * Are there keys that parallel workers wouldn't have, or, if code may keep what a
 * plan returns, versions which its sealing would have to note in this process?
 */
extern bool pgseal_keyring_is_alone(bool code_gets_values);

/* Error 42704: the version isn't known in this database */
pg_noreturn extern void pgseal_keyring_unknown_version(int64 id);

/* Can the key version be used without asking a KMS? */
extern bool pgseal_keyring_at_hand(int64 id);

/* Has the current user USAGE on the server?  Errors or false as on_denied says */
extern bool pgseal_keyring_check_access(Oid server);

/*
 * Is a value that may not be opened NULL now?  That is what on_denied says, but it is
 * the user's: who knows of code that runs for others with him says no.
 */
extern bool pgseal_keyring_tells_null(void);
extern void pgseal_keyring_never_null(bool (*while_it_runs) (void));

/* Is there a newer version of the same key, under which its values belong? */
extern bool pgseal_keyring_is_stale(int64 id);

/*
 * Who derives other keys forgets them here: called between statements, when a key
 * was destroyed, refused or has expired
 */
extern void pgseal_keyring_when_unloading(void (*forget) (void));

/*
 * What signs rows under a key version that pgseal_keyring_open() or _seal() has
 * just given.  Good until the next call of a function of this header.
 */
extern PgsealHmac *pgseal_keyring_signer(PgsealKey *key);

/* What seals the records of ledgers, in the same way */
extern PgsealAead *pgseal_keyring_ledger(PgsealKey *key);

/*
 * Makes a key with a data and an index key version, durable with the current
 * transaction.  server NULL: pgseal.default_server; intervals may be NULL.
 * 42710 when it exists.
 */
extern void pgseal_keyring_create(const char *name, const char *server,
								  const Interval *rotate_every, const Interval *rewrap_every);

/* The same, wrapped by the parent's current version */
extern void pgseal_keyring_create_child(const char *name, const char *parent,
										const Interval *rotate_every);

/* Error 42704: there is no key of this name */
extern void pgseal_keyring_no_key(const char *name);

/* The key's row, or 42704 */
extern PgsealKeyRow *pgseal_keyring_require(const char *name);

/*
 * Before a column is declared by which a key of this name may be made: 42501 for
 * those whom pgseal.make_keys doesn't let, unless there is such a key.  A temporary
 * table, which ends, makes no key that stays, whatever the setting.
 */
extern void pgseal_keyring_check_maker(const char *name, bool temporary);

/* Makes the key unless it has material already, or was destroyed. */
extern void pgseal_keyring_ensure(const char *name);

/*
 * Makes the default key, which literals will need, perhaps where it can't be made
 * any more: with the first other key, not with the extension, as a dump brings
 * its own.  Where its server's KMS fails now, it is left for later.
 */
extern void pgseal_keyring_prepare_literals(void);

/* For the worker: makes the default key if there are others, but not a new keyring */
extern void pgseal_keyring_make_default(void);

/*
 * A new version, which is the current one as soon as the transaction has committed;
 * returns its number.  reason: for the event, or NULL.
 */
extern int32 pgseal_keyring_add_version(const char *name, PgsealPurpose purpose,
										const char *reason);

/* For the worker: fetches a cached key again; false when that failed */
extern bool pgseal_keyring_refresh(int64 key_version_id);

/*
 * For the worker: seal counts of this database, from memory to the catalog.
 * Writes up to max versions that have sealed pgseal.max_seals_per_key values to
 * out_exhausted, and returns how many.
 */
extern int	pgseal_keyring_persist_seals(int64 *out_exhausted, int max);

extern void pgseal_keyring_init(void);

#endif							/* PGSEAL_KEYRING_H */
