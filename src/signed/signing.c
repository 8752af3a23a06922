/*-------------------------------------------------------------------------
 *
 * signing.c
 *	  How the rows of one table are signed.
 *
 * All there is to know stands in the arguments of the table's trigger, so that
 * dumps carry it and partitions inherit it (signing.h).
 *
 *	 MAC = first 128 bits of HMAC-SHA-256(key of the signature's key version,
 *		   prefix of the definition, counter, n, body of the row)
 *
 * where counter is 8 bytes, n, the number of columns, 2, both big endian; prefix and
 * body as in definition.c.  The key is derived from a version of the table's key.  So
 * a signature is good for one state of one row of one table; that it is the newest
 * one, it can't say.
 *
 * When what is signed changes, two definitions stand for a while: rows are signed by
 * the newest one and verify by either, until the worker has signed all of them anew
 * and the former goes (life/redefine.c).  While the table is signed no number is used
 * again, so what was signed by a definition that has gone is good no more.  Both are
 * under one key.
 *
 * Whoever can have any signature made under a key can have any row, so a trigger
 * is made by those only who may use its key (ddl/signed_tables.c).
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
#include "base/relation_changes.h"
#include "keys/keyring.h"
#include "signed/signing.h"

/* Signed tables that are kept in mind, at least where nothing changes */
#define KEPT_MAX				256

/*
 * The arguments
 */

/* How many of these threes there are before the former definition */
static int
num_of_newest(char **columns, int num)
{
	for (int i = 0; i < num; i++)
		if (columns[i * PGSEAL_SIGN_ARGUMENTS_OF_COLUMN][0] == '\0')
			return i;
	return num;
}

static void
read_definitions(PgsealSigning *signing, Relation rel, char **arguments, int num)
{
	char	  **columns = arguments + PGSEAL_SIGN_ARGUMENTS_OF_TABLE;
	int			num_newest = num_of_newest(columns, num);
	char	  **former = columns + num_newest * PGSEAL_SIGN_ARGUMENTS_OF_COLUMN;

	signing->newest = pgseal_definition_read(rel, arguments[0], arguments[3], columns, num_newest);
	if (num_newest == num)
		return;
	signing->former = pgseal_definition_read(rel, former[1], former[2],
											 former + PGSEAL_SIGN_ARGUMENTS_OF_COLUMN,
											 num - num_newest - 1);
	if (signing->former->number == signing->newest->number ||
		pgseal_definition_num_either(signing->newest, signing->former) > PGSEAL_SIGNED_COLUMNS_MAX)
		pgseal_definition_unfit(rel, "Its two definitions do not fit each other.");
}

PgsealSigning *
pgseal_signing_read(Relation rel, const Trigger *trigger)
{
	PgsealSigning *signing = palloc0(sizeof(PgsealSigning));
	int			num = trigger->tgnargs - PGSEAL_SIGN_ARGUMENTS_OF_TABLE;
	char	  **arguments = trigger->tgargs;

	if (num <= 0 || num % PGSEAL_SIGN_ARGUMENTS_OF_COLUMN != 0)
		pgseal_definition_unfit(rel, "It has a wrong number of arguments.");
	signing->relid = RelationGetRelid(rel);
	signing->key = pstrdup(arguments[1]);
	signing->key_hash = pgseal_catalog_key_hash(signing->key);
	signing->writers = strcmp(arguments[2], "writers") == 0;
	if (!signing->writers && strcmp(arguments[2], "usage") != 0)
		pgseal_definition_unfit(rel, "Its third argument is usage or writers.");
	signing->signature = pgseal_signing_column(RelationGetDescr(rel));
	if (signing->signature == InvalidAttrNumber)
		pgseal_definition_unfit(rel, "It has no column of type row_signature.");
	signing->ledger = pgseal_ledger_of_relation(rel);
	read_definitions(signing, rel, arguments, num / PGSEAL_SIGN_ARGUMENTS_OF_COLUMN);
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
relation_changed(Oid relid)
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
	pgseal_on_relation_change(relation_changed);
	CacheRegisterSyscacheCallback(TYPEOID, type_changed, (Datum) 0);
}

uint8
pgseal_signing_next_definition(const PgsealSigning *signing)
{
	if (signing->newest->number == PG_UINT8_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("what is signed in table \"%s\" has changed too often",
						get_rel_name(signing->relid)),
				 errhint("Sign the table with a key that has never signed it: pgseal.sign_table(key => ...).")));
	return signing->newest->number + 1;
}

