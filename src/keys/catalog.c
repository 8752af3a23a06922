/*-------------------------------------------------------------------------
 *
 * catalog.c
 *	  The key catalog.
 *
 * Names, keys, servers and events; the versions of keys are in catalog_version.c.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/extension.h"
#include "keys/catalog.h"
#include "keys/catalog_table.h"
#include "kms/kms.h"

const char *
pgseal_catalog_name_in_utf8(const char *name)
{
	if (GetDatabaseEncoding() == PG_SQL_ASCII)
		return name;
	return pg_server_to_any(name, strlen(name), PG_UTF8);
}

int32
pgseal_catalog_name_hash(const char *name)
{
	const char *utf8 = pgseal_catalog_name_in_utf8(name);
	uint8		digest[PGSEAL_HASH_BYTES];
	uint32		hash;

	if (!pgseal_sha256(digest, (const uint8 *) utf8, strlen(utf8)))
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
 * Keys
 */

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

static void
change_key(int32 hash, PgsealTableChange *change)
{
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "key", "key_name_hash_key", PGSEAL_CHANGE_LOCK,
					   KEY_HASH, F_INT4EQ, Int32GetDatum(hash));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		pgseal_table_change_row(&lookup, tuple, change);
	pgseal_table_end(&lookup);
	pgseal_catalog_changed();
}

static PgsealKeyRow *
read_key(const char *index, AttrNumber attnum, RegProcedure equal, Datum value)
{
	PgsealKeyRow *row = NULL;
	PgsealTableLookup lookup;
	HeapTuple	tuple;
	bool		isnull;

	pgseal_table_begin(&lookup, "key", index, AccessShareLock, attnum, equal, value);
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
	{
		row = palloc0(sizeof(PgsealKeyRow));
		row->hash = DatumGetInt32(pgseal_table_column(&lookup, tuple, KEY_HASH, &isnull));
		row->name = pgseal_table_text(&lookup, tuple, KEY_NAME);
		row->server = pgseal_table_text(&lookup, tuple, KEY_SERVER);
		row->parent = pgseal_table_text(&lookup, tuple, KEY_PARENT);
		row->own = DatumGetBool(pgseal_table_column(&lookup, tuple, KEY_OWN, &isnull));
	}
	pgseal_table_end(&lookup);
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

	pgseal_table_keep_server(key->server);
	pgseal_table_set_text(values, nulls, KEY_NAME, key->name);
	values[KEY_HASH - 1] = Int32GetDatum(key->hash);
	pgseal_table_set_text(values, nulls, KEY_SERVER, key->server);
	pgseal_table_set_text(values, nulls, KEY_PARENT, key->parent);
	nulls[KEY_ROTATE_EVERY - 1] = (key->rotate_every == NULL);
	values[KEY_ROTATE_EVERY - 1] = PointerGetDatum(key->rotate_every);
	nulls[KEY_REWRAP_EVERY - 1] = (key->rewrap_every == NULL);
	values[KEY_REWRAP_EVERY - 1] = PointerGetDatum(key->rewrap_every);
	values[KEY_CREATED - 1] = TimestampTzGetDatum(GetCurrentTimestamp());
	values[KEY_OWN - 1] = BoolGetDatum(key->own);
	pgseal_table_insert("key", values, nulls);
	pgseal_catalog_changed();
}

void
pgseal_catalog_set_server(int32 hash, const char *server)
{
	PgsealTableChange change = {0};

	pgseal_table_keep_server(server);
	pgseal_table_change_text(&change, KEY_SERVER, server);
	change_key(hash, &change);
}

static void
change_interval(PgsealTableChange *change, AttrNumber attnum, const Interval *interval)
{
	if (interval != NULL)
		pgseal_table_change_column(change, attnum, PointerGetDatum(interval),
								   interval->month == 0 && interval->day == 0 && interval->time == 0);
}

void
pgseal_catalog_set_schedule(int32 hash, const Interval *rotate_every, const Interval *rewrap_every)
{
	PgsealTableChange change = {0};

	change_interval(&change, KEY_ROTATE_EVERY, rotate_every);
	change_interval(&change, KEY_REWRAP_EVERY, rewrap_every);
	change_key(hash, &change);
}

