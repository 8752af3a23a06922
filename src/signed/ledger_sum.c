/*-------------------------------------------------------------------------
 *
 * ledger_sum.c
 *	  Multisets of signatures.
 *
 * A multiset's hash is the sum modulo 2^256 of the hashes of what is in it
 * (MSet-Add-Hash of Clarke et al., 2003), so that it can be changed by what
 * comes and goes, in any order:
 *
 *	 hash of a signature = HMAC-SHA-256(key of the signature's key version,
 *						   "pgseal ledger row 1" signature)
 *
 * A signature is good for one state of one row, so what is summed up is the rows.
 * The key is the one that signs; what it signs begins otherwise.
 *
 * A signature that names no version of a key here is none that was ever made here;
 * it counts, but has no hash.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/scan_rows.h"
#include "keys/keyring.h"
#include "signed/ledger.h"
#include "signed/signed_triggers.h"

#define ROW_LABEL				"pgseal ledger row 1"

void
pgseal_ledger_sum_add(PgsealLedgerSum *sum, const PgsealLedgerSum *other)
{
	uint64		carry = 0;

	sum->rows += other->rows;
	for (int i = 0; i < PGSEAL_LEDGER_LIMBS; i++)
	{
		uint64		limb = sum->hash[i] + carry;

		carry = limb < carry;
		sum->hash[i] = limb + other->hash[i];
		carry += sum->hash[i] < limb;
	}
}

void
pgseal_ledger_sum_subtract(PgsealLedgerSum *sum, const PgsealLedgerSum *other)
{
	uint64		borrow = 0;

	sum->rows -= other->rows;
	for (int i = 0; i < PGSEAL_LEDGER_LIMBS; i++)
	{
		uint64		limb = sum->hash[i] - borrow;

		borrow = limb > sum->hash[i];
		sum->hash[i] = limb - other->hash[i];
		borrow += sum->hash[i] > limb;
	}
}

bool
pgseal_ledger_sum_equal(const PgsealLedgerSum *a, const PgsealLedgerSum *b)
{
	return a->rows == b->rows && memcmp(a->hash, b->hash, sizeof(a->hash)) == 0;
}

PgsealLedgerSum
pgseal_ledger_sum_of(const PgsealSignature *signature)
{
	PgsealLedgerSum sum = {0};
	uint8		hash[PGSEAL_HASH_BYTES];
	int64		id;
	const PgsealKeyInfo *info;

	if (signature == NULL)
		return sum;
	sum.rows = 1;
	id = pgseal_signature_key_version(signature);
	info = pgseal_keyring_info(id);
	if ((!info->known && !info->lost) || info->destroyed || info->purpose != PGSEAL_PURPOSE_DATA)
		return sum;
	if (!pgseal_hmac(pgseal_keyring_signer(pgseal_keyring_open(id, PGSEAL_ACCESS_INTERNAL)), hash,
					 (const uint8 *) ROW_LABEL, strlen(ROW_LABEL),
					 (const uint8 *) signature, sizeof(*signature)))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute HMAC-SHA-256")));
	for (int i = 0; i < PGSEAL_LEDGER_LIMBS; i++)
	{
		uint64		limb_be;

		memcpy(&limb_be, hash + (PGSEAL_LEDGER_LIMBS - 1 - i) * sizeof(limb_be), sizeof(limb_be));
		sum.hash[i] = pg_ntoh64(limb_be);
	}
	return sum;
}

typedef struct RowsSum
{
	AttrNumber	column;			/* the signatures' */
	PgsealLedgerSum sum;
} RowsSum;

/* PgsealRowVisitor */
static void
add_row(TupleTableSlot *row, void *context)
{
	RowsSum    *rows = context;
	bool		isnull;
	Datum		signature = slot_getattr(row, rows->column, &isnull);
	PgsealLedgerSum one = pgseal_ledger_sum_of(isnull ? NULL : DatumGetSignature(signature));

	pgseal_ledger_sum_add(&rows->sum, &one);
}

PgsealLedgerSum
pgseal_ledger_sum_of_rows(Relation rel, Snapshot snapshot)
{
	RowsSum		rows = {.column = pgseal_signing_column(RelationGetDescr(rel))};

	if (rows.column != InvalidAttrNumber)
		pgseal_scan_rows(rel, snapshot, add_row, &rows);
	return rows.sum;
}
