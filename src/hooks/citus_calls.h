/*-------------------------------------------------------------------------
 *
 * citus_calls.h
 *	  How Citus takes pgseal's functions to other nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_CALLS_H
#define PGSEAL_CITUS_CALLS_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* After parse analysis: what another node has hidden is what it was again */
extern void pgseal_citus_calls_restore(Query *query);

/* Does a stored expression call what is for Citus alone? */
extern bool pgseal_citus_calls_has(Node *expr);

/* The last of the hooks to be set up, so the first to be called */
extern void pgseal_citus_calls_init(void);

#endif							/* PGSEAL_CITUS_CALLS_H */
