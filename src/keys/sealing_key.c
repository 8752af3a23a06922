/*-------------------------------------------------------------------------
 *
 * sealing_key.c
 *	  From a key's hash to the version that seals, or makes tokens; and counting
 *	  its seals.
 *
 * Which version that is is remembered by the key's hash for as long as the facts
 * of backend_keys.c hold.  A key whose name is only declared gets its material
 * here, at the first need.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "foreign/foreign.h"
#include "utils/hsearch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "keys/backend_keys.h"
#include "keys/facts.h"
#include "keys/made.h"
#include "keys/reseals.h"
#include "keys/seal_counts.h"
#include "keys/used.h"
#include "keys/wakeup.h"

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

typedef struct KeyFacts
{
	int32		key_hash;		/* hash key: must be first */
	int			num_index_versions; /* in use; -1: not asked yet */
	Oid			server;			/* InvalidOid: not asked yet, or none */
} KeyFacts;

static HTAB *targets = NULL;	/* of SealTarget */
static HTAB *key_facts = NULL;	/* of KeyFacts */
static PgsealLastKey last_sealed = {0};
static PgsealLastKey last_index = {0};

/*
 * Which version it is
 */

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
				return pgseal_backend_key_ephemeral();
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
			pgseal_keyring_prepare_literals();
		}
	}
	return version->id;
}

/* The epoch in which what is remembered here is valid: forgets what isn't */
static uint64
validate_targets(void)
{
	static uint64 valid_in = 0;
	uint64		epoch = pgseal_facts_epoch();

	if (targets == NULL)
	{
		key_facts = pgseal_facts_make_table("pgseal keys", sizeof(int32), sizeof(KeyFacts));
		targets = pgseal_facts_make_table("pgseal seal targets",
										  sizeof(int32) + sizeof(PgsealPurpose),
										  sizeof(SealTarget));
	}
	if (epoch != valid_in || hash_get_num_entries(targets) > PGSEAL_MAX_KEPT_FACTS)
	{
		pgseal_facts_empty_table(targets);
		pgseal_facts_empty_table(key_facts);
		valid_in = epoch;
	}
	return epoch;
}

static int64
seal_target(int32 key_hash, PgsealPurpose purpose)
{
	SealTarget	probe = {.key_hash = key_hash, .purpose = purpose};
	SealTarget *target;
	uint64		epoch = validate_targets();
	int64		id;

	target = hash_search(targets, &probe, HASH_FIND, NULL);
	if (target != NULL)
		return target->id;

	/*
	 * What an invalidation has overtaken is good for once, but isn't
	 * remembered
	 */
	id = current_version(key_hash, purpose);
	if (!pgseal_facts_is_ephemeral(id) && pgseal_facts_hold(epoch))
	{
		target = hash_search(targets, &probe, HASH_ENTER, NULL);
		target->id = id;
	}
	return id;
}

bool
pgseal_keyring_has_material(int32 key_hash)
{
	SealTarget	probe = {.key_hash = key_hash, .purpose = PGSEAL_PURPOSE_DATA};
	const char *name;

	(void) validate_targets();
	if (hash_search(targets, &probe, HASH_FIND, NULL) != NULL)
		return true;
	name = key_hash == PGSEAL_TYPMOD_NONE ? PGSEAL_DEFAULT_KEY : pgseal_catalog_name(key_hash);
	if (name == NULL || pgseal_catalog_current_version(name, PGSEAL_PURPOSE_DATA) == NULL)
		return false;
	/* Remembers it */
	(void) seal_target(key_hash, PGSEAL_PURPOSE_DATA);
	return true;
}

/* The worker replaces versions that have sealed enough; once a second is enough */
static void
ask_for_rotation(void)
{
	static TimestampTz asked_at = 0;
	TimestampTz now = pgseal_clock();

	if (TimestampDifferenceExceeds(asked_at, now, 1000))
	{
		asked_at = now;
		pgseal_wakeup_now();
	}
}

/*
 * Seals are reserved in shared memory before they are made, so that the count
 * is never too low.  A session that seals little under a key reserves little.
 * A restart loses what was reserved since the worker saved the counts, at most
 * pgseal.worker_interval before.  From the highest pgseal.max_seals_per_key on
 * there is room for another 2^31 seals: for many restarts, and for what sessions
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
	version = pgseal_backend_key_version(key->id);
	pgseal_made_note(version);
	key->seals_reserve = key->seals_reserve == 0 ? RESERVE_SEALS_MIN :
		Min(key->seals_reserve * 2, RESERVE_SEALS_MAX);
	reserved = pgseal_seal_counts_reserve(key->id, (uint64) version->seals,
										  key->seals_reserve);
	if (reserved > SEALS_LIMIT)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("version %d of key \"%s\" has sealed as many values as it may",
						key->number, pgseal_catalog_name(key->key_hash)),
				 errhint("Replace it with pgseal.rotate_key(). The background worker does so at pgseal.max_seals_per_key, if it can run.")));
	pgseal_reseals_reserved(key->id, key->seals_reserve);
	if (pgseal_reseals_exhausted(key->id, reserved))
		ask_for_rotation();
	key->seals_left = key->seals_reserve;
}

/* The hot path: no lookup, no lock */
static PgsealKey *
current_key(PgsealLastKey *last, int32 key_hash, PgsealPurpose purpose)
{
	PgsealKey  *key;
	uint64		epoch;

	if (pgseal_backend_key_is_last(last, key_hash))
		return last->key;
	epoch = pgseal_facts_epoch();
	key = pgseal_backend_key(seal_target(key_hash, purpose));
	pgseal_backend_key_remember(last, key_hash, key, epoch);
	return key;
}

