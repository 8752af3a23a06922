/*-------------------------------------------------------------------------
 *
 * backend.h
 *	  As much of the backend as the readers of replies need.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FUZZ_BACKEND_H
#define PGSEAL_FUZZ_BACKEND_H

/* Frees all that was palloc'd, after wiping what is secret */
extern void ResetMemory(void);

#endif							/* PGSEAL_FUZZ_BACKEND_H */
