/*-------------------------------------------------------------------------
 *
 * signing.c
 *	  How the rows of one table are signed.
 *
 * All there is to know stands in the arguments of the table's trigger, so that
 * dumps carry it and partitions inherit it:
 *
 *	 table label, key, who signs, definition, then for each signed column
 *	 label, type label, present name
 *
 * Labels are names of the time when the table was signed.  They go into every
 * signature and stay what they are when something is renamed.
 *
 *	 MAC = first 128 bits of HMAC-SHA-256(key of the signature's key version,
 *		   "pgseal row 1" lp(table label) definition counter n
 *		   then for each of n columns: lp(label) lp(type label) value)
 *
 * where definition is 1 byte, counter 8, n 2, all big endian, lp and value as in
 * canonical.c.  The key is derived from a version of the table's key.  So a
 * signature is good for one state of one row of one table; that it is the newest
 * one, it can't say.
 *
 * Whoever can have any signature made under a key can have any row, so a trigger
 * is made by those only who may use its key (hooks/signed_tables.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/pg_list.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/hsearch.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "signed/signing.h"

#define MAC_LABEL				"pgseal row 1"

/* Signed tables that are kept in mind, at least where nothing changes */
#define KEPT_MAX				256

/*
 * The arguments
 */

pg_noreturn static void
unfit(Relation rel, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the trigger that signs rows of table \"%s\" does not fit the table",
					RelationGetRelationName(rel)),
			 errdetail_internal("%s", detail),
			 errhint("Use pgseal.sign_table() or pgseal.unsign_table().")));
}

static AttrNumber
attribute_named(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i + 1;
	return InvalidAttrNumber;
}

static void
read_column(PgsealSigning *signing, Relation rel, char **arguments)
{
	PgsealSignedColumn *column = &signing->columns[signing->num_columns];
	StringInfo	prefix = &signing->column_prefix[signing->num_columns];
	Form_pg_attribute attribute;

	column->label = pstrdup(arguments[0]);
	column->type_label = pstrdup(arguments[1]);
	column->name = pstrdup(arguments[2]);
	column->attnum = attribute_named(RelationGetDescr(rel), column->name);
	if (column->attnum == InvalidAttrNumber)
		unfit(rel, psprintf("Signed column \"%s\" does not exist.", column->name));
	attribute = TupleDescAttr(RelationGetDescr(rel), column->attnum - 1);
	if (attribute->attgenerated != '\0' || column->attnum == signing->signature)
		unfit(rel, psprintf("Column \"%s\" cannot be signed.", column->name));
	column->canonical = pgseal_canonical_of_type(attribute->atttypid, attribute->atttypmod,
												 column->name);
	initStringInfo(prefix);
	pgseal_canonical_append_bytes(prefix, column->label, strlen(column->label));
	pgseal_canonical_append_bytes(prefix, column->type_label, strlen(column->type_label));
	signing->num_columns++;
}

PgsealSigning *
pgseal_signing_read(Relation rel, const Trigger *trigger)
{
	PgsealSigning *signing = palloc0(sizeof(PgsealSigning));
	int			num = trigger->tgnargs - PGSEAL_SIGN_ARGUMENTS_OF_TABLE;
	char	  **arguments = trigger->tgargs;
	int			definition;

	if (num <= 0 || num % PGSEAL_SIGN_ARGUMENTS_OF_COLUMN != 0 ||
		num / PGSEAL_SIGN_ARGUMENTS_OF_COLUMN > PGSEAL_SIGNED_COLUMNS_MAX)
		unfit(rel, "It has a wrong number of arguments.");
	definition = atoi(arguments[PGSEAL_SIGN_ARGUMENT_DEFINITION]);
	if (definition < 1 || definition > PG_UINT8_MAX)
		unfit(rel, "Its fourth argument is the number of a definition, from 1 to 255.");
	signing->relid = RelationGetRelid(rel);
	signing->table_label = pstrdup(arguments[0]);
	signing->key = pstrdup(arguments[1]);
	signing->key_hash = pgseal_catalog_key_hash(signing->key);
	signing->writers = strcmp(arguments[2], "writers") == 0;
	if (!signing->writers && strcmp(arguments[2], "usage") != 0)
		unfit(rel, "Its third argument is usage or writers.");
	signing->definition = (uint8) definition;
	signing->signature = pgseal_signing_column(RelationGetDescr(rel));
	if (signing->signature == InvalidAttrNumber)
		unfit(rel, "It has no column of type row_signature.");
	signing->ledger = pgseal_ledger_of_relation(rel);
	for (int i = 0; i < num; i += PGSEAL_SIGN_ARGUMENTS_OF_COLUMN)
		read_column(signing, rel, arguments + PGSEAL_SIGN_ARGUMENTS_OF_TABLE + i);

	initStringInfo(&signing->prefix);
	appendBinaryStringInfo(&signing->prefix, MAC_LABEL, strlen(MAC_LABEL));
	pgseal_canonical_append_bytes(&signing->prefix, signing->table_label,
								  strlen(signing->table_label));
	appendStringInfoChar(&signing->prefix, (char) signing->definition);
	return signing;
}

