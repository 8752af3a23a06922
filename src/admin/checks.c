/*-------------------------------------------------------------------------
 *
 * checks.c
 *	  An SQL function that looks whether all is well: check().
 *
 * It changes nothing.  It asks each KMS itself, past the key cache, and tells before
 * it hurts what can't be unwrapped.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_data_wrapper.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "rewrite/prs2lock.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "admin/check_nodes.h"
#include "base/citus.h"
#include "base/compat.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "keys/reseals.h"
#include "keys/wrapping.h"
#include "signed/verify.h"
#include "statement/opened.h"
#include "value/find_sealed.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_check);

/*
 * check()
 */

static void
put(ReturnSetInfo *result, const char *object, const char *status, const char *detail)
{
	Datum		values[3] = {0};
	bool		nulls[3] = {false};

	values[0] = CStringGetTextDatum(object);
	values[1] = CStringGetTextDatum(status);
	nulls[2] = (detail == NULL || detail[0] == '\0');
	if (!nulls[2])
		values[2] = CStringGetTextDatum(detail);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
check_server(ReturnSetInfo *result, const char *name)
{
	const PgsealKmsServer *server = pgseal_kms_server(name, false);
	PgsealKmsDescription description = {0};
	PgsealKmsError error = {0};
	PgsealKmsStatus status;
	char	   *object = psprintf("server %s", quote_identifier(name));

	if (!pgseal_catalog_server_in_use(name) && pgseal_kms_is_uninitialized(server))
	{
		put(result, object, "ok", "No key needs it; its master key is made with the first that does.");
		return;
	}
	status = pgseal_kms_describe(server, &description, &error);
	put(result, object, pgseal_kms_status_name(status),
		status == PGSEAL_KMS_OK ? description.detail : pgseal_kms_error_text(&error));
}

/* Is the limit of seals lower than what there is to seal? */
static bool
is_crowded(const PgsealVersionRow *version)
{
	return version->purpose == PGSEAL_PURPOSE_DATA && version->seals >= pgseal_max_seals_per_key &&
		pgseal_reseals_of(version->id) >= pgseal_max_seals_per_key &&
		!pgseal_keyring_is_stale(version->id);
}

static void
check_version(ReturnSetInfo *result, const PgsealVersionRow *version)
{
	char	   *object = psprintf("key %s, %s version %d", quote_identifier(version->key),
								  version->purpose == PGSEAL_PURPOSE_DATA ? "data" : "index",
								  version->number);
	PgsealKmsError error = {0};
	PgsealKmsStatus status;
	uint8		key[PGSEAL_KEY_BYTES];

	if (version->wrapped == NULL)
	{
		put(result, object, "ok", "destroyed");
		return;
	}
	if (version->parent_version == 0 && pgseal_kms_server(version->server, true) == NULL)
	{
		put(result, object, "invalid", psprintf("There is no foreign server \"%s\".", version->server));
		return;
	}
	status = pgseal_wrapping_fetch(version, key, &error);
	pgseal_wipe(key, sizeof(key));
	if (status == PGSEAL_KMS_OK && is_crowded(version))
		put(result, object, "crowded", "Re-encryption has sealed more values under it than "
			"pgseal.max_seals_per_key is. Raise that, or divide the values among several keys.");
	else
		put(result, object, pgseal_kms_status_name(status),
			status == PGSEAL_KMS_OK ? NULL : pgseal_kms_error_text(&error));
}

static void
check_column_key(ReturnSetInfo *result, const char *object, const char *type_key, int32 typmod)
{
	PgsealKeyRow *key;

	if (typmod == PGSEAL_TYPMOD_ANY)
		put(result, object, "ok", "keeps the key of each value");
	else if (type_key == NULL)
		put(result, object, "invalid", "The key of its type modifier is not known.");
	else if ((key = pgseal_catalog_key(typmod)) == NULL)
		put(result, object, "ok", psprintf("Key \"%s\" has no material yet.", type_key));
	else if (pgseal_catalog_current_version(key->name, PGSEAL_PURPOSE_DATA) == NULL)
		put(result, object, "destroyed", psprintf("Key \"%s\" was destroyed.", type_key));
	else
		put(result, object, "ok", NULL);
}

/* One row for each key of the column; most have one, composite types may have more */
static void
check_column(ReturnSetInfo *result, const PgsealHolder *holder, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCacheAttNum(holder->relid, attnum);
	char	   *relname = get_rel_name(holder->relid);
	Form_pg_attribute attribute;
	PgsealShape *shape;
	char	   *object;
	ListCell   *lc;

	if (tuple == NULL || relname == NULL)
		return;					/* dropped meanwhile */
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	object = psprintf("column %s.%s",
					  quote_qualified_identifier(get_namespace_name(holder->schema), relname),
					  quote_identifier(NameStr(attribute->attname)));
	shape = pgseal_shape_of_type(attribute->atttypid, attribute->atttypmod);
	ReleaseSysCache(tuple);
	if (shape != NULL && holder->relkind != RELKIND_MATVIEW && pgseal_shape_lacks_key(shape))
	{
		put(result, object, "invalid", "It has no key, as it was made while pgseal was not loaded: "
			"its values are sealed under that of literals. ALTER TABLE ... ALTER COLUMN ... TYPE, with the same type, gives it one.");
		return;
	}
	foreach(lc, shape != NULL ? pgseal_shape_key_hashes(shape) : NIL)
		check_column_key(result, object, pgseal_catalog_name(lfirst_int(lc)), lfirst_int(lc));
}

/*
 * A trigger's function is handed the rows, and opens what who writes them may, or its
 * owner where it is SECURITY DEFINER.  What it makes of them nobody can tell; but who
 * wrote it should be one who may know.
 */
static void
check_triggers(ReturnSetInfo *result, const PgsealHolder *holder)
{
	uint64		num = pgseal_query("SELECT t.tgname, p.oid::pg_catalog.regprocedure, r.rolname"
								   " FROM pg_catalog.pg_trigger t"
								   " JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid"
								   " JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid"
								   " JOIN pg_catalog.pg_roles r ON r.oid = p.proowner"
								   " WHERE t.tgrelid = $1 AND NOT t.tgisinternal"
								   "  AND p.proowner <> c.relowner AND NOT r.rolsuper"
								   " ORDER BY 1", 1,
								   OIDOID, ObjectIdGetDatum(holder->relid));

	for (uint64 i = 0; i < num; i++)
		put(result, psprintf("trigger %s on %s", quote_identifier(pgseal_query_text(i, 1)),
							 quote_qualified_identifier(get_namespace_name(holder->schema),
														get_rel_name(holder->relid))),
			"shown",
			psprintf("Function %s of role %s is handed the rows that are written.",
					 pgseal_query_text(i, 2), quote_identifier(pgseal_query_text(i, 3))));
}

/* A materialized view that stores what its query makes of encrypted columns */
static void
check_view(ReturnSetInfo *result, Oid view)
{
	Relation	rel = try_relation_open(view, AccessShareLock);
	Query	   *query;
	ListCell   *lc;

	if (rel == NULL)
		return;
	query = linitial_node(Query, rel->rd_rules->rules[0]->actions);
	foreach(lc, query->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (!target->resjunk && pgseal_is_made_of_sealed(target->expr, true))
			put(result, psprintf("column %s.%s",
								 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
															RelationGetRelationName(rel)),
								 quote_identifier(target->resname)),
				"shown", "The materialized view stores what it makes of encrypted columns in plain.");
	}
	relation_close(rel, AccessShareLock);
}

