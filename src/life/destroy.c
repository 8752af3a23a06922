/*-------------------------------------------------------------------------
 *
 * destroy.c
 *	  Making keys useless for ever.
 *
 * Destroying takes the wrapped bytes out of the catalog; the row stays, and
 * tells when.  Once that is committed, the key is dropped from the shared cache,
 * at which every backend of this server has to ask again before it uses its own
 * cipher context.  On a standby, the invalidation of the catalog's cache does
 * the same when the commit is replayed.  What is left until they are vacuumed,
 * recycled or expire are wrapped bytes in dead rows, in WAL and in backups; they
 * are worth nothing without the master key, or the parent key.
 *
 * A key can be destroyed while values exist that it sealed, if its owner
 * insists: that is the erasure of those values.  A version of a key that lives
 * on goes only if nothing needs it.  The proof: re-encryption has retired it;
 * no transaction is left that could have read a value before that; and now,
 * while nobody can write to the tables, there is none.  Nor does a key go without
 * force while values may be on their way; who has sealed one under what was
 * destroyed meanwhile does not commit (keys/used.c).
 *
 * All that is said of this node's tables.  Where the key catalog is published,
 * subscribers lose the key as well, and their tables nobody here can look into; nor
 * into the shards of Citus on other nodes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "keys/drop.h"
#include "keys/keyring.h"
#include "life/census.h"
#include "life/rewrap.h"

/*
 * Nobody here knows what subscribers have; that their tables are done is for who
 * destroys to say.
 */
static void
check_not_published(const char *name)
{
	PgsealQuerySession session;
	MemoryContext context = CurrentMemoryContext;
	char	   *publications;

	pgseal_query_begin(&session);
	(void) pgseal_query("SELECT string_agg(format('%I', p.pubname), ', ' ORDER BY p.pubname)"
						" FROM pg_publication p, pg_class c"
						" WHERE c.oid = $1 AND (p.puballtables"
						"  OR EXISTS (SELECT FROM pg_publication_rel WHERE prpubid = p.oid AND prrelid = c.oid)"
						"  OR EXISTS (SELECT FROM pg_publication_namespace"
						"   WHERE pnpubid = p.oid AND pnnspid = c.relnamespace))", 1,
						OIDOID, ObjectIdGetDatum(pgseal_catalog_version_relation()));
	publications = pgseal_query_text(0, 1);
	if (publications != NULL)
		publications = MemoryContextStrdup(context, publications);
	pgseal_query_end(&session);
	if (publications != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot destroy key \"%s\": subscribers may need it", name),
				 errdetail("Table pgseal.key_version is published (%s): it would be destroyed there, too.",
						   publications),
				 errhint("When pgseal.progress_reencrypt and pgseal.verify_table() show on every subscriber that nothing needs it, use force => true.")));
}

static void
destroy_version(const PgsealVersionRow *version)
{
	pgseal_catalog_destroy_version(version->id);
	pgseal_drop_at_commit(version->id);
	ForceSyncCommit();
}

static void
check_confirmation(const char *name, const char *confirm)
{
	if (strcmp(name, confirm) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("key \"%s\" was not destroyed", name),
				 errdetail("The confirmation is not the key's name."),
				 errhint("Destroying a key is irrevocable; confirm it by repeating the name.")));
}

/* What every literal and every temporary table need, for ever */
static void
check_not_everybodys(const char *name)
{
	bool		is_default = strcmp(name, PGSEAL_DEFAULT_KEY) == 0;

	if (!is_default && strcmp(name, PGSEAL_TEMPORARY_KEY) != 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("key \"%s\" cannot be destroyed", name),
			 is_default ?
			 errdetail("Literals for encrypted columns are sealed under it before their column is known.") :
			 errdetail("Temporary tables of all sessions share it."),
			 errhint("pgseal.rotate_key() replaces it, and pgseal.destroy_version() destroys versions that nothing needs.")));
}

static bool
is_needed(const PgsealCensus *census, int64 children)
{
	return census->values > 0 || census->constants > 0 || census->unseen > 0 || children > 0;
}

