/*-------------------------------------------------------------------------
 *
 * keyring.c
 *	  From a key version id to a usable key: backend, shared cache, KMS.
 *
 * Three levels hold keys:
 *
 *	 1. keys: this backend's cipher contexts.  The hot path asks nothing else: a
 *		context is used while the shared cache's generation hasn't moved, its
 *		time hasn't run out, and the current user is the one that was checked.
 *	 2. shared_cache.c: the keys themselves, for all backends.
 *	 3. catalog.c and kms/: wrapped keys, unwrapped by whoever finds the shared
 *		cache empty, while the others wait for it.
 *
 * The versions of a child key are wrapped by a version of its parent.  They
 * don't take room in the shared cache: whoever has the parent's key unwraps
 * them, as cheaply as it would look them up.
 *
 * A new version is never used from the memory in which it was made: the first
 * use unwraps what the catalog holds.  So no value is sealed under a key that
 * the KMS will not give back.
 *
 * Which version seals is remembered by the key's hash and forgotten at each
 * relcache invalidation of pgseal.key_version (also when a transaction that
 * made a key is rolled back).
 *
 * One file, though a long one: what the levels keep in this process points at one
 * another, and whoever empties one must know of the others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <time.h>

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/no_core_dump.h"
#include "base/settings.h"
#include "keys/keyring.h"
#include "keys/made.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"
#include "keys/wrapping.h"
#include "kms/kms.h"

/* Cipher contexts that a backend keeps; one takes about 1 kB */
#define MAX_KEPT_KEYS		1024

/* Known versions, and seal targets, that a backend remembers */
#define MAX_KEPT_FACTS		65536

/* Seals reserved at a time: the first time, and at most */
#define RESERVE_SEALS_MIN	64
#define RESERVE_SEALS_MAX	65536

/* NIST SP 800-38D, 8.3: seals under one key with random nonces */
#define SEALS_LIMIT				(UINT64CONST(1) << 32)

typedef struct SealTarget
{
	int32		key_hash;		/* hash key: must be first */
	PgsealPurpose purpose;
	int64		id;
} SealTarget;

typedef struct IndexCount
{
	int32		key_hash;		/* hash key: must be first */
	int			num;			/* index key versions in use */
} IndexCount;

static PgsealKey *usable_key(int64 id);

static HTAB *keys = NULL;		/* of PgsealKey */
static HTAB *infos = NULL;		/* of PgsealKeyInfo */
static HTAB *targets = NULL;	/* of SealTarget */
static HTAB *index_counts = NULL;	/* of IndexCount */
static PgsealKey *last_opened = NULL;
static PgsealKey *last_sealed = NULL;	/* and for which hash it seals: */
static int32 last_sealed_hash;
static PgsealKey *last_index = NULL;	/* the same of an index key */
static int32 last_index_hash;
static int64 ephemeral_id = 0;	/* of this backend's own key, 0: none */
static bool facts_valid = false;
static uint64 facts_epoch = 0;	/* how often they were forgotten */
static uint64 changes_seen = 0; /* of the catalog, when a transaction ended */
static bool made_is_kept = false;	/* by the commit that is under way */
static Oid	version_relation = InvalidOid;
static Oid	key_relation = InvalidOid;

/*
 * Invalidation
 */

static void
forget_facts_of_relation(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == version_relation || version_relation == InvalidOid)
		facts_valid = false;
	/* Plans hold literals under a version of the default key that isn't current now */
	if (OidIsValid(key_relation) && (relid == InvalidOid || relid == key_relation))
		ResetPlanCache();
}

static void
forget_facts(Datum arg, int cacheid, uint32 hashvalue)
{
	facts_valid = false;
}

/*
 * Something was rolled back.  What this process knows of the catalog may have
 * been true only there, and each key reserves its seals anew, at which it is
 * noted again if it isn't committed.
 */
static void
forget_rolled_back(void)
{
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;

	if (pgseal_catalog_num_changes() == changes_seen && !pgseal_made_any())
		return;
	facts_valid = false;
	last_opened = last_sealed = last_index = NULL;
	if (keys == NULL)
		return;
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
		key->seals_left = 0;
}

/*
 * What was sealed under a version that is rolled back lives on in variables only
 * while code goes on, else at most in plans.
 */
