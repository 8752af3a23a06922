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
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "convert/convert.h"
#include "hooks/signed_tables.h"
#include "signed/signing.h"

struct PgsealResigner
{
	PgsealSigning *old;
	PgsealSigning *new;
	PgsealSignature signature;	/* the last that was made */
};

/* What the trigger's arguments will be; NIL when the column isn't signed */
static List *
new_arguments(const PgsealConversion *conversion, const PgsealSigning *old)
{
	List	   *arguments;
	int			column = -1;

	for (int i = 0; i < old->num_columns; i++)
		if (old->columns[i].attnum == conversion->attnum)
			column = i;
	if (column < 0)
		return NIL;
	arguments = pgseal_signing_arguments(old);
	lfirst(list_nth_cell(arguments, PGSEAL_SIGN_ARGUMENT_DEFINITION)) =
		psprintf("%d", pgseal_signing_next_definition(old));
	lfirst(list_nth_cell(arguments, PGSEAL_SIGN_ARGUMENTS_OF_TABLE +
						 column * PGSEAL_SIGN_ARGUMENTS_OF_COLUMN + 1)) =
		format_type_be_qualified(conversion->new_type);
	return arguments;
}

/* In the present memory context; NULL when nothing of the column is signed */
PgsealResigner *
pgseal_convert_resigner(const PgsealConversion *conversion, Relation table, Relation copy)
{
	PgsealSigning *old = pgseal_signing_of_relation(table);
	List	   *arguments = old != NULL ? new_arguments(conversion, old) : NIL;
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
	return resigner;
}

static PgsealSignature *
signature_of(const PgsealSigning *signing, TupleTableSlot *row)
{
	return row->tts_isnull[signing->signature - 1] ? NULL :
		DatumGetSignature(row->tts_values[signing->signature - 1]);
}

static bool
verifies(const PgsealSigning *signing, TupleTableSlot *row)
{
	return pgseal_signing_verify_row(signing, row->tts_values, row->tts_isnull) ==
		PGSEAL_SIGNATURE_GOOD;
}

/* converted: has the row's values, and the converted one; gets the signature */
void
pgseal_convert_resign(PgsealResigner *resigner, TupleTableSlot *row, TupleTableSlot *converted)
{
	const PgsealSigning *new = resigner->new;
	Datum		values[PGSEAL_SIGNED_COLUMNS_MAX];
	bool		nulls[PGSEAL_SIGNED_COLUMNS_MAX];
	StringInfoData body;

	if (!verifies(resigner->old, row))
		return;
	pgseal_signing_pick(new, converted->tts_values, converted->tts_isnull, values, nulls);
	initStringInfo(&body);
	pgseal_signing_body(&body, new, values, nulls);
	pgseal_signing_sign(new, &resigner->signature,
						pgseal_signature_counter(signature_of(resigner->old, row)) + 1, &body);
	converted->tts_values[new->signature - 1] = PointerGetDatum(&resigner->signature);
}

bool
pgseal_convert_is_signature(const PgsealResigner *resigner, AttrNumber attnum)
{
	return resigner != NULL && resigner->old->signature == attnum;
}

/* Both have one */
bool
pgseal_convert_same_signature(const PgsealResigner *resigner, TupleTableSlot *row,
							  TupleTableSlot *copied)
{
	if (verifies(resigner->old, row))
		return verifies(resigner->new, copied);
	return memcmp(signature_of(resigner->old, row), signature_of(resigner->new, copied),
				  sizeof(PgsealSignature)) == 0;
}

/* The caller signs the rows; what is summed up in a ledger can't change in a moment */
char *
pgseal_convert_signed_obstacle(const PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	PgsealSigning *signing = pgseal_signing_of_relation(rel);
	bool		concerned = signing != NULL && new_arguments(conversion, signing) != NIL;

	table_close(rel, NoLock);
	if (!concerned)
		return NULL;
	pgseal_signing_check_signer(signing);
	return signing->ledger == PGSEAL_NO_LEDGER ? NULL :
		pstrdup("rows are signed with it and have a ledger: first end that with pgseal.sign_table(ledger => false), and begin one again afterwards");
}

/* The table has the copy's rows from now on.  Its column has the new type. */
void
pgseal_convert_switch_signing(const PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	PgsealSigning *old = pgseal_signing_of_relation(rel);
	List	   *arguments = old != NULL ? new_arguments(conversion, old) : NIL;

	table_close(rel, NoLock);
	if (arguments == NIL)
		return;
	pgseal_signed_tables_store(conversion->relid, arguments);
	CommandCounterIncrement();
}
