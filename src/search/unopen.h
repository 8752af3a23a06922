/*-------------------------------------------------------------------------
 *
 * unopen.h
 *	  Comparisons of opened values become comparisons of sealed ones.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_UNOPEN_H
#define PGSEAL_UNOPEN_H

#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"

/* In place, in all queries within */
extern void pgseal_unopen_comparisons(Query *query);

/*
 * What compares opened values instead, of a call of the function behind an = between columns,
 * one of which is sealed only to be compared; NULL when there is none
 */
extern Expr *pgseal_unsealed_equality(FuncExpr *equality);

/*
 * Makes conditions of FULL JOINs, of a query that the planner has simplified, such that it can
 * join by them.
 */
extern void pgseal_unopen_full_joins(Node *jointree);

#endif							/* PGSEAL_UNOPEN_H */
