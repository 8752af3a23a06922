/*-------------------------------------------------------------------------
 *
 * catalog_version.c
 *	  The key catalog: versions of keys, and who wraps them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "keys/catalog.h"
#include "keys/catalog_table.h"

/* Plans hold literals under the default key's current version */
static void
literals_changed(const char *key)
{
	if (strcmp(key, PGSEAL_DEFAULT_KEY) == 0)
		CacheInvalidateRelcacheByRelid(pgseal_table_oid("key"));
}

static void
change_version(int64 id, PgsealTableChange *change)
{
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "key_version", "key_version_pkey", PGSEAL_CHANGE_LOCK,
					   VERSION_ID, F_INT8EQ, Int64GetDatum(id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		pgseal_table_change_row(&lookup, tuple, change);
	pgseal_table_end(&lookup);
	pgseal_catalog_changed();
}

static PgsealVersionRow *
read_version(PgsealTableLookup *lookup, HeapTuple tuple)
{
	PgsealVersionRow *row = palloc(sizeof(PgsealVersionRow));
	bool		isnull;
	Datum		wrapped;

	row->id = pgseal_table_int64(lookup, tuple, VERSION_ID);
	row->key = pgseal_table_text(lookup, tuple, VERSION_KEY);
	row->number = DatumGetInt32(pgseal_table_column(lookup, tuple, VERSION_NUMBER, &isnull));
	row->purpose = (PgsealPurpose) DatumGetChar(pgseal_table_column(lookup, tuple, VERSION_PURPOSE, &isnull));
	row->server = pgseal_table_text(lookup, tuple, VERSION_SERVER);
	row->parent_version = pgseal_table_int64(lookup, tuple, VERSION_PARENT);
	row->master_key = pgseal_table_text(lookup, tuple, VERSION_MASTER_KEY);
	wrapped = pgseal_table_column(lookup, tuple, VERSION_WRAPPED, &isnull);
	row->wrapped = isnull ? NULL : DatumGetByteaPCopy(wrapped);
	row->seals = pgseal_table_int64(lookup, tuple, VERSION_SEALS);
	(void) pgseal_table_column(lookup, tuple, VERSION_RETIRED, &isnull);
	row->retired = !isnull;
	row->written_here = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	return row;
}

PgsealVersionRow *
pgseal_catalog_version(int64 id)
{
	PgsealVersionRow *row = NULL;
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "key_version", "key_version_pkey", AccessShareLock,
					   VERSION_ID, F_INT8EQ, Int64GetDatum(id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		row = read_version(&lookup, tuple);
	pgseal_table_end(&lookup);
	return row;
}

List *
pgseal_catalog_versions(const char *key)
{
	List	   *rows = NIL;
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "key_version", "key_version_key_idx", AccessShareLock,
					   VERSION_KEY, F_TEXTEQ, CStringGetTextDatum(key));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		rows = lappend(rows, read_version(&lookup, tuple));
	pgseal_table_end(&lookup);
	return rows;
}

PgsealVersionRow *
pgseal_catalog_current_version(const char *key, PgsealPurpose purpose)
{
	PgsealVersionRow *current = NULL;
	ListCell   *lc;

	foreach(lc, pgseal_catalog_versions(key))
	{
		PgsealVersionRow *row = lfirst(lc);

		if (row->purpose != purpose || row->wrapped == NULL)
			continue;
		/* Merged catalogs may have two of a number; the id decides for all */
		if (current == NULL || row->number > current->number ||
			(row->number == current->number && row->id > current->id))
			current = row;
	}
	return current;
}

void
pgseal_catalog_insert_version(const PgsealVersionRow *version)
{
	Datum		values[VERSION_NATTS];
	bool		nulls[VERSION_NATTS] = {false};

	pgseal_table_keep_server(version->server);
	values[VERSION_ID - 1] = Int64GetDatum(version->id);
	pgseal_table_set_text(values, nulls, VERSION_KEY, version->key);
	values[VERSION_NUMBER - 1] = Int32GetDatum(version->number);
	values[VERSION_PURPOSE - 1] = CharGetDatum((char) version->purpose);
	pgseal_table_set_text(values, nulls, VERSION_SERVER, version->server);
	nulls[VERSION_PARENT - 1] = (version->parent_version == 0);
	values[VERSION_PARENT - 1] = Int64GetDatum(version->parent_version);
	pgseal_table_set_text(values, nulls, VERSION_MASTER_KEY, version->master_key);
	values[VERSION_WRAPPED - 1] = PointerGetDatum(version->wrapped);
	values[VERSION_SEALS - 1] = Int64GetDatum(version->seals);
	values[VERSION_CREATED - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[VERSION_REWRAPPED - 1] = true;
	nulls[VERSION_RETIRED - 1] = true;
	nulls[VERSION_DESTROYED - 1] = true;
	pgseal_table_insert("key_version", values, nulls);
	literals_changed(version->key);
	pgseal_catalog_changed();
}

void
pgseal_catalog_raise_seals(int64 id, int64 seals)
{
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "key_version", "key_version_pkey", PGSEAL_CHANGE_LOCK,
					   VERSION_ID, F_INT8EQ, Int64GetDatum(id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)) &&
		pgseal_table_int64(&lookup, tuple, VERSION_SEALS) < seals)
	{
		PgsealTableChange change = {0};

		pgseal_table_change_column(&change, VERSION_SEALS, Int64GetDatum(seals), false);
		pgseal_table_change_row(&lookup, tuple, &change);
	}
	pgseal_table_end(&lookup);
}

