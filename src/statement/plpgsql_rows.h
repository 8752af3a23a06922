/*-------------------------------------------------------------------------
 *
 * plpgsql_rows.h
 *	  Where the rows of a PL/pgSQL function's query go.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PLPGSQL_ROWS_H
#define PGSEAL_PLPGSQL_ROWS_H

#include "postgres.h"
#include "access/tupdesc.h"
#include "parser/parse_node.h"
#include "parser/parser.h"

typedef enum PgsealRowsGo
{
	PGSEAL_ROWS_STAY,			/* into the function's variables, or it isn't
								 * PL/pgSQL */
	PGSEAL_ROWS_RETURNED,		/* to whom the function answers, in declared
								 * types */
	PGSEAL_ROWS_FETCHED			/* to whom the function hands a cursor */
} PgsealRowsGo;

/*
 * Of the query that is being analyzed.  *out_declared is set for
 * PGSEAL_ROWS_RETURNED, and belongs to the function that is being executed.
 */
extern PgsealRowsGo pgseal_plpgsql_rows_go(ParseState *pstate, TupleDesc *out_declared);

/* How the text that is being analyzed is parsed: an expression of PL/pgSQL isn't a statement */
extern RawParseMode pgseal_plpgsql_parse_mode(ParseState *pstate);

#endif							/* PGSEAL_PLPGSQL_ROWS_H */