static void
let_go_of_made(void)
{
	if (!pgseal_made_any())
		return;
	facts_valid = false;
	pgseal_made_forget();
	ResetPlanCache();
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	/* A procedure goes on in another transaction, and so may a background worker */
	bool		goes_on = ActivePortal != NULL || MyBackendType != B_BACKEND;

	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			/* Without a transaction id nothing was stored */
			made_is_kept = TransactionIdIsValid(GetTopTransactionIdIfAny());
			if (made_is_kept)
				pgseal_made_keep();
			return;
		case XACT_EVENT_COMMIT:
			if (made_is_kept)
				pgseal_made_forget();
			else if (!goes_on)
				let_go_of_made();
			break;
		case XACT_EVENT_ABORT:
			forget_rolled_back();
			if (!goes_on)
				let_go_of_made();
			break;
		case XACT_EVENT_PREPARE:
			/* Not committed yet, and perhaps never */
			forget_rolled_back();
			let_go_of_made();
			break;
		default:
			return;
	}
	changes_seen = pgseal_catalog_num_changes();
}

static void
end_of_subtransaction(SubXactEvent event, SubTransactionId id, SubTransactionId parent, void *arg)
{
	if (event != SUBXACT_EVENT_ABORT_SUB)
		return;
	forget_rolled_back();
	/* ROLLBACK TO from the client: no code goes on */
	if (ActivePortal == NULL && MyBackendType == B_BACKEND && debug_query_string != NULL)
		let_go_of_made();
}

void
pgseal_keyring_init(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	CacheRegisterRelcacheCallback(forget_facts_of_relation, (Datum) 0);
	/* Privileges: on the server, and of the role, by itself or as a member */
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_facts, (Datum) 0);
	/* Its owner is the member of pg_database_owner */
	CacheRegisterSyscacheCallback(DATABASEOID, forget_facts, (Datum) 0);
}

static HTAB *
make_table(const char *name, Size key_size, Size entry_size)
{
	HASHCTL		ctl = {0};

	ctl.keysize = key_size;
	ctl.entrysize = entry_size;
	ctl.hcxt = TopMemoryContext;
	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
empty_table(HTAB *table)
{
	HASH_SEQ_STATUS scan;
	void	   *entry;

	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		hash_search(table, entry, HASH_REMOVE, NULL);
}

/* Forgets what an invalidation made doubtful. */
static void
validate_facts(void)
{
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;

	if (keys == NULL)
	{
		targets = make_table("pgseal seal targets", sizeof(int32) + sizeof(PgsealPurpose),
							 sizeof(SealTarget));
		index_counts = make_table("pgseal index keys", sizeof(int32), sizeof(IndexCount));
		infos = make_table("pgseal key versions", sizeof(int64), sizeof(PgsealKeyInfo));
		keys = make_table("pgseal keys", sizeof(int64), sizeof(PgsealKey));
	}
	if (hash_get_num_entries(infos) > MAX_KEPT_FACTS ||
		hash_get_num_entries(targets) > MAX_KEPT_FACTS)
		facts_valid = false;
	if (facts_valid)
		return;

	/* First, so that an invalidation that arrives meanwhile isn't lost */
	facts_valid = true;
	facts_epoch++;
	last_sealed = last_index = NULL;
	empty_table(infos);
	empty_table(targets);
	empty_table(index_counts);
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
	{
		/* Its server may be another one now, or it may be destroyed */
		key->allowed_role = InvalidOid;
		key->expires_at = 0;
	}
	version_relation = pgseal_catalog_version_relation();
	key_relation = pgseal_catalog_key_relation();
}

/* Is what was read since then, and has been overtaken by nothing, a fact? */
static bool
is_fact(uint64 epoch)
{
	return facts_valid && epoch == facts_epoch;
}

static void
unload_key(PgsealKey *key)
{
	pgseal_aead_free(key->aead);
	pgseal_hmac_free(key->hmac);
	pgseal_aead_free(key->wrapper);
	key->aead = NULL;
	key->hmac = NULL;
	key->wrapper = NULL;
}

/* Makes room; the backend's own key must stay, nobody else has it. */
static void
unload_all_keys(void)
{
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;

	last_opened = last_sealed = last_index = NULL;
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
	{
		if (key->ephemeral)
			continue;
		unload_key(key);
		hash_search(keys, &key->id, HASH_REMOVE, NULL);
	}
}

/*
 * What is known of a version
 */

const PgsealKeyInfo *
pgseal_keyring_info(int64 id)
{
	PgsealKeyInfo *info;
	PgsealVersionRow *version;
	PgsealVersionRow *lost;

	validate_facts();
	info = hash_search(infos, &id, HASH_FIND, NULL);
	if (info != NULL)
		return info;

	version = id == ephemeral_id ? NULL : pgseal_catalog_version(id);
	lost = version != NULL ? NULL : pgseal_made_lost(id);
	info = hash_search(infos, &id, HASH_ENTER, NULL);
	info->known = (version != NULL);
	info->lost = (lost != NULL);
	if (lost != NULL)
		version = lost;
	info->purpose = version != NULL ? version->purpose : PGSEAL_PURPOSE_DATA;
	info->destroyed = (version != NULL && version->wrapped == NULL);
	info->retired = (version != NULL && version->retired);
	info->ephemeral = (id == ephemeral_id && id != 0);
	info->currency = PGSEAL_CURRENCY_UNKNOWN;
	info->key_hash = PGSEAL_TYPMOD_NONE;
	info->server = InvalidOid;
	if (version != NULL)
	{
		info->key_hash = pgseal_catalog_key_hash(version->key);
		info->server = get_foreign_server_oid(version->server, true);
	}
	return info;
}

/*
 * Privilege
 */

bool
pgseal_keyring_check_access(Oid server)
{
	static TimestampTz logged_at = 0;
	AclResult	result = pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE);

	if (result == ACLCHECK_OK)
		return true;

	/* Once a statement */
	if (logged_at != GetCurrentStatementStartTimestamp())
	{
		logged_at = GetCurrentStatementStartTimestamp();
		ereport(LOG,
				(errmsg("pgseal: event=open_denied server=\"%s\" role=\"%s\"",
						GetForeignServer(server)->servername,
						GetUserNameFromId(GetUserId(), false)),
				 errhidestmt(true), errhidecontext(true)));
	}
	if (pgseal_on_denied == PGSEAL_ON_DENIED_NULL)
		return false;
	aclcheck_error(result, OBJECT_FOREIGN_SERVER, GetForeignServer(server)->servername);
	return false;				/* not reached */
}

