/*-------------------------------------------------------------------------
 *
 * overloads.h
 *	  Which of several functions of one name takes an encrypted value.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OVERLOADS_H
#define PGSEAL_OVERLOADS_H

#include "postgres.h"
#include "nodes/pg_list.h"
#include "nodes/primnodes.h"

/*
 * Makes the call one of the function that values of the base types would have chosen;
 * an error where that can't be made of it.
 */
extern void pgseal_overload_choose(FuncExpr *call);

/* The same of an aggregate, an aggregate as a window function, or an operator: an error */
extern void pgseal_overload_check(Node *call);

/* What was given for an argument, before PostgreSQL converted it by itself */
extern Node *pgseal_overload_given(Node *arg);

/* Is it a user's function, and was an encrypted value converted further for it? */
extern bool pgseal_overload_converts(Oid function, List *args);

/* The function of a call, an operator or an aggregate, and its arguments */
extern Oid	pgseal_overload_function(Node *call, List **out_args);

/* May it be another one on a plain column, seen by the types that are known here? */
extern bool pgseal_overload_may_differ(Node *call);

/* Is NULLIF() of values of the base types of another type? */
extern bool pgseal_overload_nullif_differs(const NullIfExpr *nullif);

#endif							/* PGSEAL_OVERLOADS_H */
