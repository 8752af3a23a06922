/*-------------------------------------------------------------------------
 *
 * convert.c
 *	  Encrypting and decrypting existing columns while their table is in use.
 *
 * encrypt_column() and decrypt_column() make a copy of the table whose column has
 * the other type, keep it up to date with what happens in the table, and in the
 * end exchange the files of the two.  It goes by steps:
 *
 *	begin		Under an exclusive lock, for a moment: what can't be kept is
 *				refused, and the switch rehearsed.  Again: the empty copy is made,
 *				the trigger that notes changes put on the table.
 *	copying		Some blocks of the table are copied, noted changes applied.
 *	verifying	Some blocks of the table are compared with the copy,
 *	verifying copy	and the other way round.
 *	switching	Changes are applied until few are left; then, under an exclusive
 *				lock, for a moment: the rest of them, and the exchange.
 *
 * Each step is a transaction of its own, which changes the conversion's row in
 * pgseal_internal.conversion along with the data.  So after a crash, a cancel or an error
 * at any moment, the table is as it was, and the next call goes on.  The trigger
 * goes on meanwhile: who won't go on calls cancel_conversion().
 *
 * Until the switch the table is only read.  Whatever changes its definition or its
 * files (ALTER TABLE, TRUNCATE, VACUUM FULL, a new index, a trigger that was
 * disabled) changes the digest that each step compares; then the conversion
 * begins anew.
 *
 * Nobody queues for long behind an exclusive lock that we wait for (brief_lock.h).
 *
 * Writers may change more rows than one session can copy.  Then it only catches up,
 * and if that isn't enough, they have to take turns with it: while it applies some
 * of their changes, they wait.  Otherwise it would never end.
 *
 * Locks are taken in this order: the key's, the table's, the row of
 * pgseal_internal.conversion.  The last of them is what keeps two sessions from doing the
 * same step; each may do the next.
 *
 * The copy's indexes, checks and defaults are code of the table's owner, and run
 * with his privileges, as in VACUUM.  Values are opened with those of the caller.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_statistic.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/as_owner.h"
#include "base/brief_lock.h"
#include "base/compat.h"
#include "base/settings.h"
#include "convert/steps.h"
#include "keys/catalog.h"

PG_FUNCTION_INFO_V1(pgseal_encrypt_column);
PG_FUNCTION_INFO_V1(pgseal_decrypt_column);
PG_FUNCTION_INFO_V1(pgseal_cancel_conversion);

/* So often it is tried to rewrite pg_statistic, PGSEAL_LOCK_PAUSE between */
#define STATISTICS_TRIES		10

/* Changes applied in one transaction; so many may be left to the switch */
#define CHANGES_PER_STEP		5000
#define CHANGES_AT_SWITCH		500

/*
 * After LATE_STEPS that left more than they should, writers take turns with us, until
 * CALM_STEPS more than that didn't.  A turn is for so many changes, and twice as many
 * as long as that isn't what came in between; so is the piece of work in it.
 */
#define LATE_STEPS				3
#define CALM_STEPS				100
#define CHANGES_PER_TURN		1000

/*
 * Going on
 */

static void
next_phase(PgsealConvertState *state)
{
	static const char *const phases[] = {"copying", "verifying", "verifying copy", "switching"};

	for (int i = 0; i + 1 < lengthof(phases); i++)
		if (strcmp(state->phase, phases[i]) == 0)
		{
			state->phase = pstrdup(phases[i + 1]);
			break;
		}
	state->next_block = 0;
	if (strcmp(state->phase, "verifying copy") == 0)
		state->blocks = pgseal_convert_blocks(state->conversion.copy);
	else
		state->blocks = pgseal_convert_blocks(state->conversion.relid);
}

static bool
is_late(const PgsealConvertRequest *request)
{
	return request->late_steps >= LATE_STEPS;
}

static void
note_progress(PgsealConvertRequest *request, bool behind)
{
	request->behind = behind;
	if (is_late(request))
		request->turn = behind ? request->turn * 2 : Max(request->turn / 2, CHANGES_PER_TURN);
	else
		request->turn = CHANGES_PER_TURN;
	if (!behind)
		request->late_steps = Max(request->late_steps - 1, 0);
	else if (++request->late_steps >= LATE_STEPS)
		request->late_steps = LATE_STEPS + CALM_STEPS;
}

/* A piece of the present phase; how many rows it copied and verified */
static void
work_on_phase(PgsealConvertState *state, BlockNumber batch, int64 *out_copied,
			  int64 *out_verified)
{
	const PgsealConversion *conversion = &state->conversion;
	BlockNumber from = state->next_block;
	BlockNumber end = state->blocks - from > batch ? from + batch : state->blocks;

	if (strcmp(state->phase, "copying") == 0)
		*out_copied = pgseal_convert_copy_blocks(conversion, from, end);
	else
		*out_verified = pgseal_convert_verify_blocks(conversion,
													 strcmp(state->phase, "verifying copy") == 0,
													 from, end);
	if (end < state->blocks)
		state->next_block = end;
	else
		next_phase(state);
}

