/*-------------------------------------------------------------------------
 *
 * catalog.h
 *	  The key catalog: tables pgseal.key, key_version, declared_key, event.
 *
 * Reads and writes rows; knows nothing of key material but that it
 * is wrapped bytes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CATALOG_H
#define PGSEAL_CATALOG_H

#include "postgres.h"
#include "datatype/timestamp.h"
#include "nodes/pg_list.h"

/* A key's name has at most this many bytes */
#define PGSEAL_KEY_NAME_MAX		255

/* Type modifiers: the hash of a key's name, or one of these */
#define PGSEAL_TYPMOD_NONE		(-1)
#define PGSEAL_TYPMOD_ANY		0	/* encrypted_text('*') */

/* The key that seals values whose column isn't known yet (DESIGN, "default") */
#define PGSEAL_DEFAULT_KEY		"default"

/* Temporary tables of all sessions share one key */
#define PGSEAL_TEMPORARY_KEY	"pg_temp"

typedef enum PgsealPurpose
{
	PGSEAL_PURPOSE_DATA = 'd',	/* AES-256-GCM */
	PGSEAL_PURPOSE_INDEX = 'i'	/* HMAC-SHA-256 */
} PgsealPurpose;

typedef struct PgsealKeyRow
{
	int32		hash;
	char	   *name;
	char	   *server;			/* for new versions */
	char	   *parent;			/* NULL, or the key that wraps this one */
	bool		own;			/* columns that named no key have got it */
	const Interval *rotate_every;	/* NULL: never by itself; only written */
	const Interval *rewrap_every;
} PgsealKeyRow;

typedef struct PgsealVersionRow
{
	int64		id;
	char	   *key;
	int32		number;
	PgsealPurpose purpose;
	char	   *server;			/* whose master key wraps it */
	int64		parent_version; /* 0, or the key version that wraps it */
	char	   *master_key;
	bytea	   *wrapped;		/* NULL once destroyed */
	int64		seals;			/* how many may have been made, at most */
	bool		retired;		/* a full pass found no value under it */
	bool		written_here;	/* by this transaction, which may yet roll
								 * back */
} PgsealVersionRow;

/*
 * 31 bits of SHA-256 of the name in UTF-8, never 0: the type modifier that stands for it.
 * Two names may have the same.
 */
extern int32 pgseal_catalog_name_hash(const char *name);

/* The same in every database to which the catalog comes, whatever its encoding */
extern const char *pgseal_catalog_name_in_utf8(const char *name);

/*
 * The hash by which the key with this name is known; if there is none, that of
 * the name.  They differ only for child keys: of a million names some have the
 * same hash, so a child key takes another one when its name's is taken.
 */
extern int32 pgseal_catalog_key_hash(const char *name);

/* A hash that is free, for a new child key */
extern int32 pgseal_catalog_free_hash(const char *name);

/* 42602 unless the name can be a key's */
extern void pgseal_catalog_check_name(const char *name);

/* OID of pgseal.key_version, whose relcache invalidation tells of changes */
extern Oid	pgseal_catalog_version_relation(void);

/* OID of pgseal.key, whose relcache invalidation tells of a new or destroyed
 * version of the default key
 */
extern Oid	pgseal_catalog_key_relation(void);

/* Is it one of the catalog's tables or views? */
extern bool pgseal_catalog_is_relation(Oid relation);

extern PgsealKeyRow *pgseal_catalog_key(int32 hash);
extern PgsealKeyRow *pgseal_catalog_key_by_name(const char *name);
extern PgsealVersionRow *pgseal_catalog_version(int64 id);

/* The version with the highest number that still has its wrapped bytes */
extern PgsealVersionRow *pgseal_catalog_current_version(const char *key, PgsealPurpose purpose);

/*
 * Versions that the server's master key wraps, as PgsealVersionRow; not those
 * wrapped by a parent, nor destroyed ones.
 */
extern List *pgseal_catalog_server_versions(const char *server);

/* How many keys are children of this one and not destroyed */
extern int64 pgseal_catalog_num_children(const char *parent);

/*
 * Up to max versions that this one wraps, not destroyed, in the order of their
 * ids, from beyond the id `after` on
 */
extern int	pgseal_catalog_children(int64 id, int64 after, int64 *out_ids, int max);

/* Does this version wrap versions of child keys? */
extern bool pgseal_catalog_wraps_children(int64 id);

/* All versions of a key, any purpose, destroyed ones included */
extern List *pgseal_catalog_versions(const char *key);

/* Name of a key, also of one that is only declared; NULL when unknown */
extern char *pgseal_catalog_name(int32 hash);

/*
 * Makes a name known, without material.  own: for columns that name no key.  42710
 * when another name has the same hash.
 */
extern void pgseal_catalog_declare(const char *name, bool own);

/* Was the key declared for columns that name none, here or where it comes from? */
extern bool pgseal_catalog_is_own(int32 hash);

/* Both write one row and make it visible to the rest of the transaction. */
extern void pgseal_catalog_insert_key(const PgsealKeyRow *key);
extern void pgseal_catalog_insert_version(const PgsealVersionRow *version);

/* Raises the durable seal count of a version to at least seals */
extern void pgseal_catalog_raise_seals(int64 id, int64 seals);

/* These change one row; nobody else changes it until the transaction ends */

/*
 * Stores what wraps a version: server, parent_version, master_key and wrapped.
 * False, and nothing changed, when its wrapped bytes aren't the expected ones
 * any more, because somebody else has been at it.  pgseal_catalog_changed() must
 * follow, once after any number of versions.
 */
extern bool pgseal_catalog_set_wrapping(const PgsealVersionRow *version, const bytea *expected);

/*
 * Makes changes visible to the rest of the transaction and known to all backends
 * when it commits
 */
extern void pgseal_catalog_changed(void);

/* How often this process has called it, or has written with one of the above */
extern uint64 pgseal_catalog_num_changes(void);

/* The child keys of a key, and their versions, follow it to another server */
extern void pgseal_catalog_move_children(const char *parent, const char *server);
extern void pgseal_catalog_retire_version(int64 id);

/* Takes the wrapped bytes away; the row stays and says when */
extern void pgseal_catalog_destroy_version(int64 id);

/* The server that wraps new versions of a key */
extern void pgseal_catalog_set_server(int32 hash, const char *server);

/* NULL: stays; an interval of 0: none */
extern void pgseal_catalog_set_schedule(int32 hash, const Interval *rotate_every,
										const Interval *rewrap_every);

extern bool pgseal_catalog_server_in_use(const char *server);
extern void pgseal_catalog_rename_server(const char *from, const char *to);

/* Until the end of the transaction, nobody else makes or changes this key */
extern void pgseal_catalog_lock_key(int32 hash);

/*
 * Until the end of the transaction, nobody changes this key, while any number of
 * sessions make children of it.  Two that make a child of the same name wait for
 * one another at the index of names: a lock for each of a million children
 * would be too many, and one that several share would make strangers wait.
 */
extern void pgseal_catalog_lock_parent(int32 parent_hash);

/*
 * Until the end of the transaction: either columns are put under this key, by
 * any number of sessions, or (exclusive) its index key is replaced.
 */
extern void pgseal_catalog_lock_columns(int32 hash, bool exclusive);

/*
 * An event of a key's life: a row of pgseal.event and a log line.  detail may
 * be NULL.
 */
extern void pgseal_catalog_event(const char *event, const char *key, int64 key_version_id,
								 const char *detail);

#endif							/* PGSEAL_CATALOG_H */
