/*-------------------------------------------------------------------------
 *
 * ledger.c
 *	  The ledger of a signed table: which rows there must be.
 *
 * Signatures can't tell that a row is missing, or is an older one that was put back
 * with the signature that it had.  The ledger can: it holds the sum over all rows
 * that there must be (ledger_sum.c), which is compared with the sum over those that
 * there are, both seen by one snapshot.
 *
 * Nobody waits for anybody: each transaction adds one record of what it has changed
 * (ledger_record.c), in the same transaction, so that whatever becomes of the rows
 * becomes of the record.  The worker adds the records of finished transactions to
 * the total, and deletes them; the total says of which transactions it is, as a
 * snapshot does.  A record of one of them that is there nevertheless was put back.
 *
 * Who can put back an old row can also put back the ledger as it was then, or leave
 * out a record together with what it is about.  Hence digests: a digest says
 * where the ledger stood, and is kept out of reach; the total holds the hash of
 * all that were given away, each of which is kept as a record, too:
 *
 *	 hash of n digests = SHA-256("pgseal ledger digests 1", ledger,
 *						 hash of n - 1 digests, record of the n-th)
 *
 * A ledger that doesn't have a digest among them, though the digest was made by its
 * key, is one from before that.
 *
 * The sum that a digest shows is hashed once more, under the key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "keys/keyring.h"
#include "signed/ledger_store.h"

#define DIGESTS_LABEL			"pgseal ledger digests 1"
#define DIGEST_LABEL			"pgseal ledger digest 1"
#define HASH_LABEL				"pgseal ledger hash 1"

typedef enum Found
{
	FOUND_NONE,
	FOUND_BAD,					/* more than one, or not one of this ledger
								 * and key */
	FOUND_GOOD
} Found;

/*
 * Which transactions are in a total
 */

/* The whole number of a transaction that a snapshot knows, which began not long ago */
static uint64
whole_xid(TransactionId xid, FullTransactionId next)
{
	uint32		epoch = EpochFromFullTransactionId(next);

	if (xid > XidFromFullTransactionId(next))
		epoch--;
	return U64FromFullTransactionId(FullTransactionIdFromEpochAndXid(epoch, xid));
}

/* This transaction hasn't made its record yet */
static void
set_transactions(PgsealTotal *total, Snapshot snapshot)
{
	FullTransactionId next = ReadNextFullTransactionId();
	TransactionId own = GetTopTransactionIdIfAny();

	total->home = pgseal_record_home();
	total->next_xid = whole_xid(snapshot->xmax, next);
	total->running = palloc((snapshot->xcnt + 1) * sizeof(uint64));
	total->num_running = 0;
	for (uint32 i = 0; i < snapshot->xcnt; i++)
		total->running[total->num_running++] = whole_xid(snapshot->xip[i], next);
	if (TransactionIdIsValid(own))
		total->running[total->num_running++] = whole_xid(own, next);
}

/* Records from another place are added once, by the first total that is made here */
static bool
is_in_total(const PgsealTotal *total, const PgsealChange *change)
{
	PgsealLedgerHome here = pgseal_record_home();

	if (!pgseal_record_same_home(&total->home, &change->home))
		return pgseal_record_same_home(&total->home, &here);
	if (change->xid >= total->next_xid)
		return false;
	for (int i = 0; i < total->num_running; i++)
		if (total->running[i] == change->xid)
			return false;
	return true;
}

/*
 * Reading
 */

