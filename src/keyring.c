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
 *	 2. keycache.c: the keys themselves, for all backends.
 *	 3. catalog.c and kms/: wrapped keys, unwrapped by whoever finds the shared
 *		cache empty, while the others wait for it.
 *
 * What the KMS wraps and unwraps is a secret from which the key is derived
 * with HKDF-SHA-256, bound to the version's id and purpose: wrapped bytes that
 * were moved to another row or used for another purpose give a different key,
 * which opens nothing, also where the KMS binds no context.
 *
 * A new version is never used from the memory in which it was made: the first
 * use unwraps what the catalog holds.  So no value is sealed under a key that
 * the KMS will not give back.
 *
 * Which version seals is remembered by the key's hash and forgotten at each
 * relcache invalidation of pgseal.key_version (also when a transaction that
 * made a key is rolled back).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "compat.h"
#include "guc.h"
#include "keycache.h"
#include "keyring.h"
#include "kms/kms.h"
#include "process.h"

/* Cipher contexts that a backend keeps; one takes about 1 kB */
#define MAX_KEPT_KEYS		1024

/* Known versions, and seal targets, that a backend remembers */
#define MAX_KEPT_FACTS		65536

/* Uses of a key within one statement after which the clock is looked at */
#define USES_PER_CLOCK_CHECK 4096

/* Seals reserved at a time: the first time, and at most */
#define RESERVE_SEALS_MIN	64
#define RESERVE_SEALS_MAX	65536

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

static HTAB *keys = NULL;		/* of PgsealKey */
static HTAB *infos = NULL;		/* of PgsealKeyInfo */
static HTAB *targets = NULL;	/* of SealTarget */
static HTAB *index_counts = NULL;	/* of IndexCount */
static PgsealKey *last_opened = NULL;
static PgsealKey *last_sealed = NULL;	/* and for which hash it seals: */
static int32 last_sealed_hash;
static int64 ephemeral_id = 0;	/* of this backend's own key, 0: none */
static bool facts_valid = false;
static Oid	version_relation = InvalidOid;

/*
 * Invalidation
 */

static void
forget_facts_of_relation(Datum arg, Oid relid)
{
	if (relid == InvalidOid || relid == version_relation || version_relation == InvalidOid)
		facts_valid = false;
}

static void
forget_facts(Datum arg, int cacheid, uint32 hashvalue)
{
	facts_valid = false;
}

void
pgseal_keyring_init(void)
{
	CacheRegisterRelcacheCallback(forget_facts_of_relation, (Datum) 0);
	/* Privileges: on the server, and of the role, by itself or as a member */
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_facts, (Datum) 0);
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
	last_sealed = NULL;
	empty_table(infos);
	empty_table(targets);
	empty_table(index_counts);
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
		key->allowed_role = InvalidOid;
	version_relation = pgseal_catalog_version_relation();
}

static void
unload_key(PgsealKey *key)
{
	pgseal_aead_free(key->aead);
	pgseal_hmac_free(key->hmac);
	key->aead = NULL;
	key->hmac = NULL;
}

