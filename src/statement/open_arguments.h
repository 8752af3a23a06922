/*-------------------------------------------------------------------------
 *
 * open_arguments.h
 *	  Opening the arguments of functions that print what they are given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OPEN_ARGUMENTS_H
#define PGSEAL_OPEN_ARGUMENTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* Wraps encrypted arguments of concat() and its like, in place. */
extern void pgseal_open_arguments(Query *query);

/* Does a function of PostgreSQL's print arguments of any type? */
extern bool pgseal_prints_arguments(Oid function);

#endif							/* PGSEAL_OPEN_ARGUMENTS_H */
