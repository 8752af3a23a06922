/*-------------------------------------------------------------------------
 *
 * ledger_store.c
 *	  The records of ledgers, as they are stored.
 *
 * They are rows of pgseal.ledger, which dumps carry.  They are written as those of
 * PostgreSQL's own catalogs are, below triggers and privileges.  A record of a
 * change or of a total is sealed, as sums of hashes must not be known to those who
 * look for rows that add up to the same:
 *
 *	 offset	bytes
 *	 0		1	format (1 = AES-256-GCM)
 *	 1		12	nonce
 *	 13		n	ciphertext
 *	 13+n	16	tag
 *
 * under a key derived from a key version for nothing else: else who may seal values
 * could seal records.  What is authenticated with it is "pgseal ledger 1", the ledger,
 * kind and number, and the key version, so that a record is good in its place only.
 * All numbers are big endian.
 *
 *	 change		home 12, xid 8, sum 40
 *	 total		home 12, sum 40, number of digests 8, their hash 32,
 *				next xid 8, n 4, xid 8 of each of n transactions
 *	 home		system identifier 8, OID of the database 4
 *	 sum		rows 8, hash 32
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/indexing.h"
#include "commands/trigger.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "signed/ledger_store.h"

PG_FUNCTION_INFO_V1(pgseal_keep_ledger);

#define AAD_LABEL				"pgseal ledger 1"
#define RECORD_FORMAT			1
#define RECORD_OVERHEAD			(1 + PGSEAL_NONCE_BYTES + PGSEAL_TAG_BYTES)

/* Columns of pgseal.ledger */
enum
{
	LEDGER_ID = 1,
	LEDGER_KIND,
	LEDGER_NUMBER,
	LEDGER_KEY_VERSION,
	LEDGER_RECORD
};
#define LEDGER_NATTS			LEDGER_RECORD

/*
 * The table
 */

static Oid
table_oid(const char *name)
{
	Oid			schema = pgseal_schema();

	return OidIsValid(schema) ? get_relname_relid(name, schema) : InvalidOid;
}

bool
pgseal_record_table_exists(void)
{
	return OidIsValid(table_oid("ledger"));
}

static Relation
open_table(LOCKMODE lockmode)
{
	Oid			oid = table_oid("ledger");

	if (!OidIsValid(oid))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table \"pgseal.ledger\" does not exist")));
	return table_open(oid, lockmode);
}

bool
pgseal_record_scan_begin(PgsealRecordScan *scan, int64 ledger, Snapshot snapshot)
{
	ScanKeyData key;
	Oid			index = table_oid("ledger_pkey");

	if (!OidIsValid(index))
		return false;
	scan->ledger = ledger;
	scan->rel = open_table(AccessShareLock);
	scan->index = index_open(index, AccessShareLock);
	ScanKeyInit(&key, LEDGER_ID, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(ledger));
	scan->scan = systable_beginscan_ordered(scan->rel, scan->index, snapshot, 1, &key);
	return true;
}

bool
pgseal_record_scan_next(PgsealRecordScan *scan, PgsealRecord *out_record)
{
	HeapTuple	tuple = systable_getnext_ordered(scan->scan, ForwardScanDirection);
	TupleDesc	desc = RelationGetDescr(scan->rel);
	Datum		values[LEDGER_NATTS];
	bool		nulls[LEDGER_NATTS];

	CHECK_FOR_INTERRUPTS();
	if (!HeapTupleIsValid(tuple))
		return false;
	heap_deform_tuple(tuple, desc, values, nulls);
	out_record->ledger = scan->ledger;
	out_record->kind = (PgsealRecordKind) DatumGetChar(values[LEDGER_KIND - 1]);
	out_record->number = DatumGetInt64(values[LEDGER_NUMBER - 1]);
	out_record->key_version_id = nulls[LEDGER_KEY_VERSION - 1] ? 0 :
		DatumGetInt64(values[LEDGER_KEY_VERSION - 1]);
	out_record->bytes = DatumGetByteaP(values[LEDGER_RECORD - 1]);
	out_record->tuple = tuple;
	return true;
}

void
pgseal_record_scan_end(PgsealRecordScan *scan)
{
	systable_endscan_ordered(scan->scan);
	index_close(scan->index, NoLock);
	table_close(scan->rel, NoLock);
}

