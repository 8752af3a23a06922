/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Planner support: equality finds the blind index by itself.
 *
 * Layer 5.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LOOKUP_H
#define PGSEAL_LOOKUP_H

extern void pgseal_lookup_init(void);

#endif							/* PGSEAL_LOOKUP_H */
