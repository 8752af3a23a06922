/*-------------------------------------------------------------------------
 *
 * used_by_workers.h
 *	  Under which key versions parallel workers have sealed, told to their leader.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_USED_BY_WORKERS_H
#define PGSEAL_USED_BY_WORKERS_H

/* Versions that a leader can learn of, by all workers since it asked last */
#define PGSEAL_WORKERS_PLACES	15

/* To be called by a parallel worker, once for each version */
extern void pgseal_used_by_worker(int64 version);

/*
 * How many reports have come from workers of this process, all of which have ended,
 * since it asked last.  The first of them, PGSEAL_WORKERS_PLACES at most, are put
 * into versions; of others nothing is known.
 */
extern uint32 pgseal_used_by_workers(int64 *versions);

extern void pgseal_used_by_workers_init(void);

#endif							/* PGSEAL_USED_BY_WORKERS_H */
