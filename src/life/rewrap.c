/*-------------------------------------------------------------------------
 *
 * rewrap.c
 *	  What becomes of keys: schedules, rewrapping, moving.
 *
 * Rewrapping and moving change only how a version is wrapped: the key and all
 * that it sealed stay as they are, and so do cached keys.  The new wrapped bytes
 * replace the old ones when they have been unwrapped and compared (keys/wrapping.c),
 * and only if the old ones are still those from which they were made.  The KMS
 * is called before any lock is taken.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_type.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "keys/reseals.h"
#include "keys/wrapping.h"
#include "life/rewrap.h"

/*
 * Rewrapping
 */

/* The server's newest master key version, or NULL when it doesn't tell */
static char *
newest_master_key(const char *server)
{
	PgsealKmsDescription description = {0};
	PgsealKmsError error = {0};

	if (pgseal_kms_describe(pgseal_kms_server(server, false), &description, &error) != PGSEAL_KMS_OK)
		return NULL;
	return description.newest_master_key;
}

/*
 * Rewraps one version under its own server.  *out_done is false when that
 * wasn't needed, or somebody else did it meanwhile.
 */
static PgsealKmsStatus
rewrap_version(PgsealVersionRow *version, const char *newest, bool *out_done,
			   PgsealKmsError *out_error)
{
	bytea	   *old = version->wrapped;
	bool		needed = newest == NULL || version->master_key == NULL ||
		strcmp(newest, version->master_key) != 0;
	PgsealKmsStatus status = PGSEAL_KMS_OK;

	*out_done = false;
	if (needed)
		status = pgseal_wrapping_rewrap(version, version->server, 0, out_error);
	if (status != PGSEAL_KMS_OK)
		return status;
	/* Stored also when it wasn't needed: the schedule counts from here */
	if (pgseal_catalog_set_wrapping(version, old) && needed)
	{
		*out_done = true;
		pgseal_catalog_event("key_rewrapped", version->key, version->id,
							 psprintf("server=\"%s\"", version->server));
	}
	pgseal_catalog_changed();
	return PGSEAL_KMS_OK;
}

static int64
rewrap_server(const char *server)
{
	List	   *versions = pgseal_catalog_server_versions(server);
	char	   *newest = versions == NIL ? NULL : newest_master_key(server);
	int64		num = 0;
	ListCell   *lc;

	foreach(lc, versions)
	{
		PgsealVersionRow *version = lfirst(lc);
		PgsealKmsError error = {0};
		PgsealKmsStatus status;
		bool		done;

		status = rewrap_version(version, newest, &done, &error);
		num += done ? 1 : 0;
		if (status == PGSEAL_KMS_OK)
			continue;
		pgseal_wrapping_report(WARNING, status, server, &error);
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("version %d of key \"%s\" was not rewrapped", version->number, version->key),
				 errdetail("It stays readable under its present master key.")));
		if (status == PGSEAL_KMS_UNREACHABLE)
			break;
	}
	return num;
}

/* Names of the servers of our wrappers */
static List *
all_servers(void)
{
	Relation	rel = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(rel, InvalidOid, false, NULL, 0, NULL);
	List	   *names = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server form = (Form_pg_foreign_server) GETSTRUCT(tuple);

		if (pgseal_kms_provider(GetForeignDataWrapper(form->srvfdw)->fdwname) != NULL)
			names = lappend(names, pstrdup(NameStr(form->srvname)));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return names;
}

int64
pgseal_rewrap_server(const char *server)
{
	int64		num = 0;
	ListCell   *lc;

	if (server != NULL)
	{
		(void) pgseal_kms_server(server, false);
		return rewrap_server(server);
	}
	foreach(lc, all_servers())
		num += rewrap_server(lfirst(lc));
	return num;
}

