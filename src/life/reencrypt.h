/*-------------------------------------------------------------------------
 *
 * reencrypt.h
 *	  Moving stored values from old key versions to the current ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REENCRYPT_H
#define PGSEAL_REENCRYPT_H

#include "life/table_work.h"

extern const PgsealTableWork pgseal_reencryption;

/* Everything from before this transaction has ended, also what only reads */
extern TransactionId pgseal_reencrypt_horizon(void);

#endif							/* PGSEAL_REENCRYPT_H */