static bool
same_bytes(const bytea *a, const bytea *b)
{
	if (a == NULL || b == NULL)
		return a == b;
	return VARSIZE(a) == VARSIZE(b) &&
		memcmp(VARDATA(a), VARDATA(b), VARSIZE(a) - VARHDRSZ) == 0;
}

bool
pgseal_catalog_set_wrapping(const PgsealVersionRow *version, const bytea *expected)
{
	PgsealTableChange change = {0};
	PgsealTableLookup lookup;
	HeapTuple	tuple;
	bool		found = false;

	pgseal_table_keep_server(version->server);
	pgseal_table_change_text(&change, VERSION_SERVER, version->server);
	pgseal_table_change_column(&change, VERSION_PARENT, Int64GetDatum(version->parent_version),
							   version->parent_version == 0);
	pgseal_table_change_text(&change, VERSION_MASTER_KEY, version->master_key);
	pgseal_table_change_column(&change, VERSION_WRAPPED, PointerGetDatum(version->wrapped),
							   version->wrapped == NULL);
	pgseal_table_change_column(&change, VERSION_REWRAPPED, TimestampTzGetDatum(GetCurrentTimestamp()), false);

	pgseal_table_begin(&lookup, "key_version", "key_version_pkey", PGSEAL_CHANGE_LOCK,
					   VERSION_ID, F_INT8EQ, Int64GetDatum(version->id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)) &&
		same_bytes(read_version(&lookup, tuple)->wrapped, expected))
	{
		pgseal_table_change_row(&lookup, tuple, &change);
		found = true;
	}
	pgseal_table_end(&lookup);
	return found;
}

