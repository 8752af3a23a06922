/*-------------------------------------------------------------------------
 *
 * ledger_store.h
 *	  The records of ledgers, as they are stored.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LEDGER_STORE_H
#define PGSEAL_LEDGER_STORE_H

#include "access/genam.h"
#include "access/transam.h"
#include "lib/stringinfo.h"

#include "signed/ledger.h"

typedef enum PgsealRecordKind
{
	PGSEAL_RECORD_CHANGE = 'c', /* by one transaction */
	PGSEAL_RECORD_DIGEST = 'd', /* that was given away; not sealed */
	PGSEAL_RECORD_TOTAL = 't'	/* number is 0 */
} PgsealRecordKind;

typedef struct PgsealRecord
{
	int64		ledger;
	PgsealRecordKind kind;
	int64		number;
	int64		key_version_id; /* 0: not sealed */
	bytea	   *bytes;
	HeapTuple	tuple;			/* as it was found */
} PgsealRecord;

/* Where and when: transaction ids are numbers of one database of one server */
typedef struct PgsealLedgerHome
{
	uint64		server;
	Oid			database;
} PgsealLedgerHome;

typedef struct PgsealChange
{
	PgsealLedgerHome home;
	uint64		xid;
	PgsealLedgerSum sum;
} PgsealChange;

/* What is in it: all transactions before next, but for those that were running */
typedef struct PgsealTotal
{
	PgsealLedgerHome home;
	PgsealLedgerSum sum;
	int64		num_digests;
	uint8		digests[PGSEAL_HASH_BYTES];
	uint64		next_xid;
	int			num_running;
	uint64	   *running;
} PgsealTotal;

/* A scan of the records of one ledger, in the order of kind and number */
typedef struct PgsealRecordScan
{
	Relation	rel;
	Relation	index;
	SysScanDesc scan;
	int64		ledger;
} PgsealRecordScan;

/* Not while the extension is being dropped */
extern bool pgseal_record_table_exists(void);

/* False where there is no such table */
extern bool pgseal_record_scan_begin(PgsealRecordScan *scan, int64 ledger, Snapshot snapshot);
extern bool pgseal_record_scan_next(PgsealRecordScan *scan, PgsealRecord *out_record);
extern void pgseal_record_scan_end(PgsealRecordScan *scan);

/* They are visible to the transaction's next command */
extern void pgseal_record_insert(const PgsealRecord *record);
extern void pgseal_record_update(const PgsealRecord *record);
extern void pgseal_record_delete(const PgsealRecord *record);

/* A number that no record or ledger has yet: a random one */
extern int64 pgseal_record_new_number(void);

/* Until the end of the transaction, nobody else folds the ledger */
extern void pgseal_record_lock(int64 ledger);

extern PgsealLedgerHome pgseal_record_home(void);
extern bool pgseal_record_same_home(const PgsealLedgerHome *a, const PgsealLedgerHome *b);

/* Seal under the newest version of the key; open, or false when it isn't one of the key's */
extern void pgseal_record_seal_change(PgsealRecord *record, int32 key_hash,
									  const PgsealChange *change);
extern void pgseal_record_seal_total(PgsealRecord *record, int32 key_hash,
									 const PgsealTotal *total);
extern bool pgseal_record_open_change(const PgsealRecord *record, int32 key_hash,
									  PgsealChange *out_change);
extern bool pgseal_record_open_total(const PgsealRecord *record, int32 key_hash,
									 PgsealTotal *out_total);

#endif							/* PGSEAL_LEDGER_STORE_H */
