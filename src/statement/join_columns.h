/*-------------------------------------------------------------------------
 *
 * join_columns.h
 *	  Columns that JOIN ... USING merges of two of different types.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_JOIN_COLUMNS_H
#define PGSEAL_JOIN_COLUMNS_H

#include "nodes/parsenodes.h"

/* Makes merged columns of this query, and of none within it, those that plain ones would be. */
extern void pgseal_join_columns_choose(Query *query);

#endif							/* PGSEAL_JOIN_COLUMNS_H */
