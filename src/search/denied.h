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

extern void pgseal_denied_init(void);

/*
 * In a statement with row security, security_barrier views or what these check: in place,
 * in all queries within, the conditions that hide rows are marked.  True when there are
 * such rows; then the plan is this role's.
 */
extern bool pgseal_mark_hiding(Query *query);

/* And then the other conditions, where they compare something */
extern void pgseal_mark_denied(Query *query);

#endif							/* PGSEAL_DENIED_H */
