/*-------------------------------------------------------------------------
 *
 * begin.c
 *	  The first step of a conversion: refusing, rehearsing, making the copy.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "base/extension.h"
#include "convert/steps.h"
#include "ddl/brin_networks.h"
#include "ddl/column_keys.h"
#include "ddl/refuse.h"
#include "keys/catalog.h"
#include "value/find_sealed.h"

/* Who names a key is not told that all is done where the column has another */
static void
check_same_key(const PgsealConversion *conversion, int32 typmod, const char *key)
{
	if (typmod == PGSEAL_TYPMOD_NONE || typmod == pgseal_catalog_key_hash(key))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("column \"%s\" of table \"%s\" is already encrypted, under another key",
					get_attname(conversion->relid, conversion->attnum, false),
					get_rel_name(conversion->relid)),
			 errhint("ALTER TABLE ... ALTER COLUMN ... TYPE with the name of the key seals its values anew, and locks the table.")));
}

/*
 * The types before and afterwards; false when there is nothing to do.  key is the one
 * that was asked for, or NULL
 */
static bool
resolve_types(PgsealConversion *conversion, const char *key)
{
	Oid			type;
	int32		typmod;
	Oid			collation;
	const PgsealType *encrypted;

	get_atttypetypmodcoll(conversion->relid, conversion->attnum, &type, &typmod, &collation);
	encrypted = pgseal_type_by_oid(type);
	if (conversion->encrypts == pgseal_holds_encrypted(type))
	{
		if (conversion->encrypts && key != NULL)
			check_same_key(conversion, typmod, key);
		ereport(NOTICE,
				(errmsg("column \"%s\" of table \"%s\" is %s encrypted",
						get_attname(conversion->relid, conversion->attnum, false),
						get_rel_name(conversion->relid),
						conversion->encrypts ? "already" : "not")));
		return false;
	}
	if (!conversion->encrypts && encrypted == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot decrypt a column of type %s while its table is in use",
						format_type_be(type)),
				 errhint("Use ALTER TABLE ... ALTER COLUMN ... TYPE, which locks the table.")));
	if (conversion->encrypts)
	{
		conversion->type = pgseal_type_by_base(type == VARCHAROID ? TEXTOID : type);
		conversion->new_type = conversion->type != NULL ? conversion->type->oid : InvalidOid;
		return true;
	}
	if (typmod > 0)
		pgseal_refuse_without_usage(typmod);
	conversion->type = encrypted;
	conversion->new_type = encrypted->base->oid;
	conversion->new_typmod = PGSEAL_TYPMOD_NONE;
	return true;
}

/* The key must be there, and committed, before it seals the first value. */
static void
make_key(PgsealConversion *conversion, const char *key)
{
	bool		is_new = key != NULL && strcmp(key, "*") != 0 &&
		pgseal_catalog_name(pgseal_catalog_key_hash(key)) == NULL;

	conversion->new_typmod = pgseal_column_keys_choose(conversion->relid, conversion->new_type, key);
	if (conversion->new_typmod == PGSEAL_TYPMOD_ANY)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("a column can be encrypted under one key only"),
				 errhint("Name a key, or none for the table's own.")));
	/* Whoever has mistyped a name shall know */
	if (is_new)
		ereport(NOTICE, (errmsg("key \"%s\" does not exist, creating it", key)));
	/* A constant that is the default will need it */
	pgseal_keyring_ensure(PGSEAL_DEFAULT_KEY);
}

static List *
indexes_of(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);

	table_close(rel, NoLock);
	return indexes;
}

static PgsealNewIndex
new_index_for(const PgsealConversion *conversion, Oid relid)
{
	Relation	index = index_open(relid, NoLock);
	PgsealNewIndex result = pgseal_convert_new_index(conversion, index);

	index_close(index, NoLock);
	return result;
}

/* BRIN on networks doesn't stay what it is */
static void
announce_like_index(const PgsealConversion *conversion, Oid relid)
{
	Relation	index = index_open(relid, NoLock);

	if (conversion->encrypts)
		pgseal_brin_announce_minmax(index, conversion->attnum);
	index_close(index, NoLock);
}

