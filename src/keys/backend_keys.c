/*-------------------------------------------------------------------------
 *
 * backend_keys.c
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
 * What can't be used any more leaves this process's memory when it is asked for, at
 * the end of a transaction, and while a session is idle: the launcher sees to it
 * that idle processes wake up (idle.c).  Never while a function may hold a pointer.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "access/xact.h"
#include "miscadmin.h"
#include "utils/backend_status.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/no_core_dump.h"
#include "base/random.h"
#include "base/relation_changes.h"
#include "base/settings.h"
#include "keys/backend_keys.h"
#include "keys/facts.h"
#include "keys/made.h"
#include "keys/shared_cache.h"
#include "keys/used.h"
#include "keys/wrapping.h"
#include "kms/kms.h"

/* Cipher contexts that a backend keeps; one takes about 1 kB */
#define MAX_KEPT_KEYS		1024

static HTAB *keys = NULL;		/* of PgsealKey */
static PgsealKey *last_opened = NULL;
static uint64 renewals = 0;		/* of pointers to keys, see PgsealLastKey */
static uint64 followed_epoch = PG_UINT64_MAX;	/* of facts, by the keys */
static uint64 unloaded_for = 0; /* generation of the shared cache */
static TimestampTz first_expiry = DT_NOEND; /* of those that are loaded, at
											 * the earliest */
static void (*forget_derived) (void) = NULL;

/* Has no fact been forgotten since the keys followed? */
static inline bool
facts_are_followed(void)
{
	return followed_epoch == pgseal_facts_now;
}

/* What follows for keys from facts that were forgotten, and from rollbacks; the epoch */
static uint64
follow_facts(void)
{
	static uint64 followed_rollbacks = 0;
	uint64		epoch = pgseal_facts_epoch();
	bool		rolled_back = followed_rollbacks != pgseal_facts_rollbacks();
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;

	if (keys == NULL)
		keys = pgseal_facts_make_table("pgseal keys", sizeof(int64), sizeof(PgsealKey));
	if (epoch == followed_epoch)
		return epoch;
	followed_epoch = epoch;
	followed_rollbacks = pgseal_facts_rollbacks();
	renewals++;
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
	{
		/* Its server may be another one now, or it may be destroyed */
		key->allowed_role = InvalidOid;
		key->expires_at = 0;
		/* Reserving seals notes a version again that isn't committed */
		if (rolled_back)
			key->seals_left = 0;
	}
	return epoch;
}

static void
unload_key(PgsealKey *key)
{
	pgseal_aead_free(key->aead);
	pgseal_hmac_free(key->hmac);
	pgseal_aead_free(key->wrapper);
	pgseal_hmac_free(key->signer);
	pgseal_aead_free(key->ledger);
	key->aead = NULL;
	key->hmac = NULL;
	key->wrapper = NULL;
	key->signer = NULL;
	key->ledger = NULL;
}

/* Makes room; the backend's own key must stay, nobody else has it. */
static void
unload_all_keys(void)
{
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;

	last_opened = NULL;
	renewals++;
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
	{
		if (key->ephemeral)
			continue;
		unload_key(key);
		hash_search(keys, &key->id, HASH_REMOVE, NULL);
	}
}

/* Only where nobody holds a pointer to a key */
static void
unload_unusable_keys(void)
{
	uint64		generation = pgseal_shared_cache_generation();
	TimestampTz now;
	HASH_SEQ_STATUS scan;
	PgsealKey  *key;
	int			num = 0;

	if (keys == NULL)
		return;

	/*
	 * Not the coarse clock, by which what the launcher has just seen expire
	 * isn't yet: it wakes idle processes once.
	 */
	now = pgseal_clock();
	if (unloaded_for == generation && first_expiry > now)
		return;
	unloaded_for = generation;
	first_expiry = DT_NOEND;
	last_opened = NULL;
	renewals++;
	hash_seq_init(&scan, keys);
	while ((key = hash_seq_search(&scan)) != NULL)
	{
		if (key->ephemeral || (key->aead == NULL && key->hmac == NULL))
			continue;
		if (key->generation != generation || key->loaded_until <= now)
		{
			unload_key(key);
			num++;
		}
		else
			first_expiry = Min(first_expiry, key->loaded_until);
	}
	if (forget_derived != NULL)
		forget_derived();
	elog(DEBUG1, "pgseal: unloaded %d keys", num);
}