List *
pgseal_signing_arguments(const PgsealSigning *signing)
{
	List	   *arguments = list_make4(signing->newest->table_label, signing->key,
									   signing->writers ? "writers" : "usage",
									   psprintf("%d", signing->newest->number));

	arguments = pgseal_definition_arguments(arguments, signing->newest);
	if (signing->former == NULL)
		return arguments;
	arguments = lappend(arguments, "");
	arguments = lappend(arguments, signing->former->table_label);
	arguments = lappend(arguments, psprintf("%d", signing->former->number));
	return pgseal_definition_arguments(arguments, signing->former);
}

/*
 * Signatures
 */

PgsealSignature *
pgseal_signing_signature(const PgsealSigning *signing, const Datum *row_values,
						 const bool *row_nulls)
{
	int			column = signing->signature - 1;

	return row_nulls[column] ? NULL : DatumGetSignature(row_values[column]);
}

const PgsealDefinition *
pgseal_signing_definition_of(const PgsealSigning *signing, const PgsealSignature *signature)
{
	if (signature->definition == signing->newest->number)
		return signing->newest;
	if (signing->former != NULL && signature->definition == signing->former->number)
		return signing->former;
	return NULL;
}

/* counter: 8 bytes, big endian */
static void
compute_mac(uint8 out_mac[PGSEAL_SIGNATURE_MAC_BYTES], const PgsealDefinition *definition,
			PgsealKey *key, const uint8 counter[8], const StringInfo body)
{
	uint8		mac[PGSEAL_HASH_BYTES];
	uint16		num_be = pg_hton16((uint16) definition->num_columns);
	size_t		prefix_len = definition->prefix.len;
	uint8	   *prefix = palloc(prefix_len + 8 + sizeof(num_be));

	memcpy(prefix, definition->prefix.data, prefix_len);
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
	const PgsealDefinition *definition;
	const PgsealKeyInfo *info;
	uint8		mac[PGSEAL_SIGNATURE_MAC_BYTES];

	if (signature == NULL)
		return PGSEAL_SIGNATURE_MISSING;
	if (signature->format != PGSEAL_SIGNATURE_FORMAT)
		return PGSEAL_SIGNATURE_FORGED;
	definition = pgseal_signing_definition_of(signing, signature);
	if (definition == NULL)
		return PGSEAL_SIGNATURE_OLD;
	id = pgseal_signature_key_version(signature);
	info = pgseal_keyring_info(id);
	if ((!info->known && !info->lost) || info->key_hash != signing->key_hash ||
		info->purpose != PGSEAL_PURPOSE_DATA)
		return PGSEAL_SIGNATURE_FORGED;
	compute_mac(mac, definition, pgseal_keyring_open(id, PGSEAL_ACCESS_INTERNAL),
				signature->counter, body);
	return pgseal_equal(mac, signature->mac, sizeof(mac)) ?
		PGSEAL_SIGNATURE_GOOD : PGSEAL_SIGNATURE_FORGED;
}

PgsealSignatureStatus
pgseal_signing_verify_row(const PgsealSigning *signing, const Datum *row_values,
						  const bool *row_nulls, StringInfo body)
{
	PgsealSignature *signature = pgseal_signing_signature(signing, row_values, row_nulls);
	const PgsealDefinition *definition = signature == NULL ? NULL :
		pgseal_signing_definition_of(signing, signature);

	resetStringInfo(body);
	if (definition != NULL)
		pgseal_definition_body(body, definition, row_values, row_nulls);
	return pgseal_signing_verify(signing, signature, body);
}

void
pgseal_signing_sign(const PgsealSigning *signing, PgsealSignature *out_signature,
					int64 counter, const StringInfo body)
{
	PgsealKey  *key = pgseal_keyring_seal(signing->key_hash);
	uint64		id_be = pg_hton64((uint64) key->id);
	uint64		counter_be = pg_hton64((uint64) counter);

	out_signature->format = PGSEAL_SIGNATURE_FORMAT;
	out_signature->definition = signing->newest->number;
	memcpy(out_signature->key_version_id, &id_be, sizeof(id_be));
	memcpy(out_signature->counter, &counter_be, sizeof(counter_be));
	compute_mac(out_signature->mac, signing->newest, key, out_signature->counter, body);
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
