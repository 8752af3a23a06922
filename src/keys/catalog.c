/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The key catalog.
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
 * One file, though a long one: what reads and changes the rows of the tables is
 * the same few helpers, which nobody else should have.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_foreign_server.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/extension.h"
#include "keys/catalog.h"
#include "kms/kms.h"

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

int32
pgseal_catalog_name_hash(const char *name)
{
	uint8		digest[PGSEAL_HASH_BYTES];
	uint32		hash;

	if (!pgseal_sha256(digest, (const uint8 *) name, strlen(name)))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute SHA-256")));
	hash = ((uint32) (digest[0] & 0x7F) << 24) | ((uint32) digest[1] << 16) |
		((uint32) digest[2] << 8) | digest[3];
	return hash == PGSEAL_TYPMOD_ANY ? 1 : (int32) hash;
}

void
pgseal_catalog_check_name(const char *name)
{
	if (name[0] == '\0' || strlen(name) > PGSEAL_KEY_NAME_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("key name must have 1 to %d bytes", PGSEAL_KEY_NAME_MAX)));
	if (strcmp(name, "*") == 0 || name[0] == '#')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("\"%s\" cannot be the name of a key", name)));
}

/*
 * Access to the tables
 */

static Oid
find_relation(const char *name)
{
	Oid			oid = get_relname_relid(name, pgseal_schema());

	return OidIsValid(oid) ? oid : get_relname_relid(name, pgseal_internal_schema());
}

static Oid
relation_oid(const char *name)
{
	Oid			oid = find_relation(name);

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"pgseal.%s\" does not exist", name)));
	return oid;
}

Oid
pgseal_catalog_version_relation(void)
{
	Oid			schema = pgseal_schema();

	return OidIsValid(schema) ? get_relname_relid("key_version", schema) : InvalidOid;
}

Oid
pgseal_catalog_key_relation(void)
{
	Oid			schema = pgseal_schema();

	return OidIsValid(schema) ? get_relname_relid("key", schema) : InvalidOid;
}

bool
pgseal_catalog_is_relation(Oid relation)
{
	Oid			schema = get_rel_namespace(relation);

	return OidIsValid(schema) && (schema == pgseal_schema() || schema == pgseal_internal_schema());
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

/* Plans hold literals under the default key's current version */
static void
literals_changed(const char *key)
{
	if (strcmp(key, PGSEAL_DEFAULT_KEY) == 0)
		CacheInvalidateRelcacheByRelid(relation_oid("key"));
}

/* One scan of a table by equality of one indexed column */
typedef struct Lookup
{
	Relation	rel;
	SysScanDesc scan;
	ScanKeyData key;
} Lookup;

static void
lookup_begin(Lookup *lookup, const char *table, const char *index, LOCKMODE lockmode,
			 AttrNumber column, RegProcedure equal, Datum value)
{
	/* pg_upgrade makes a table, and what asks for it, before its indexes */
	Oid			index_oid = IsBinaryUpgrade ? find_relation(index) : relation_oid(index);

	lookup->rel = table_open(relation_oid(table), lockmode);
	ScanKeyInit(&lookup->key, column, BTEqualStrategyNumber, equal, value);
	lookup->scan = systable_beginscan(lookup->rel, index_oid, OidIsValid(index_oid), NULL,
									  1, &lookup->key);
}

/* Locks on the tables are kept until the end of the transaction, as usual */
static void
lookup_end(Lookup *lookup)
{
	systable_endscan(lookup->scan);
	table_close(lookup->rel, NoLock);
}

static Datum
column(Lookup *lookup, HeapTuple tuple, AttrNumber attnum, bool *isnull)
{
	return heap_getattr(tuple, attnum, RelationGetDescr(lookup->rel), isnull);
}

static char *
text_column(Lookup *lookup, HeapTuple tuple, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = column(lookup, tuple, attnum, &isnull);

	return isnull ? NULL : TextDatumGetCString(value);
}

static int64
int64_column(Lookup *lookup, HeapTuple tuple, AttrNumber attnum)
{
	bool		isnull;
	Datum		value = column(lookup, tuple, attnum, &isnull);

	return isnull ? 0 : DatumGetInt64(value);
}

static void
set_text(Datum *values, bool *nulls, AttrNumber attnum, const char *string)
{
	nulls[attnum - 1] = (string == NULL);
	if (string != NULL)
		values[attnum - 1] = CStringGetTextDatum(string);
}

static void
insert_row(const char *table, Datum *values, bool *nulls)
{
	Relation	rel = table_open(relation_oid(table), RowExclusiveLock);
	HeapTuple	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);

	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, NoLock);
}

