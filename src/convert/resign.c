/*-------------------------------------------------------------------------
 *
 * resign.c
 *	  Signing again the rows of a table whose signed column is converted.
 *
 * The bytes and the type of the column are part of what is signed, so the rows of the
 * copy have signatures of their own: those of the next definition, in which the column
 * has its new type.  The trigger gets that definition when the copy takes its place.
 * (A change of the trigger before that changes the digest, as of any definition.)
 *
 * A row is verified before it is signed again, else a conversion would turn one that
 * was tampered with into a good one.  One that doesn't verify keeps its signature,
 * which is bad afterwards, too: it is of the old definition.
 *
 * A ledger changes in the transaction in which the copy takes its place, by the
 * difference between the signatures of all rows then: both are read under the lock.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "convert/convert.h"
#include "signed/ledger.h"
#include "signed/signing.h"

struct PgsealResigner
{
	PgsealSigning *old;
	PgsealSigning *new;
	PgsealSignature signature;	/* the last that was made */
	StringInfoData body;		/* working space */
};

static bool
is_concerned(const PgsealConversion *conversion, const PgsealSigning *old)
{
	return old != NULL && (pgseal_definition_has(old->newest, conversion->attnum) ||
						   (old->former != NULL &&
							pgseal_definition_has(old->former, conversion->attnum)));
}

/* What the trigger's arguments will be; NIL when the column isn't signed */
static List *
new_arguments(const PgsealConversion *conversion, const PgsealSigning *old)
{
	PgsealDefinition next;
	PgsealSigning new;

	if (!is_concerned(conversion, old))
		return NIL;
	next = *old->newest;
	next.number = pgseal_signing_next_definition(old);
	for (int i = 0; i < next.num_columns; i++)
		if (next.columns[i].attnum == conversion->attnum)
			next.columns[i].type_label = format_type_be_qualified(conversion->new_type);
	new = *old;
	new.newest = &next;
	new.former = NULL;
	return pgseal_signing_arguments(&new);
}

/* In the present memory context; NULL when nothing of the column is signed */
PgsealResigner *
pgseal_convert_resigner(const PgsealConversion *conversion, Relation table, Relation copy)
{
	PgsealSigning *old = pgseal_signing_of_relation(table);
	List	   *arguments = new_arguments(conversion, old);
	Trigger		trigger;
	PgsealResigner *resigner;
	ListCell   *lc;

	if (arguments == NIL)
		return NULL;
	trigger = *pgseal_signing_trigger(table);
	trigger.tgnargs = (int16) list_length(arguments);
	trigger.tgargs = palloc(list_length(arguments) * sizeof(char *));
	foreach(lc, arguments)
		trigger.tgargs[foreach_current_index(lc)] = lfirst(lc);
	resigner = palloc0(sizeof(PgsealResigner));
	resigner->old = old;
	resigner->new = pgseal_signing_read(copy, &trigger);
	initStringInfo(&resigner->body);
	return resigner;
}

static PgsealSignature *
signature_of(const PgsealSigning *signing, TupleTableSlot *row)
{
	return pgseal_signing_signature(signing, row->tts_values, row->tts_isnull);
}

static bool
verifies(PgsealResigner *resigner, const PgsealSigning *signing, TupleTableSlot *row)
{
	return pgseal_signing_verify_row(signing, row->tts_values, row->tts_isnull,
									 &resigner->body) == PGSEAL_SIGNATURE_GOOD;
}

/* converted: has the row's values, and the converted one; gets the signature */
void
pgseal_convert_resign(PgsealResigner *resigner, TupleTableSlot *row, TupleTableSlot *converted)
{
	const PgsealSigning *new = resigner->new;

	if (!verifies(resigner, resigner->old, row))
		return;
	resetStringInfo(&resigner->body);
	pgseal_definition_body(&resigner->body, new->newest, converted->tts_values,
						   converted->tts_isnull);
	pgseal_signing_sign(new, &resigner->signature,
						pgseal_signature_counter(signature_of(resigner->old, row)) + 1,
						&resigner->body);
	converted->tts_values[new->signature - 1] = PointerGetDatum(&resigner->signature);
}

bool
pgseal_convert_is_signature(const PgsealResigner *resigner, AttrNumber attnum)
{
	return resigner != NULL && resigner->old->signature == attnum;
}

/* Both have one */
bool
pgseal_convert_same_signature(PgsealResigner *resigner, TupleTableSlot *row,
							  TupleTableSlot *copied)
{
	if (verifies(resigner, resigner->old, row))
		return verifies(resigner, resigner->new, copied);
	return memcmp(signature_of(resigner->old, row), signature_of(resigner->new, copied),
				  sizeof(PgsealSignature)) == 0;
}

/* The caller signs the rows */
char *
pgseal_convert_signed_obstacle(const PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	PgsealSigning *signing = pgseal_signing_of_relation(rel);

	table_close(rel, NoLock);
	if (!is_concerned(conversion, signing))
		return NULL;
	pgseal_signing_check_signer(signing);
	return signing->former == NULL ? NULL :
		pstrdup("what is signed has changed, and the worker is signing the rows anew: first call pgseal.sign_table() again, which does that at once");
}

/*
 * The table, locked exclusively, is about to have the copy's rows: so does its ledger,
 * which keeps whatever is amiss.
 */
void
pgseal_convert_switch_ledger(const PgsealConversion *conversion)
{
	Relation	table = table_open(conversion->relid, NoLock);
	Relation	copy = table_open(conversion->copy, NoLock);
	PgsealSigning *signing = pgseal_signing_of_relation(table);

	if (is_concerned(conversion, signing) && signing->ledger != PGSEAL_NO_LEDGER)
	{
		Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
		PgsealLedgerSum gone = pgseal_ledger_sum_of_rows(table, snapshot);
		PgsealLedgerSum change = pgseal_ledger_sum_of_rows(copy, snapshot);

		UnregisterSnapshot(snapshot);
		pgseal_ledger_sum_subtract(&change, &gone);
		pgseal_ledger_record_sum(signing->ledger, signing->key_hash, &change);
	}
	table_close(copy, NoLock);
	table_close(table, NoLock);
}

/* The table has the copy's rows from now on.  Its column has the new type. */
void
pgseal_convert_switch_signing(const PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	PgsealSigning *old = pgseal_signing_of_relation(rel);
	List	   *arguments = new_arguments(conversion, old);

	table_close(rel, NoLock);
	if (arguments == NIL)
		return;
	pgseal_signing_store(conversion->relid, arguments);
	CommandCounterIncrement();
}