static HeapTuple
form_tuple(Relation rel, const PgsealRecord *record)
{
	Datum		values[LEDGER_NATTS] = {0};
	bool		nulls[LEDGER_NATTS] = {false};

	values[LEDGER_ID - 1] = Int64GetDatum(record->ledger);
	values[LEDGER_KIND - 1] = CharGetDatum((char) record->kind);
	values[LEDGER_NUMBER - 1] = Int64GetDatum(record->number);
	values[LEDGER_KEY_VERSION - 1] = Int64GetDatum(record->key_version_id);
	nulls[LEDGER_KEY_VERSION - 1] = record->key_version_id == 0;
	values[LEDGER_RECORD - 1] = PointerGetDatum(record->bytes);
	return heap_form_tuple(RelationGetDescr(rel), values, nulls);
}

void
pgseal_record_insert(const PgsealRecord *record)
{
	Relation	rel = open_table(RowExclusiveLock);

	CatalogTupleInsert(rel, form_tuple(rel, record));
	table_close(rel, NoLock);
}

void
pgseal_record_update(const PgsealRecord *record)
{
	Relation	rel = open_table(RowExclusiveLock);
	ItemPointerData tid = record->tuple->t_self;

	CatalogTupleUpdate(rel, &tid, form_tuple(rel, record));
	table_close(rel, NoLock);
}

void
pgseal_record_delete(const PgsealRecord *record)
{
	Relation	rel = open_table(RowExclusiveLock);

	CatalogTupleDelete(rel, &record->tuple->t_self);
	table_close(rel, NoLock);
}

void
pgseal_record_lock(int64 ledger)
{
	LockDatabaseObject(table_oid("ledger"), (Oid) ledger, (uint16) (ledger >> 32), ExclusiveLock);
}

/* keep_ledger() → trigger: rows come with a dump, and change by nobody's hand */
Datum
pgseal_keep_ledger(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.keep_ledger() must be called as a trigger")));
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
		return PointerGetDatum(NULL);
	if (!TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("rows of table \"%s\" cannot be changed",
						RelationGetRelationName(trigger->tg_relation)),
				 errhint("pgseal.sign_table() begins and ends ledgers.")));
	return PointerGetDatum(trigger->tg_trigtuple);
}

int64
pgseal_record_new_number(void)
{
	uint64		number = 0;

	while (number == 0)
	{
		if (!pgseal_random((uint8 *) &number, sizeof(number)))
			ereport(ERROR,
					(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
					 errmsg("could not get random bytes")));
		number &= PG_INT64_MAX;
	}
	return (int64) number;
}

/*
 * What is in them
 */

PgsealLedgerHome
pgseal_record_home(void)
{
	PgsealLedgerHome home = {.server = GetSystemIdentifier(), .database = MyDatabaseId};

	return home;
}

bool
pgseal_record_same_home(const PgsealLedgerHome *a, const PgsealLedgerHome *b)
{
	return a->server == b->server && a->database == b->database;
}

static void
put_home(StringInfo out, const PgsealLedgerHome *home)
{
	pq_sendint64(out, home->server);
	pq_sendint32(out, home->database);
}

static void
put_sum(StringInfo out, const PgsealLedgerSum *sum)
{
	pq_sendint64(out, sum->rows);
	for (int i = PGSEAL_LEDGER_LIMBS - 1; i >= 0; i--)
		pq_sendint64(out, sum->hash[i]);
}

static void
get_home(StringInfo in, PgsealLedgerHome *out_home)
{
	out_home->server = pq_getmsgint64(in);
	out_home->database = pq_getmsgint(in, 4);
}

static void
get_sum(StringInfo in, PgsealLedgerSum *out_sum)
{
	out_sum->rows = pq_getmsgint64(in);
	for (int i = PGSEAL_LEDGER_LIMBS - 1; i >= 0; i--)
		out_sum->hash[i] = pq_getmsgint64(in);
}

static void
authenticated(StringInfo out, const PgsealRecord *record)
{
	initStringInfo(out);
	appendBinaryStringInfo(out, AAD_LABEL, strlen(AAD_LABEL));
	pq_sendint64(out, record->ledger);
	pq_sendint8(out, record->kind);
	pq_sendint64(out, record->number);
	pq_sendint64(out, record->key_version_id);
}

