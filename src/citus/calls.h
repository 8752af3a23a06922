/*-------------------------------------------------------------------------
 *
 * calls.h
 *	  How Citus takes pgseal's functions to other nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_CALLS_H
#define PGSEAL_CITUS_CALLS_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* Does a stored expression call what is for Citus alone? */
extern bool pgseal_citus_calls_has(Node *expr);

/*
 * After parse analysis, what another node has hidden is what it was again.  Set up
 * before statement/ is, which looks at the query then.
 */
extern void pgseal_citus_restore_init(void);

/* For the planner.  The last of the hooks to be set up, so the first to be called */
extern void pgseal_citus_calls_init(void);

#endif							/* PGSEAL_CITUS_CALLS_H */