/* Hash indexes stay what they are. */
static void
announce_replaced_indexes(const PgsealConversion *conversion)
{
	const char *column = quote_identifier(get_attname(conversion->relid, conversion->attnum, false));
	ListCell   *lc;

	foreach(lc, conversion->indexes)
	{
		const char *index = get_rel_name(lfirst_oid(lc));

		switch (new_index_for(conversion, lfirst_oid(lc)))
		{
			case PGSEAL_NEW_SEALED_INDEX:
				ereport(NOTICE,
						(errmsg("index \"%s\" will be a sealed index on %s", index, column)));
				break;
			case PGSEAL_NEW_BLIND_INDEX:
				ereport(NOTICE,
						(errmsg("index \"%s\" will be on blind_index(%s), which serves equality",
								index, column)));
				break;
			case PGSEAL_NEW_BTREE_OF_TOKENS:
				ereport(NOTICE,
						(errmsg("index \"%s\" will be on %s itself", index, column)));
				break;
			case PGSEAL_NEW_BTREE:
				ereport(NOTICE,
						(errmsg("index \"%s\" will be a btree on %s", index, column)));
				break;
			case PGSEAL_NEW_LIKE_INDEX:
				announce_like_index(conversion, lfirst_oid(lc));
				break;
			default:
				break;
		}
	}
}

/* With the table locked exclusively */
static void
prepare(PgsealConversion *conversion)
{
	Oid			schema = pgseal_internal_schema();
	PgsealCaller caller;

	conversion->indexes = indexes_of(conversion->relid);
	pgseal_convert_check(conversion);
	pgseal_convert_become_owner(&caller, conversion->relid);
	pgseal_convert_make_copy(conversion);
	pgseal_as_owner_end(&caller);
	pgseal_convert_add_triggers(conversion);
	pgseal_convert_hide_from_decoding(get_relname_relid("conversion", schema), true);
	pgseal_convert_hide_from_decoding(get_relname_relid("conversion_change", schema), true);
	pgseal_convert_insert(conversion, pgseal_convert_blocks(conversion->relid));
}

/*
 * In a transaction of its own: logical decoding may not tell catalog rows of a
 * subtransaction that was rolled back from later ones of the same transaction.
 */
static void
rehearse(PgsealConversion *conversion)
{
	PgsealCaller caller;

	pgseal_convert_lock(conversion->relid);
	PushActiveSnapshot(GetLatestSnapshot());
	pgseal_convert_check_owner(conversion->relid);
	pgseal_convert_check_column(conversion->relid, conversion->attnum);
	conversion->indexes = indexes_of(conversion->relid);
	pgseal_convert_check(conversion);
	pgseal_convert_become_owner(&caller, conversion->relid);
	pgseal_convert_rehearse(conversion);
	pgseal_as_owner_end(&caller);
	PopActiveSnapshot();
	SPI_rollback();
	XactIsoLevel = XACT_READ_COMMITTED;
}

/* Has another session begun meanwhile? */
static bool
is_under_way(Oid relid)
{
	PgsealConvertState state;

	return pgseal_convert_load(&state, relid, false) &&
		strcmp(pgseal_convert_shape(&state.conversion), state.shape) == 0;
}

PgsealConvertStep
pgseal_convert_begin(const PgsealConvertRequest *request)
{
	PgsealConversion conversion = {.relid = request->relid, .attnum = request->attnum,
	.encrypts = request->encrypts, .caller = request->caller};
	PgsealConversion now;
	bool		again;

	/* What is refused is refused before a key is made and anybody has to wait */
	LockRelationOid(request->relid, AccessShareLock);
	pgseal_convert_check_owner(request->relid);
	pgseal_convert_check_column(request->relid, request->attnum);
	if (!resolve_types(&conversion, request->key))
		return PGSEAL_STEP_DONE;
	pgseal_convert_check(&conversion);
	if (conversion.encrypts)
	{
		pgseal_convert_check_lengths(&conversion);
		make_key(&conversion, request->key);
	}

	PopActiveSnapshot();
	pgseal_convert_next_transaction();
	rehearse(&conversion);
	if (conversion.new_typmod > 0)
		pgseal_catalog_lock_columns(conversion.new_typmod, false);
	pgseal_convert_lock(request->relid);
	PushActiveSnapshot(GetLatestSnapshot());
	pgseal_convert_check_owner(request->relid);
	pgseal_convert_check_column(request->relid, request->attnum);
	now = conversion;
	if (!resolve_types(&now, NULL) || now.new_type != conversion.new_type)
		return PGSEAL_STEP_BEGIN;
	if (is_under_way(request->relid))
		return PGSEAL_STEP_MORE;
	again = pgseal_convert_drop_remains(request->relid);
	prepare(&conversion);
	pgseal_convert_report(&conversion, again ? "conversion_restarted" : "conversion_started");
	announce_replaced_indexes(&conversion);
	return PGSEAL_STEP_MORE;
}
