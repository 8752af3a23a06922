/*-------------------------------------------------------------------------
 *
 * denied.h
 *	  Conditions on values that the user may not open, beside rows that are hidden.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_DENIED_H
#define PGSEAL_DENIED_H

#include "nodes/parsenodes.h"

/*
 * In a statement with row security or security_barrier views: in place, in all queries
 * within.  True when there are such rows; then the plan is this role's.
 */
extern bool pgseal_mark_denied(Query *query);

#endif							/* PGSEAL_DENIED_H */
