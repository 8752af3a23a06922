/*-------------------------------------------------------------------------
 *
 * redefine.h
 *	  Signing rows anew where what is signed has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REDEFINE_H
#define PGSEAL_REDEFINE_H

#include "life/reencrypt.h"

/* As pgseal_reencrypt_step() and pgseal_reencrypt_failed() */
extern PgsealReencryptStep pgseal_redefine_step(void);
extern bool pgseal_redefine_failed(int sqlerrcode, const char *message);

#endif							/* PGSEAL_REDEFINE_H */
