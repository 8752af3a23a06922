/*-------------------------------------------------------------------------
 *
 * parameters.h
 *	  Parameters are of the types that a plain column's would be.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PARAMETERS_H
#define PGSEAL_PARAMETERS_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/*
 * Makes parameters whose type was inferred to be an encrypted one of the base
 * type instead, and the query as it is with them.  prepare is the statement as it
 * was parsed if it is being prepared in SQL; NULL for that of a Parse message.  raw is
 * what the query was made of, if not of the text as it is (call_casts.c).
 */
extern void pgseal_parameters_plain(ParseState *pstate, Query *query,
									const PrepareStmt *prepare, RawStmt *raw);

/*
 * The parameters' types as the statement or its message declares them, InvalidOid where
 * it doesn't; NULL when that isn't known, or all are declared.
 */
extern Oid *pgseal_parameters_declared(ParseState *pstate, const PrepareStmt *prepare,
									   int *out_number);

/*
 * Is this the text of a statement with such parameters?  Their values are those of
 * encrypted columns, and PostgreSQL's messages name what it can't convert.
 */
extern bool pgseal_parameters_hold_values(const char *source);

#endif							/* PGSEAL_PARAMETERS_H */