/* Makes room; the backend's own key must stay, nobody else has it. */
static void
unload_all_keys(void)
{
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;

	last_opened = last_sealed = NULL;
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

	validate_facts();
	info = hash_search(infos, &id, HASH_FIND, NULL);
	if (info != NULL)
		return info;

	version = id == ephemeral_id ? NULL : pgseal_catalog_version(id);
	info = hash_search(infos, &id, HASH_ENTER, NULL);
	info->known = (version != NULL);
	info->destroyed = (version != NULL && version->wrapped == NULL);
	info->ephemeral = (id == ephemeral_id && id != 0);
	info->key_hash = PGSEAL_TYPMOD_NONE;
	info->server = InvalidOid;
	if (version != NULL)
	{
		info->key_hash = pgseal_catalog_name_hash(version->key);
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

static void
derive_key(uint8 out_key[PGSEAL_KEY_BYTES], const uint8 secret[PGSEAL_KEY_BYTES],
		   PgsealPurpose purpose, int64 id)
{
	static const char label[] = "pgseal key v1";
	uint8		info[sizeof(label) + 1 + sizeof(int64)];
	uint64		id_be = pg_hton64((uint64) id);

	memcpy(info, label, sizeof(label));
	info[sizeof(label)] = (uint8) purpose;
	memcpy(info + sizeof(label) + 1, &id_be, sizeof(id_be));
	if (!pgseal_hkdf_sha256(out_key, PGSEAL_KEY_BYTES, secret, PGSEAL_KEY_BYTES,
							NULL, 0, info, sizeof(info)))
	{
		pgseal_wipe((void *) out_key, PGSEAL_KEY_BYTES);
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not derive key")));
	}
}

static PgsealKmsContext
kms_context(const PgsealVersionRow *version)
{
	PgsealKmsContext context = {
		.key_name = version->key,
		.purpose = version->purpose == PGSEAL_PURPOSE_DATA ? "data" : "index",
		.key_version_id = version->id
	};

	return context;
}

/* The version's row, or 42704. */
static PgsealVersionRow *
require_version(int64 id)
{
	PgsealVersionRow *version = pgseal_catalog_version(id);

	if (version == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key version %016llx is not known in this database",
						(unsigned long long) id),
				 errhint("The value comes from another database. Restore or copy the tables pgseal.key and pgseal.key_version from there first.")));
	if (version->wrapped == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("version %d of key \"%s\" was destroyed", version->number, version->key)));
	return version;
}

/* Unwraps a version at its KMS and derives the key. */
static PgsealKmsStatus
fetch_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
		  PgsealKmsError *out_error)
{
	PgsealKmsServer *server = pgseal_kms_server(version->server, false);
	PgsealKmsContext context = kms_context(version);
	uint8		secret[PGSEAL_KEY_BYTES];
	PgsealKmsStatus status;

	status = pgseal_kms_unwrap(server, secret, out_error, &context,
							   (uint8 *) VARDATA(version->wrapped),
							   VARSIZE(version->wrapped) - VARHDRSZ,
							   version->master_key);
	if (status == PGSEAL_KMS_OK)
		derive_key(out_key, secret, version->purpose, version->id);
	pgseal_wipe(secret, sizeof(secret));
	return status;
}

/* Fetches a key that this backend has claimed in the shared cache. */
static PgsealKmsStatus
fetch_claimed_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
				  TimestampTz *out_expires_at, PgsealKmsError *out_error)
{
	volatile PgsealKmsStatus status = PGSEAL_KMS_UNREACHABLE;

	PG_TRY();
	{
		status = fetch_key(version, out_key, out_error);
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

/*
 * The key, from the shared cache or the KMS.  Reports what went wrong.
 */
static void
obtain_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
		   TimestampTz *out_expires_at)
{
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
				status = fetch_key(version, out_key, &error);
				*out_expires_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
															  INT64CONST(1000) * pgseal_cache_ttl);
				break;
		}
		if (status != PGSEAL_KMS_OK)
		{
			PgsealKmsServer *server = pgseal_kms_server(version->server, false);

			pgseal_kms_report(ERROR, status, server->provider->name, server->name, &error);
		}
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

static PgsealKey *
find_key(int64 id)
{
	bool		found;
	PgsealKey  *key;

	validate_facts();
	if (hash_get_num_entries(keys) >= MAX_KEPT_KEYS)
		unload_all_keys();
	key = hash_search(keys, &id, HASH_ENTER, &found);
	if (!found)
		memset((char *) key + sizeof(key->id), 0, sizeof(*key) - sizeof(key->id));
	return key;
}

/*
 * Makes the key usable until generation or time take it away.  The material
 * of a version never changes, so a context that exists is only confirmed.
 */
static void
refresh_key(PgsealKey *key)
{
	uint64		generation = pgseal_keycache_generation();
	PgsealVersionRow *version = require_version(key->id);
	uint8		material[PGSEAL_KEY_BYTES];
	volatile bool confirmed = false;

	PG_TRY();
	{
		obtain_key(version, material, &key->expires_at);
		key->purpose = version->purpose;
		key->key_hash = pgseal_catalog_name_hash(version->key);
		key->number = version->number;
		key->server = get_foreign_server_oid(version->server, false);
		if (key->aead == NULL && key->hmac == NULL)
			load_material(key, material);
		key->generation = generation;
		key->uses_left = USES_PER_CLOCK_CHECK;
		confirmed = true;
	}
	PG_FINALLY();
	{
		pgseal_wipe(material, sizeof(material));
		if (!confirmed)
			unload_key(key);
	}
	PG_END_TRY();
}

