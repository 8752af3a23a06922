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
#include "utils/plancache.h"

extern void pgseal_open_results_init(void);

/* The query itself, or the one that a utility command holds already analyzed */
extern Query *pgseal_analyzed_query(Query *query);

/* A prepared statement's query, analyzed as one whose results stay sealed */
extern Query *pgseal_analyze_sealed(CachedPlanSource *prepared);

#endif							/* PGSEAL_OPEN_RESULTS_H */