static void
unload_at_end_of_transaction(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
		unload_unusable_keys();
}

/*
 * An invalidation that comes while no statement is executed: outside of transactions,
 * or to a session that is idle in one
 */
static void
unload_when_idle(Oid relid)
{
	if (!IsTransactionState() ||
		(MyBEEntry != NULL && (MyBEEntry->st_state == STATE_IDLEINTRANSACTION ||
							   MyBEEntry->st_state == STATE_IDLEINTRANSACTION_ABORTED)))
		unload_unusable_keys();
}

void
pgseal_keyring_when_unloading(void (*forget) (void))
{
	forget_derived = forget;
}

/*
 * Unwrapping
 */

PgsealVersionRow *
pgseal_backend_key_version(int64 id)
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
			pgseal_shared_cache_drop(MyDatabaseId, id);
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
		status = pgseal_wrapping_fetch(version, out_key, out_error);
	}
	PG_CATCH();
	{
		pgseal_shared_cache_abandon(version->id);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (status == PGSEAL_KMS_OK)
		*out_expires_at = pgseal_shared_cache_publish(version->id, out_key);
	return status;
}

/* A child key lives as long as the parent's key by which it is unwrapped. */
static void
obtain_child_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
				 TimestampTz *out_expires_at)
{
	PgsealKmsError error = {0};
	PgsealKmsStatus status = pgseal_wrapping_fetch(version, out_key, &error);

	if (status != PGSEAL_KMS_OK)
		pgseal_wrapping_report(ERROR, status, version->server, &error);
	*out_expires_at = pgseal_backend_key(version->parent_version)->expires_at;
}

/*
 * The key, from the shared cache or the KMS.  Reports what went wrong.
 */
static void
obtain_key(const PgsealVersionRow *version, uint8 out_key[PGSEAL_KEY_BYTES],
		   TimestampTz *out_expires_at)
{
	Oid			server;

	if (version->parent_version != 0)
	{
		obtain_child_key(version, out_key, out_expires_at);
		return;
	}
	server = get_foreign_server_oid(version->server, false);
	for (;;)
	{
		PgsealKmsStatus status = PGSEAL_KMS_OK;
		PgsealKmsError error = {0};

		switch (pgseal_shared_cache_get(server, version->id, out_key, out_expires_at, &status, &error))
		{
			case PGSEAL_CACHE_HIT:
				return;
			case PGSEAL_CACHE_CLAIMED:
				status = fetch_claimed_key(version, out_key, out_expires_at, &error);
				if (status != PGSEAL_KMS_OK &&
					pgseal_shared_cache_fail(version->id, status, &error))
					continue;	/* the old key lives on for a while */
				break;
			case PGSEAL_CACHE_FAILED:
				break;
			case PGSEAL_CACHE_FULL:
				status = pgseal_wrapping_fetch(version, out_key, &error);
				*out_expires_at = TimestampTzPlusMilliseconds(pgseal_clock(),
															  INT64CONST(1000) * pgseal_cache_ttl);
				pgseal_shared_cache_unlisted(*out_expires_at);
				break;
		}
		if (status != PGSEAL_KMS_OK)
			pgseal_wrapping_report(ERROR, status, version->server, &error);
		return;
	}
}

/*
 * This backend's keys
 */

