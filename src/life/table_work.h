/*-------------------------------------------------------------------------
 *
 * table_work.h
 *	  What the worker does to tables, a step at a time: re-encrypting, signing anew.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_TABLE_WORK_H
#define PGSEAL_TABLE_WORK_H

#include "postgres.h"

typedef enum PgsealTableStep
{
	PGSEAL_STEP_IDLE,			/* nothing to do now */
	PGSEAL_STEP_MORE,			/* there is more to do at once */
	PGSEAL_STEP_LATER			/* there is more to do, in a second or so */
} PgsealTableStep;

typedef struct PgsealTableWork
{
	const char *what;			/* "could not ..." */

	/*
	 * The next piece of work; says by pgseal_table_work_is_on() which table
	 * it is on
	 */
	PgsealTableStep (*step) (void);

	/*
	 * The table comes later ("locked") or is left out ("untouchable", with
	 * the reason)
	 */
	void		(*put_off) (Oid relid, const char *phase, const char *reason);
} PgsealTableWork;

extern void pgseal_table_work_is_on(Oid relid);

/*
 * The next piece of work, in the caller's transaction, which has a snapshot.
 * Only the worker calls this, one in a database at a time.
 */
extern PgsealTableStep pgseal_table_work_step(const PgsealTableWork *work);

/*
 * After a step has failed, in a new transaction: the table that it was on is put
 * off.  False when the failure was not about a table.
 */
extern bool pgseal_table_work_failed(const PgsealTableWork *work, int sqlerrcode,
									 const char *message);

#endif							/* PGSEAL_TABLE_WORK_H */
