/*-------------------------------------------------------------------------
 *
 * ledger.h
 *	  The ledger of a signed table: which rows there must be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LEDGER_H
#define PGSEAL_LEDGER_H

#include "postgres.h"
#include "access/xlogdefs.h"
#include "utils/relcache.h"
#include "utils/snapshot.h"

#include "base/crypto.h"
#include "signed/row_signature.h"

/* A multiset of signatures: how many, and the sum of their hashes modulo 2^256 */
#define PGSEAL_LEDGER_LIMBS			4
typedef struct PgsealLedgerSum
{
	int64		rows;
	uint64		hash[PGSEAL_LEDGER_LIMBS];	/* the lowest 64 bits first */
} PgsealLedgerSum;

extern void pgseal_ledger_sum_add(PgsealLedgerSum *sum, const PgsealLedgerSum *other);
extern void pgseal_ledger_sum_subtract(PgsealLedgerSum *sum, const PgsealLedgerSum *other);
extern bool pgseal_ledger_sum_equal(const PgsealLedgerSum *a, const PgsealLedgerSum *b);

/* Of one signature, or of none: NULL */
extern PgsealLedgerSum pgseal_ledger_sum_of(const PgsealSignature *signature);

/* Of the rows of one table in a snapshot */
extern PgsealLedgerSum pgseal_ledger_sum_of_rows(Relation rel, Snapshot snapshot);

/*
 * Recording (ledger_record.c).  What is recorded becomes durable with the
 * transaction and is gone with the subtransaction that rolls back.
 */

/* One row had the one signature and has the other; NULL: there was, or is, none */
extern void pgseal_ledger_record(int64 ledger, int32 key_hash,
								 const PgsealSignature *old, const PgsealSignature *new);
extern void pgseal_ledger_record_sum(int64 ledger, int32 key_hash, const PgsealLedgerSum *sum);

/* What this transaction has recorded */
extern PgsealLedgerSum pgseal_ledger_recorded(int64 ledger);

/* What it has recorded is to be sealed by another key, or is forgotten */
extern void pgseal_ledger_rekey_recorded(int64 ledger, int32 key_hash);
extern void pgseal_ledger_forget_recorded(int64 ledger);

extern void pgseal_ledger_record_init(void);

/*
 * The total (ledger.c)
 */

typedef struct PgsealLedgerState
{
	bool		begun;			/* there is a total */
	bool		tampered;		/* a record isn't one of this ledger, or was
								 * put back */
	PgsealLedgerSum sum;		/* with what this transaction has recorded */
	int64		num_digests;
	uint8		digests[PGSEAL_HASH_BYTES]; /* hash of them all */
} PgsealLedgerState;

/* What is given away, to be compared later */
typedef struct PgsealLedgerDigest
{
	int64		ledger;
	int64		number;
	XLogRecPtr	lsn;
	int64		rows;
	uint8		hash[PGSEAL_HASH_BYTES];
	int64		key_version_id;
	uint8		mac[PGSEAL_HASH_BYTES];
} PgsealLedgerDigest;

typedef enum PgsealDigestStatus
{
	PGSEAL_DIGEST_GOOD,			/* the ledger has gone on from it */
	PGSEAL_DIGEST_UNKNOWN,		/* the ledger has never given it away */
	PGSEAL_DIGEST_FORGED		/* nor has any other state of it */
} PgsealDigestStatus;

/* Begins a ledger with these rows */
extern void pgseal_ledger_begin(int64 ledger, int32 key_hash, const PgsealLedgerSum *sum);

/* Deletes all records */
extern void pgseal_ledger_end(int64 ledger);

/* key_hash: of the table's key; records that another key sealed are none of it */
extern void pgseal_ledger_read(PgsealLedgerState *out_state, int64 ledger, int32 key_hash,
							   Snapshot snapshot);

/*
 * Adds what committed transactions have recorded to the total, and seals it by the
 * newest version of its key.  What is no record of this ledger stays.  False when
 * there is no total that verifies.
 */
extern bool pgseal_ledger_fold(int64 ledger);

/* The same, with everything sealed by the key with this hash from now on */
extern void pgseal_ledger_rekey(int64 ledger, int32 key_hash);

/* Notes and returns a digest of what is committed.  XX001 when the total isn't one. */
extern PgsealLedgerDigest pgseal_ledger_digest(int64 ledger, int32 key_hash);
extern PgsealDigestStatus pgseal_ledger_check_digest(const PgsealLedgerState *state, int64 ledger,
													 int32 key_hash, const PgsealLedgerDigest *digest,
													 Snapshot snapshot);

#endif							/* PGSEAL_LEDGER_H */