/*
 * A server that a row is about to name can't be dropped until the transaction
 * ends; who wants to waits, and then sees the row.
 */
static void
keep_server(const char *server)
{
	Oid			oid = get_foreign_server_oid(server, false);

	(void) pgseal_kms_server(server, false);
	LockDatabaseObject(ForeignServerRelationId, oid, 0, AccessShareLock);
	if (get_foreign_server_oid(server, true) != oid)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" was dropped by another transaction", server)));
}

/*
 * Changing a row.  The lock, which conflicts with itself and is kept until the
 * transaction ends, makes those who change rows wait for each other.
 */
#define CHANGE_LOCK				ShareUpdateExclusiveLock

/* Of either table; key_version has more columns than key */
typedef struct Change
{
	Datum		values[VERSION_NATTS];
	bool		nulls[VERSION_NATTS];
	bool		replace[VERSION_NATTS];
} Change;

static void
change_column(Change *change, AttrNumber attnum, Datum value, bool isnull)
{
	change->values[attnum - 1] = value;
	change->nulls[attnum - 1] = isnull;
	change->replace[attnum - 1] = true;
}

static void
change_text(Change *change, AttrNumber attnum, const char *string)
{
	change_column(change, attnum, string ? CStringGetTextDatum(string) : (Datum) 0, string == NULL);
}

/* What updating the indexes leaves behind matters when a million rows change */
static void
change_row(Lookup *lookup, HeapTuple tuple, Change *change)
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

static void
change_version(int64 id, Change *change)
{
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "key_version", "key_version_pkey", CHANGE_LOCK,
				 VERSION_ID, F_INT8EQ, Int64GetDatum(id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		change_row(&lookup, tuple, change);
	lookup_end(&lookup);
	pgseal_catalog_changed();
}

static void
change_key(int32 hash, Change *change)
{
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "key", "key_name_hash_key", CHANGE_LOCK,
				 KEY_HASH, F_INT4EQ, Int32GetDatum(hash));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		change_row(&lookup, tuple, change);
	lookup_end(&lookup);
	pgseal_catalog_changed();
}

/*
 * Keys
 */

static PgsealKeyRow *
read_key(const char *index, AttrNumber attnum, RegProcedure equal, Datum value)
{
	PgsealKeyRow *row = NULL;
	Lookup		lookup;
	HeapTuple	tuple;
	bool		isnull;

	lookup_begin(&lookup, "key", index, AccessShareLock, attnum, equal, value);
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
	{
		row = palloc0(sizeof(PgsealKeyRow));
		row->hash = DatumGetInt32(column(&lookup, tuple, KEY_HASH, &isnull));
		row->name = text_column(&lookup, tuple, KEY_NAME);
		row->server = text_column(&lookup, tuple, KEY_SERVER);
		row->parent = text_column(&lookup, tuple, KEY_PARENT);
		row->own = DatumGetBool(column(&lookup, tuple, KEY_OWN, &isnull));
	}
	lookup_end(&lookup);
	return row;
}

PgsealKeyRow *
pgseal_catalog_key(int32 hash)
{
	return read_key("key_name_hash_key", KEY_HASH, F_INT4EQ, Int32GetDatum(hash));
}

PgsealKeyRow *
pgseal_catalog_key_by_name(const char *name)
{
	return read_key("key_pkey", KEY_NAME, F_TEXTEQ, CStringGetTextDatum(name));
}

int32
pgseal_catalog_key_hash(const char *name)
{
	PgsealKeyRow *key = pgseal_catalog_key_by_name(name);

	return key != NULL ? key->hash : pgseal_catalog_name_hash(name);
}

