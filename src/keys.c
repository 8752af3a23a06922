/*-------------------------------------------------------------------------
 *
 * keys.c
 *	  SQL functions around keys: create, rotate, seal under a chosen key,
 *	  inspect; the triggers of the key catalog.
 *
 * Layer 5.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "commands/trigger.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "compat.h"
#include "keycache.h"
#include "kms/local.h"
#include "value.h"

PG_FUNCTION_INFO_V1(pgseal_create_key);
PG_FUNCTION_INFO_V1(pgseal_rotate_key);
PG_FUNCTION_INFO_V1(pgseal_rotate_master_key);
PG_FUNCTION_INFO_V1(pgseal_seal);
PG_FUNCTION_INFO_V1(pgseal_inspect);
PG_FUNCTION_INFO_V1(pgseal_key_name);
PG_FUNCTION_INFO_V1(pgseal_merge_key);
PG_FUNCTION_INFO_V1(pgseal_key_changed);
PG_FUNCTION_INFO_V1(pgseal_cache_stats);

/* The argument as a C string; NULL stands for a default */
static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

/* create_key(name, server, parent, rotate_every, rewrap_every) */
Datum
pgseal_create_key(PG_FUNCTION_ARGS)
{
	char	   *name = text_argument(fcinfo, 0);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key name must not be null")));
	PreventCommandIfReadOnly("pgseal.create_key()");
	pgseal_keyring_create(name, text_argument(fcinfo, 1));
	PG_RETURN_VOID();
}

Datum
pgseal_rotate_key(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("pgseal.rotate_key()");
	PG_RETURN_INT32(pgseal_keyring_add_version(text_to_cstring(PG_GETARG_TEXT_PP(0)),
											   PGSEAL_PURPOSE_DATA));
}

/* rotate_master_key(server) → number of the new version */
Datum
pgseal_rotate_master_key(PG_FUNCTION_ARGS)
{
	PgsealKmsServer *server = pgseal_kms_server(text_to_cstring(PG_GETARG_TEXT_PP(0)), false);
	int			version;

	PreventCommandIfReadOnly("pgseal.rotate_master_key()");
	version = pgseal_kms_local_rotate(server);
	pgseal_catalog_event("master_key_rotated", NULL, 0,
						 psprintf("server=\"%s\" version=%d", server->name, version));
	PG_RETURN_INT32(version);
}

/* seal(value, key) */
Datum
pgseal_seal(PG_FUNCTION_ARGS)
{
	const PgsealType *type = pgseal_type_by_oid(get_func_rettype(fcinfo->flinfo->fn_oid));
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(1));
	int32		hash = pgseal_catalog_name_hash(name);
	char	   *known = pgseal_catalog_name(hash);

	if (known == NULL || strcmp(known, name) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key \"%s\" does not exist", name),
				 errhint("Create it with pgseal.create_key().")));
	PG_RETURN_POINTER(pgseal_value_seal(type, PG_GETARG_DATUM(0), hash));
}

/* inspect(value) → key, version, key_version_id, algorithm, bytes, current */
Datum
pgseal_inspect(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[6] = {0};
	bool		nulls[6] = {false};
	PgsealEnvelope envelope;
	PgsealVersionRow *version;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgseal_value_header(&envelope, PG_GETARG_DATUM(0));
	version = pgseal_catalog_version(envelope.key_version_id);
	nulls[0] = nulls[1] = nulls[5] = (version == NULL);
	if (version != NULL)
	{
		PgsealVersionRow *current = pgseal_catalog_current_version(version->key,
																   PGSEAL_PURPOSE_DATA);

		values[0] = CStringGetTextDatum(version->key);
		values[1] = Int32GetDatum(version->number);
		values[5] = BoolGetDatum(current != NULL && current->id == version->id);
	}
	values[2] = CStringGetTextDatum(psprintf("%llx", (unsigned long long) envelope.key_version_id));
	values[3] = CStringGetTextDatum(envelope.compressed ? "aes-256-gcm+pglz" : "aes-256-gcm");
	values[4] = Int32GetDatum((int32) (toast_raw_datum_size(PG_GETARG_DATUM(0)) - VARHDRSZ));
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}

/* key_name(typmod) */
Datum
pgseal_key_name(PG_FUNCTION_ARGS)
{
	char	   *name = PG_GETARG_INT32(0) > 0 ? pgseal_catalog_name(PG_GETARG_INT32(0)) : NULL;

	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}

/*
 * Triggers of the key catalog.  A restored dump inserts its rows with COPY or
 * INSERT: what is there already stays.
 */

/* Name of a key: another name with the same hash is left to the unique index */
static bool
has_key(const char *name)
{
	PgsealKeyRow *key = pgseal_catalog_key(pgseal_catalog_name_hash(name));

	return key != NULL && strcmp(key->name, name) == 0;
}

/*
 * A key may have data key versions of several databases, but one index key:
 * with another one, nothing that is indexed already would be found.
 */
static bool
has_version(int64 id, const char *key, PgsealPurpose purpose)
{
	if (pgseal_catalog_version(id) != NULL)
		return true;
	if (purpose != PGSEAL_PURPOSE_INDEX ||
		pgseal_catalog_current_version(key, PGSEAL_PURPOSE_INDEX) == NULL)
		return false;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("key \"%s\" keeps the index key that it has in this database", key),
			 errdetail("Blind indexes that were stored as values under another index key will not be found.")));
	return true;
}

Datum
pgseal_merge_key(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		values[4];
	bool		nulls[4];
	bool		exists;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal.merge_key() must be called as a trigger")));
	tuple = trigger->tg_trigtuple;
	desc = RelationGetDescr(trigger->tg_relation);

	/* key: name, name_hash, server, ...; key_version: id, key, number, purpose, ... */
	for (int i = 0; i < lengthof(values); i++)
		values[i] = heap_getattr(tuple, i + 1, desc, &nulls[i]);
	if (strcmp(RelationGetRelationName(trigger->tg_relation), "key") == 0)
		exists = !nulls[0] && has_key(TextDatumGetCString(values[0]));
	else
		exists = !nulls[0] && !nulls[1] && !nulls[3] &&
			has_version(DatumGetInt64(values[0]), TextDatumGetCString(values[1]),
						(PgsealPurpose) DatumGetChar(values[3]));
	return exists ? PointerGetDatum(NULL) : PointerGetDatum(tuple);
}

/* Lets all backends forget which key version is current */
Datum
pgseal_key_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal.key_changed() must be called as a trigger")));
	CacheInvalidateRelcacheByRelid(pgseal_catalog_version_relation());
	return PointerGetDatum(NULL);
}

/* cache_stats(): columns as in PgsealCacheStats */
Datum
pgseal_cache_stats(PG_FUNCTION_ARGS)
{
	TupleDesc	desc;
	Datum		values[11];
	bool		nulls[11] = {false};
	PgsealCacheStats stats;
	int			i = 0;

	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	pgseal_keycache_stats(&stats);
	values[i++] = Int64GetDatum(stats.slots);
	values[i++] = Int64GetDatum(stats.used);
	values[i++] = Int64GetDatum(stats.hits);
	values[i++] = Int64GetDatum(stats.misses);
	values[i++] = Int64GetDatum(stats.waits);
	values[i++] = Int64GetDatum(stats.refreshes);
	values[i++] = Int64GetDatum(stats.evictions);
	values[i++] = Int64GetDatum(stats.expirations);
	values[i++] = Int64GetDatum(stats.overflows);
	values[i++] = Int64GetDatum(stats.failures);
	values[i++] = BoolGetDatum(stats.locked);
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(desc, values, nulls)));
}
