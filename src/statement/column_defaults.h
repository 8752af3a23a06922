/*-------------------------------------------------------------------------
 *
 * column_defaults.h
 *	  Defaults of columns in statements, told from what the user has written.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COLUMN_DEFAULTS_H
#define PGSEAL_COLUMN_DEFAULTS_H

#include "nodes/parsenodes.h"

/* For a query that is about to be planned */
extern void pgseal_column_defaults_mark(Query *query);

#endif							/* PGSEAL_COLUMN_DEFAULTS_H */
