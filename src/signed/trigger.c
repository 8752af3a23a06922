/*-------------------------------------------------------------------------
 *
 * trigger.c
 *	  The trigger that signs rows as they are written.
 *
 * It runs as whoever writes, so each thing that it does is one that the writer
 * may do: without USAGE on the key's server he gets no signature, unless the
 * table says that who may write, signs.
 *
 * UPDATE verifies the old row before it signs the new one: else an update of any
 * column would turn a row that was tampered with into a good one.  A row whose
 * signed columns stay what they are keeps its signature.
 *
 * A signature that comes with a row is kept where it is good for the row (rows
 * that move to another partition, a dump of the data alone), and is an error
 * where it isn't.  What replication brings is as the publisher signed it and is
 * not judged: whoever reads it is told.  Nor is what a dump brings.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "signed/signing.h"
#include "signed/verify.h"

PG_FUNCTION_INFO_V1(pgseal_sign_row);

/* What the trigger keeps for the rows of one statement */
typedef struct Signer
{
	PgsealSigning *signing;
	Oid			role;			/* may sign */
	Oid			exempt_role;	/* whose updates don't verify */
	Datum	   *values;			/* of a row, by attribute */
	bool	   *nulls;
} Signer;

/* One state of a row */
typedef struct RowState
{
	PgsealSignature *signature; /* NULL: none */
	StringInfoData body;
} RowState;

static Signer *
signer_of(FunctionCallInfo fcinfo, TriggerData *trigger)
{
	Signer	   *signer = fcinfo->flinfo->fn_extra;
	MemoryContext context;

	if (signer != NULL && signer->signing->relid == RelationGetRelid(trigger->tg_relation))
		return signer;
	context = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	signer = palloc0(sizeof(Signer));
	signer->signing = pgseal_signing_of_relation(trigger->tg_relation);
	signer->values = palloc(RelationGetNumberOfAttributes(trigger->tg_relation) * sizeof(Datum));
	signer->nulls = palloc(RelationGetNumberOfAttributes(trigger->tg_relation) * sizeof(bool));
	MemoryContextSwitchTo(context);
	fcinfo->flinfo->fn_extra = signer;
	return signer;
}

static void
read_state(RowState *out, Signer *signer, Relation rel, HeapTuple tuple)
{
	PgsealSigning *signing = signer->signing;
	Datum		values[PGSEAL_SIGNED_COLUMNS_MAX];
	bool		nulls[PGSEAL_SIGNED_COLUMNS_MAX];

	heap_deform_tuple(tuple, RelationGetDescr(rel), signer->values, signer->nulls);
	pgseal_signing_pick(signing, signer->values, signer->nulls, values, nulls);
	initStringInfo(&out->body);
	pgseal_signing_body(&out->body, signing, values, nulls);
	out->signature = signer->nulls[signing->signature - 1] ? NULL :
		DatumGetSignature(signer->values[signing->signature - 1]);
}

static bool
is_good(Signer *signer, const RowState *state)
{
	return pgseal_signing_verify(signer->signing, state->signature,
								 (const StringInfo) &state->body) == PGSEAL_SIGNATURE_GOOD;
}

static bool
same_signature(const PgsealSignature *a, const PgsealSignature *b)
{
	return a == b || (a != NULL && b != NULL && memcmp(a, b, sizeof(*a)) == 0);
}

static void
check_given(Signer *signer, Relation rel, const RowState *state)
{
	if (!is_good(signer, state))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the given signature is not one of this row of table \"%s\"",
						RelationGetRelationName(rel)),
				 errhint("Leave the column out: the row is signed as it is written.")));
}

/* The tuple with the signature */
static HeapTuple
with_signature(Signer *signer, Relation rel, HeapTuple tuple, PgsealSignature *signature)
{
	int			column = signer->signing->signature;
	Datum		value = PointerGetDatum(signature);
	bool		isnull = false;

	return heap_modify_tuple_by_cols(tuple, RelationGetDescr(rel), 1, &column, &value, &isnull);
}

static HeapTuple
sign(Signer *signer, Relation rel, HeapTuple tuple, int64 counter, RowState *state)
{
	PgsealSignature signature;

	if (signer->role != GetUserId())
		pgseal_signing_check_signer(signer->signing);
	signer->role = GetUserId();
	pgseal_signing_sign(signer->signing, &signature, counter, &state->body);
	return with_signature(signer, rel, tuple, &signature);
}

static HeapTuple
inserted(Signer *signer, Relation rel, HeapTuple tuple)
{
	RowState	row;

	read_state(&row, signer, rel, tuple);
	if (row.signature == NULL)
		return sign(signer, rel, tuple, 1, &row);
	check_given(signer, rel, &row);
	return tuple;
}

/* Who may read what doesn't verify may also mend it, by writing it again */
static bool
is_exempt(Signer *signer)
{
	if (signer->exempt_role != GetUserId() && pgseal_verify_is_off(signer->signing))
		signer->exempt_role = GetUserId();
	return signer->exempt_role == GetUserId();
}

static HeapTuple
updated(Signer *signer, Relation rel, HeapTuple old_tuple, HeapTuple new_tuple)
{
	RowState	old;
	RowState	new;
	bool		old_is_good;

	read_state(&old, signer, rel, old_tuple);
	old_is_good = is_good(signer, &old);
	if (!old_is_good && !is_exempt(signer))
		pgseal_verify_report(ERROR, signer->signing, rel, signer->values, signer->nulls);
	read_state(&new, signer, rel, new_tuple);
	if (new.signature != NULL && !same_signature(old.signature, new.signature))
	{
		check_given(signer, rel, &new);
		return new_tuple;
	}
	if (new.signature != NULL && old_is_good && old.body.len == new.body.len &&
		memcmp(old.body.data, new.body.data, old.body.len) == 0)
		return new_tuple;
	return sign(signer, rel, new_tuple,
				old_is_good ? pgseal_signature_counter(old.signature) + 1 : 1, &new);
}

/* sign_row() → trigger */
Datum
pgseal_sign_row(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = (TriggerData *) fcinfo->context;
	Signer	   *signer;
	Relation	rel;
	HeapTuple	tuple;
	bool		isnull;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_BEFORE(trigger->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(trigger->tg_event) ||
		TRIGGER_FIRED_BY_DELETE(trigger->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("function pgseal.sign_row() must be called by a trigger BEFORE INSERT OR UPDATE FOR EACH ROW")));
	signer = signer_of(fcinfo, trigger);
	rel = trigger->tg_relation;
	tuple = TRIGGER_FIRED_BY_UPDATE(trigger->tg_event) ?
		trigger->tg_newtuple : trigger->tg_trigtuple;
	if (SessionReplicationRole == SESSION_REPLICATION_ROLE_REPLICA)
	{
		(void) heap_getattr(tuple, signer->signing->signature, RelationGetDescr(rel), &isnull);
		if (!isnull)
			return PointerGetDatum(tuple);
	}
	if (TRIGGER_FIRED_BY_INSERT(trigger->tg_event) && pgseal_signed_is_restored(rel))
		return PointerGetDatum(tuple);
	if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
		tuple = updated(signer, rel, trigger->tg_trigtuple, tuple);
	else
		tuple = inserted(signer, rel, tuple);
	return PointerGetDatum(tuple);
}