/*
 * Unwrapping
 */

void
pgseal_keyring_unknown_version(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("key version %016llx is not known in this database",
					(unsigned long long) id),
			 errhint("The value comes from another database. Restore or copy the tables pgseal.key and pgseal.key_version from there first.")));
}

/* The version's row, or 42704. */
static PgsealVersionRow *
require_version(int64 id)
{
	PgsealVersionRow *version = pgseal_catalog_version(id);

	if (version == NULL)
		version = pgseal_made_lost(id);
	if (version == NULL)
		pgseal_keyring_unknown_version(id);
	if (version->wrapped == NULL)
	{
		/* Nobody else does after COMMIT PREPARED, nor on a standby */
		if (!version->written_here)
			pgseal_keycache_drop(MyDatabaseId, id);
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("version %d of key \"%s\" was destroyed", version->number, version->key)));
	}
	return version;
}

/* Fetches a key that this backend has claimed in the shared cache. */
static PgsealKmsStatus
fetch_claimed_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
				  TimestampTz *out_expires_at, PgsealKmsError *out_error)
{
	volatile PgsealKmsStatus status = PGSEAL_KMS_UNREACHABLE;

	PG_TRY();
	{
		status = pgseal_material_fetch(version, out_key, out_error);
	}
	PG_CATCH();
	{
		pgseal_keycache_abandon(version->id);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (status == PGSEAL_KMS_OK)
		*out_expires_at = pgseal_keycache_publish(version->id, out_key);
	return status;
}

/* A child key lives as long as the parent's key by which it is unwrapped. */
static void
obtain_child_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
				 TimestampTz *out_expires_at)
{
	PgsealKmsError error = {0};
	PgsealKmsStatus status = pgseal_material_fetch(version, out_key, &error);

	if (status != PGSEAL_KMS_OK)
		pgseal_material_report(ERROR, status, version->server, &error);
	*out_expires_at = usable_key(version->parent_version)->expires_at;
}

/*
 * The key, from the shared cache or the KMS.  Reports what went wrong.
 */