/* Nobody here knows what other nodes of Citus have, either */
static void
check_not_sharded(const char *name, const PgsealCensus *census)
{
	if (census->sharded > 0)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot destroy key \"%s\": nodes of Citus may need it", name),
				 errdetail("%s", census->places),
				 errhint("When pgseal.retire_versions() shows that no node has a value under it, use force => true.")));
}

/* Says what will be lost; an error unless that is nothing, or force is given */
static void
report_losses(const char *name, const PgsealCensus *census, int64 children, bool force)
{
	bool		needed = is_needed(census, children);

	ereport(needed && !force ? ERROR : NOTICE,
			(errcode(needed && !force ? ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST :
					 ERRCODE_SUCCESSFUL_COMPLETION),
			 needed && !force ?
			 errmsg("cannot destroy key \"%s\": it is needed", name) :
			 errmsg("destroying key \"%s\"", name),
			 errdetail("Lost with it: " INT64_FORMAT " values in %d columns, %d constants, "
					   INT64_FORMAT " child keys%s.%s%s",
					   census->values, census->columns, census->constants, children,
					   children > 0 ? " with all their values" : "",
					   census->places[0] ? "\n" : "", census->places),
			 needed && !force ?
			 errhint("To lose them for ever, use pgseal.destroy_key(name, confirm, force => true).") : 0));
}

static void
destroy_children(const char *name)
{
	PgsealQuerySession session;
	MemoryContext child_context;
	MemoryContext context;
	uint64		num;
	int64	   *ids;

	pgseal_query_begin(&session);
	num = pgseal_query("SELECT c.id FROM pgseal.key_version p"
					   " JOIN pgseal.key_version c ON c.parent_version = p.id"
					   " WHERE p.key = $1 AND c.wrapped IS NOT NULL", 1,
					   TEXTOID, CStringGetTextDatum(name));
	ids = palloc(Max(num, 1) * sizeof(int64));
	for (uint64 i = 0; i < num; i++)
		ids[i] = pgseal_query_int64(i, 1);
	child_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal child key",
										  ALLOCSET_SMALL_SIZES);
	context = MemoryContextSwitchTo(child_context);
	for (uint64 i = 0; i < num; i++)
	{
		CHECK_FOR_INTERRUPTS();
		destroy_version(pgseal_catalog_version(ids[i]));
		MemoryContextReset(child_context);
	}
	MemoryContextSwitchTo(context);
	pgseal_query_end(&session);
}

/*
 * A procedure that commits may have taken values out of a table in one transaction,
 * to put them back in another, and no lock tells of it meanwhile.  Of a version (id
 * 0: of a key) only those count that began before it was retired.
 */
static void
check_no_procedure(const char *name, int64 id)
{
	PgsealQuerySession session;
	int64		pid = 0;

	pgseal_query_begin(&session);
	if (pgseal_query("SELECT pid FROM pg_stat_get_activity(NULL) WHERE backend_type = 'client backend'"
					 " AND datid = $1 AND pid <> pg_backend_pid() AND state = 'active'"
					 " AND CASE WHEN $2 = 0 THEN xact_start > query_start"
					 "  ELSE coalesce(xact_start > query_start, true) AND query_start <="
					 "   (SELECT retired FROM pgseal.key_version WHERE id = $2) END LIMIT 1", 2,
					 OIDOID, ObjectIdGetDatum(MyDatabaseId), INT8OID, Int64GetDatum(id)) > 0)
		pid = pgseal_query_int64(0, 1);
	pgseal_query_end(&session);
	if (pid != 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("key \"%s\" may still be in use", name),
				 errdetail("Process " INT64_FORMAT " runs a procedure that commits within, and may have values of the key in its variables.", pid),
				 errhint("Try again when it has ended.")));
}

