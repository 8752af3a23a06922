/*-------------------------------------------------------------------------
 *
 * table_work.c
 *	  A step of what the worker does to tables, and what comes after its failure.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "base/spi_query.h"
#include "life/table_work.h"

/* The table that the present step is on */
static Oid	present_table = InvalidOid;

void
pgseal_table_work_is_on(Oid relid)
{
	present_table = relid;
}

PgsealTableStep
pgseal_table_work_step(const PgsealTableWork *work)
{
	PgsealQuerySession session;
	PgsealTableStep result;

	present_table = InvalidOid;
	pgseal_query_begin(&session);
	result = work->step();
	pgseal_query_end(&session);
	return result;
}

bool
pgseal_table_work_failed(const PgsealTableWork *work, int sqlerrcode, const char *message)
{
	PgsealQuerySession session;
	bool		locked = sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE ||
		sqlerrcode == ERRCODE_T_R_DEADLOCK_DETECTED;

	if (!OidIsValid(present_table))
		return false;
	pgseal_query_begin(&session);
	work->put_off(present_table, locked ? "locked" : "untouchable", locked ? NULL : message);
	pgseal_query_end(&session);
	return true;
}
