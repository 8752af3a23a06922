/*-------------------------------------------------------------------------
 *
 * idle.h
 *	  Keys leave the memory of processes that don't use them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_IDLE_H
#define PGSEAL_IDLE_H

/*
 * For the launcher, in each of its rounds: wakes idle processes if there is
 * something to unload.
 */
extern void pgseal_idle_wake(void);

#endif							/* PGSEAL_IDLE_H */
