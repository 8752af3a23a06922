/*-------------------------------------------------------------------------
 *
 * lookup.h
 *	  Planner support: equality finds the blind index by itself.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LOOKUP_H
#define PGSEAL_LOOKUP_H

#include "nodes/pathnodes.h"

/*
 * Is an equality of these arguments the recheck of a lookup by token that stands
 * beside it?
 */
extern bool pgseal_lookup_beside(PlannerInfo *root, List *args, Oid collation);

extern void pgseal_lookup_init(void);

#endif							/* PGSEAL_LOOKUP_H */