/*
 * What was read, by relation, with the number of invalidations until then: any may be
 * about the table, a type of a column, or the key.  What is stale may be in use until
 * the transaction ends.
 */
typedef struct Kept
{
	Oid			relid;			/* hash key: must be first */
	uint64		invalidations;
	PgsealSigning *signing;		/* NULL: was forgotten */
} Kept;

static HTAB *kept = NULL;
static uint64 invalidations = 0;

static void
relation_changed(Datum unused, Oid relid)
{
	invalidations++;
}

static void
type_changed(Datum unused, int cache, uint32 hash)
{
	invalidations++;
}

/* Of tables that are gone, too */
static void
forget_stale(void)
{
	HASH_SEQ_STATUS scan;
	Kept	   *entry;

	hash_seq_init(&scan, kept);
	while ((entry = hash_seq_search(&scan)) != NULL)
	{
		if (entry->invalidations == invalidations)
			continue;
		if (entry->signing != NULL)
			MemoryContextSetParent(entry->signing->context, TopTransactionContext);
		hash_search(kept, &entry->relid, HASH_REMOVE, NULL);
	}
}

static PgsealSigning *
read_and_keep(Kept *entry, Relation rel, const Trigger *trigger)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal signing",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	uint64		until = invalidations;
	PgsealSigning *signing = pgseal_signing_read(rel, trigger);

	MemoryContextSwitchTo(caller);
	if (entry->signing != NULL)
		MemoryContextSetParent(entry->signing->context, TopTransactionContext);
	MemoryContextSetParent(context, CacheMemoryContext);
	signing->context = context;
	entry->signing = signing;
	entry->invalidations = until;
	return signing;
}

PgsealSigning *
pgseal_signing_of_relation(Relation rel)
{
	const Trigger *trigger = pgseal_signing_trigger(rel);
	Oid			relid = RelationGetRelid(rel);
	bool		found;
	Kept	   *entry;

	if (trigger == NULL)
		return NULL;
	if (kept == NULL)
	{
		HASHCTL		control = {.keysize = sizeof(Oid), .entrysize = sizeof(Kept)};

		kept = hash_create("pgseal signed tables", 64, &control, HASH_ELEM | HASH_BLOBS);
	}
	if (hash_get_num_entries(kept) >= KEPT_MAX)
		forget_stale();
	entry = hash_search(kept, &relid, HASH_ENTER, &found);
	if (!found)
		entry->signing = NULL;
	if (entry->signing != NULL && entry->invalidations == invalidations)
		return entry->signing;
	return read_and_keep(entry, rel, trigger);
}

void
pgseal_signing_init(void)
{
	CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
}

int
pgseal_signing_next_definition(const PgsealSigning *signing)
{
	return signing->definition % PG_UINT8_MAX + 1;
}

List *
pgseal_signing_arguments(const PgsealSigning *signing)
{
	List	   *arguments = list_make4(signing->table_label, signing->key,
									   signing->writers ? "writers" : "usage",
									   psprintf("%d", signing->definition));

	for (int i = 0; i < signing->num_columns; i++)
	{
		arguments = lappend(arguments, signing->columns[i].label);
		arguments = lappend(arguments, signing->columns[i].type_label);
		arguments = lappend(arguments, signing->columns[i].name);
	}
	return arguments;
}

/*
 * Signatures
 */

void
pgseal_signing_pick(const PgsealSigning *signing, const Datum *row_values,
					const bool *row_nulls, Datum *out_values, bool *out_nulls)
{
	for (int i = 0; i < signing->num_columns; i++)
	{
		out_values[i] = row_values[signing->columns[i].attnum - 1];
		out_nulls[i] = row_nulls[signing->columns[i].attnum - 1];
	}
}

void
pgseal_signing_body(StringInfo out, const PgsealSigning *signing,
					const Datum *values, const bool *nulls)
{
	for (int i = 0; i < signing->num_columns; i++)
	{
		const StringInfoData *prefix = &signing->column_prefix[i];

		appendBinaryStringInfo(out, prefix->data, prefix->len);
		pgseal_canonical_append(out, signing->columns[i].canonical, values[i], nulls[i]);
	}
}

