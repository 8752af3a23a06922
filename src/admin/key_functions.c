/*-------------------------------------------------------------------------
 *
 * key_functions.c
 *	  SQL functions around keys: create, rotate, seal under a chosen key,
 *	  inspect; the triggers of the key catalog.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "foreign/foreign.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "replication/logicalworker.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/compat.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"
#include "kms/kms.h"
#include "kms/local.h"
#include "life/rewrap.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_create_key);
PG_FUNCTION_INFO_V1(pgseal_alter_key);
PG_FUNCTION_INFO_V1(pgseal_rotate_key);
PG_FUNCTION_INFO_V1(pgseal_rewrap);
PG_FUNCTION_INFO_V1(pgseal_move_key);
PG_FUNCTION_INFO_V1(pgseal_destroy_key);
PG_FUNCTION_INFO_V1(pgseal_destroy_version);
PG_FUNCTION_INFO_V1(pgseal_rotate_master_key);
PG_FUNCTION_INFO_V1(pgseal_seal);
PG_FUNCTION_INFO_V1(pgseal_inspect);
PG_FUNCTION_INFO_V1(pgseal_key_name);
PG_FUNCTION_INFO_V1(pgseal_guard_key);
PG_FUNCTION_INFO_V1(pgseal_guard_work);
PG_FUNCTION_INFO_V1(pgseal_merge_key);
PG_FUNCTION_INFO_V1(pgseal_restore_event);
PG_FUNCTION_INFO_V1(pgseal_key_changed);

/* The argument as a C string; NULL stands for a default */
static char *
text_argument(FunctionCallInfo fcinfo, int i)
{
	return PG_ARGISNULL(i) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(i));
}

/* An interval that must not be negative; NULL stays NULL */
static Interval *
interval_argument(FunctionCallInfo fcinfo, int i, const char *what)
{
	Interval   *interval = PG_ARGISNULL(i) ? NULL : PG_GETARG_INTERVAL_P(i);

	if (interval != NULL && (interval->month < 0 || interval->day < 0 || interval->time < 0))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must not be negative", what)));
	return interval;
}

/* An interval of 0 says "never", which a new key's NULL says, too */
static Interval *
schedule_argument(FunctionCallInfo fcinfo, int i, const char *what)
{
	Interval   *interval = interval_argument(fcinfo, i, what);

	if (interval != NULL && interval->month == 0 && interval->day == 0 && interval->time == 0)
		return NULL;
	return interval;
}

/* create_key(name, server, parent, rotate_every, rewrap_every) */
Datum
pgseal_create_key(PG_FUNCTION_ARGS)
{
	char	   *name = text_argument(fcinfo, 0);
	char	   *server = text_argument(fcinfo, 1);
	char	   *parent = text_argument(fcinfo, 2);
	Interval   *rotate_every = schedule_argument(fcinfo, 3, "rotate_every");
	Interval   *rewrap_every = schedule_argument(fcinfo, 4, "rewrap_every");

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key name must not be null")));
	PreventCommandIfReadOnly("pgseal.create_key()");
	if (parent != NULL && (server != NULL || rewrap_every != NULL))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key with a parent has no server and no rewrap_every of its own"),
				 errdetail("It is wrapped by its parent.")));
	if (parent != NULL)
		pgseal_keyring_create_child(name, parent, rotate_every);
	else
		pgseal_keyring_create(name, server, rotate_every, rewrap_every);
	pgseal_keyring_prepare_literals();
	PG_RETURN_VOID();
}

/* alter_key(name, rotate_every, rewrap_every); NULL leaves as it is */
Datum
pgseal_alter_key(PG_FUNCTION_ARGS)
{
	char	   *name = text_argument(fcinfo, 0);
	Interval   *rotate_every = interval_argument(fcinfo, 1, "rotate_every");
	Interval   *rewrap_every = interval_argument(fcinfo, 2, "rewrap_every");
	PgsealKeyRow *key;

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("key name must not be null")));
	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	key = pgseal_keyring_require(name);
	if (key->parent != NULL && rewrap_every != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a key with a parent has no rewrap_every of its own"),
				 errdetail("It is wrapped by its parent.")));
	pgseal_catalog_set_schedule(key->hash, rotate_every, rewrap_every);
	pgseal_catalog_event("key_altered", name, 0, NULL);
	pgseal_wakeup_at_commit();
	PG_RETURN_VOID();
}

