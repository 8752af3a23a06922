/*-------------------------------------------------------------------------
 *
 * open_arguments.h
 *	  Opening the arguments of functions that print what they are given.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PRINTED_H
#define PGSEAL_PRINTED_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/* Wraps encrypted arguments of concat() and its like, in place. */
extern void pgseal_printed_open(Query *query);

#endif							/* PGSEAL_PRINTED_H */