void
pgseal_catalog_retire_version(int64 id)
{
	PgsealTableChange change = {0};

	pgseal_table_change_column(&change, VERSION_RETIRED, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	change_version(id, &change);
}

void
pgseal_catalog_destroy_version(int64 id)
{
	PgsealTableChange change = {0};

	literals_changed(pgseal_catalog_version(id)->key);
	pgseal_table_change_column(&change, VERSION_WRAPPED, (Datum) 0, true);
	pgseal_table_change_column(&change, VERSION_DESTROYED, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	change_version(id, &change);
}

List *
pgseal_catalog_server_versions(const char *server)
{
	List	   *rows = NIL;
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "key_version", "key_version_server_idx", AccessShareLock,
					   VERSION_SERVER, F_TEXTEQ, CStringGetTextDatum(server));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
	{
		bool		destroyed;

		(void) pgseal_table_column(&lookup, tuple, VERSION_WRAPPED, &destroyed);
		if (!destroyed && pgseal_table_int64(&lookup, tuple, VERSION_PARENT) == 0)
			rows = lappend(rows, read_version(&lookup, tuple));
	}
	pgseal_table_end(&lookup);
	return rows;
}

/*
 * Children
 */

/* An index scan whatever the planner would think of it: most entries are dead */
int
pgseal_catalog_children(int64 id, int64 after, int64 *out_ids, int max)
{
	Relation	rel = table_open(pgseal_table_oid("key_version"), AccessShareLock);
	Relation	index = index_open(pgseal_table_oid("key_version_parent_idx"), AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		isnull;
	int			num = 0;

	ScanKeyInit(&keys[0], VERSION_PARENT, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(id));
	ScanKeyInit(&keys[1], VERSION_ID, BTGreaterStrategyNumber, F_INT8GT, Int64GetDatum(after));
	scan = systable_beginscan_ordered(rel, index, NULL, lengthof(keys), keys);
	while (num < max &&
		   HeapTupleIsValid(tuple = systable_getnext_ordered(scan, ForwardScanDirection)))
		if (!heap_attisnull(tuple, VERSION_WRAPPED, RelationGetDescr(rel)))
			out_ids[num++] = DatumGetInt64(heap_getattr(tuple, VERSION_ID,
														RelationGetDescr(rel), &isnull));
	systable_endscan_ordered(scan);
	index_close(index, NoLock);
	table_close(rel, NoLock);
	return num;
}

bool
pgseal_catalog_wraps_children(int64 id)
{
	int64		any;

	return pgseal_catalog_children(id, PG_INT64_MIN, &any, 1) > 0;
}

int64
pgseal_catalog_num_children(const char *parent)
{
	int64		num = 0;
	ListCell   *lc;

	/* A living child has an index key version, which is made once */
	foreach(lc, pgseal_catalog_versions(parent))
	{
		PgsealTableLookup lookup;
		HeapTuple	tuple;

		pgseal_table_begin(&lookup, "key_version", "key_version_parent_idx", AccessShareLock,
						   VERSION_PARENT, F_INT8EQ, Int64GetDatum(((PgsealVersionRow *) lfirst(lc))->id));
		while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		{
			bool		isnull;

			(void) pgseal_table_column(&lookup, tuple, VERSION_WRAPPED, &isnull);
			if (!isnull && DatumGetChar(pgseal_table_column(&lookup, tuple, VERSION_PURPOSE, &isnull)) ==
				PGSEAL_PURPOSE_INDEX)
				num++;
		}
		pgseal_table_end(&lookup);
	}
	return num;
}

void
pgseal_catalog_move_children(const char *parent, const char *server)
{
	PgsealTableChange key_change = {0};
	PgsealTableChange version_change = {0};
	PgsealKeyRow *key = pgseal_catalog_key(pgseal_catalog_name_hash(parent));
	PgsealTableLookup lookup;
	HeapTuple	tuple;
	ListCell   *lc;

	pgseal_table_change_text(&key_change, KEY_SERVER, server);
	pgseal_table_begin(&lookup, "key", "key_server_idx", PGSEAL_CHANGE_LOCK,
					   KEY_SERVER, F_TEXTEQ, CStringGetTextDatum(key->server));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
	{
		char	   *its_parent = pgseal_table_text(&lookup, tuple, KEY_PARENT);

		if (its_parent != NULL && strcmp(its_parent, parent) == 0)
			pgseal_table_change_row(&lookup, tuple, &key_change);
	}
	pgseal_table_end(&lookup);

	pgseal_table_change_text(&version_change, VERSION_SERVER, server);
	foreach(lc, pgseal_catalog_versions(parent))
	{
		pgseal_table_begin(&lookup, "key_version", "key_version_parent_idx", PGSEAL_CHANGE_LOCK,
						   VERSION_PARENT, F_INT8EQ, Int64GetDatum(((PgsealVersionRow *) lfirst(lc))->id));
		while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
			pgseal_table_change_row(&lookup, tuple, &version_change);
		pgseal_table_end(&lookup);
	}
	pgseal_catalog_changed();
}