Datum
pgseal_rotate_key(PG_FUNCTION_ARGS)
{
	PreventCommandIfReadOnly("pgseal.rotate_key()");
	PG_RETURN_INT32(pgseal_keyring_add_version(text_to_cstring(PG_GETARG_TEXT_PP(0)),
											   PGSEAL_PURPOSE_DATA, NULL));
}

/* rewrap(server) → how many; NULL: all servers */
Datum
pgseal_rewrap(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(pgseal_rewrap_server(text_argument(fcinfo, 0)));
}

Datum
pgseal_move_key(PG_FUNCTION_ARGS)
{
	pgseal_rewrap_move(text_to_cstring(PG_GETARG_TEXT_PP(0)),
					   text_to_cstring(PG_GETARG_TEXT_PP(1)));
	PG_RETURN_VOID();
}

/* destroy_key(name, confirm, force) */
Datum
pgseal_destroy_key(PG_FUNCTION_ARGS)
{
	pgseal_destroy_versions(text_to_cstring(PG_GETARG_TEXT_PP(0)),
							text_to_cstring(PG_GETARG_TEXT_PP(1)), PG_GETARG_BOOL(2));
	PG_RETURN_VOID();
}

/* destroy_version(name, version, confirm, force) */
Datum
pgseal_destroy_version(PG_FUNCTION_ARGS)
{
	pgseal_destroy_one_version(text_to_cstring(PG_GETARG_TEXT_PP(0)), PG_GETARG_INT32(1),
							   text_to_cstring(PG_GETARG_TEXT_PP(2)), PG_GETARG_BOOL(3));
	PG_RETURN_VOID();
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
	int32		hash = pgseal_catalog_key_hash(name);
	char	   *known = pgseal_catalog_name(hash);

	if (known == NULL || strcmp(known, name) != 0)
		(void) pgseal_keyring_require(name);	/* says so */
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

/* A child key takes another hash if that which it had elsewhere is taken here */
static HeapTuple
with_free_hash(HeapTuple tuple, TupleDesc desc)
{
	int			hash_column = SPI_fnumber(desc, "name_hash");
	int			parent_column = SPI_fnumber(desc, "parent");
	bool		isnull;
	Datum		hash = heap_getattr(tuple, hash_column, desc, &isnull);

	if (isnull || pgseal_catalog_name(DatumGetInt32(hash)) == NULL ||
		heap_attisnull(tuple, parent_column, desc))
		return tuple;
	hash = Int32GetDatum(pgseal_catalog_free_hash(SPI_getvalue(tuple, desc, 1)));
	return heap_modify_tuple_by_cols(tuple, desc, 1, &hash_column, &hash, &isnull);
}

/*
 * A key may have data key versions of several databases, but index keys of one:
 * under another's, nothing that is indexed already would be found.  That it is
 * another's shows in a number that is taken.
 */
static bool
has_version(int64 id, const char *key, int32 number, PgsealPurpose purpose)
{
	ListCell   *lc;

	if (pgseal_catalog_version(id) != NULL)
		return true;
	if (purpose != PGSEAL_PURPOSE_INDEX ||
		pgseal_catalog_current_version(key, PGSEAL_PURPOSE_INDEX) == NULL)
		return false;
	foreach(lc, pgseal_catalog_versions(key))
	{
		PgsealVersionRow *row = lfirst(lc);

		if (row->purpose != PGSEAL_PURPOSE_INDEX || row->number != number)
			continue;
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("key \"%s\" keeps the index key that it has in this database", key),
				 errdetail("Blind indexes that were stored as values under another index key will not be found.")));
		return true;
	}
	return false;
}

/*
 * Does a subscription bring the row?  One of somebody who is no superuser may be to a
 * server of his own.  (Rows are applied as the table's owner, or as the subscription's.)
 */
static bool
is_replicated(void)
{
	return IsLogicalWorker() && superuser_arg(GetSessionUserId());
}

/*
 * Whoever could plant a row would choose under which key others seal from then
 * on.  So rows are taken from a subscription, and from who restores a dump: a
 * superuser or the database's owner.
 */
