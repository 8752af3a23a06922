/*-------------------------------------------------------------------------
 *
 * citus.c
 *	  Tables whose rows are in the shards of Citus.
 *
 * Such a table is empty: its rows are in other tables, most of them on other
 * nodes, and what is done to its files is done to no row.  Citus lists them in
 * its catalog pg_dist_partition, which counts only if it belongs to the
 * extension citus.
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
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/citus.h"
#include "base/compat.h"

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
pgseal_is_citus_table(Oid relid)
{
	Oid			catalog = citus_catalog();
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
	scan = systable_beginscan(rel, InvalidOid, false, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}
