/*-------------------------------------------------------------------------
 *
 * functions.h
 *	  Functions that are made to work on encrypted columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FUNCTIONS_H
#define PGSEAL_FUNCTIONS_H

extern void pgseal_functions_init(void);

#endif							/* PGSEAL_FUNCTIONS_H */
