/*-------------------------------------------------------------------------
 *
 * printing_bodies.h
 *	  What may be printed in the body of an SQL function.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PRINTING_BODIES_H
#define PGSEAL_PRINTING_BODIES_H

#include "postgres.h"

typedef enum PgsealPrinting
{
	PGSEAL_PRINTS_NOTHING,
	PGSEAL_PRINTS_ARGUMENTS,	/* what it is given */
	PGSEAL_PRINTS_QUERIES		/* what a query returns that it is given */
} PgsealPrinting;

/*
 * Of the text of a body that PostgreSQL may inline.  *out_result: may its result be printed
 * to be text, if the function was declared to return that?
 */
extern PgsealPrinting pgseal_printing_in_body(const char *body, bool *out_result);

/* Does a function make XML of a query or a table? */
extern bool pgseal_makes_xml(Oid function);

#endif							/* PGSEAL_PRINTING_BODIES_H */