/* counter: 8 bytes, big endian */
static void
compute_mac(uint8 out_mac[PGSEAL_SIGNATURE_MAC_BYTES], const PgsealSigning *signing,
			PgsealKey *key, const uint8 counter[8], const StringInfo body)
{
	uint8		mac[PGSEAL_HASH_BYTES];
	uint16		num_be = pg_hton16((uint16) signing->num_columns);
	size_t		prefix_len = signing->prefix.len;
	uint8	   *prefix = palloc(prefix_len + 8 + sizeof(num_be));

	memcpy(prefix, signing->prefix.data, prefix_len);
	memcpy(prefix + prefix_len, counter, 8);
	memcpy(prefix + prefix_len + 8, &num_be, sizeof(num_be));
	if (!pgseal_hmac(pgseal_keyring_signer(key), mac, prefix, prefix_len + 8 + sizeof(num_be),
					 (uint8 *) body->data, body->len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute HMAC-SHA-256")));
	memcpy(out_mac, mac, PGSEAL_SIGNATURE_MAC_BYTES);
	pfree(prefix);
}

/*
 * A signature may name any key version; only one of the table's key counts.  A
 * version that was destroyed, or whose key doesn't come from the KMS, is an error:
 * then nobody knows whether the signature is good.
 */
PgsealSignatureStatus
pgseal_signing_verify(const PgsealSigning *signing, const PgsealSignature *signature,
					  const StringInfo body)
{
	int64		id;
	const PgsealKeyInfo *info;
	PgsealKey  *key;
	uint8		mac[PGSEAL_SIGNATURE_MAC_BYTES];

	if (signature == NULL)
		return PGSEAL_SIGNATURE_MISSING;
	if (signature->format != PGSEAL_SIGNATURE_FORMAT)
		return PGSEAL_SIGNATURE_FORGED;
	if (signature->definition != signing->definition)
		return PGSEAL_SIGNATURE_OLD;
	id = pgseal_signature_key_version(signature);
	info = pgseal_keyring_info(id);
	if ((!info->known && !info->lost) || info->key_hash != signing->key_hash ||
		info->purpose != PGSEAL_PURPOSE_DATA)
		return PGSEAL_SIGNATURE_FORGED;
	key = pgseal_keyring_open(id, PGSEAL_ACCESS_INTERNAL);
	compute_mac(mac, signing, key, signature->counter, body);
	return pgseal_equal(mac, signature->mac, sizeof(mac)) ?
		PGSEAL_SIGNATURE_GOOD : PGSEAL_SIGNATURE_FORGED;
}

PgsealSignatureStatus
pgseal_signing_verify_row(const PgsealSigning *signing, const Datum *row_values,
						  const bool *row_nulls)
{
	int			signature = signing->signature - 1;
	Datum		values[PGSEAL_SIGNED_COLUMNS_MAX];
	bool		nulls[PGSEAL_SIGNED_COLUMNS_MAX];
	StringInfoData body;
	PgsealSignatureStatus status;

	pgseal_signing_pick(signing, row_values, row_nulls, values, nulls);
	initStringInfo(&body);
	pgseal_signing_body(&body, signing, values, nulls);
	status = pgseal_signing_verify(signing, row_nulls[signature] ? NULL :
								   DatumGetSignature(row_values[signature]), &body);
	pfree(body.data);
	return status;
}

void
pgseal_signing_sign(const PgsealSigning *signing, PgsealSignature *out_signature,
					int64 counter, const StringInfo body)
{
	PgsealKey  *key = pgseal_keyring_seal(signing->key_hash);
	uint64		id_be = pg_hton64((uint64) key->id);
	uint64		counter_be = pg_hton64((uint64) counter);

	out_signature->format = PGSEAL_SIGNATURE_FORMAT;
	out_signature->definition = signing->definition;
	memcpy(out_signature->key_version_id, &id_be, sizeof(id_be));
	memcpy(out_signature->counter, &counter_be, sizeof(counter_be));
	compute_mac(out_signature->mac, signing, key, out_signature->counter, body);
}

void
pgseal_signing_check_signer(const PgsealSigning *signing)
{
	PgsealKeyRow *key;
	Oid			server;

	if (signing->writers)
		return;
	pgseal_keyring_ensure(signing->key);
	key = pgseal_keyring_require(signing->key);
	server = get_foreign_server_oid(key->server, false);
	if (pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, key->server);
}