int32
pgseal_catalog_free_hash(const char *name)
{
	int32		hash = pgseal_catalog_name_hash(name);

	/* Any other name serves; this can't be a key's, as it is too long */
	for (int i = 1; pgseal_catalog_name(hash) != NULL; i++)
		hash = pgseal_catalog_name_hash(psprintf("%s%*d", name, PGSEAL_KEY_NAME_MAX + 1, i));
	return hash;
}

void
pgseal_catalog_insert_key(const PgsealKeyRow *key)
{
	Datum		values[KEY_NATTS];
	bool		nulls[KEY_NATTS] = {false};

	keep_server(key->server);
	set_text(values, nulls, KEY_NAME, key->name);
	values[KEY_HASH - 1] = Int32GetDatum(key->hash);
	set_text(values, nulls, KEY_SERVER, key->server);
	set_text(values, nulls, KEY_PARENT, key->parent);
	nulls[KEY_ROTATE_EVERY - 1] = (key->rotate_every == NULL);
	values[KEY_ROTATE_EVERY - 1] = PointerGetDatum(key->rotate_every);
	nulls[KEY_REWRAP_EVERY - 1] = (key->rewrap_every == NULL);
	values[KEY_REWRAP_EVERY - 1] = PointerGetDatum(key->rewrap_every);
	values[KEY_CREATED - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[KEY_OWN - 1] = BoolGetDatum(key->own);
	insert_row("key", values, nulls);
	pgseal_catalog_changed();
}

void
pgseal_catalog_set_server(int32 hash, const char *server)
{
	Change		change = {0};

	keep_server(server);
	change_text(&change, KEY_SERVER, server);
	change_key(hash, &change);
}

static void
change_interval(Change *change, AttrNumber attnum, const Interval *interval)
{
	if (interval != NULL)
		change_column(change, attnum, PointerGetDatum(interval),
					  interval->month == 0 && interval->day == 0 && interval->time == 0);
}

void
pgseal_catalog_set_schedule(int32 hash, const Interval *rotate_every, const Interval *rewrap_every)
{
	Change		change = {0};

	change_interval(&change, KEY_ROTATE_EVERY, rotate_every);
	change_interval(&change, KEY_REWRAP_EVERY, rewrap_every);
	change_key(hash, &change);
}

static char *
declared_name(int32 hash)
{
	char	   *name = NULL;
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "declared_key", "declared_key_pkey", AccessShareLock,
				 DECLARED_HASH, F_INT4EQ, Int32GetDatum(hash));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		name = text_column(&lookup, tuple, DECLARED_NAME);
	lookup_end(&lookup);
	return name;
}

bool
pgseal_catalog_is_own(int32 hash)
{
	PgsealKeyRow *key = pgseal_catalog_key(hash);
	bool		own = false;
	Lookup		lookup;
	HeapTuple	tuple;
	bool		isnull;

	if (key != NULL)
		return key->own;
	lookup_begin(&lookup, "declared_key", "declared_key_pkey", AccessShareLock,
				 DECLARED_HASH, F_INT4EQ, Int32GetDatum(hash));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		own = DatumGetBool(column(&lookup, tuple, DECLARED_OWN, &isnull));
	lookup_end(&lookup);
	return own;
}

char *
pgseal_catalog_name(int32 hash)
{
	PgsealKeyRow *key = pgseal_catalog_key(hash);

	return key != NULL ? key->name : declared_name(hash);
}