void
pgseal_destroy_versions(const char *name, const char *confirm, bool force)
{
	PgsealCensus census;
	PgsealKeyRow *key;
	List	   *versions;
	int64	   *ids;
	int64		children;
	int			num = 0;
	ListCell   *lc;

	check_confirmation(name, confirm);
	check_not_everybodys(name);

	/*
	 * Unless they are to be lost anyway, nobody may put values beside those
	 * that are counted: neither into a table, nor into one that is being
	 * made.  First, as whoever makes a column locks its key after that.
	 */
	if (!force)
	{
		pgseal_catalog_lock_columns(pgseal_catalog_key_hash(name), true);
		pgseal_catalog_lock_columns(PGSEAL_TYPMOD_ANY, true);
	}
	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	key = pgseal_keyring_require(name);
	versions = pgseal_catalog_versions(name);
	ids = palloc(Max(list_length(versions), 1) * sizeof(int64));
	foreach(lc, versions)
	{
		PgsealVersionRow *version = lfirst(lc);

		if (version->wrapped != NULL)
			ids[num++] = version->id;
	}
	if (num == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key \"%s\" was destroyed", name)));

	pgseal_census_take(&census, key->hash, ids, num, force ? AccessShareLock : ShareLock);
	if (!force)
		check_no_procedure(name, 0);
	children = pgseal_catalog_num_children(name);
	if (!force)
	{
		check_not_published(name);
		check_not_sharded(name, &census);
	}
	report_losses(name, &census, children, force);
	if (children > 0)
		destroy_children(name);
	foreach(lc, versions)
		if (((PgsealVersionRow *) lfirst(lc))->wrapped != NULL)
			destroy_version(lfirst(lc));
	pgseal_catalog_event("key_destroyed", name, 0,
						 psprintf("values=" INT64_FORMAT " children=" INT64_FORMAT,
								  census.values, children));
}

/* Has every transaction ended that began before the version was retired? */
static bool
is_long_retired(int64 id)
{
	PgsealQuerySession session;
	Relation	rel = relation_open(pgseal_catalog_version_relation(), AccessShareLock);
	TransactionId horizon = GetOldestNonRemovableTransactionId(rel);
	bool		result;

	relation_close(rel, AccessShareLock);
	pgseal_query_begin(&session);
	result = pgseal_query("SELECT FROM pgseal.key_version v"
						  " WHERE id = $1 AND retired IS NOT NULL AND age(xmin) > age($2)", 2,
						  INT8OID, Int64GetDatum(id),
						  XIDOID, TransactionIdGetDatum(horizon)) > 0;
	pgseal_query_end(&session);
	return result;
}

void
pgseal_destroy_one_version(const char *name, int32 number, const char *confirm,
						   bool force)
{
	PgsealVersionRow *version = NULL;
	PgsealCensus census;
	PgsealKeyRow *key;
	ListCell   *lc;

	check_confirmation(name, confirm);
	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	key = pgseal_keyring_require(name);
	foreach(lc, pgseal_catalog_versions(name))
	{
		PgsealVersionRow *candidate = lfirst(lc);

		if (candidate->purpose == PGSEAL_PURPOSE_DATA && candidate->number == number &&
			candidate->wrapped != NULL)
			version = candidate;
	}
	if (version == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key \"%s\" has no version %d that could be destroyed", name, number),
				 errhint("View pgseal.key_versions lists its versions, and which of them are retired or destroyed.")));
	if (!version->retired)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("version %d of key \"%s\" is not retired", number, name),
				 errdetail("A version is retired when re-encryption has found no value under it, see pgseal.progress_reencrypt."),
				 errhint("The newest version is retired only after pgseal.rotate_key() has replaced it.")));
	if (!is_long_retired(version->id))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("version %d of key \"%s\" may still be in use", number, name),
				 errdetail("A transaction is running that began before the version was retired."),
				 errhint("Try again when it has ended.")));

	check_no_procedure(name, version->id);
	if (!force)
		check_not_published(name);
	pgseal_census_take(&census, key->hash, &version->id, 1, ShareLock);
	if (!force)
		check_not_sharded(name, &census);
	if (is_needed(&census, pgseal_catalog_wraps_children(version->id) ? 1 : 0))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot destroy version %d of key \"%s\": it is needed", number, name),
				 errdetail("By " INT64_FORMAT " values in %d columns, %d constants.%s%s",
						   census.values, census.columns, census.constants,
						   census.places[0] ? "\n" : "", census.places),
				 census.values == 0 ? 0 :
				 errhint("Values that came back after it was retired are re-encrypted with the next pgseal.rotate_key().")));
	destroy_version(version);
	pgseal_catalog_event("version_destroyed", name, version->id, NULL);
}
