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
 * No row that is written has a signature by the former definition, where there is
 * one: an update signs by the newest.  If it changes nothing that is signed, that
 * takes no more than the right to write, as the worker would do the same.
 *
 * A signature that comes with a row is kept where it is good for the row (rows
 * that move to another partition, a dump of the data alone), and is an error
 * where it isn't.  One by the former definition is replaced, by who may sign: it says
 * nothing of columns that are signed since.  What replication brings is as the publisher signed it and is
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

/* One state of a row */
typedef struct RowState
{
	Datum	   *values;			/* by attribute */
	bool	   *nulls;
	PgsealSignature *signature; /* NULL: none */
	StringInfoData body;		/* by the newest definition */
} RowState;

/* What the trigger keeps for the rows of one statement */
typedef struct Signer
{
	PgsealSigning *signing;
	Oid			role;			/* may sign */
	Oid			exempt_role;	/* whose updates don't verify */
	RowState	old;
	RowState	new;
} Signer;

static void
make_state(RowState *state, Relation rel)
{
	int			natts = RelationGetNumberOfAttributes(rel);

	state->values = palloc(natts * sizeof(Datum));
	state->nulls = palloc(natts * sizeof(bool));
	initStringInfo(&state->body);
}

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
	make_state(&signer->old, trigger->tg_relation);
	make_state(&signer->new, trigger->tg_relation);
	MemoryContextSwitchTo(context);
	fcinfo->flinfo->fn_extra = signer;
	return signer;
}

static void
read_state(RowState *out, Signer *signer, Relation rel, HeapTuple tuple)
{
	heap_deform_tuple(tuple, RelationGetDescr(rel), out->values, out->nulls);
	out->signature = pgseal_signing_signature(signer->signing, out->values, out->nulls);
	resetStringInfo(&out->body);
	pgseal_definition_body(&out->body, signer->signing->newest, out->values, out->nulls);
}

static bool
is_by_former(Signer *signer, const RowState *state)
{
	return signer->signing->former != NULL && state->signature != NULL &&
		pgseal_signing_definition_of(signer->signing, state->signature) == signer->signing->former;
}

static void
former_body(StringInfo out, Signer *signer, const RowState *state)
{
	initStringInfo(out);
	pgseal_definition_body(out, signer->signing->former, state->values, state->nulls);
}

static bool
is_good(Signer *signer, RowState *state)
{
	StringInfoData body = state->body;

	if (is_by_former(signer, state))
		former_body(&body, signer, state);
	return pgseal_signing_verify(signer->signing, state->signature, &body) == PGSEAL_SIGNATURE_GOOD;
}

static bool
same_bytes(const StringInfoData *a, const StringInfoData *b)
{
	return a->len == b->len && memcmp(a->data, b->data, a->len) == 0;
}

/* Nothing that either definition signs is changed */
static bool
is_unchanged(Signer *signer)
{
	StringInfoData old_body;
	StringInfoData new_body;

	if (!same_bytes(&signer->old.body, &signer->new.body))
		return false;
	if (signer->signing->former == NULL)
		return true;
	former_body(&old_body, signer, &signer->old);
	former_body(&new_body, signer, &signer->new);
	return same_bytes(&old_body, &new_body);
}

static bool
same_signature(const PgsealSignature *a, const PgsealSignature *b)
{
	return a == b || (a != NULL && b != NULL && memcmp(a, b, sizeof(*a)) == 0);
}

static void
check_given(Signer *signer, Relation rel, RowState *state)
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
sign(Signer *signer, Relation rel, HeapTuple tuple, int64 counter)
{
	PgsealSignature signature;

	pgseal_signing_sign(signer->signing, &signature, counter, &signer->new.body);
	return with_signature(signer, rel, tuple, &signature);
}

static void
check_signer(Signer *signer)
{
	if (signer->role != GetUserId())
		pgseal_signing_check_signer(signer->signing);
	signer->role = GetUserId();
}

/* The new row comes with a signature of its own */
static HeapTuple
given(Signer *signer, Relation rel, HeapTuple tuple)
{
	check_given(signer, rel, &signer->new);
	if (!is_by_former(signer, &signer->new))
		return tuple;
	check_signer(signer);
	return sign(signer, rel, tuple, pgseal_signature_counter(signer->new.signature) + 1);
}

static HeapTuple
inserted(Signer *signer, Relation rel, HeapTuple tuple)
{
	read_state(&signer->new, signer, rel, tuple);
	if (signer->new.signature != NULL)
		return given(signer, rel, tuple);
	check_signer(signer);
	return sign(signer, rel, tuple, 1);
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
	RowState   *old = &signer->old;
	RowState   *new = &signer->new;
	bool		old_is_good;
	bool		is_kept;

	read_state(old, signer, rel, old_tuple);
	old_is_good = is_good(signer, old);
	if (!old_is_good && !is_exempt(signer))
		pgseal_verify_report(ERROR, signer->signing, rel, old->values, old->nulls);
	read_state(new, signer, rel, new_tuple);
	if (new->signature != NULL && !same_signature(old->signature, new->signature))
		return given(signer, rel, new_tuple);
	is_kept = new->signature != NULL && old_is_good && is_unchanged(signer);
	if (is_kept && !is_by_former(signer, old))
		return new_tuple;
	if (!is_kept)
		check_signer(signer);
	return sign(signer, rel, new_tuple,
				old_is_good ? pgseal_signature_counter(old->signature) + 1 : 1);
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
