/*-------------------------------------------------------------------------
 *
 * opened.h
 *	  The opened form of an expression.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OPENED_H
#define PGSEAL_OPENED_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* For whom it is opened */
typedef enum PgsealOpening
{
	PGSEAL_OPEN_ARGUMENT,		/* by the public cast, where it stands */
	PGSEAL_OPEN_RESULT			/* above all sorts and joins: VOLATILE */
} PgsealOpening;

/*
 * The expression with all sealed values in it opened; NULL when it holds none.
 * queries are those that it stands in, the innermost first.
 */
extern Expr *pgseal_opened(Expr *expr, PgsealOpening opening, List *queries);

/*
 * Is the expression in plain, but made of sealed values?  Of tokens doesn't count; of
 * the arguments of aggregates does, if asked for.
 */
extern bool pgseal_is_made_of_sealed(Expr *expr, bool in_aggregates);

/* Did pgseal_opened() make this for a result? */
extern bool pgseal_is_opened_result(Expr *expr);

#endif							/* PGSEAL_OPENED_H */
