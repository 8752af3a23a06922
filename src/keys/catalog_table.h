/*-------------------------------------------------------------------------
 *
 * catalog_table.h
 *	  Rows of the key catalog's tables, as they lie there.
 *
 * For catalog.c, catalog_version.c and reseals.c; others read and write through catalog.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CATALOG_TABLE_H
#define PGSEAL_CATALOG_TABLE_H

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/skey.h"
#include "utils/rel.h"

/* Columns of the tables, as sql/install/10_catalog.sql makes them */
enum
{
	KEY_NAME = 1, KEY_HASH, KEY_SERVER, KEY_PARENT, KEY_ROTATE_EVERY, KEY_REWRAP_EVERY,
	KEY_CREATED, KEY_OWN,
	KEY_NATTS = KEY_OWN
};
enum
{
	VERSION_ID = 1, VERSION_KEY, VERSION_NUMBER, VERSION_PURPOSE, VERSION_SERVER,
	VERSION_PARENT, VERSION_MASTER_KEY, VERSION_WRAPPED, VERSION_SEALS, VERSION_CREATED,
	VERSION_REWRAPPED, VERSION_RETIRED, VERSION_DESTROYED,
	VERSION_NATTS = VERSION_DESTROYED
};
enum
{
	DECLARED_HASH = 1, DECLARED_NAME, DECLARED_OWN,
	DECLARED_NATTS = DECLARED_OWN
};
enum
{
	EVENT_AT = 1, EVENT_EVENT, EVENT_KEY, EVENT_VERSION, EVENT_ROLE, EVENT_DETAIL,
	EVENT_NATTS = EVENT_DETAIL
};

/* One scan of a table by equality of one indexed column */
typedef struct Lookup
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
} PgsealTableLookup;

/* Locks on the tables are kept until the end of the transaction, as usual */
extern void pgseal_table_begin(PgsealTableLookup *lookup, const char *table, const char *index,
							   LOCKMODE lockmode, AttrNumber column, RegProcedure equal, Datum value);
extern void pgseal_table_end(PgsealTableLookup *lookup);

extern Datum pgseal_table_column(PgsealTableLookup *lookup, HeapTuple tuple, AttrNumber attnum,
								 bool *isnull);

/* NULL or 0 when it is null */
extern char *pgseal_table_text(PgsealTableLookup *lookup, HeapTuple tuple, AttrNumber attnum);
extern int64 pgseal_table_int64(PgsealTableLookup *lookup, HeapTuple tuple, AttrNumber attnum);

extern Oid	pgseal_table_oid(const char *name);
extern void pgseal_table_set_text(Datum *values, bool *nulls, AttrNumber attnum, const char *string);
extern void pgseal_table_insert(const char *table, Datum *values, bool *nulls);

/*
 * Changing a row.  The lock, which conflicts with itself and is kept until the
 * transaction ends, makes those who change rows wait for each other.
 */
#define PGSEAL_CHANGE_LOCK				ShareUpdateExclusiveLock

/* Of either table; key_version has more columns than key */
typedef struct Change
{
	Datum		values[VERSION_NATTS];
	bool		nulls[VERSION_NATTS];
	bool		replace[VERSION_NATTS];
} PgsealTableChange;

extern void pgseal_table_change_column(PgsealTableChange *change, AttrNumber attnum, Datum value,
									   bool isnull);
extern void pgseal_table_change_text(PgsealTableChange *change, AttrNumber attnum, const char *string);
extern void pgseal_table_change_row(PgsealTableLookup *lookup, HeapTuple tuple,
									PgsealTableChange *change);

/*
 * A server that a row is about to name can't be dropped until the transaction
 * ends; who wants to waits, and then sees the row.
 */
extern void pgseal_table_keep_server(const char *server);

#endif							/* PGSEAL_CATALOG_TABLE_H */