/* key_hash: of the key that has sealed it, or 0 for any */
static Found
find_total(int64 ledger, int32 key_hash, Snapshot snapshot, PgsealRecord *out_record,
		   PgsealTotal *out_total)
{
	PgsealRecordScan scan;
	PgsealRecord record;
	Found		found = FOUND_NONE;

	if (!pgseal_record_scan_begin(&scan, ledger, snapshot))
		return FOUND_NONE;
	while (pgseal_record_scan_next(&scan, &record))
	{
		if (record.kind != PGSEAL_RECORD_TOTAL)
			continue;
		if (key_hash == 0)
			key_hash = pgseal_keyring_info(record.key_version_id)->key_hash;
		if (found != FOUND_NONE || record.number != 0 ||
			!pgseal_record_open_total(&record, key_hash, out_total))
		{
			found = FOUND_BAD;
			break;
		}
		found = FOUND_GOOD;
		*out_record = record;
		out_record->tuple = heap_copytuple(record.tuple);
	}
	pgseal_record_scan_end(&scan);
	return found;
}

/* One more digest */
static void
add_digest(PgsealTotal *total, const PgsealRecord *record)
{
	StringInfoData data;

	initStringInfo(&data);
	appendBinaryStringInfo(&data, DIGESTS_LABEL, strlen(DIGESTS_LABEL));
	pq_sendint64(&data, record->ledger);
	pq_sendbytes(&data, (const char *) total->digests, sizeof(total->digests));
	pq_sendbytes(&data, VARDATA(record->bytes), VARSIZE(record->bytes) - VARHDRSZ);
	if (!pgseal_sha256(total->digests, (uint8 *) data.data, data.len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute SHA-256")));
	total->num_digests++;
}

/*
 * Adds the changes that aren't in the total to it.  out_deleted: if not NULL, they are
 * deleted, and counted.  Returns whether all records are as they must be.
 */
static bool
add_changes(PgsealTotal *total, int64 ledger, int32 key_hash, Snapshot snapshot,
			int64 *out_deleted)
{
	MemoryContext record_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal record",
														 ALLOCSET_SMALL_SIZES);
	PgsealTotal digests = {0};
	PgsealLedgerSum sum = total->sum;
	PgsealRecordScan scan;
	PgsealRecord record;
	PgsealChange change;
	bool		all_good = true;

	if (!pgseal_record_scan_begin(&scan, ledger, snapshot))
		return false;
	while (pgseal_record_scan_next(&scan, &record))
	{
		MemoryContext context = MemoryContextSwitchTo(record_context);

		if (record.kind == PGSEAL_RECORD_DIGEST)
		{
			all_good = all_good && record.number == digests.num_digests + 1;
			add_digest(&digests, &record);
		}
		else if (record.kind == PGSEAL_RECORD_CHANGE &&
				 pgseal_record_open_change(&record, key_hash, &change) &&
				 !is_in_total(total, &change))
		{
			pgseal_ledger_sum_add(&sum, &change.sum);
			if (out_deleted != NULL)
			{
				pgseal_record_delete(&record);
				(*out_deleted)++;
			}
		}
		else if (record.kind != PGSEAL_RECORD_TOTAL)
			all_good = false;
		MemoryContextSwitchTo(context);
		MemoryContextReset(record_context);
	}
	pgseal_record_scan_end(&scan);
	MemoryContextDelete(record_context);
	total->sum = sum;
	return all_good && digests.num_digests == total->num_digests &&
		memcmp(digests.digests, total->digests, sizeof(digests.digests)) == 0;
}

void
pgseal_ledger_read(PgsealLedgerState *out_state, int64 ledger, int32 key_hash, Snapshot snapshot)
{
	PgsealRecord record;
	PgsealTotal total;
	Found		found = find_total(ledger, key_hash, snapshot, &record, &total);
	PgsealLedgerSum recorded = pgseal_ledger_recorded(ledger);

	memset(out_state, 0, sizeof(*out_state));
	out_state->begun = found != FOUND_NONE;
	out_state->tampered = found == FOUND_BAD;
	if (found != FOUND_GOOD)
		return;
	out_state->tampered = !add_changes(&total, ledger, key_hash, snapshot, NULL);
	out_state->sum = total.sum;
	pgseal_ledger_sum_add(&out_state->sum, &recorded);
	out_state->num_digests = total.num_digests;
	memcpy(out_state->digests, total.digests, sizeof(total.digests));
}

/*
 * Writing
 */

void
pgseal_ledger_begin(int64 ledger, int32 key_hash, const PgsealLedgerSum *sum)
{
	PgsealRecord record = {.ledger = ledger, .kind = PGSEAL_RECORD_TOTAL};
	PgsealTotal total = {.sum = *sum};
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());

	set_transactions(&total, snapshot);
	pgseal_record_seal_total(&record, key_hash, &total);
	pgseal_record_insert(&record);
	CommandCounterIncrement();
	UnregisterSnapshot(snapshot);
}

