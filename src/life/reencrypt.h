/*-------------------------------------------------------------------------
 *
 * reencrypt.h
 *	  Moving stored values from old key versions to the current ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REENCRYPT_H
#define PGSEAL_REENCRYPT_H

#include "postgres.h"

typedef enum PgsealReencryptStep
{
	PGSEAL_REENCRYPT_IDLE,		/* nothing to do now */
	PGSEAL_REENCRYPT_MORE,		/* there is more to do at once */
	PGSEAL_REENCRYPT_LATER		/* there is more to do, in a second or so */
} PgsealReencryptStep;

/*
 * The next piece of work, in the caller's transaction, which has a snapshot.
 * Only the worker calls this, one in a database at a time.
 */
extern PgsealReencryptStep pgseal_reencrypt_step(void);

/*
 * After a step has failed, in a new transaction: the table that it was about is
 * left out of this round, or comes later in it if others have locked something.
 * False when the failure was not about a table.
 */
extern bool pgseal_reencrypt_failed(int sqlerrcode, const char *message);

/* Everything from before this transaction has ended, also what only reads */
extern TransactionId pgseal_reencrypt_horizon(void);

#endif							/* PGSEAL_REENCRYPT_H */
