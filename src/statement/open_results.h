/*-------------------------------------------------------------------------
 *
 * open_results.h
 *	  Opening the result columns of the client's own statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OPEN_RESULTS_H
#define PGSEAL_OPEN_RESULTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

extern void pgseal_open_results_init(void);

/* The query itself, or the one that a utility command holds already analyzed */
extern Query *pgseal_analyzed_query(Query *query);

/* Does this analyzed statement have result columns that were opened for it? */
extern bool pgseal_opens_results(Query *query);

#endif							/* PGSEAL_OPEN_RESULTS_H */
