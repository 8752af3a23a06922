/*-------------------------------------------------------------------------
 *
 * unopen.h
 *	  Comparisons of opened values become comparisons of sealed ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_UNOPEN_H
#define PGSEAL_UNOPEN_H

#include "nodes/parsenodes.h"

/* In place, in all queries within */
extern void pgseal_unopen_comparisons(Query *query);

#endif							/* PGSEAL_UNOPEN_H */