PgsealKey *
pgseal_keyring_seal(int32 key_hash)
{
	PgsealKey  *key = current_key(&last_sealed, key_hash, PGSEAL_PURPOSE_DATA);

	if (key->seals_left == 0)
		reserve_seals(key);
	pgseal_used_note(key);
	key->seals_left--;
	return key;
}

PgsealKey *
pgseal_keyring_index_version(int64 id, PgsealAccess access)
{
	static PgsealLastKey last = {0};
	PgsealKey  *key = last.key;

	/* Each node of a sealed index asks, mostly for the same */
	if (!pgseal_backend_key_is_last(&last, last.key_hash) || key->id != id)
	{
		uint64		epoch = pgseal_facts_epoch();

		key = pgseal_backend_key(id);
		pgseal_backend_key_remember(&last, key->key_hash, key, epoch);
	}
	return pgseal_backend_key_may_open(key, access) ? key : NULL;
}

PgsealKey *
pgseal_keyring_index(int32 key_hash, PgsealAccess access)
{
	PgsealKey  *key = current_key(&last_index, key_hash, PGSEAL_PURPOSE_INDEX);

	return pgseal_backend_key_may_open(key, access) ? key : NULL;
}

bool
pgseal_keyring_index_at_hand(int32 key_hash)
{
	return pgseal_keyring_at_hand(seal_target(key_hash, PGSEAL_PURPOSE_INDEX));
}

PgsealKey *
pgseal_keyring_query_hash(void)
{
	static TimestampTz own_used_in = 0; /* the transaction */
	static uint64 asked_in = 0; /* the epoch */
	bool		own_used = own_used_in == GetCurrentTransactionStartTimestamp();

	if (!own_used || asked_in != pgseal_facts_epoch())
	{
		if (can_make_keys() || pgseal_keyring_has_material(PGSEAL_TYPMOD_NONE))
		{
			/* Hashes of one query, and of what it prunes, must be of one key */
			if (own_used)
				ereport(ERROR,
						(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
						 errmsg("could not hash encrypted values, as the default key was made meanwhile"),
						 errhint("Run the transaction again.")));
			return pgseal_keyring_index(PGSEAL_TYPMOD_NONE, PGSEAL_ACCESS_INTERNAL);
		}
		asked_in = pgseal_facts_epoch();
		own_used_in = GetCurrentTransactionStartTimestamp();
	}
	return pgseal_backend_key_own_hash();
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

/* Those of a key, as far as they were asked for; NULL: what was read in the epoch is overtaken */
static KeyFacts *
remember_facts(int32 key_hash, uint64 epoch)
{
	KeyFacts   *facts;
	bool		found;

	if (!pgseal_facts_hold(epoch))
		return NULL;
	facts = hash_search(key_facts, &key_hash, HASH_ENTER, &found);
	if (!found)
	{
		facts->num_index_versions = -1;
		facts->server = InvalidOid;
	}
	return facts;
}

/* Asked for with every plan, so remembered as a seal target is */
int
pgseal_keyring_num_index_versions(int32 key_hash)
{
	uint64		epoch = validate_targets();
	KeyFacts   *facts = hash_search(key_facts, &key_hash, HASH_FIND, NULL);
	int			num;

	if (facts != NULL && facts->num_index_versions >= 0)
		return facts->num_index_versions;
	num = list_length(pgseal_keyring_index_versions(key_hash));
	if ((facts = remember_facts(key_hash, epoch)) != NULL)
		facts->num_index_versions = num;
	return num;
}

/* Asked for by each plan of a table with an index, and by each that writes a token */
bool
pgseal_keyring_find_server(int32 key_hash, Oid *out_server)
{
	uint64		epoch = validate_targets();
	KeyFacts   *facts = hash_search(key_facts, &key_hash, HASH_FIND, NULL);
	PgsealKeyRow *key;

	if (facts != NULL && OidIsValid(facts->server))
	{
		*out_server = facts->server;
		return true;
	}
	key = pgseal_catalog_key(key_hash);
	if (key == NULL)
		return false;
	*out_server = get_foreign_server_oid(key->server, true);
	if ((facts = remember_facts(key_hash, epoch)) != NULL)
		facts->server = *out_server;
	return true;
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

	while ((num_counts = pgseal_seal_counts_unsaved(counts, lengthof(counts))) > 0)
	{
		for (int i = 0; i < num_counts; i++)
		{
			pgseal_catalog_raise_seals(counts[i].key_version_id, (int64) counts[i].seals);
			if (num_exhausted < max &&
				pgseal_reseals_exhausted(counts[i].key_version_id, counts[i].seals))
				out_exhausted[num_exhausted++] = counts[i].key_version_id;
		}
		pgseal_seal_counts_saved(counts, num_counts);
		/* The next round may have one of them again */
		CommandCounterIncrement();
	}
	return num_exhausted;
}