void
pgseal_catalog_declare(const char *name, bool own)
{
	int32		hash = pgseal_catalog_name_hash(name);
	char	   *known;
	Datum		values[DECLARED_NATTS];
	bool		nulls[DECLARED_NATTS] = {false};

	known = pgseal_catalog_name(hash);
	if (known == NULL)
	{
		/* Somebody else may just be declaring it */
		pgseal_catalog_lock_key(hash);
		known = pgseal_catalog_name(hash);
	}
	if (known != NULL)
	{
		if (strcmp(known, name) != 0)
			ereport(ERROR,
					(errcode(ERRCODE_DUPLICATE_OBJECT),
					 errmsg("key name \"%s\" cannot be told from \"%s\"", name, known),
					 errdetail("Both have the same 31-bit hash, which type modifiers carry."),
					 errhint("Choose another name.")));
		return;
	}
	values[DECLARED_HASH - 1] = Int32GetDatum(hash);
	set_text(values, nulls, DECLARED_NAME, name);
	values[DECLARED_OWN - 1] = BoolGetDatum(own);
	insert_row("declared_key", values, nulls);
	pgseal_catalog_changed();
}

void
pgseal_catalog_lock_key(int32 hash)
{
	LockDatabaseObject(relation_oid("key"), (Oid) hash, 0, ExclusiveLock);
}

void
pgseal_catalog_lock_parent(int32 parent_hash)
{
	LockDatabaseObject(relation_oid("key"), (Oid) parent_hash, 0, ShareLock);
}

void
pgseal_catalog_lock_columns(int32 hash, bool exclusive)
{
	LockDatabaseObject(relation_oid("key"), (Oid) hash, 1, exclusive ? ExclusiveLock : ShareLock);
}

/*
 * Key versions
 */

static PgsealVersionRow *
read_version(Lookup *lookup, HeapTuple tuple)
{
	PgsealVersionRow *row = palloc(sizeof(PgsealVersionRow));
	bool		isnull;
	Datum		wrapped;

	row->id = int64_column(lookup, tuple, VERSION_ID);
	row->key = text_column(lookup, tuple, VERSION_KEY);
	row->number = DatumGetInt32(column(lookup, tuple, VERSION_NUMBER, &isnull));
	row->purpose = (PgsealPurpose) DatumGetChar(column(lookup, tuple, VERSION_PURPOSE, &isnull));
	row->server = text_column(lookup, tuple, VERSION_SERVER);
	row->parent_version = int64_column(lookup, tuple, VERSION_PARENT);
	row->master_key = text_column(lookup, tuple, VERSION_MASTER_KEY);
	wrapped = column(lookup, tuple, VERSION_WRAPPED, &isnull);
	row->wrapped = isnull ? NULL : DatumGetByteaPCopy(wrapped);
	row->seals = int64_column(lookup, tuple, VERSION_SEALS);
	(void) column(lookup, tuple, VERSION_RETIRED, &isnull);
	row->retired = !isnull;
	row->written_here = TransactionIdIsCurrentTransactionId(HeapTupleHeaderGetXmin(tuple->t_data));
	return row;
}

