/*-------------------------------------------------------------------------
 *
 * citus.c
 *	  What is known of Citus: its tables, its connections.
 *
 * A table of Citus is empty: its rows are in other tables, its shards, most of them
 * on other nodes, and what is done to its files is done to no row.  Citus lists them
 * in its catalog pg_dist_partition, which counts only if it belongs to the extension
 * citus.
 *
 * A node's connections to another name themselves by application_name when they are
 * made, which any client can do.  Who does gets what another node gets: results
 * sealed instead of opened, and sealed values believed where COPY's would be; anybody
 * can have both otherwise, with pgseal.transparent and COPY.  A later SET of
 * application_name changes nothing, so that an application's connection isn't turned
 * into one by what somebody has smuggled into its SQL.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "base/citus.h"
#include "base/compat.h"

/* Port is the same without GSSAPI, whose headers come with no package that is needed */
#undef ENABLE_GSS
#include "libpq/libpq-be.h"

bool		pgseal_citus_is_loaded = false;
bool		pgseal_citus_plans = false;
PgsealRunning pgseal_running = {PGSEAL_RUNNING_NOTHING, NULL};

void
pgseal_citus_init(void)
{
	/* Citus insists on being loaded before others */
	pgseal_citus_is_loaded = GetConfigOption("citus.version", true, false) != NULL;
}

static bool
is_named(const char *prefix)
{
	return pgseal_citus_is_loaded && MyProcPort != NULL && MyProcPort->application_name != NULL &&
		strncmp(MyProcPort->application_name, prefix, strlen(prefix)) == 0;
}

bool
pgseal_citus_is_client(void)
{
	return is_named("citus_internal gpid=") || is_named("citus_rebalancer gpid=");
}

/* Citus names these so only when they are made already */
bool
pgseal_citus_is_command(void)
{
	const char *prefix = "citus_run_command gpid=";

	return pgseal_citus_is_client() ||
		(pgseal_citus_is_loaded && application_name != NULL &&
		 strncmp(application_name, prefix, strlen(prefix)) == 0);
}

/* InvalidOid where Citus isn't installed */
static Oid
citus_catalog(void)
{
	Oid			extension = get_extension_oid("citus", true);
	Oid			relid;

	if (!OidIsValid(extension))
		return InvalidOid;
	relid = get_relname_relid("pg_dist_partition", PG_CATALOG_NAMESPACE);
	if (!OidIsValid(relid) || getExtensionOfObject(RelationRelationId, relid) != extension)
		return InvalidOid;
	return relid;
}

bool
pgseal_citus_is_installed(void)
{
	return OidIsValid(citus_catalog());
}

bool
pgseal_is_citus_table(Oid relid)
{
	Oid			catalog = citus_catalog();
	Oid			index;
	AttrNumber	column;
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
	bool		found;

	if (!OidIsValid(catalog))
		return false;
	column = get_attnum(catalog, "logicalrelid");
	if (column == InvalidAttrNumber || get_atttype(catalog, column) != REGCLASSOID)
		return false;
	rel = table_open(catalog, AccessShareLock);
	ScanKeyInit(&key, column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	index = get_relname_relid("pg_dist_partition_logical_relid_index", PG_CATALOG_NAMESPACE);
	scan = systable_beginscan(rel, index, OidIsValid(index), NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}
