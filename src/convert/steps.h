/*-------------------------------------------------------------------------
 *
 * steps.h
 *	  The steps of a conversion, for convert.c, which drives them, and begin.c.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CONVERT_STEPS_H
#define PGSEAL_CONVERT_STEPS_H

#include "base/as_owner.h"
#include "convert/convert.h"

typedef enum PgsealConvertStep
{
	PGSEAL_STEP_MORE,
	PGSEAL_STEP_BEGIN,			/* from the beginning */
	PGSEAL_STEP_SWITCH,			/* all is ready for it */
	PGSEAL_STEP_DONE
} PgsealConvertStep;

/* What the caller wants */
typedef struct PgsealConvertRequest
{
	Oid			relid;
	AttrNumber	attnum;
	bool		encrypts;
	const char *key;			/* NULL: the table's own */
	Oid			caller;
	TransactionId switched;		/* the transaction that did it */
	bool		behind;			/* the last step left changes */
	int			late_steps;		/* so many more did than didn't */
	int64		turn;			/* changes for which writers wait */
} PgsealConvertRequest;

/* Commits; the next transaction must see each change as soon as it is made. */
extern void pgseal_convert_next_transaction(void);

/* Interruptibly; 0 only looks for interrupts */
extern void pgseal_convert_pause(int milliseconds);

/* Exclusively, without keeping others waiting for long. */
extern void pgseal_convert_lock(Oid relid);

extern void pgseal_convert_become_owner(PgsealCaller *out_caller, Oid relid);
extern void pgseal_convert_check_owner(Oid relid);

/* It may have been dropped since the last step. */
extern void pgseal_convert_check_column(Oid relid, AttrNumber attnum);

/* Of a relation that is locked */
extern BlockNumber pgseal_convert_blocks(Oid relid);

/* begin.c: in an active snapshot's transaction, which it ends */
extern PgsealConvertStep pgseal_convert_begin(const PgsealConvertRequest *request);

#endif							/* PGSEAL_CONVERT_STEPS_H */