static void
obtain_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
		   TimestampTz *out_expires_at)
{
	if (version->parent_version != 0)
	{
		obtain_child_key(version, out_key, out_expires_at);
		return;
	}
	for (;;)
	{
		PgsealKmsStatus status = PGSEAL_KMS_OK;
		PgsealKmsError error = {0};

		switch (pgseal_keycache_get(version->id, out_key, out_expires_at, &status, &error))
		{
			case PGSEAL_CACHE_HIT:
				return;
			case PGSEAL_CACHE_CLAIMED:
				status = fetch_claimed_key(version, out_key, out_expires_at, &error);
				if (status != PGSEAL_KMS_OK &&
					pgseal_keycache_fail(version->id, status, &error))
					continue;	/* the old key lives on for a while */
				break;
			case PGSEAL_CACHE_FAILED:
				break;
			case PGSEAL_CACHE_FULL:
				status = pgseal_material_fetch(version, out_key, &error);
				*out_expires_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															  INT64CONST(1000) * pgseal_cache_ttl);
				break;
		}
		if (status != PGSEAL_KMS_OK)
			pgseal_material_report(ERROR, status, version->server, &error);
		return;
	}
}

/*
 * This backend's keys
 */

static void
load_material(PgsealKey *key, const uint8 material[PGSEAL_KEY_BYTES])
{
	pgseal_process_protect();
	if (key->purpose == PGSEAL_PURPOSE_DATA)
		key->aead = pgseal_aead_new(material);
	else
		key->hmac = pgseal_hmac_new(material, PGSEAL_KEY_BYTES);
	if (key->aead == NULL && key->hmac == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not set up a cipher context")));
}

/* The entry of a key version, empty if it is new */
static PgsealKey *
enter_key(int64 id)
{
	bool		found;
	PgsealKey  *key = hash_search(keys, &id, HASH_ENTER, &found);

	if (!found)
		memset((char *) key + sizeof(key->id), 0, sizeof(*key) - sizeof(key->id));
	return key;
}

static PgsealKey *
find_key(int64 id)
{
	validate_facts();
	if (hash_get_num_entries(keys) >= MAX_KEPT_KEYS)
		unload_all_keys();
	return enter_key(id);
}

/*
 * Makes a key usable until generation, time or an invalidation take it away.
 * The material of a version never changes, so a context that exists is only
 * confirmed; and only for this once if an invalidation arrived meanwhile.
 */
static PgsealKey *
refresh_key(int64 id)
{
	uint64		generation = pgseal_keycache_generation();
	uint64		epoch = facts_epoch;
	uint8		material[PGSEAL_KEY_BYTES];
	volatile bool confirmed = false;
	PgsealKey  *volatile key = NULL;

	PG_TRY();
	{
		PgsealVersionRow *version = require_version(id);
		TimestampTz expires_at;

		obtain_key(version, material, &expires_at);
		key = enter_key(id);
		key->purpose = version->purpose;
		key->key_hash = pgseal_catalog_key_hash(version->key);
		key->number = version->number;
		/* One of another wrapper has no say in who opens */
		(void) pgseal_kms_server(version->server, false);
		key->server = get_foreign_server_oid(version->server, false);
		if (key->aead == NULL && key->hmac == NULL)
			load_material(key, material);
		key->expires_at = is_fact(epoch) ? expires_at : 0;
		key->generation = generation;
		confirmed = true;
	}
	PG_FINALLY();
	{
		pgseal_wipe(material, sizeof(material));
		if (!confirmed)
			unload_key(enter_key(id));
	}
	PG_END_TRY();
	return key;
}

/* The time, some ms late, at a small part of the cost where the system can */
static inline TimestampTz
coarse_now(void)
{
#ifdef CLOCK_REALTIME_COARSE
	struct timespec now;

	if (clock_gettime(CLOCK_REALTIME_COARSE, &now) == 0)
		return (now.tv_sec - (POSTGRES_EPOCH_JDATE - UNIX_EPOCH_JDATE) * (int64) SECS_PER_DAY) *
			USECS_PER_SEC + now.tv_nsec / 1000;
#endif
	return GetCurrentTimestamp();
}

static inline bool
is_usable(PgsealKey *key)
{
	if (key->aead == NULL && key->hmac == NULL)
		return false;
	if (key->ephemeral)
		return true;
	return key->generation == pgseal_keycache_generation() && key->expires_at > coarse_now();
}

static PgsealKey *
usable_key(int64 id)
{
	PgsealKey  *key = find_key(id);

	return is_usable(key) ? key : refresh_key(id);
}

/*
 * The context by which a version wraps the versions of its child keys.  Its key
 * is derived from the version's key, not from the secret, which nobody keeps.
 */
PgsealAead *
pgseal_keyring_wrapper(int64 id)
{
	static const char label[] = "pgseal wrap v1";
	PgsealKey  *key = usable_key(id);
	uint8		material[PGSEAL_KEY_BYTES];
	uint8		wrapping[PGSEAL_KEY_BYTES];
	TimestampTz expires_at;

	if (key->wrapper != NULL)
		return key->wrapper;
	PG_TRY();
	{
		obtain_key(require_version(id), material, &expires_at);
		if (pgseal_hkdf_sha256(wrapping, sizeof(wrapping), material, sizeof(material),
							   NULL, 0, (const uint8 *) label, sizeof(label)))
			key->wrapper = pgseal_aead_new(wrapping);
	}
	PG_FINALLY();
	{
		pgseal_wipe(material, sizeof(material));
		pgseal_wipe(wrapping, sizeof(wrapping));
	}
	PG_END_TRY();
	if (key->wrapper == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not set up a cipher context")));
	return key->wrapper;
}

bool
pgseal_keyring_at_hand(int64 id)
{
	PgsealKey  *key;

	validate_facts();
	key = hash_search(keys, &id, HASH_FIND, NULL);
	return (key != NULL && is_usable(key)) ||
		(pgseal_keyring_info(id)->known && pgseal_keycache_has(id));
}

static bool
may_open(PgsealKey *key)
{
	if (key->ephemeral)
		return true;			/* it is the user's own literal */
	if (!pgseal_keyring_check_access(key->server))
		return false;
	key->allowed_role = GetUserId();
	return true;
}

PgsealKey *
pgseal_keyring_open(int64 id, PgsealAccess access)
{
	PgsealKey  *key = last_opened;

	/* The hot path: no lookup, no lock */
	if (key != NULL && key->id == id && facts_valid && is_usable(key) &&
		(access == PGSEAL_ACCESS_INTERNAL || key->allowed_role == GetUserId()))
		return key;

	key = usable_key(id);
	last_opened = key;
	if (key->purpose != PGSEAL_PURPOSE_DATA)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("sealed value names a key version that seals no values")));
	if (access == PGSEAL_ACCESS_CHECKED && key->allowed_role != GetUserId() && !may_open(key))
		return NULL;
	return key;
}