static void
check_restorer(const char *key_name, const char *server)
{
	Oid			oid = get_foreign_server_oid(server, true);
	PgsealKeyRow *key;

	if (is_replicated())
		return;
	if (!superuser() && !has_privs_of_role(GetUserId(), ROLE_PG_DATABASE_OWNER))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to restore keys"),
				 errdetail("Keys are restored by superusers and by the owner of the database."),
				 errhint("Make keys with pgseal.create_key().")));
	/* Whoever makes it later would say who may open */
	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", server),
				 errdetail("Key \"%s\" is wrapped by its master key.", key_name),
				 errhint("Create it first, as it was where the key comes from.")));
	/* So would the owner of one of another wrapper */
	(void) pgseal_kms_server(server, false);
	key = pgseal_catalog_key_by_name(key_name);
	if (!superuser() && key != NULL && strcmp(key->server, server) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to restore a version of key \"%s\"", key_name),
				 errdetail("The key is of server \"%s\", the version of \"%s\".", key->server, server)));
}

/* Rows change through the extension's functions, which pass triggers by. */
Datum
pgseal_guard_key(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.guard_key() must be called as a trigger")));
	if (!is_replicated())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table \"%s\" cannot be changed",
						RelationGetRelationName(trigger->tg_relation)),
				 errdetail("Values may need every one of them, as it is."),
				 errhint("Use pgseal.rotate_key(), move_key(), destroy_key() and their like.")));
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
						   trigger->tg_newtuple : trigger->tg_trigtuple);
}

/* Of tables that the worker and conversions write by SQL, as a superuser */
Datum
pgseal_guard_work(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.guard_work() must be called as a trigger")));
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table \"%s\" cannot be changed",
						RelationGetRelationName(trigger->tg_relation)),
				 errdetail("They say how far the worker, or a conversion, has come.")));
	return PointerGetDatum(NULL);
}

/*
 * Events that a dump brings are somebody's word, who need not have seen them: it is
 * said whose, unless he could say anything.
 */
Datum
pgseal_restore_event(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	int			column;
	bool		isnull;
	Datum		detail;
	char	   *role;
	char	   *marked;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.restore_event() must be called as a trigger")));
	if (superuser() || is_replicated())
		return PointerGetDatum(trigger->tg_trigtuple);
	desc = RelationGetDescr(trigger->tg_relation);
	column = SPI_fnumber(desc, "detail");
	detail = heap_getattr(trigger->tg_trigtuple, column, desc, &isnull);
	role = psprintf("restored_by=\"%s\"", GetUserNameFromId(GetUserId(), false));
	marked = isnull ? role : psprintf("%s %s", TextDatumGetCString(detail), role);
	detail = CStringGetTextDatum(marked);
	isnull = false;
	return PointerGetDatum(heap_modify_tuple_by_cols(trigger->tg_trigtuple, desc, 1, &column,
													 &detail, &isnull));
}

Datum
pgseal_merge_key(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	HeapTuple	tuple;
	TupleDesc	desc;
	Datum		values[5];
	bool		nulls[5];
	int			name;
	int			server;
	bool		is_key;
	bool		exists;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.merge_key() must be called as a trigger")));
	tuple = trigger->tg_trigtuple;
	desc = RelationGetDescr(trigger->tg_relation);

	/*
	 * key: name, name_hash, server, ...; key_version: id, key, number,
	 * purpose, server, ...
	 */
	for (int i = 0; i < lengthof(values); i++)
		values[i] = heap_getattr(tuple, i + 1, desc, &nulls[i]);
	is_key = strcmp(RelationGetRelationName(trigger->tg_relation), "key") == 0;
	server = is_key ? 2 : 4;
	name = is_key ? 0 : 1;
	if (!nulls[name] && !nulls[server])
		check_restorer(TextDatumGetCString(values[name]), TextDatumGetCString(values[server]));
	if (is_key)
		exists = !nulls[0] && pgseal_catalog_key_by_name(TextDatumGetCString(values[0])) != NULL;
	else
		exists = !nulls[0] && !nulls[1] && !nulls[2] && !nulls[3] &&
			has_version(DatumGetInt64(values[0]), TextDatumGetCString(values[1]),
						DatumGetInt32(values[2]), (PgsealPurpose) DatumGetChar(values[3]));
	if (exists)
		return PointerGetDatum(NULL);
	return PointerGetDatum(is_key ? with_free_hash(tuple, desc) : tuple);
}

/* Lets all backends forget which key version is current */
Datum
pgseal_key_changed(PG_FUNCTION_ARGS)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.key_changed() must be called as a trigger")));
	CacheInvalidateRelcacheByRelid(pgseal_catalog_version_relation());
	return PointerGetDatum(NULL);
}