/*
 * The next step; PGSEAL_STEP_SWITCH when all is ready for it.  While changes come in faster
 * than they are applied, nothing else is done.
 */
static PgsealConvertStep
work_on(PgsealConvertRequest *request, PgsealConvertState *state)
{
	bool		switching = strcmp(state->phase, "switching") == 0;
	bool		late = is_late(request);
	int64		most = late ? request->turn : CHANGES_PER_STEP;
	int64		turns = late ? request->turn / CHANGES_PER_TURN : 1;
	int64		copied = 0;
	int64		verified = 0;
	int64		applied;
	PgsealCaller caller;

	pgseal_convert_become_owner(&caller, state->conversion.relid);
	if (!switching && !request->behind)
		work_on_phase(state, Min(pgseal_reencrypt_batch * turns, MaxBlockNumber), &copied,
					  &verified);
	applied = pgseal_convert_apply_changes(&state->conversion, most);
	pgseal_as_owner_end(&caller);

	/* What comes in before the next turn is few enough for the switch */
	note_progress(request, applied == most ||
				  (switching && !late && applied > CHANGES_AT_SWITCH));
	pgseal_convert_save(state, copied, applied, verified);
	return switching && !request->behind ? PGSEAL_STEP_SWITCH : PGSEAL_STEP_MORE;
}

/* Their turn comes between two steps; readers don't wait */
static void
let_writers_wait(Oid relid)
{
	PopActiveSnapshot();
	(void) pgseal_try_lock(list_make1_oid(relid), ShareLock, NULL);
	PushActiveSnapshot(GetLatestSnapshot());
}

static PgsealConvertStep
go_on(PgsealConvertRequest *request)
{
	PgsealConvertState state;

	LockRelationOid(request->relid, AccessShareLock);
	if (is_late(request))
		let_writers_wait(request->relid);
	pgseal_convert_check_owner(request->relid);
	pgseal_convert_check_column(request->relid, request->attnum);
	if (!pgseal_convert_load(&state, request->relid, true))
		return PGSEAL_STEP_BEGIN;
	if (state.conversion.attnum != request->attnum ||
		state.conversion.encrypts != request->encrypts ||
		(request->key != NULL &&
		 pgseal_catalog_key_hash(request->key) != state.conversion.new_typmod))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("column \"%s\" of table \"%s\" is being %s",
						get_attname(request->relid, state.conversion.attnum, false),
						get_rel_name(request->relid),
						state.conversion.encrypts ? "encrypted" : "decrypted"),
				 errhint("Finish this with the same call, or give it up with CALL pgseal.cancel_conversion().")));
	LockRelationOid(state.conversion.copy, RowExclusiveLock);
	PopActiveSnapshot();
	PushActiveSnapshot(GetLatestSnapshot());
	if (strcmp(pgseal_convert_shape(&state.conversion), state.shape) != 0)
		return PGSEAL_STEP_BEGIN;
	return work_on(request, &state);
}

static PgsealConvertStep
switch_over(PgsealConvertRequest *request)
{
	PgsealConvertState state;
	PgsealCaller caller;
	Oid			copy;
	bool		locked;

	if (!pgseal_convert_load(&state, request->relid, false))
		return PGSEAL_STEP_BEGIN;
	PopActiveSnapshot();
	copy = state.conversion.copy;
	if (state.conversion.new_typmod > 0)
		pgseal_catalog_lock_columns(state.conversion.new_typmod, false);
	/* What changes while we wait is applied before the table is locked */
	locked = pgseal_try_lock(list_make2_oid(request->relid, copy), AccessExclusiveLock, NULL);
	if (!locked)
		pgseal_convert_pause(PGSEAL_LOCK_PAUSE);
	AcceptInvalidationMessages();
	PushActiveSnapshot(GetLatestSnapshot());
	if (!locked)
		return PGSEAL_STEP_MORE;
	pgseal_convert_check_owner(request->relid);
	if (!pgseal_convert_load(&state, request->relid, true) || state.conversion.copy != copy ||
		strcmp(pgseal_convert_shape(&state.conversion), state.shape) != 0)
		return PGSEAL_STEP_BEGIN;
	pgseal_convert_check(&state.conversion);
	PopActiveSnapshot();
	PushActiveSnapshot(GetLatestSnapshot());

	pgseal_convert_report(&state.conversion,
						  state.conversion.encrypts ? "column_encrypted" : "column_decrypted");
	pgseal_convert_become_owner(&caller, request->relid);
	(void) pgseal_convert_apply_changes(&state.conversion, 0);
	CommandCounterIncrement();
	pgseal_convert_switch(&state.conversion);
	pgseal_as_owner_end(&caller);
	(void) pgseal_convert_drop_remains(request->relid);
	request->switched = GetTopTransactionId();
	return PGSEAL_STEP_DONE;
}

/*
 * The rows of pg_statistic that have values of the column are dead, but still in
 * its file.  It is small; VACUUM FULL, by another way, takes them out, once no
 * snapshot needs them.
 */