/*
 * Which version seals
 */

/* A key of this backend alone, for literals that nothing can store. */
static int64
make_ephemeral_key(void)
{
	uint8		material[PGSEAL_KEY_BYTES];
	PgsealKey  *key;
	int64		id;

	if (ephemeral_id != 0)
		return ephemeral_id;
	if (!pgseal_random((uint8 *) &id, sizeof(id)) || id == 0 ||
		!pgseal_random(material, sizeof(material)))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not obtain random bytes")));
	key = find_key(id);
	key->ephemeral = true;
	key->purpose = PGSEAL_PURPOSE_DATA;
	key->key_hash = PGSEAL_TYPMOD_NONE;
	load_material(key, material);
	pgseal_wipe(material, sizeof(material));
	/* Catalog facts of this id may have been asked for before */
	facts_valid = false;
	return ephemeral_id = id;
}

static bool
can_make_keys(void)
{
	return !XactReadOnly && !RecoveryInProgress() && !IsInParallelMode();
}

/*
 * The current version of a key.  A name that is only declared gets its
 * material here, at the first need.
 */
static int64
current_version(int32 key_hash, PgsealPurpose purpose)
{
	char	   *name = key_hash == PGSEAL_TYPMOD_NONE ?
		pstrdup(PGSEAL_DEFAULT_KEY) : pgseal_catalog_name(key_hash);
	PgsealVersionRow *version;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no key for type modifier #%08x", key_hash),
				 errhint("Create it with pgseal.create_key(), or name it in a column's type.")));
	version = pgseal_catalog_current_version(name, purpose);
	if (version == NULL)
	{
		if (!can_make_keys())
		{
			if (key_hash == PGSEAL_TYPMOD_NONE && purpose == PGSEAL_PURPOSE_DATA)
				return make_ephemeral_key();
			ereport(ERROR,
					(errcode(ERRCODE_READ_ONLY_SQL_TRANSACTION),
					 errmsg("key \"%s\" has no key material yet, and none can be made in a read-only or parallel operation",
							name),
					 errhint("Create it with pgseal.create_key().")));
		}
		pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
		version = pgseal_catalog_current_version(name, purpose);
		if (version == NULL)
		{
			if (pgseal_catalog_key_by_name(name) != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("key \"%s\" was destroyed", name)));
			pgseal_keyring_create(name, NULL, NULL, NULL);
			version = pgseal_catalog_current_version(name, purpose);
		}
	}
	return version->id;
}

