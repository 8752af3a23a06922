/*-------------------------------------------------------------------------
 *
 * call_results.c
 *	  What a procedure answers to a client's CALL.
 *
 * The row of a procedure's INOUT and OUT parameters isn't the result of a query.
 * The client is told the types of stmt->outargs, which serve nothing else in a
 * CALL of the client's; they are replaced by their opened form.  The row itself is
 * opened on its way to the client's receiver.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/executor.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "base/compat.h"
#include "statement/call_results.h"
#include "statement/opened.h"

typedef struct OpeningReceiver
{
	DestReceiver pub;
	DestReceiver *client;
	EState	   *executor;
	ExprContext *context;
	ProjectionInfo *projection;
} OpeningReceiver;

bool
pgseal_call_results_sealed(CallStmt *call)
{
	ListCell   *lc;

	foreach(lc, call->outargs)
		if (pgseal_opened(lfirst(lc), PGSEAL_OPEN_RESULT, NIL) != NULL)
			return true;
	return false;
}

void
pgseal_call_results_open(CallStmt *call)
{
	ListCell   *lc;

	foreach(lc, call->outargs)
	{
		Expr	   *opened = pgseal_opened(lfirst(lc), PGSEAL_OPEN_RESULT, NIL);

		if (opened != NULL)
			lfirst(lc) = opened;
	}
}

static void
opening_startup(DestReceiver *self, int operation, TupleDesc row)
{
	OpeningReceiver *receiver = (OpeningReceiver *) self;
	List	   *targets = NIL;
	TupleDesc	opened_row;

	for (int i = 0; i < row->natts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(row, i);
		Expr	   *var = (Expr *) makeVar(1, i + 1, column->atttypid, column->atttypmod,
										   column->attcollation, 0);
		Expr	   *opened = pgseal_opened(var, PGSEAL_OPEN_RESULT, NIL);

		targets = lappend(targets, makeTargetEntry(opened != NULL ? opened : var, i + 1,
												   pstrdup(NameStr(column->attname)), false));
	}
	receiver->executor = CreateExecutorState();
	receiver->context = CreateExprContext(receiver->executor);
	opened_row = ExecTypeFromTL(targets);
	receiver->projection = ExecBuildProjectionInfo(targets, receiver->context,
												   MakeSingleTupleTableSlot(opened_row,
																			&TTSOpsVirtual),
												   NULL, row);
	receiver->client->rStartup(receiver->client, operation, opened_row);
}

static bool
opening_receive(TupleTableSlot *slot, DestReceiver *self)
{
	OpeningReceiver *receiver = (OpeningReceiver *) self;

	ResetExprContext(receiver->context);
	receiver->context->ecxt_scantuple = slot;
	return receiver->client->receiveSlot(ExecProject(receiver->projection), receiver->client);
}

static void
opening_shutdown(DestReceiver *self)
{
	OpeningReceiver *receiver = (OpeningReceiver *) self;

	receiver->client->rShutdown(receiver->client);
	ExecDropSingleTupleTableSlot(receiver->projection->pi_state.resultslot);
	FreeExecutorState(receiver->executor);
}

/* The client's receiver is destroyed by whom it belongs to. */
static void
opening_destroy(DestReceiver *self)
{
	pfree(self);
}

DestReceiver *
pgseal_call_results_receiver(CallStmt *call, DestReceiver *client)
{
	OpeningReceiver *receiver;
	ListCell   *lc;
	bool		opens = false;

	foreach(lc, call->outargs)
		opens = opens || pgseal_is_opened_result(lfirst(lc));
	if (!opens)
		return client;
	receiver = palloc0(sizeof(OpeningReceiver));
	receiver->pub.receiveSlot = opening_receive;
	receiver->pub.rStartup = opening_startup;
	receiver->pub.rShutdown = opening_shutdown;
	receiver->pub.rDestroy = opening_destroy;
	receiver->pub.mydest = client->mydest;
	receiver->client = client;
	return &receiver->pub;
}