static void
seal(PgsealRecord *record, int32 key_hash, const StringInfo content)
{
	PgsealKey  *key = pgseal_keyring_seal(key_hash);
	PgsealAead *aead;
	StringInfoData aad;
	uint8	   *bytes;

	record->key_version_id = key->id;
	aead = pgseal_keyring_ledger(key);
	authenticated(&aad, record);
	record->bytes = palloc(VARHDRSZ + RECORD_OVERHEAD + content->len);
	SET_VARSIZE(record->bytes, VARHDRSZ + RECORD_OVERHEAD + content->len);
	bytes = (uint8 *) VARDATA(record->bytes);
	bytes[0] = RECORD_FORMAT;
	if (!pgseal_random_nonce(bytes + 1) ||
		!pgseal_aead_seal(aead, bytes + 1 + PGSEAL_NONCE_BYTES,
						  bytes + 1 + PGSEAL_NONCE_BYTES + content->len, bytes + 1,
						  (uint8 *) aad.data, aad.len, (uint8 *) content->data, content->len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not seal a record of a ledger")));
}

/* A version whose key doesn't come from the KMS is an error */
static bool
open_record(const PgsealRecord *record, int32 key_hash, StringInfo out_content)
{
	const uint8 *bytes = (const uint8 *) VARDATA(record->bytes);
	int			len = (int) VARSIZE(record->bytes) - VARHDRSZ - RECORD_OVERHEAD;
	const PgsealKeyInfo *info;
	PgsealAead *aead;
	StringInfoData aad;

	if (len < 0 || bytes[0] != RECORD_FORMAT || record->key_version_id == 0)
		return false;
	info = pgseal_keyring_info(record->key_version_id);
	if ((!info->known && !info->lost) || info->destroyed || info->key_hash != key_hash ||
		info->purpose != PGSEAL_PURPOSE_DATA)
		return false;
	aead = pgseal_keyring_ledger(pgseal_keyring_open(record->key_version_id, PGSEAL_ACCESS_INTERNAL));
	authenticated(&aad, record);
	initStringInfo(out_content);
	enlargeStringInfo(out_content, len);
	out_content->len = len;
	return pgseal_aead_open(aead, (uint8 *) out_content->data, bytes + 1,
							bytes + 1 + PGSEAL_NONCE_BYTES + len,
							(uint8 *) aad.data, aad.len, bytes + 1 + PGSEAL_NONCE_BYTES, len);
}

void
pgseal_record_seal_change(PgsealRecord *record, int32 key_hash, const PgsealChange *change)
{
	StringInfoData content;

	initStringInfo(&content);
	put_home(&content, &change->home);
	pq_sendint64(&content, change->xid);
	put_sum(&content, &change->sum);
	seal(record, key_hash, &content);
}

bool
pgseal_record_open_change(const PgsealRecord *record, int32 key_hash, PgsealChange *out_change)
{
	StringInfoData content;

	if (!open_record(record, key_hash, &content))
		return false;
	get_home(&content, &out_change->home);
	out_change->xid = pq_getmsgint64(&content);
	get_sum(&content, &out_change->sum);
	return true;
}

void
pgseal_record_seal_total(PgsealRecord *record, int32 key_hash, const PgsealTotal *total)
{
	StringInfoData content;

	initStringInfo(&content);
	put_home(&content, &total->home);
	put_sum(&content, &total->sum);
	pq_sendint64(&content, total->num_digests);
	pq_sendbytes(&content, (const char *) total->digests, sizeof(total->digests));
	pq_sendint64(&content, total->next_xid);
	pq_sendint32(&content, total->num_running);
	for (int i = 0; i < total->num_running; i++)
		pq_sendint64(&content, total->running[i]);
	seal(record, key_hash, &content);
}

bool
pgseal_record_open_total(const PgsealRecord *record, int32 key_hash, PgsealTotal *out_total)
{
	StringInfoData content;

	if (!open_record(record, key_hash, &content))
		return false;
	get_home(&content, &out_total->home);
	get_sum(&content, &out_total->sum);
	out_total->num_digests = pq_getmsgint64(&content);
	pq_copymsgbytes(&content, (char *) out_total->digests, sizeof(out_total->digests));
	out_total->next_xid = pq_getmsgint64(&content);
	out_total->num_running = pq_getmsgint(&content, 4);
	out_total->running = palloc(Max(out_total->num_running, 1) * sizeof(uint64));
	for (int i = 0; i < out_total->num_running; i++)
		out_total->running[i] = pq_getmsgint64(&content);
	return true;
}