PgsealVersionRow *
pgseal_catalog_version(int64 id)
{
	PgsealVersionRow *row = NULL;
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "key_version", "key_version_pkey", AccessShareLock,
				 VERSION_ID, F_INT8EQ, Int64GetDatum(id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		row = read_version(&lookup, tuple);
	lookup_end(&lookup);
	return row;
}

List *
pgseal_catalog_versions(const char *key)
{
	List	   *rows = NIL;
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "key_version", "key_version_key_idx", AccessShareLock,
				 VERSION_KEY, F_TEXTEQ, CStringGetTextDatum(key));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		rows = lappend(rows, read_version(&lookup, tuple));
	lookup_end(&lookup);
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

	keep_server(version->server);
	values[VERSION_ID - 1] = Int64GetDatum(version->id);
	set_text(values, nulls, VERSION_KEY, version->key);
	values[VERSION_NUMBER - 1] = Int32GetDatum(version->number);
	values[VERSION_PURPOSE - 1] = CharGetDatum((char) version->purpose);
	set_text(values, nulls, VERSION_SERVER, version->server);
	nulls[VERSION_PARENT - 1] = (version->parent_version == 0);
	values[VERSION_PARENT - 1] = Int64GetDatum(version->parent_version);
	set_text(values, nulls, VERSION_MASTER_KEY, version->master_key);
	values[VERSION_WRAPPED - 1] = PointerGetDatum(version->wrapped);
	values[VERSION_SEALS - 1] = Int64GetDatum(version->seals);
	values[VERSION_CREATED - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	nulls[VERSION_REWRAPPED - 1] = true;
	nulls[VERSION_RETIRED - 1] = true;
	nulls[VERSION_DESTROYED - 1] = true;
	insert_row("key_version", values, nulls);
	literals_changed(version->key);
	pgseal_catalog_changed();
}

void
pgseal_catalog_raise_seals(int64 id, int64 seals)
{
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "key_version", "key_version_pkey", CHANGE_LOCK,
				 VERSION_ID, F_INT8EQ, Int64GetDatum(id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)) &&
		int64_column(&lookup, tuple, VERSION_SEALS) < seals)
	{
		Change		change = {0};

		change_column(&change, VERSION_SEALS, Int64GetDatum(seals), false);
		change_row(&lookup, tuple, &change);
	}
	lookup_end(&lookup);
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
	Change		change = {0};
	Lookup		lookup;
	HeapTuple	tuple;
	bool		found = false;

	keep_server(version->server);
	change_text(&change, VERSION_SERVER, version->server);
	change_column(&change, VERSION_PARENT, Int64GetDatum(version->parent_version),
				  version->parent_version == 0);
	change_text(&change, VERSION_MASTER_KEY, version->master_key);
	change_column(&change, VERSION_WRAPPED, PointerGetDatum(version->wrapped),
				  version->wrapped == NULL);
	change_column(&change, VERSION_REWRAPPED, TimestampTzGetDatum(GetCurrentTimestamp()), false);

	lookup_begin(&lookup, "key_version", "key_version_pkey", CHANGE_LOCK,
				 VERSION_ID, F_INT8EQ, Int64GetDatum(version->id));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)) &&
		same_bytes(read_version(&lookup, tuple)->wrapped, expected))
	{
		change_row(&lookup, tuple, &change);
		found = true;
	}
	lookup_end(&lookup);
	return found;
}

void
pgseal_catalog_retire_version(int64 id)
{
	Change		change = {0};

	change_column(&change, VERSION_RETIRED, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	change_version(id, &change);
}

void
pgseal_catalog_destroy_version(int64 id)
{
	Change		change = {0};

	literals_changed(pgseal_catalog_version(id)->key);
	change_column(&change, VERSION_WRAPPED, (Datum) 0, true);
	change_column(&change, VERSION_DESTROYED, TimestampTzGetDatum(GetCurrentTimestamp()), false);
	change_version(id, &change);
}

/*
 * Servers
 *
 * Rows name their server, they don't hold its OID: they are dumped.
 */

bool
pgseal_catalog_server_in_use(const char *server)
{
	Lookup		lookup;
	bool		found;

	lookup_begin(&lookup, "key_version", "key_version_server_idx", AccessShareLock,
				 VERSION_SERVER, F_TEXTEQ, CStringGetTextDatum(server));
	found = HeapTupleIsValid(systable_getnext(lookup.scan));
	lookup_end(&lookup);
	if (found)
		return true;

	lookup_begin(&lookup, "key", "key_server_idx", AccessShareLock,
				 KEY_SERVER, F_TEXTEQ, CStringGetTextDatum(server));
	found = HeapTupleIsValid(systable_getnext(lookup.scan));
	lookup_end(&lookup);
	return found;
}

static void
rename_in(const char *table, const char *index, AttrNumber attnum, const char *from, const char *to)
{
	Change		change = {0};
	Lookup		lookup;
	HeapTuple	tuple;

	change_text(&change, attnum, to);
	lookup_begin(&lookup, table, index, CHANGE_LOCK,
				 attnum, F_TEXTEQ, CStringGetTextDatum(from));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		change_row(&lookup, tuple, &change);
	lookup_end(&lookup);
}

List *
pgseal_catalog_server_versions(const char *server)
{
	List	   *rows = NIL;
	Lookup		lookup;
	HeapTuple	tuple;

	lookup_begin(&lookup, "key_version", "key_version_server_idx", AccessShareLock,
				 VERSION_SERVER, F_TEXTEQ, CStringGetTextDatum(server));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
	{
		bool		destroyed;

		(void) column(&lookup, tuple, VERSION_WRAPPED, &destroyed);
		if (!destroyed && int64_column(&lookup, tuple, VERSION_PARENT) == 0)
			rows = lappend(rows, read_version(&lookup, tuple));
	}
	lookup_end(&lookup);
	return rows;
}

/*
 * Children
 */

/* An index scan whatever the planner would think of it: most entries are dead */
int
pgseal_catalog_children(int64 id, int64 after, int64 *out_ids, int max)
{
	Relation	rel = table_open(relation_oid("key_version"), AccessShareLock);
	Relation	index = index_open(relation_oid("key_version_parent_idx"), AccessShareLock);
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
		Lookup		lookup;
		HeapTuple	tuple;

		lookup_begin(&lookup, "key_version", "key_version_parent_idx", AccessShareLock,
					 VERSION_PARENT, F_INT8EQ, Int64GetDatum(((PgsealVersionRow *) lfirst(lc))->id));
		while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		{
			bool		isnull;

			(void) column(&lookup, tuple, VERSION_WRAPPED, &isnull);
			if (!isnull && DatumGetChar(column(&lookup, tuple, VERSION_PURPOSE, &isnull)) ==
				PGSEAL_PURPOSE_INDEX)
				num++;
		}
		lookup_end(&lookup);
	}
	return num;
}