static void
check_views(ReturnSetInfo *result)
{
	uint64		num = pgseal_query("SELECT c.oid FROM pg_catalog.pg_class c"
								   " WHERE c.relkind OPERATOR(pg_catalog.=) 'm' ORDER BY 1", 0);
	Oid		   *views = palloc(Max(num, 1) * sizeof(Oid));

	for (uint64 i = 0; i < num; i++)
		views[i] = (Oid) pgseal_query_int64(i, 1);
	for (uint64 i = 0; i < num; i++)
		check_view(result, views[i]);
}

static void
check_tables(ReturnSetInfo *result)
{
	PgsealQuerySession session;
	List	   *holders = pgseal_shape_holders();
	ListCell   *lc;
	ListCell   *lc2;

	foreach(lc, holders)
		foreach(lc2, ((PgsealHolder *) lfirst(lc))->columns)
			check_column(result, lfirst(lc), lfirst_int(lc2));
	pgseal_query_begin(&session);
	foreach(lc, holders)
		check_triggers(result, lfirst(lc));
	check_views(result);
	pgseal_query_end(&session);
}

/* PgsealCheckRow */
static void
put_node(void *context, const char *object, const char *status, const char *detail)
{
	put(context, object, status, detail);
}

/* check() → object, status, detail */
Datum
pgseal_check(PG_FUNCTION_ARGS)
{
	PgsealQuerySession session;
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	uint64		num;
	int64	   *ids;
	char	  **servers;
	uint64		num_servers;
	MemoryContext context = CurrentMemoryContext;

	InitMaterializedSRF(fcinfo, 0);

	pgseal_query_begin(&session);
	num_servers = pgseal_query("SELECT s.srvname, w.fdwname FROM pg_foreign_server s"
							   " JOIN pg_foreign_data_wrapper w ON w.oid = s.srvfdw ORDER BY 1", 0);
	servers = MemoryContextAllocZero(context, Max(num_servers, 1) * sizeof(char *));
	for (uint64 i = 0; i < num_servers; i++)
		if (pgseal_kms_provider(pgseal_query_text(i, 2)) != NULL)
			servers[i] = MemoryContextStrdup(context, pgseal_query_text(i, 1));
	num = pgseal_query("SELECT id FROM pgseal.key_version ORDER BY key, purpose, number", 0);
	ids = MemoryContextAllocHuge(context, Max(num, 1) * sizeof(int64));
	for (uint64 i = 0; i < num; i++)
		ids[i] = pgseal_query_int64(i, 1);
	pgseal_query_end(&session);

	for (uint64 i = 0; i < num_servers; i++)
		if (servers[i] != NULL)
			check_server(result, servers[i]);
	for (uint64 i = 0; i < num; i++)
	{
		PgsealVersionRow *version = pgseal_catalog_version(ids[i]);

		CHECK_FOR_INTERRUPTS();
		if (version != NULL)
			check_version(result, version);
	}
	check_tables(result);
	pgseal_check_nodes(put_node, result);
	return (Datum) 0;
}
