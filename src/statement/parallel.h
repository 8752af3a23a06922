/*-------------------------------------------------------------------------
 *
 * parallel.h
 *	  Which statements run without parallel workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PARALLEL_H
#define PGSEAL_PARALLEL_H

extern void pgseal_parallel_init(void);

#endif							/* PGSEAL_PARALLEL_H */
