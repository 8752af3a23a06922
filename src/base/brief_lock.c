/*-------------------------------------------------------------------------
 *
 * brief_lock.c
 *	  Locks on tables in use, without keeping others waiting for long.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/resowner.h"
#include "utils/timestamp.h"

#include "base/brief_lock.h"
#include "base/clock.h"
#include "base/compat.h"

/* How long others may queue behind us, in ms; no longer than the user would wait */
#define TRY_TIMEOUT		300
/* How long it is tried where lock_timeout isn't set, in ms */
#define PATIENCE		10000

static void
lock_all(const List *relations, LOCKMODE mode, volatile Oid *out_at)
{
	int			guc_level = NewGUCNestLevel();
	char		timeout[32];
	ListCell   *lc;

	snprintf(timeout, sizeof(timeout), "%dms",
			 LockTimeout > 0 ? Min(LockTimeout, TRY_TIMEOUT) : TRY_TIMEOUT);
	(void) set_config_option("lock_timeout", timeout, PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	foreach(lc, relations)
	{
		*out_at = lfirst_oid(lc);
		LockRelationOid(lfirst_oid(lc), mode);
	}
	AtEOXact_GUC(true, guc_level);
}

bool
pgseal_try_lock(const List *relations, LOCKMODE mode, Oid *out_busy)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	volatile Oid at = InvalidOid;
	volatile bool locked = true;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		lock_all(relations, mode, &at);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		MemoryContextSwitchTo(context);
		if (code != ERRCODE_LOCK_NOT_AVAILABLE && code != ERRCODE_T_R_DEADLOCK_DETECTED)
			PG_RE_THROW();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
		locked = false;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (out_busy != NULL)
		*out_busy = at;
	return locked;
}

static void
let_others_go_first(void)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = pgseal_wait_event("PgsealLock");
	(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
					 PGSEAL_LOCK_PAUSE, wait_event);
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
}

void
pgseal_lock_briefly(const List *relations, LOCKMODE mode)
{
	TimestampTz end = TimestampTzPlusMilliseconds(pgseal_clock(),
												  LockTimeout > 0 ? LockTimeout : PATIENCE);
	Oid			busy;

	while (!pgseal_try_lock(relations, mode, &busy))
	{
		if (pgseal_clock() >= end)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("could not lock table \"%s\", which others use", get_rel_name(busy)),
					 errdetail("Others would have to wait for who waits for such a lock, so it was only tried, again and again."),
					 errhint("Try again when the transactions that use the table have ended, or with a longer lock_timeout.")));
		let_others_go_first();
	}
}
