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
#include "nodes/primnodes.h"

/*
 * Makes the call one of the function that values of the base types would have chosen;
 * an error where that can't be made of it.
 */
extern void pgseal_overload_choose(FuncExpr *call);

/* The same of an aggregate, an aggregate as a window function, or an operator: an error */
extern void pgseal_overload_check(Node *call);

#endif							/* PGSEAL_OVERLOADS_H */