static int64
seal_target(int32 key_hash, PgsealPurpose purpose)
{
	SealTarget	probe = {.key_hash = key_hash, .purpose = purpose};
	SealTarget *target;
	uint64		epoch;
	int64		id;

	validate_facts();
	target = hash_search(targets, &probe, HASH_FIND, NULL);
	if (target != NULL)
		return target->id;

	/* What an invalidation has overtaken is good for once, but isn't remembered */
	epoch = facts_epoch;
	id = current_version(key_hash, purpose);
	if (id != ephemeral_id && is_fact(epoch))
	{
		target = hash_search(targets, &probe, HASH_ENTER, NULL);
		target->id = id;
	}
	return id;
}

/* The worker replaces versions that have sealed enough; once a second is enough */
static void
ask_for_rotation(void)
{
	static TimestampTz asked_at = 0;
	TimestampTz now = GetCurrentTimestamp();

	if (TimestampDifferenceExceeds(asked_at, now, 1000))
	{
		asked_at = now;
		pgseal_wakeup_now();
	}
}

/*
 * Seals are reserved in shared memory before they are made, so that the count
 * is never too low.  A session that seals little under a key reserves little.
 * A crash loses what was reserved since the worker saved the counts, at most
 * pgseal.worker_interval before.  From the highest pgseal.max_seals_per_key on
 * there is room for another 2^31 seals: for many crashes, and for what sessions
 * seal until the worker has made the next version.
 */
static void
reserve_seals(PgsealKey *key)
{
	PgsealVersionRow *version;
	uint64		reserved;

	if (key->ephemeral)
	{
		key->seals_left = RESERVE_SEALS_MAX;
		return;
	}
	version = require_version(key->id);
	pgseal_made_note(version);
	key->seals_reserve = key->seals_reserve == 0 ? RESERVE_SEALS_MIN :
		Min(key->seals_reserve * 2, RESERVE_SEALS_MAX);
	reserved = pgseal_keycache_reserve_seals(key->id, (uint64) version->seals,
											 key->seals_reserve);
	if (reserved > SEALS_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("version %d of key \"%s\" has sealed as many values as it may",
						key->number, pgseal_catalog_name(key->key_hash)),
				 errhint("Replace it with pgseal.rotate_key(). The background worker does so at pgseal.max_seals_per_key, if it can run.")));
	if (reserved >= (uint64) pgseal_max_seals_per_key)
		ask_for_rotation();
	key->seals_left = key->seals_reserve;
}

PgsealKey *
pgseal_keyring_seal(int32 key_hash)
{
	PgsealKey  *key = last_sealed;

	if (key == NULL || last_sealed_hash != key_hash || !facts_valid || !is_usable(key))
	{
		uint64		epoch;

		validate_facts();
		epoch = facts_epoch;
		key = usable_key(seal_target(key_hash, PGSEAL_PURPOSE_DATA));
		last_sealed = is_fact(epoch) ? key : NULL;
		last_sealed_hash = key_hash;
	}
	if (key->seals_left == 0)
		reserve_seals(key);
	key->seals_left--;
	return key;
}

static PgsealKey *
index_key(PgsealKey *key, PgsealAccess access)
{
	if (access == PGSEAL_ACCESS_CHECKED && key->allowed_role != GetUserId() && !may_open(key))
		return NULL;
	return key;
}

PgsealKey *
pgseal_keyring_index_version(int64 id, PgsealAccess access)
{
	return index_key(usable_key(id), access);
}

PgsealKey *
pgseal_keyring_index(int32 key_hash, PgsealAccess access)
{
	PgsealKey  *key = last_index;

	if (key == NULL || last_index_hash != key_hash || !facts_valid || !is_usable(key))
	{
		uint64		epoch;

		validate_facts();
		epoch = facts_epoch;
		key = usable_key(seal_target(key_hash, PGSEAL_PURPOSE_INDEX));
		last_index = is_fact(epoch) ? key : NULL;
		last_index_hash = key_hash;
	}
	return index_key(key, access);
}