static bool
rewrite_statistics(TransactionId switched)
{
	Relation	rel = table_open(StatisticRelationId, AccessShareLock);
	TransactionId horizon = GetOldestNonRemovableTransactionId(rel);

	table_close(rel, AccessShareLock);
	if (!TransactionIdFollows(horizon, switched) ||
		!pgseal_try_lock(list_make1_oid(StatisticRelationId), AccessExclusiveLock, NULL))
		return false;
	PushActiveSnapshot(GetLatestSnapshot());
	pgseal_rewrite_table(StatisticRelationId);
	PopActiveSnapshot();
	return true;
}

static void
forget_statistics(TransactionId switched)
{
	for (int i = 0; i < STATISTICS_TRIES; i++)
	{
		pgseal_convert_next_transaction();
		if (rewrite_statistics(switched))
			return;
		pgseal_convert_pause(PGSEAL_LOCK_PAUSE);
	}
	ereport(NOTICE,
			(errmsg("dead rows of pg_statistic may still have values of the column"),
			 errhint("Other sessions kept them. When there is time, do: VACUUM FULL pg_catalog.pg_statistic")));
}

static void
convert(PgsealConvertRequest *request)
{
	MemoryContext per_step = AllocSetContextCreate(CurrentMemoryContext, "pgseal conversion",
												   ALLOCSET_DEFAULT_SIZES);
	MemoryContext context = CurrentMemoryContext;
	PgsealConvertStep step = PGSEAL_STEP_MORE;
	bool		pause = false;

	while (step != PGSEAL_STEP_DONE)
	{
		pgseal_convert_next_transaction();

		/*
		 * What was done is committed, and nothing is locked meanwhile; so
		 * writers who take turns with us would be farther ahead by then
		 */
		if (pause)
			pgseal_convert_pause(is_late(request) ? 0 : pgseal_reencrypt_delay);
		MemoryContextSwitchTo(per_step);
		PushActiveSnapshot(GetLatestSnapshot());
		if (step == PGSEAL_STEP_BEGIN)
			step = pgseal_convert_begin(request);
		else if (step == PGSEAL_STEP_SWITCH)
			step = switch_over(request);
		else
			step = go_on(request);
		PopActiveSnapshot();
		MemoryContextSwitchTo(context);
		MemoryContextReset(per_step);
		pause = step == PGSEAL_STEP_MORE;
	}
	if (request->encrypts && TransactionIdIsValid(request->switched))
		forget_statistics(request->switched);
}

/*
 * The SQL functions
 */

static void
require_arguments(FunctionCallInfo fcinfo, int num)
{
	for (int i = 0; i < num; i++)
		if (PG_ARGISNULL(i))
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 num == 1 ? errmsg("table must not be null") :
					 errmsg("table and column must not be null")));
}

/* What has columns, but none that could be converted, isn't helped by ALTER TABLE either */
static void
check_kind(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(relid))));
}

static void
call_convert(FunctionCallInfo fcinfo, bool encrypts)
{
	CallContext *call = (CallContext *) fcinfo->context;
	PgsealConvertRequest request = {.encrypts = encrypts, .caller = GetUserId()};
	const char *name = encrypts ? "pgseal.encrypt_column()" : "pgseal.decrypt_column()";

	require_arguments(fcinfo, 2);
	PreventCommandIfReadOnly(name);
	if (call == NULL || !IsA(call, CallContext) || call->atomic)
		ereport(ERROR,
				(errcode(ERRCODE_ACTIVE_SQL_TRANSACTION),
				 errmsg("%s cannot run inside a transaction block or a function", name)));
	request.relid = PG_GETARG_OID(0);
	pgseal_convert_check_owner(request.relid);
	check_kind(request.relid);
	request.attnum = get_attnum(request.relid, NameStr(*PG_GETARG_NAME(1)));
	if (request.attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist",
						NameStr(*PG_GETARG_NAME(1)), get_rel_name(request.relid))));
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	if (encrypts && !PG_ARGISNULL(2))
		request.key = text_to_cstring(PG_GETARG_TEXT_PP(2));
	convert(&request);
	SPI_finish();
}

Datum
pgseal_encrypt_column(PG_FUNCTION_ARGS)
{
	call_convert(fcinfo, true);
	PG_RETURN_NULL();
}

Datum
pgseal_decrypt_column(PG_FUNCTION_ARGS)
{
	call_convert(fcinfo, false);
	PG_RETURN_NULL();
}

Datum
pgseal_cancel_conversion(PG_FUNCTION_ARGS)
{
	Oid			relid;
	PgsealConvertState state;

	require_arguments(fcinfo, 1);
	PreventCommandIfReadOnly("pgseal.cancel_conversion()");
	relid = PG_GETARG_OID(0);
	pgseal_convert_check_owner(relid);
	LockRelationOid(relid, AccessExclusiveLock);
	pgseal_convert_check_owner(relid);
	if (!pgseal_convert_load(&state, relid, false))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no column of table \"%s\" is being encrypted or decrypted",
						get_rel_name(relid))));
	pgseal_convert_report(&state.conversion, "conversion_cancelled");
	(void) pgseal_convert_drop_remains(relid);
	PG_RETURN_NULL();
}
