/*-------------------------------------------------------------------------
 *
 * on_conflict.h
 *	  ON CONFLICT (column), where the column's unique index is on its tokens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_ON_CONFLICT_H
#define PGSEAL_ON_CONFLICT_H

#include "nodes/parsenodes.h"

/* Does the query name an encrypted column there? */
extern bool pgseal_names_conflict_column(Query *query);

/*
 * Puts what the unique index has in the place of the columns.  A query without
 * such an index stays as it is, and fails as PostgreSQL says.
 */
extern void pgseal_resolve_conflict_columns(Query *query);

#endif							/* PGSEAL_ON_CONFLICT_H */