void
pgseal_rewrap_version(int64 id)
{
	PgsealVersionRow *version = pgseal_catalog_version(id);
	PgsealKmsError error = {0};
	PgsealKmsStatus status;
	bool		done;

	if (version == NULL || version->wrapped == NULL || version->parent_version != 0)
		return;
	status = rewrap_version(version, newest_master_key(version->server), &done, &error);
	if (status != PGSEAL_KMS_OK)
		pgseal_wrapping_report(ERROR, status, version->server, &error);
}

static void
rewrap_child(int64 id)
{
	PgsealVersionRow *version = pgseal_catalog_version(id);
	PgsealVersionRow *parent;
	PgsealVersionRow *current;
	PgsealKmsError error = {0};
	PgsealKmsStatus status;
	bytea	   *old;

	if (version == NULL || version->wrapped == NULL || version->parent_version == 0)
		return;
	parent = pgseal_catalog_version(version->parent_version);
	current = pgseal_catalog_current_version(parent->key, PGSEAL_PURPOSE_DATA);
	if (current == NULL || current->id == parent->id)
		return;
	old = version->wrapped;
	status = pgseal_wrapping_rewrap(version, version->server, current->id, &error);
	if (status != PGSEAL_KMS_OK)
		pgseal_wrapping_report(ERROR, status, version->server, &error);
	(void) pgseal_catalog_set_wrapping(version, old);
}

/* The parents' keys stay at hand, as nothing is invalidated in between */
void
pgseal_rewrap_children(const int64 *ids, int num)
{
	MemoryContext child_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal child key",
														ALLOCSET_SMALL_SIZES);
	MemoryContext context = MemoryContextSwitchTo(child_context);

	for (int i = 0; i < num; i++)
	{
		CHECK_FOR_INTERRUPTS();
		rewrap_child(ids[i]);
		MemoryContextReset(child_context);
	}
	MemoryContextSwitchTo(context);
	MemoryContextDelete(child_context);
	pgseal_catalog_changed();
}

/*
 * Moving
 */

static void
move_version(PgsealVersionRow *version, const char *server)
{
	bytea	   *old = version->wrapped;
	PgsealKmsError error = {0};
	PgsealKmsStatus status = PGSEAL_KMS_OK;

	if (old != NULL)
		status = pgseal_wrapping_rewrap(version, server, 0, &error);
	else
		version->server = pstrdup(server);
	if (status != PGSEAL_KMS_OK)
		pgseal_wrapping_report(ERROR, status,
							   strcmp(error.operation, "unwrap") == 0 ? version->server : server,
							   &error);
	if (!pgseal_catalog_set_wrapping(version, old))
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("version %d of key \"%s\" was changed by another transaction",
						version->number, version->key),
				 errhint("Run pgseal.move_key() again.")));
	pgseal_catalog_changed();
}

void
pgseal_rewrap_move(const char *name, const char *server)
{
	PgsealKeyRow *key;
	ListCell   *lc;

	(void) pgseal_kms_server(server, false);
	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	key = pgseal_keyring_require(name);
	if (key->parent != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("key \"%s\" is wrapped by its parent, not by a server", name),
				 errhint("Move the key \"%s\"; its child keys follow.", key->parent)));
	foreach(lc, pgseal_catalog_versions(name))
	{
		PgsealVersionRow *version = lfirst(lc);

		if (strcmp(version->server, server) != 0)
			move_version(version, server);
	}
	if (strcmp(key->server, server) == 0)
		return;
	pgseal_catalog_move_children(name, server);
	pgseal_catalog_set_server(key->hash, server);
	pgseal_catalog_event("key_moved", name, 0,
						 psprintf("from=\"%s\" to=\"%s\"", key->server, server));
}

/*
 * One version for each master key that the server has used: if that unwraps,
 * the others do.
 */
