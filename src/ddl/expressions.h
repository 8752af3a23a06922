/*-------------------------------------------------------------------------
 *
 * expressions.h
 *	  Expressions in utility statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_EXPRESSIONS_H
#define PGSEAL_EXPRESSIONS_H

#include "nodes/parsenodes.h"

/* May the statement have expressions that read columns? */
extern bool pgseal_expressions_may_be(Node *stmt);

/*
 * Writes casts to the base type where they are needed, in place.  What can't be
 * analyzed stays as it is: PostgreSQL says why.
 */
extern void pgseal_expressions_complete(Node *stmt, const char *query_string);

#endif							/* PGSEAL_EXPRESSIONS_H */
