/*-------------------------------------------------------------------------
 *
 * call_casts.h
 *	  Queries that call one of several functions of a name.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CALL_CASTS_H
#define PGSEAL_CALL_CASTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/*
 * Makes the query what it is when encrypted arguments of such functions are cast to their
 * base types.  analyzed is itself, or the one that it is about, as EXPLAIN is.  Returns
 * what it is made of now; NULL if it stays as it is.  prepare is the statement as it was
 * parsed if it is being prepared in SQL.
 */
extern RawStmt *pgseal_call_casts(ParseState *pstate, Query *query, Query *analyzed,
								  const PrepareStmt *prepare);

#endif							/* PGSEAL_CALL_CASTS_H */