static char *
declared_name(int32 hash)
{
	char	   *name = NULL;
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_begin(&lookup, "declared_key", "declared_key_pkey", AccessShareLock,
					   DECLARED_HASH, F_INT4EQ, Int32GetDatum(hash));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		name = pgseal_table_text(&lookup, tuple, DECLARED_NAME);
	pgseal_table_end(&lookup);
	return name;
}

bool
pgseal_catalog_is_own(int32 hash)
{
	PgsealKeyRow *key = pgseal_catalog_key(hash);
	bool		own = false;
	PgsealTableLookup lookup;
	HeapTuple	tuple;
	bool		isnull;

	if (key != NULL)
		return key->own;
	pgseal_table_begin(&lookup, "declared_key", "declared_key_pkey", AccessShareLock,
					   DECLARED_HASH, F_INT4EQ, Int32GetDatum(hash));
	if (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		own = DatumGetBool(pgseal_table_column(&lookup, tuple, DECLARED_OWN, &isnull));
	pgseal_table_end(&lookup);
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
	pgseal_table_set_text(values, nulls, DECLARED_NAME, name);
	values[DECLARED_OWN - 1] = BoolGetDatum(own);
	pgseal_table_insert("declared_key", values, nulls);
	pgseal_catalog_changed();
}

void
pgseal_catalog_lock_key(int32 hash)
{
	LockDatabaseObject(pgseal_table_oid("key"), (Oid) hash, 0, ExclusiveLock);
}

void
pgseal_catalog_lock_parent(int32 parent_hash)
{
	LockDatabaseObject(pgseal_table_oid("key"), (Oid) parent_hash, 0, ShareLock);
}

void
pgseal_catalog_lock_columns(int32 hash, bool exclusive)
{
	LockDatabaseObject(pgseal_table_oid("key"), (Oid) hash, 1, exclusive ? ExclusiveLock : ShareLock);
}

/*
 * Servers
 *
 * Rows name their server, they don't hold its OID: they are dumped.
 */

bool
pgseal_catalog_server_in_use(const char *server)
{
	PgsealTableLookup lookup;
	bool		found;

	pgseal_table_begin(&lookup, "key_version", "key_version_server_idx", AccessShareLock,
					   VERSION_SERVER, F_TEXTEQ, CStringGetTextDatum(server));
	found = HeapTupleIsValid(systable_getnext(lookup.scan));
	pgseal_table_end(&lookup);
	if (found)
		return true;

	pgseal_table_begin(&lookup, "key", "key_server_idx", AccessShareLock,
					   KEY_SERVER, F_TEXTEQ, CStringGetTextDatum(server));
	found = HeapTupleIsValid(systable_getnext(lookup.scan));
	pgseal_table_end(&lookup);
	return found;
}

static void
rename_in(const char *table, const char *index, AttrNumber attnum, const char *from, const char *to)
{
	PgsealTableChange change = {0};
	PgsealTableLookup lookup;
	HeapTuple	tuple;

	pgseal_table_change_text(&change, attnum, to);
	pgseal_table_begin(&lookup, table, index, PGSEAL_CHANGE_LOCK,
					   attnum, F_TEXTEQ, CStringGetTextDatum(from));
	while (HeapTupleIsValid(tuple = systable_getnext(lookup.scan)))
		pgseal_table_change_row(&lookup, tuple, &change);
	pgseal_table_end(&lookup);
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
	pgseal_table_set_text(values, nulls, EVENT_EVENT, event);
	pgseal_table_set_text(values, nulls, EVENT_KEY, key);
	nulls[EVENT_VERSION - 1] = (key_version_id == 0);
	values[EVENT_VERSION - 1] = Int64GetDatum(key_version_id);
	pgseal_table_set_text(values, nulls, EVENT_ROLE, GetUserNameFromId(GetUserId(), false));
	pgseal_table_set_text(values, nulls, EVENT_DETAIL, detail);
	pgseal_table_insert("event", values, nulls);

	ereport(LOG,
			(errmsg("pgseal: event=%s%s%s%s", event,
					key ? psprintf(" key=\"%s\"", key) : "",
					key_version_id != 0 ? psprintf(" version=%016llx",
												   (unsigned long long) key_version_id) : "",
					detail ? psprintf(" %s", detail) : ""),
			 errhidestmt(true), errhidecontext(true)));
}
