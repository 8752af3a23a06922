/*-------------------------------------------------------------------------
 *
 * catalog_table.c
 *	  Rows of the key catalog's tables, as they lie there.
 *
 * Rows are read and written with PostgreSQL's own catalog routines, not SQL:
 * that works inside input functions, in parallel workers and whoever the
 * current user is, and no search_path or row security has a say in it.  Reads
 * take a fresh catalog snapshot, so a key is seen as soon as it is committed.
 *
 * Every change ends in a relcache invalidation of pgseal.key_version: that is
 * what makes backends forget which version is current (facts.c).
 *
 * pgseal.key and pgseal.key_version are dumped (extension configuration);
 * declared_key isn't, because DDL declares the names again on restore.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/catalog.h"
#include "keys/catalog_table.h"
#include "kms/kms.h"

static Oid
find_relation(const char *name)
{
	Oid			oid = get_relname_relid(name, pgseal_schema());

	return OidIsValid(oid) ? oid : get_relname_relid(name, pgseal_internal_schema());
}

Oid
pgseal_table_oid(const char *name)
{
	Oid			oid = find_relation(name);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"pgseal.%s\" does not exist", name)));
	return oid;
}

static uint64 num_changes = 0;

/*
 * The invalidation comes before the command's end, which carries it out here: of
 * a later one this process would hear nothing if the transaction were rolled back.
 */
void
pgseal_catalog_changed(void)
{
	Oid			versions = get_relname_relid("key_version", pgseal_schema());

	num_changes++;
	/* pg_upgrade makes tables of users before ours */
	if (OidIsValid(versions))
		CacheInvalidateRelcacheByRelid(versions);
	CommandCounterIncrement();
}

uint64
pgseal_catalog_num_changes(void)
{
	return num_changes;
}

void
pgseal_table_begin(PgsealTableLookup *lookup, const char *table, const char *index, LOCKMODE lockmode,
				   AttrNumber column, RegProcedure equal, Datum value)
{
	/* pg_upgrade makes a table, and what asks for it, before its indexes */
	Oid			index_oid = IsBinaryUpgrade ? find_relation(index) : pgseal_table_oid(index);

	lookup->rel = table_open(pgseal_table_oid(table), lockmode);
	ScanKeyInit(&lookup->key, column, BTEqualStrategyNumber, equal, value);
	lookup->scan = systable_beginscan(lookup->rel, index_oid, OidIsValid(index_oid), NULL,
									  1, &lookup->key);
}

void
pgseal_table_end(PgsealTableLookup *lookup)
{
	systable_endscan(lookup->scan);
	table_close(lookup->rel, NoLock);
}

Datum
pgseal_table_column(PgsealTableLookup *lookup, HeapTuple tuple, AttrNumber attnum, bool *isnull)
{
	return heap_getattr(tuple, attnum, RelationGetDescr(lookup->rel), isnull);
}

char *
pgseal_table_text(PgsealTableLookup *lookup, HeapTuple tuple, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = pgseal_table_column(lookup, tuple, attnum, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

int64
pgseal_table_int64(PgsealTableLookup *lookup, HeapTuple tuple, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = pgseal_table_column(lookup, tuple, attnum, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

void
pgseal_table_set_text(Datum *values, bool *nulls, AttrNumber attnum, const char *string)
{
	nulls[attnum - 1] = (string == NULL);
	if (string != NULL)
		values[attnum - 1] = CStringGetTextDatum(string);
}

void
pgseal_table_insert(const char *table, Datum *values, bool *nulls)
{
	Relation	rel = table_open(pgseal_table_oid(table), RowExclusiveLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

void
pgseal_table_change_column(PgsealTableChange *change, AttrNumber attnum, Datum value, bool isnull)
{
	change->values[attnum - 1] = value;
	change->nulls[attnum - 1] = isnull;
	change->replace[attnum - 1] = true;
}

void
pgseal_table_change_text(PgsealTableChange *change, AttrNumber attnum, const char *string)
{
	pgseal_table_change_column(change, attnum, string ? CStringGetTextDatum(string) : (Datum) 0, string == NULL);
}

/* What updating the indexes leaves behind matters when a million rows change */
void
pgseal_table_change_row(PgsealTableLookup *lookup, HeapTuple tuple, PgsealTableChange *change)
{
	MemoryContext row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal row",
													  ALLOCSET_SMALL_SIZES);
	MemoryContext context = MemoryContextSwitchTo(row_context);
	HeapTuple	changed_tuple = heap_modify_tuple(tuple, RelationGetDescr(lookup->rel),
												  change->values, change->nulls, change->replace);

	CatalogTupleUpdate(lookup->rel, &changed_tuple->t_self, changed_tuple);
	MemoryContextSwitchTo(context);
	MemoryContextDelete(row_context);
}

void
pgseal_table_keep_server(const char *server)
{
	Oid			oid = get_foreign_server_oid(server, false);

	(void) pgseal_kms_server(server, false);
	LockDatabaseObject(ForeignServerRelationId, oid, 0, AccessShareLock);
	if (get_foreign_server_oid(server, true) != oid)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" was dropped by another transaction", server)));
}
