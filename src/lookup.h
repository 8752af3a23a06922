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

#include "postgres.h"

#include "nodes/primnodes.h"

/* The type modifier of an encrypted column, also of one of a domain */
extern int32 pgseal_lookup_typmod(Node *column);

extern void pgseal_lookup_init(void);

#endif							/* PGSEAL_LOOKUP_H */