void
pgseal_catalog_move_children(const char *parent, const char *server)
{
	Change		key_change = {0};
	Change		version_change = {0};
	PgsealKeyRow *key = pgseal_catalog_key(pgseal_catalog_name_hash(parent));
	Lookup		lookup;
	HeapTuple	tuple;
	ListCell   *lc;

	change_text(&key_change, KEY_SERVER, server);
	lookup_begin(&lookup, "key", "key_server_idx", CHANGE_LOCK,
				 KEY_SERVER, F_TEXTEQ, CStringGetTextDatum(key->server));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
	{
		char	   *its_parent = text_column(&lookup, tuple, KEY_PARENT);

		if (its_parent != NULL && strcmp(its_parent, parent) == 0)
			change_row(&lookup, tuple, &key_change);
	}
	lookup_end(&lookup);

	change_text(&version_change, VERSION_SERVER, server);
	foreach(lc, pgseal_catalog_versions(parent))
	{
		lookup_begin(&lookup, "key_version", "key_version_parent_idx", CHANGE_LOCK,
					 VERSION_PARENT, F_INT8EQ, Int64GetDatum(((PgsealVersionRow *) lfirst(lc))->id));
		while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
			change_row(&lookup, tuple, &version_change);
		lookup_end(&lookup);
	}
	pgseal_catalog_changed();
}

void
pgseal_catalog_rename_server(const char *from, const char *to)
{
	rename_in("key", "key_server_idx", KEY_SERVER, from, to);
	rename_in("key_version", "key_version_server_idx", VERSION_SERVER, from, to);
	pgseal_catalog_changed();
}

/*
 * Events
 */

void
pgseal_catalog_event(const char *event, const char *key, int64 key_version_id,
					 const char *detail)
{
	Datum		values[EVENT_NATTS];
	bool		nulls[EVENT_NATTS] = {false};

	values[EVENT_AT - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	set_text(values, nulls, EVENT_EVENT, event);
	set_text(values, nulls, EVENT_KEY, key);
	nulls[EVENT_VERSION - 1] = (key_version_id == 0);
	values[EVENT_VERSION - 1] = Int64GetDatum(key_version_id);
	set_text(values, nulls, EVENT_ROLE, GetUserNameFromId(GetUserId(), false));
	set_text(values, nulls, EVENT_DETAIL, detail);
	insert_row("event", values, nulls);

	ereport(LOG,
			(errmsg("pgseal: event=%s%s%s%s", event,
					key ? psprintf(" key=\"%s\"", key) : "",
					key_version_id != 0 ? psprintf(" version=%016llx",
												   (unsigned long long) key_version_id) : "",
					detail ? psprintf(" %s", detail) : ""),
			 errhidestmt(true), errhidecontext(true)));
}
