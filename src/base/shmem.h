/*-------------------------------------------------------------------------
 *
 * shmem.h
 *	  Shared memory of pgseal: one place that PostgreSQL asks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SHMEM_H
#define PGSEAL_SHMEM_H

/*
 * To be called while shared_preload_libraries are loaded, and otherwise without
 * effect.  request says how much memory and which locks are wanted; startup
 * attaches to them, holding AddinShmemInitLock.
 */
extern void pgseal_shmem_register(void (*request) (void), void (*startup) (void));

#endif							/* PGSEAL_SHMEM_H */