static int
newest_first(const ListCell *a, const ListCell *b)
{
	return ((PgsealVersionRow *) lfirst(b))->number - ((PgsealVersionRow *) lfirst(a))->number;
}

List *
pgseal_keyring_index_versions(int32 key_hash)
{
	char	   *name = pgseal_catalog_name(key_hash);
	List	   *in_use = NIL;
	ListCell   *lc;

	if (name == NULL)
		return NIL;
	foreach(lc, pgseal_catalog_versions(name))
	{
		PgsealVersionRow *version = lfirst(lc);

		if (version->purpose == PGSEAL_PURPOSE_INDEX && version->wrapped != NULL)
			in_use = lappend(in_use, version);
	}
	list_sort(in_use, newest_first);
	return in_use;
}

/* Asked for with every plan, so remembered as a seal target is */
int
pgseal_keyring_num_index_versions(int32 key_hash)
{
	IndexCount *count;
	bool		found;
	uint64		epoch;
	int			num;

	validate_facts();
	count = hash_search(index_counts, &key_hash, HASH_FIND, NULL);
	if (count != NULL)
		return count->num;
	epoch = facts_epoch;
	num = list_length(pgseal_keyring_index_versions(key_hash));
	if (!is_fact(epoch))
		return num;
	count = hash_search(index_counts, &key_hash, HASH_ENTER, &found);
	count->num = num;
	return num;
}

/*
 * Which versions are old
 */

bool
pgseal_keyring_is_stale(int64 id)
{
	PgsealKeyInfo *info = (PgsealKeyInfo *) pgseal_keyring_info(id);

	if (!info->known || info->destroyed)
		return false;
	if (info->currency == PGSEAL_CURRENCY_UNKNOWN)
	{
		PgsealVersionRow *version = pgseal_catalog_version(id);
		PgsealVersionRow *current = version == NULL ? NULL :
			pgseal_catalog_current_version(version->key, version->purpose);

		/* Reading the catalog may have made facts doubtful, but frees none */
		info->currency = current != NULL && current->id != id ?
			PGSEAL_CURRENCY_STALE : PGSEAL_CURRENCY_CURRENT;
	}
	return info->currency == PGSEAL_CURRENCY_STALE;
}

/*
 * For the worker
 */

bool
pgseal_keyring_refresh(int64 key_version_id)
{
	PgsealVersionRow *version;
	PgsealKmsStatus status;
	PgsealKmsError error = {0};
	TimestampTz expires_at;
	uint8		key[PGSEAL_KEY_BYTES];

	version = pgseal_catalog_version(key_version_id);
	if (version == NULL || version->wrapped == NULL)
	{
		/* Rolled back, destroyed, or the database was replaced */
		pgseal_keycache_drop(MyDatabaseId, key_version_id);
		return true;
	}
	if (!pgseal_keycache_claim_refresh(key_version_id))
		return true;
	status = fetch_claimed_key(version, key, &expires_at, &error);
	pgseal_wipe(key, sizeof(key));
	if (status == PGSEAL_KMS_OK)
		return true;
	pgseal_keycache_fail(key_version_id, status, &error);
	pgseal_material_report(LOG, status, version->server, &error);
	return false;
}

/*
 * Seal counts, from shared memory to the catalog.  Counts of versions that the
 * catalog doesn't have any more are forgotten with the rest.
 */
int
pgseal_keyring_persist_seals(int64 *out_exhausted, int max)
{
	PgsealSealCount counts[64];
	int			num_counts;
	int			num_exhausted = 0;

	while ((num_counts = pgseal_keycache_unsaved_seals(counts, lengthof(counts))) > 0)
	{
		for (int i = 0; i < num_counts; i++)
		{
			pgseal_catalog_raise_seals(counts[i].key_version_id, (int64) counts[i].seals);
			if (counts[i].seals >= (uint64) pgseal_max_seals_per_key && num_exhausted < max)
				out_exhausted[num_exhausted++] = counts[i].key_version_id;
		}
		pgseal_keycache_seals_saved(counts, num_counts);
		/* The next round may have one of them again */
		CommandCounterIncrement();
	}
	return num_exhausted;
}