void
pgseal_ledger_end(int64 ledger)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PgsealRecordScan scan;
	PgsealRecord record;

	if (pgseal_record_scan_begin(&scan, ledger, snapshot))
	{
		while (pgseal_record_scan_next(&scan, &record))
			pgseal_record_delete(&record);
		pgseal_record_scan_end(&scan);
	}
	UnregisterSnapshot(snapshot);
	pgseal_ledger_forget_recorded(ledger);
}

/*
 * key_hash: seals the total from now on, or 0: as before.  digest: if not NULL, is
 * completed and noted.
 */
static Found
fold(int64 ledger, int32 key_hash, PgsealLedgerDigest *digest,
	 void (*complete) (PgsealLedgerDigest *, const PgsealTotal *, int32, PgsealRecord *))
{
	Snapshot	snapshot;
	PgsealRecord record;
	PgsealTotal total;
	Found		found;

	pgseal_record_lock(ledger);
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	found = find_total(ledger, 0, snapshot, &record, &total);
	if (found == FOUND_GOOD)
	{
		int32		sealed_by = pgseal_keyring_info(record.key_version_id)->key_hash;
		int64		num_added = 0;

		if (key_hash == 0)
			key_hash = sealed_by;
		(void) add_changes(&total, ledger, sealed_by, snapshot, &num_added);
		set_transactions(&total, snapshot);
		if (digest != NULL)
		{
			PgsealRecord noted = {.ledger = ledger, .kind = PGSEAL_RECORD_DIGEST};

			complete(digest, &total, key_hash, &noted);
			pgseal_record_insert(&noted);
			add_digest(&total, &noted);
		}
		if (digest != NULL || num_added > 0 || key_hash != sealed_by ||
			pgseal_keyring_is_stale(record.key_version_id))
		{
			pgseal_record_seal_total(&record, key_hash, &total);
			pgseal_record_update(&record);
			CommandCounterIncrement();
		}
	}
	UnregisterSnapshot(snapshot);
	return found;
}

bool
pgseal_ledger_fold(int64 ledger)
{
	return fold(ledger, 0, NULL, NULL) == FOUND_GOOD;
}

void
pgseal_ledger_rekey(int64 ledger, int32 key_hash)
{
	(void) fold(ledger, key_hash, NULL, NULL);
	pgseal_ledger_rekey_recorded(ledger, key_hash);
}

/*
 * Digests
 */