static void
load_material(PgsealKey *key, const uint8 material[PGSEAL_KEY_BYTES])
{
	pgseal_no_core_dump();
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
	(void) follow_facts();
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
	uint64		generation = pgseal_shared_cache_generation();
	uint64		epoch = follow_facts();
	uint8		material[PGSEAL_KEY_BYTES];
	volatile bool confirmed = false;
	PgsealKey  *volatile key = NULL;

	PG_TRY();
	{
		PgsealVersionRow *version = pgseal_backend_key_version(id);
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
		key->expires_at = pgseal_facts_hold(epoch) ? expires_at : 0;
		key->loaded_until = expires_at;
		first_expiry = Min(first_expiry, expires_at);
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

static inline bool
is_usable(const PgsealKey *key)
{
	if (key->aead == NULL && key->hmac == NULL)
		return false;
	if (key->ephemeral)
		return true;
	return key->generation == pgseal_shared_cache_generation() && key->expires_at > pgseal_clock_coarse();
}

PgsealKey *
pgseal_backend_key(int64 id)
{
	PgsealKey  *key = find_key(id);

	return is_usable(key) ? key : refresh_key(id);
}

/*
 * Besides sealing, a version wraps the versions of child keys, signs rows, and seals
 * the records of their ledgers.  The keys for that are derived from the version's
 * key, not from the secret, which nobody keeps.
 */
typedef enum DerivedUse
{
	DERIVED_WRAPPER,
	DERIVED_SIGNER,
	DERIVED_LEDGER
} DerivedUse;

static bool
has_context(const PgsealKey *key, DerivedUse use)
{
	return use == DERIVED_WRAPPER ? key->wrapper != NULL :
		use == DERIVED_SIGNER ? key->signer != NULL : key->ledger != NULL;
}

static void
make_context(PgsealKey *key, DerivedUse use, const uint8 derived[PGSEAL_KEY_BYTES])
{
	switch (use)
	{
		case DERIVED_WRAPPER:
			key->wrapper = pgseal_aead_new(derived);
			break;
		case DERIVED_SIGNER:
			key->signer = pgseal_hmac_new(derived, PGSEAL_KEY_BYTES);
			break;
		case DERIVED_LEDGER:
			key->ledger = pgseal_aead_new(derived);
			break;
	}
}

static PgsealKey *
derive_context(int64 id, const char *label, size_t label_len, DerivedUse use)
{
	PgsealKey  *key = NULL;
	uint8		material[PGSEAL_KEY_BYTES];
	uint8		derived[PGSEAL_KEY_BYTES];
	TimestampTz expires_at;

	PG_TRY();
	{
		obtain_key(pgseal_backend_key_version(id), material, &expires_at);
		/* After that: the parent's key may have taken its place */
		key = pgseal_backend_key(id);
		if (pgseal_hkdf_sha256(derived, sizeof(derived), material, sizeof(material),
							   NULL, 0, (const uint8 *) label, label_len))
			make_context(key, use, derived);
	}
	PG_FINALLY();
	{
		pgseal_wipe(material, sizeof(material));
		pgseal_wipe(derived, sizeof(derived));
	}
	PG_END_TRY();
	if (!has_context(key, use))
		ereport(ERROR,
				(errcode(ERRCODE_OUT_OF_MEMORY),
				 errmsg("could not set up a cipher context")));
	return key;
}

/*
 * What wraps the versions of the child keys of a key version.  Good until the
 * next call of a function of keys/keyring.h.
 */
static PgsealAead *
wrapper_of(int64 id)
{
	static const char label[] = "pgseal wrap v1";
	PgsealKey  *key = pgseal_backend_key(id);

	if (key->wrapper == NULL)
		key = derive_context(id, label, sizeof(label), DERIVED_WRAPPER);
	return key->wrapper;
}

void
pgseal_keyring_init(void)
{
	pgseal_wrapping_init(wrapper_of);
	pgseal_facts_init();
	pgseal_used_init();
	RegisterXactCallback(unload_at_end_of_transaction, NULL);
	pgseal_on_relation_change(unload_when_idle);
}

PgsealHmac *
pgseal_keyring_signer(PgsealKey *key)
{
	static const char label[] = "pgseal row v1";

	if (key->signer == NULL)
		key = derive_context(key->id, label, sizeof(label), DERIVED_SIGNER);
	return key->signer;
}

PgsealAead *
pgseal_keyring_ledger(PgsealKey *key)
{
	static const char label[] = "pgseal ledger v1";

	if (key->ledger == NULL)
		key = derive_context(key->id, label, sizeof(label), DERIVED_LEDGER);
	return key->ledger;
}

bool
pgseal_keyring_at_hand(int64 id)
{
	PgsealKey  *key;

	(void) follow_facts();
	key = hash_search(keys, &id, HASH_FIND, NULL);
	return (key != NULL && is_usable(key)) ||
		(pgseal_keyring_info(id)->known && pgseal_shared_cache_has(id));
}

/* Is nobody to be asked, or does who is asked say yes? */
bool
pgseal_backend_key_may_open(PgsealKey *key, PgsealAccess access)
{
	if (access == PGSEAL_ACCESS_INTERNAL || key->allowed_role == GetUserId())
		return true;
	if (key->ephemeral)
		return true;			/* it is the user's own literal */
	if (!pgseal_keyring_check_access(key->server))
		return false;
	key->allowed_role = GetUserId();
	return true;
}

bool
pgseal_backend_key_is_last(const PgsealLastKey *last, int32 key_hash)
{
	return last->key != NULL && last->key_hash == key_hash && facts_are_followed() &&
		last->renewal == renewals && is_usable(last->key);
}

void
pgseal_backend_key_remember(PgsealLastKey *last, int32 key_hash, PgsealKey *key, uint64 epoch)
{
	last->key = pgseal_facts_hold(epoch) ? key : NULL;
	last->key_hash = key_hash;
	last->renewal = renewals;
}

PgsealKey *
pgseal_keyring_open(int64 id, PgsealAccess access)
{
	PgsealKey  *key = last_opened;

	/* The hot path: no lookup, no lock */
	if (key != NULL && key->id == id && facts_are_followed() && is_usable(key) &&
		(access == PGSEAL_ACCESS_INTERNAL || key->allowed_role == GetUserId()))
		return key;

	key = pgseal_backend_key(id);
	last_opened = key;
	if (key->purpose != PGSEAL_PURPOSE_DATA)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("sealed value names a key version that seals no values")));
	return pgseal_backend_key_may_open(key, access) ? key : NULL;
}

