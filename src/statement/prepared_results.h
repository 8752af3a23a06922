/*-------------------------------------------------------------------------
 *
 * prepared_results.h
 *	  What a prepared statement of the client's has told of its results.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PREPARED_RESULTS_H
#define PGSEAL_PREPARED_RESULTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "utils/plancache.h"

/*
 * The prepared statement of the client's that is analyzed again when the statement
 * with this text is analyzed: this pointer, whatever it says.  NULL where it is analyzed
 * for the first time, or for the statement without a name.
 */
extern CachedPlanSource *pgseal_prepared_again(const char *source);

/*
 * Makes opened results varchar that were so when the statement was prepared, as
 * drivers have been told.
 */
extern void pgseal_prepared_results_keep(CachedPlanSource *prepared, Query *query);

#endif							/* PGSEAL_PREPARED_RESULTS_H */