static void
hmac(PgsealKey *key, uint8 out_mac[PGSEAL_HASH_BYTES], const char *label, const StringInfo data)
{
	if (!pgseal_hmac(pgseal_keyring_signer(key), out_mac, (const uint8 *) label, strlen(label),
					 (uint8 *) data->data, data->len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute HMAC-SHA-256")));
}

static void
digest_mac(const PgsealLedgerDigest *digest, uint8 out_mac[PGSEAL_HASH_BYTES])
{
	StringInfoData data;

	initStringInfo(&data);
	pq_sendint64(&data, digest->ledger);
	pq_sendint64(&data, digest->number);
	pq_sendint64(&data, digest->lsn);
	pq_sendint64(&data, digest->rows);
	pq_sendbytes(&data, (const char *) digest->hash, sizeof(digest->hash));
	hmac(pgseal_keyring_open(digest->key_version_id, PGSEAL_ACCESS_INTERNAL), out_mac,
		 DIGEST_LABEL, &data);
}

static bytea *
digest_record(const PgsealLedgerDigest *digest)
{
	StringInfoData data;
	bytea	   *bytes;

	initStringInfo(&data);
	pq_sendint64(&data, digest->lsn);
	pq_sendint64(&data, digest->rows);
	pq_sendbytes(&data, (const char *) digest->hash, sizeof(digest->hash));
	pq_sendint64(&data, digest->key_version_id);
	pq_sendbytes(&data, (const char *) digest->mac, sizeof(digest->mac));
	bytes = palloc(VARHDRSZ + data.len);
	SET_VARSIZE(bytes, VARHDRSZ + data.len);
	memcpy(VARDATA(bytes), data.data, data.len);
	return bytes;
}

static void
complete_digest(PgsealLedgerDigest *digest, const PgsealTotal *total, int32 key_hash,
				PgsealRecord *out_record)
{
	StringInfoData sum;
	PgsealKey  *key = pgseal_keyring_seal(key_hash);

	digest->number = total->num_digests + 1;
	digest->lsn = GetXLogInsertRecPtr();
	digest->rows = total->sum.rows;
	digest->key_version_id = key->id;
	initStringInfo(&sum);
	pq_sendint64(&sum, digest->ledger);
	for (int i = PGSEAL_LEDGER_LIMBS - 1; i >= 0; i--)
		pq_sendint64(&sum, total->sum.hash[i]);
	hmac(key, digest->hash, HASH_LABEL, &sum);
	digest_mac(digest, digest->mac);
	out_record->number = digest->number;
	out_record->bytes = digest_record(digest);
}

PgsealLedgerDigest
pgseal_ledger_digest(int64 ledger, int32 key_hash)
{
	PgsealLedgerDigest digest = {.ledger = ledger};

	if (fold(ledger, key_hash, &digest, complete_digest) != FOUND_GOOD)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("the ledger has no total that verifies"),
				 errhint("Look at the table with pgseal.verify_table(), then begin the ledger anew with pgseal.sign_table().")));
	return digest;
}

static bool
is_noted(const PgsealLedgerDigest *digest, Snapshot snapshot)
{
	bytea	   *bytes = digest_record(digest);
	PgsealRecordScan scan;
	PgsealRecord record;
	bool		result = false;

	if (!pgseal_record_scan_begin(&scan, digest->ledger, snapshot))
		return false;
	while (!result && pgseal_record_scan_next(&scan, &record))
		result = record.kind == PGSEAL_RECORD_DIGEST && record.number == digest->number &&
			VARSIZE(record.bytes) == VARSIZE(bytes) &&
			memcmp(record.bytes, bytes, VARSIZE(bytes)) == 0;
	pgseal_record_scan_end(&scan);
	return result;
}

/* The state says whether what is noted is what was */
PgsealDigestStatus
pgseal_ledger_check_digest(const PgsealLedgerState *state, int64 ledger, int32 key_hash,
						   const PgsealLedgerDigest *digest, Snapshot snapshot)
{
	const PgsealKeyInfo *info = pgseal_keyring_info(digest->key_version_id);
	uint8		mac[PGSEAL_HASH_BYTES];

	if (digest->ledger != ledger)
		return PGSEAL_DIGEST_FORGED;
	if (!state->tampered && is_noted(digest, snapshot))
		return PGSEAL_DIGEST_GOOD;
	if ((!info->known && !info->lost) || info->destroyed || info->key_hash != key_hash ||
		info->purpose != PGSEAL_PURPOSE_DATA)
		return PGSEAL_DIGEST_FORGED;
	digest_mac(digest, mac);
	return pgseal_equal(mac, digest->mac, sizeof(mac)) ?
		PGSEAL_DIGEST_UNKNOWN : PGSEAL_DIGEST_FORGED;
}