static inline bool
is_usable(PgsealKey *key)
{
	if (key->aead == NULL && key->hmac == NULL)
		return false;
	if (key->ephemeral)
		return true;
	if (key->generation != pgseal_keycache_generation() ||
		key->expires_at <= GetCurrentStatementStartTimestamp())
		return false;
	if (--key->uses_left == 0)
	{
		if (key->expires_at <= GetCurrentTimestamp())
			return false;
		key->uses_left = USES_PER_CLOCK_CHECK;
	}
	return true;
}

static PgsealKey *
usable_key(int64 id)
{
	PgsealKey  *key = find_key(id);

	if (!is_usable(key))
		refresh_key(key);
	return key;
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
			if (pgseal_catalog_key(pgseal_catalog_name_hash(name)) != NULL)
				ereport(ERROR,
						(errcode(ERRCODE_UNDEFINED_OBJECT),
						 errmsg("key \"%s\" was destroyed", name)));
			pgseal_keyring_create(name, NULL);
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
	int64		id;

	validate_facts();
	target = hash_search(targets, &probe, HASH_FIND, NULL);
	if (target != NULL)
		return target->id;

	id = current_version(key_hash, purpose);
	if (id != ephemeral_id)
	{
		validate_facts();
		target = hash_search(targets, &probe, HASH_ENTER, NULL);
		target->id = id;
	}
	return id;
}

/*
 * Seals are reserved in shared memory before they are made, so that the count
 * is never too low.  A session that seals little reserves little.
 */
static void
reserve_seals(PgsealKey *key)
{
	static uint32 amount = RESERVE_SEALS_MIN;
	PgsealVersionRow *version;

	if (key->ephemeral)
	{
		key->seals_left = RESERVE_SEALS_MAX;
		return;
	}
	version = require_version(key->id);
	pgseal_keycache_reserve_seals(key->id, (uint64) version->seals, amount);
	key->seals_left = amount;
	amount = Min(amount * 2, RESERVE_SEALS_MAX);
}

PgsealKey *
pgseal_keyring_seal(int32 key_hash)
{
	PgsealKey  *key = last_sealed;

	if (key == NULL || last_sealed_hash != key_hash || !facts_valid || !is_usable(key))
	{
		key = usable_key(seal_target(key_hash, PGSEAL_PURPOSE_DATA));
		last_sealed = key;
		last_sealed_hash = key_hash;
	}
	if (key->seals_left == 0)
		reserve_seals(key);
	key->seals_left--;
	return key;
}

PgsealKey *
pgseal_keyring_index_version(int64 id, PgsealAccess access)
{
	PgsealKey  *key = usable_key(id);

	if (access == PGSEAL_ACCESS_CHECKED && key->allowed_role != GetUserId() && !may_open(key))
		return NULL;
	return key;
}

PgsealKey *
pgseal_keyring_index(int32 key_hash, PgsealAccess access)
{
	return pgseal_keyring_index_version(seal_target(key_hash, PGSEAL_PURPOSE_INDEX), access);
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
	int			num;

	validate_facts();
	count = hash_search(index_counts, &key_hash, HASH_FIND, NULL);
	if (count != NULL)
		return count->num;
	num = list_length(pgseal_keyring_index_versions(key_hash));
	validate_facts();
	count = hash_search(index_counts, &key_hash, HASH_ENTER, &found);
	count->num = num;
	return num;
}

/*
 * Making keys
 */

static int64
random_id(void)
{
	int64		id = 0;

	while (id == 0)
		if (!pgseal_random((uint8 *) &id, sizeof(id)))
			ereport(ERROR,
					(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					 errmsg("could not obtain random bytes")));
	return id;
}

