/*-------------------------------------------------------------------------
 *
 * ledger_trigger.c
 *	  The trigger that records in the ledger what becomes of rows.
 *
 * It sees each row that was written: AFTER ROW, so each one that really was (a
 * BEFORE trigger also sees what ON CONFLICT drops), ENABLE ALWAYS.  What replaces
 * rows below the triggers (sign_rows.c, life/reencrypt_table.c) says so itself.
 *
 * TRUNCATE takes all rows away: of a table alone in its ledger, all that is in the
 * ledger; of a partition, those that there are.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "keys/keyring.h"
#include "signed/ledger.h"
#include "signed/signed_triggers.h"
#include "signed/signing.h"

PG_FUNCTION_INFO_V1(pgseal_record_row);

/* What is kept for the rows of one statement */
typedef struct Recorder
{
	Oid			relid;
	int64		ledger;			/* PGSEAL_NO_LEDGER: the rows aren't signed */
	int32		key_hash;
	AttrNumber	signature;
} Recorder;

static Recorder *
recorder_of(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	Recorder   *recorder = fcinfo->flinfo->fn_extra;
	PgsealSigning *signing;

	if (recorder != NULL && recorder->relid == RelationGetRelid(trigger->tg_relation))
		return recorder;
	signing = pgseal_signing_of_relation(trigger->tg_relation);
	recorder = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(Recorder));
	recorder->relid = RelationGetRelid(trigger->tg_relation);
	if (signing != NULL)
	{
		recorder->ledger = signing->ledger;
		recorder->key_hash = signing->key_hash;
		recorder->signature = signing->signature;
	}
	fcinfo->flinfo->fn_extra = recorder;
	return recorder;
}

static const PgsealSignature *
signature_of(Recorder *recorder, TriggerData *trigger, HeapTuple tuple)
{
	bool		isnull;
	Datum		value = heap_getattr(tuple, recorder->signature,
									 RelationGetDescr(trigger->tg_relation), &isnull);

	return isnull ? NULL : DatumGetSignature(value);
}

static void
record_all_gone(Recorder *recorder, Relation rel)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PgsealLedgerState state = {0};
	PgsealLedgerSum gone = {0};
	PgsealLedgerSum sum;

	if (!rel->rd_rel->relispartition && pgseal_keyring_has_material(recorder->key_hash))
		pgseal_ledger_read(&state, recorder->ledger, recorder->key_hash, snapshot);
	sum = state.begun && !state.tampered ? state.sum : pgseal_ledger_sum_of_rows(rel, snapshot);
	UnregisterSnapshot(snapshot);
	pgseal_ledger_sum_subtract(&gone, &sum);
	pgseal_ledger_record_sum(recorder->ledger, recorder->key_hash, &gone);
}

/* record_row() → trigger */
Datum
pgseal_record_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Recorder   *recorder;
	const PgsealSignature *old = NULL;
	const PgsealSignature *new = NULL;

	if (!CALLED_AS_TRIGGER(fcinfo) ||
		(TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ? !TRIGGER_FIRED_AFTER(trigger->tg_event) :
		 !TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event) || !TRIGGER_FIRED_BEFORE(trigger->tg_event)))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function pgseal.record_row() must be called by a trigger AFTER INSERT OR UPDATE OR DELETE FOR EACH ROW or BEFORE TRUNCATE")));
	recorder = recorder_of(fcinfo, trigger);
	if (recorder->ledger == PGSEAL_NO_LEDGER ||
		(TRIGGER_FIRED_BY_INSERT(trigger->tg_event) &&
		 pgseal_signed_is_restored(trigger->tg_relation)))
		return PointerGetDatum(NULL);
	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
	{
		record_all_gone(recorder, trigger->tg_relation);
		return PointerGetDatum(NULL);
	}
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event))
		new = signature_of(recorder, trigger, trigger->tg_trigtuple);
	else
		old = signature_of(recorder, trigger, trigger->tg_trigtuple);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		new = signature_of(recorder, trigger, trigger->tg_newtuple);
	pgseal_ledger_record(recorder->ledger, recorder->key_hash, old, new);
	return PointerGetDatum(NULL);
}
