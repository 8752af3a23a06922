/*-------------------------------------------------------------------------
 *
 * step_limit.h
 *	  A step of the worker ends, whatever code runs in it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_STEP_LIMIT_H
#define PGSEAL_STEP_LIMIT_H

#include "postgres.h"

/* What is to be noted of a step that took its process with it; runs in a transaction */
typedef void (*PgsealStepOverran) (void);

/* Once in a process, when it has connected to its database */
extern void pgseal_step_limit_init(PgsealStepOverran overran);

/*
 * What runs between these two is cancelled when the time, in ms, is over, and if
 * that doesn't end it, its process ends some seconds later.
 */
extern void pgseal_step_limit_begin(int limit);
extern void pgseal_step_limit_end(void);

#endif							/* PGSEAL_STEP_LIMIT_H */
