/*-------------------------------------------------------------------------
 *
 * no_statistics.h
 *	  Columns that ANALYZE leaves alone.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_NO_STATISTICS_H
#define PGSEAL_NO_STATISTICS_H

#include "utils/rel.h"

/* Of arrays and composite types that hold encrypted values */
extern void pgseal_no_statistics_of(Relation rel);

/* Columns of tables that were made long before may be of a type that now does */
extern void pgseal_no_statistics_anywhere(void);

#endif							/* PGSEAL_NO_STATISTICS_H */
