/*-------------------------------------------------------------------------
 *
 * function_results.h
 *	  What functions answer to their callers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FUNCTION_RESULTS_H
#define PGSEAL_FUNCTION_RESULTS_H

#include "postgres.h"
#include "parser/parse_node.h"

/* Gives the rows of a function's query the types in which they are asked for. */
extern void pgseal_function_results(ParseState *pstate, Query *query);

#endif							/* PGSEAL_FUNCTION_RESULTS_H */