/* A key of this backend alone */
static int64
make_own_key(PgsealPurpose purpose)
{
	uint8		material[PGSEAL_KEY_BYTES];
	PgsealKey  *key;
	int64		id;

	do
		pgseal_random_bytes(&id, sizeof(id));
	while (id == 0);
	pgseal_random_bytes(material, sizeof(material));
	key = find_key(id);
	key->ephemeral = true;
	key->purpose = purpose;
	key->key_hash = PGSEAL_TYPMOD_NONE;
	load_material(key, material);
	pgseal_wipe(material, sizeof(material));
	return id;
}

int64
pgseal_backend_key_ephemeral(void)
{
	static int64 own_id = 0;

	if (own_id == 0)
	{
		own_id = make_own_key(PGSEAL_PURPOSE_DATA);
		pgseal_facts_set_ephemeral(own_id);
	}
	return own_id;
}

PgsealKey *
pgseal_backend_key_own_hash(void)
{
	static int64 own_id = 0;

	if (own_id == 0)
		own_id = make_own_key(PGSEAL_PURPOSE_INDEX);
	return find_key(own_id);
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
		pgseal_shared_cache_drop(MyDatabaseId, key_version_id);
		return true;
	}
	if (!pgseal_shared_cache_claim_refresh(get_foreign_server_oid(version->server, true), key_version_id))
		return true;
	status = fetch_claimed_key(version, key, &expires_at, &error);
	pgseal_wipe(key, sizeof(key));
	if (status == PGSEAL_KMS_OK)
		return true;
	pgseal_shared_cache_fail(key_version_id, status, &error);
	pgseal_wrapping_report(LOG, status, version->server, &error);
	return false;
}
