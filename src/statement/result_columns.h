/*-------------------------------------------------------------------------
 *
 * result_columns.h
 *	  Rewriting the result columns of an analyzed query.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RESULT_COLUMNS_H
#define PGSEAL_RESULT_COLUMNS_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/*
 * Returns what the result column becomes, or NULL when it stays.  Must not
 * change target.
 */
typedef Expr *(*PgsealTargetMap) (TargetEntry *target, void *context);

/* Rewrites the result columns of a SELECT, or the RETURNING list, in place. */
extern void pgseal_result_columns_map(Query *query, PgsealTargetMap map, void *context);

#endif							/* PGSEAL_RESULT_COLUMNS_H */