/*
 * Lets the KMS make a secret for the version and stores it, wrapped.  The
 * secret itself is wiped: the first use unwraps the stored one.
 */
static void
make_version(PgsealVersionRow *version)
{
	PgsealKmsServer *server = pgseal_kms_server(version->server, false);
	bool		may_initialize = !pgseal_catalog_server_in_use(version->server);
	PgsealKmsContext context;
	PgsealKmsWrapped wrapped = {0};
	PgsealKmsError error = {0};
	uint8		secret[PGSEAL_KEY_BYTES];
	PgsealKmsStatus status;

	version->id = random_id();
	context = kms_context(version);
	status = pgseal_kms_generate(server, secret, &wrapped, &error, &context, may_initialize);
	pgseal_wipe(secret, sizeof(secret));
	if (status != PGSEAL_KMS_OK)
		pgseal_kms_report(ERROR, status, server->provider->name, server->name, &error);

	version->master_key = wrapped.master_key;
	version->wrapped = palloc(VARHDRSZ + wrapped.len);
	SET_VARSIZE(version->wrapped, VARHDRSZ + wrapped.len);
	memcpy(VARDATA(version->wrapped), wrapped.bytes, wrapped.len);
	pgseal_catalog_insert_version(version);
}

void
pgseal_keyring_create(const char *name, const char *server)
{
	int32		hash = pgseal_catalog_name_hash(name);
	PgsealKeyRow key = {
		.hash = hash,
		.name = pstrdup(name),
		.server = pstrdup(server ? server : pgseal_default_server)
	};
	PgsealVersionRow version = {.key = key.name, .number = 1, .server = key.server};

	pgseal_catalog_check_name(name);
	pgseal_catalog_declare(name);
	pgseal_catalog_lock_key(hash);
	if (pgseal_catalog_key(hash) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("key \"%s\" already exists", name)));

	version.purpose = PGSEAL_PURPOSE_DATA;
	make_version(&version);
	pgseal_catalog_event("key_created", name, version.id, NULL);
	version.purpose = PGSEAL_PURPOSE_INDEX;
	make_version(&version);
	/* Last: until here, the server may be one that no key uses yet */
	pgseal_catalog_insert_key(&key);
}

void
pgseal_keyring_ensure(const char *name)
{
	int32		hash = pgseal_catalog_name_hash(name);

	if (pgseal_catalog_key(hash) != NULL)
		return;
	pgseal_catalog_lock_key(hash);
	if (pgseal_catalog_key(hash) == NULL)
		pgseal_keyring_create(name, NULL);
}

int32
pgseal_keyring_add_version(const char *name, PgsealPurpose purpose)
{
	int32		hash = pgseal_catalog_name_hash(name);
	PgsealKeyRow *key;
	PgsealVersionRow *current;
	PgsealVersionRow version = {.purpose = purpose};

	pgseal_catalog_lock_key(hash);
	key = pgseal_catalog_key(hash);
	if (key == NULL || strcmp(key->name, name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key \"%s\" does not exist", name)));
	current = pgseal_catalog_current_version(name, purpose);
	version.key = key->name;
	version.server = key->server;
	version.number = current ? current->number + 1 : 1;
	make_version(&version);
	pgseal_catalog_event(purpose == PGSEAL_PURPOSE_DATA ? "key_rotated" : "index_key_rotated",
						 name, version.id, NULL);
	return version.number;
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
	{
		PgsealKmsServer *server = pgseal_kms_server(version->server, false);

		pgseal_kms_report(LOG, status, server->provider->name, server->name, &error);
	}
	return false;
}

/*
 * Seal counts, from shared memory to the catalog.  Counts of versions that the
 * catalog doesn't have any more are forgotten with the rest.
 */
void
pgseal_keyring_persist_seals(void)
{
	PgsealSealCount counts[64];
	int			num_counts;

	while ((num_counts = pgseal_keycache_unsaved_seals(counts, lengthof(counts))) > 0)
	{
		for (int i = 0; i < num_counts; i++)
			pgseal_catalog_raise_seals(counts[i].key_version_id, (int64) counts[i].seals);
		pgseal_keycache_seals_saved(counts, num_counts);
	}
}
