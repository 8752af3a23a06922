/*-------------------------------------------------------------------------
 *
 * facts.c
 *	  What this process knows of key versions without unwrapping them.
 *
 * It is forgotten at each relcache invalidation of pgseal.key_version, when
 * somebody's privileges may have changed, and when a transaction that made a key
 * is rolled back.  Each time from one to the next is an epoch; what was read in
 * one, and has been overtaken by nothing, may be remembered.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/memutils.h"
#include "utils/plancache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/relation_changes.h"
#include "base/settings.h"
#include "keys/facts.h"
#include "keys/made.h"

uint64		pgseal_facts_now = 0;

static HTAB *infos = NULL;		/* of PgsealKeyInfo */
static int64 ephemeral_id = 0;	/* of this backend's own key, 0: none */
static uint64 facts_epoch = 0;	/* how often they were forgotten */
static uint64 rollbacks = 0;	/* of what had changed the catalog or made
								 * keys */
static uint64 changes_seen = 0; /* of the catalog, when a transaction ended */
static bool made_is_kept = false;	/* by the commit that is under way */
static Oid	version_relation = InvalidOid;
static Oid	key_relation = InvalidOid;

/*
 * Invalidation
 */

static void
forget_facts_of_relation(Oid relid)
{
	if (relid == InvalidOid || relid == version_relation || version_relation == InvalidOid)
		pgseal_facts_now = 0;

	/*
	 * Plans hold literals under a version of the default key that isn't
	 * current now
	 */
	if (OidIsValid(key_relation) && (relid == InvalidOid || relid == key_relation))
		ResetPlanCache();
}

static void
forget_facts(Datum arg, int cacheid, uint32 hashvalue)
{
	pgseal_facts_now = 0;
}

/*
 * Something was rolled back.  What this process knows of the catalog may have
 * been true only there, and each key reserves its seals anew, at which it is
 * noted again if it isn't committed.
 */
static void
forget_rolled_back(void)
{
	if (pgseal_catalog_num_changes() == changes_seen && !pgseal_made_any())
		return;
	pgseal_facts_now = 0;
	rollbacks++;
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
	pgseal_facts_now = 0;
	pgseal_made_forget();
	ResetPlanCache();
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	/*
	 * A procedure goes on in another transaction, and so may a background
	 * worker
	 */
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
pgseal_facts_init(void)
{
	RegisterXactCallback(end_of_transaction, NULL);
	RegisterSubXactCallback(end_of_subtransaction, NULL);
	pgseal_on_relation_change(forget_facts_of_relation);
	/* Privileges: on the server, and of the role, by itself or as a member */
	CacheRegisterSyscacheCallback(FOREIGNSERVEROID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(FOREIGNDATAWRAPPEROID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHOID, forget_facts, (Datum) 0);
	CacheRegisterSyscacheCallback(AUTHMEMROLEMEM, forget_facts, (Datum) 0);
	/* Its owner is the member of pg_database_owner */
	CacheRegisterSyscacheCallback(DATABASEOID, forget_facts, (Datum) 0);
}

HTAB *
pgseal_facts_make_table(const char *name, Size key_size, Size entry_size)
{
	HASHCTL		ctl = {0};

	ctl.keysize = key_size;
	ctl.entrysize = entry_size;
	ctl.hcxt = TopMemoryContext;
	return hash_create(name, 64, &ctl, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

void
pgseal_facts_empty_table(HTAB *table)
{
	HASH_SEQ_STATUS scan;
	void	   *entry;

	hash_seq_init(&scan, table);
	while ((entry = hash_seq_search(&scan)) != NULL)
		hash_search(table, entry, HASH_REMOVE, NULL);
}

uint64
pgseal_facts_epoch(void)
{
	if (infos == NULL)
		infos = pgseal_facts_make_table("pgseal key versions", sizeof(int64),
										sizeof(PgsealKeyInfo));
	if (hash_get_num_entries(infos) > PGSEAL_MAX_KEPT_FACTS)
		pgseal_facts_now = 0;
	if (pgseal_facts_now != 0)
		return pgseal_facts_now;

	/* First, so that an invalidation that arrives meanwhile isn't lost */
	pgseal_facts_now = ++facts_epoch;
	pgseal_facts_empty_table(infos);
	version_relation = pgseal_catalog_version_relation();
	key_relation = pgseal_catalog_key_relation();
	return facts_epoch;
}

bool
pgseal_facts_is_ephemeral(int64 id)
{
	return id == ephemeral_id && id != 0;
}

/* Catalog facts of this id may have been asked for before */
void
pgseal_facts_set_ephemeral(int64 id)
{
	ephemeral_id = id;
	pgseal_facts_now = 0;
}

bool
pgseal_keyring_is_alone(bool code_gets_values)
{
	return ephemeral_id != 0 || pgseal_made_any_lost() ||
		(code_gets_values && pgseal_catalog_num_changes() != changes_seen);
}

uint64
pgseal_facts_rollbacks(void)
{
	return rollbacks;
}

bool
pgseal_facts_hold(uint64 epoch)
{
	return epoch == pgseal_facts_now;
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

	(void) pgseal_facts_epoch();
	info = hash_search(infos, &id, HASH_FIND, NULL);
	if (info != NULL)
		return info;

	version = pgseal_facts_is_ephemeral(id) ? NULL : pgseal_catalog_version(id);
	lost = version != NULL ? NULL : pgseal_made_lost(id);
	info = hash_search(infos, &id, HASH_ENTER, NULL);
	info->known = (version != NULL);
	info->lost = (lost != NULL);
	if (lost != NULL)
		version = lost;
	info->purpose = version != NULL ? version->purpose : PGSEAL_PURPOSE_DATA;
	info->destroyed = (version != NULL && version->wrapped == NULL);
	info->retired = (version != NULL && version->retired);
	info->ephemeral = pgseal_facts_is_ephemeral(id);
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
 * Privilege
 */

/* Says whether code runs that must not be told NULL */
static bool (*needs_error) (void) = NULL;

void
pgseal_keyring_never_null(bool (*while_it_runs) (void))
{
	needs_error = while_it_runs;
}

bool
pgseal_keyring_tells_null(void)
{
	return pgseal_on_denied == PGSEAL_ON_DENIED_NULL && (needs_error == NULL || !needs_error());
}

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
	if (pgseal_keyring_tells_null())
		return false;
	/* As PostgreSQL says it; but who reads a column may not know of servers */
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied for foreign server %s", GetForeignServer(server)->servername),
			 errhint("To read encrypted values takes GRANT USAGE ON FOREIGN SERVER %s TO %s.",
					 quote_identifier(GetForeignServer(server)->servername),
					 quote_identifier(GetUserNameFromId(GetUserId(), false)))));
}

void
pgseal_keyring_unknown_version(int64 id)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("key version %016llx is not known in this database",
					(unsigned long long) id),
			 errhint("The value comes from another database. Restore or copy the tables pgseal.key and pgseal.key_version from there first.")));
}
