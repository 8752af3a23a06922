/*-------------------------------------------------------------------------
 *
 * used.h
 *	  Key versions under which this transaction has sealed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_USED_H
#define PGSEAL_USED_H

#include "keys/keyring.h"

/* Changes whenever what was noted is forgotten; never 0 */
extern uint64 pgseal_used_era;

extern void pgseal_used_add(PgsealKey *key);

/* On the hot path: a comparison */
static inline void
pgseal_used_note(PgsealKey *key)
{
	if (key->used_in != pgseal_used_era)
		pgseal_used_add(key);
}

/* To be called before parallel workers begin, which may seal */
extern void pgseal_used_before_workers(void);

extern void pgseal_used_init(void);

#endif							/* PGSEAL_USED_H */
