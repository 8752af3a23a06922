/*-------------------------------------------------------------------------
 *
 * ledger_record.c
 *	  What a transaction changes in signed tables that have a ledger.
 *
 * Sums are kept in memory, one for each level of subtransactions: that of one that
 * ends well is added to its parent's, that of one that rolls back is dropped, as its
 * rows are.  Before the transaction commits, or is prepared for two-phase commit, it
 * writes one record for each ledger.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "access/xact.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "keys/keyring.h"
#include "signed/ledger_store.h"

/* In one ledger, at one level of subtransactions */
typedef struct Recorded
{
	int64		ledger;
	int32		key_hash;
	int			level;
	PgsealLedgerSum sum;
	struct Recorded *next;
} Recorded;

static Recorded *recorded = NULL;	/* deeper levels first */

static Recorded *
recorded_in(int64 ledger, int32 key_hash, int level)
{
	Recorded   *entry;

	for (entry = recorded; entry != NULL && entry->level >= level; entry = entry->next)
		if (entry->level == level && entry->ledger == ledger)
			return entry;
	entry = MemoryContextAllocZero(TopTransactionContext, sizeof(Recorded));
	entry->ledger = ledger;
	entry->key_hash = key_hash;
	entry->level = level;
	entry->next = recorded;
	recorded = entry;
	return entry;
}

void
pgseal_ledger_record_sum(int64 ledger, int32 key_hash, const PgsealLedgerSum *sum)
{
	pgseal_ledger_sum_add(&recorded_in(ledger, key_hash, GetCurrentTransactionNestLevel())->sum, sum);
}

void
pgseal_ledger_record(int64 ledger, int32 key_hash,
					 const PgsealSignature *old, const PgsealSignature *new)
{
	PgsealLedgerSum change;
	PgsealLedgerSum gone;

	if (old == new || (old != NULL && new != NULL && memcmp(old, new, sizeof(*old)) == 0))
		return;
	change = pgseal_ledger_sum_of(new);
	gone = pgseal_ledger_sum_of(old);
	pgseal_ledger_sum_subtract(&change, &gone);
	pgseal_ledger_record_sum(ledger, key_hash, &change);
}

PgsealLedgerSum
pgseal_ledger_recorded(int64 ledger)
{
	PgsealLedgerSum sum = {0};

	for (Recorded *entry = recorded; entry != NULL; entry = entry->next)
		if (entry->ledger == ledger)
			pgseal_ledger_sum_add(&sum, &entry->sum);
	return sum;
}

void
pgseal_ledger_rekey_recorded(int64 ledger, int32 key_hash)
{
	for (Recorded *entry = recorded; entry != NULL; entry = entry->next)
		if (entry->ledger == ledger)
			entry->key_hash = key_hash;
}

/*
 * At the present level, what was recorded is taken back: the levels above have
 * theirs again if this one is rolled back
 */
void
pgseal_ledger_forget_recorded(int64 ledger)
{
	PgsealLedgerSum sum = pgseal_ledger_recorded(ledger);
	PgsealLedgerSum none = {0};

	if (pgseal_ledger_sum_equal(&sum, &none))
		return;
	pgseal_ledger_sum_subtract(&none, &sum);
	pgseal_ledger_record_sum(ledger, 0, &none);
}

/* A key that was destroyed has no ledgers any more */
static void
write_records(void)
{
	PgsealLedgerSum none = {0};
	bool		any = false;

	/* The extension was dropped */
	if (!pgseal_record_table_exists())
		recorded = NULL;
	PushActiveSnapshot(GetTransactionSnapshot());
	for (Recorded *entry = recorded; entry != NULL; entry = entry->next)
	{
		PgsealRecord record = {.ledger = entry->ledger, .kind = PGSEAL_RECORD_CHANGE};
		PgsealChange change = {.home = pgseal_record_home(), .sum = entry->sum};

		if (pgseal_ledger_sum_equal(&entry->sum, &none) ||
			!pgseal_keyring_has_material(entry->key_hash))
			continue;
		change.xid = U64FromFullTransactionId(GetTopFullTransactionId());
		record.number = pgseal_record_new_number();
		pgseal_record_seal_change(&record, entry->key_hash, &change);
		pgseal_record_insert(&record);
		any = true;
	}
	PopActiveSnapshot();
	if (any)
		CommandCounterIncrement();
	recorded = NULL;
}

static void
at_end_of_transaction(XactEvent event, void *unused)
{
	if (recorded == NULL)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			write_records();
			break;
		case XACT_EVENT_ABORT:
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			recorded = NULL;
			break;
		default:
			break;
	}
}

static void
at_end_of_subtransaction(SubXactEvent event, SubTransactionId id, SubTransactionId parent,
						 void *unused)
{
	int			level = GetCurrentTransactionNestLevel();
	Recorded   *ended = recorded;

	if (event != SUBXACT_EVENT_COMMIT_SUB && event != SUBXACT_EVENT_ABORT_SUB)
		return;
	while (recorded != NULL && recorded->level >= level)
		recorded = recorded->next;
	if (event == SUBXACT_EVENT_ABORT_SUB)
		return;
	for (; ended != NULL && ended->level >= level; ended = ended->next)
		pgseal_ledger_sum_add(&recorded_in(ended->ledger, ended->key_hash, level - 1)->sum,
							  &ended->sum);
}

void
pgseal_ledger_record_init(void)
{
	RegisterXactCallback(at_end_of_transaction, NULL);
	RegisterSubXactCallback(at_end_of_subtransaction, NULL);
}
