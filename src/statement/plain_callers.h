/*-------------------------------------------------------------------------
 *
 * plain_callers.h
 *	  Functions that print what their queries return.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PLAIN_CALLERS_H
#define PGSEAL_PLAIN_CALLERS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* How many planners, executors and utility commands are running within each other */
extern int	pgseal_nesting;

/* Is the query that is being analyzed one of such a function? */
extern bool pgseal_plain_caller(void);

/* Puts our variants in place of PostgreSQL's own functions of that kind. */
extern void pgseal_plain_callers_mark(Query *query);

extern void pgseal_plain_callers_init(void);

#endif							/* PGSEAL_PLAIN_CALLERS_H */
