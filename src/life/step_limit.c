/*-------------------------------------------------------------------------
 *
 * step_limit.c
 *	  A step of the worker ends, whatever code runs in it.
 *
 * A step runs index expressions of the table's owner.  A timeout is an error like
 * others, so code can catch it and go on.  The end of the process is none: it
 * comes when the error has not ended the step within some seconds.  The step's
 * transaction, with its locks, is rolled back then; in another one it is noted
 * which table it was about, or the next worker would begin with the same.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "tcop/tcopprot.h"
#include "utils/snapmgr.h"
#include "utils/timeout.h"

#include "life/step_limit.h"

/* From the error to the end of the process, in ms */
#define GRACE		3000

static TimeoutId last_timeout;
static volatile sig_atomic_t has_overrun = false;
static PgsealStepOverran note_overrun = NULL;

/* In a signal handler */
static void
end_process(void)
{
	has_overrun = true;
	die(SIGTERM);
}

static void
note_at_exit(int code, Datum arg)
{
	if (!has_overrun)
		return;
	has_overrun = false;
	AbortOutOfAnyTransaction();
	StartTransactionCommand();
	PushActiveSnapshot(GetTransactionSnapshot());
	note_overrun();
	PopActiveSnapshot();
	CommitTransactionCommand();
}

void
pgseal_step_limit_init(PgsealStepOverran overran)
{
	note_overrun = overran;
	last_timeout = RegisterTimeout(USER_TIMEOUT, end_process);
	before_shmem_exit(note_at_exit, (Datum) 0);
}

void
pgseal_step_limit_begin(int limit)
{
	enable_timeout_after(STATEMENT_TIMEOUT, limit);
	enable_timeout_after(last_timeout, limit + GRACE);
}

void
pgseal_step_limit_end(void)
{
	disable_timeout(last_timeout, false);
	disable_timeout(STATEMENT_TIMEOUT, false);
}
