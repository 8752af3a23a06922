/*-------------------------------------------------------------------------
 *
 * restate.h
 *	  Stored expressions that say under which key a column's values are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RESTATE_H
#define PGSEAL_RESTATE_H

#include "nodes/pg_list.h"

/*
 * After a change of a column's type modifier: all that is stored and mentions the
 * column says the present one.  Returns the views and materialized views (OIDs)
 * whose query has changed by that.
 */
extern List *pgseal_restate_column(Oid relation, AttrNumber attnum);

/* The type modifiers of what the view's query selects, one per column */
extern List *pgseal_restate_view_typmods(Oid view);

#endif							/* PGSEAL_RESTATE_H */