void
pgseal_rewrap_check_server(const char *server)
{
	List	   *checked = NIL;
	ListCell   *lc;

	CommandCounterIncrement();
	foreach(lc, pgseal_catalog_server_versions(server))
	{
		PgsealVersionRow *version = lfirst(lc);
		String	   *master_key = makeString(version->master_key ? version->master_key : "");
		uint8		key[PGSEAL_KEY_BYTES];
		PgsealKmsError error = {0};
		PgsealKmsStatus status;

		if (list_member(checked, master_key))
			continue;
		checked = lappend(checked, master_key);
		status = pgseal_wrapping_fetch(version, key, &error);
		pgseal_wipe(key, sizeof(key));
		if (status != PGSEAL_KMS_OK)
		{
			pgseal_wrapping_report(WARNING, status, server, &error);
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("with these options, server \"%s\" does not unwrap its keys", server),
					 errdetail("Version %d of key \"%s\" would become unreadable.",
							   version->number, version->key),
					 errhint("To change to another master key, make a server for it and use pgseal.move_key().")));
		}
	}
}

/*
 * Schedules
 */

/* The first column of a query, in the caller's memory */
static List *
query_hashes(const char *sql, int max)
{
	PgsealQuerySession session;
	MemoryContext context = CurrentMemoryContext;
	List	   *hashes = NIL;
	uint64		num;

	pgseal_query_begin(&session);
	num = pgseal_query(sql, 1, INT4OID, Int32GetDatum(max));
	for (uint64 i = 0; i < num; i++)
	{
		MemoryContext old_context = MemoryContextSwitchTo(context);

		hashes = lappend_int(hashes, (int32) pgseal_query_int64(i, 1));
		MemoryContextSwitchTo(old_context);
	}
	pgseal_query_end(&session);
	return hashes;
}

List *
pgseal_rewrap_due_rotations(void)
{
	return query_hashes("SELECT k.name_hash FROM pgseal.key k WHERE k.rotate_every IS NOT NULL"
						" AND (SELECT max(v.created) FROM pgseal.key_version v"
						"  WHERE v.key = k.name AND v.purpose = 'd' AND v.wrapped IS NOT NULL)"
						" + k.rotate_every <= now() LIMIT $1", INT_MAX);
}

/*
 * Begins with the policy, so that it costs nothing where there is none.  In any order,
 * so that some that fail each time don't hold up the others.  What re-encryption has
 * sealed doesn't count (reseals.c).
 */
List *
pgseal_rewrap_policy_rotations(int max)
{
	return query_hashes(psprintf("SELECT name_hash FROM (SELECT DISTINCT v.name_hash FROM pgseal.policy p"
								 " JOIN pgseal_internal.sealing_version v ON v.key LIKE p.object"
								 " WHERE p.enforce AND CASE p.rule"
								 "  WHEN 'data_key_age' THEN v.created + p.\"limit\"::interval <= now()"
								 "  WHEN 'seals' THEN v.seals%s >= p.\"limit\"::int8"
								 "  ELSE false END) due ORDER BY random() LIMIT $1",
								 pgseal_reseals_are_kept() ? " - v.reseals" : ""), max);
}

int
pgseal_rewrap_due(int64 *out_ids, int max)
{
	PgsealQuerySession session;
	uint64		num;

	pgseal_query_begin(&session);
	num = pgseal_query("SELECT v.id FROM pgseal.key k JOIN pgseal.key_version v ON v.key = k.name"
					   " WHERE k.rewrap_every IS NOT NULL AND v.wrapped IS NOT NULL"
					   "  AND v.parent_version IS NULL"
					   "  AND coalesce(v.rewrapped, v.created) + k.rewrap_every <= now()"
					   " UNION"
					   " SELECT v.id FROM pgseal.policy p JOIN pgseal.key_version v ON v.key LIKE p.object"
					   " WHERE p.rule = 'wrapping_age' AND p.enforce AND v.wrapped IS NOT NULL"
					   "  AND v.parent_version IS NULL"
					   "  AND coalesce(v.rewrapped, v.created) + p.\"limit\"::interval <= now() LIMIT $1", 1,
					   INT4OID, Int32GetDatum(max));
	for (uint64 i = 0; i < num; i++)
		out_ids[i] = pgseal_query_int64(i, 1);
	pgseal_query_end(&session);
	return (int) num;
}
