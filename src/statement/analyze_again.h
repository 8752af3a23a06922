/*-------------------------------------------------------------------------
 *
 * analyze_again.h
 *	  A statement that has been analyzed, parsed and analyzed again.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_ANALYZE_AGAIN_H
#define PGSEAL_ANALYZE_AGAIN_H

#include "postgres.h"
#include "nodes/parsenodes.h"
#include "parser/parse_node.h"

/*
 * The statement as it was parsed, as analysis has changed that.  prepare is the
 * statement if it is being prepared in SQL, or NULL.  NULL if it isn't found.
 */
extern RawStmt *pgseal_parsed_again(ParseState *pstate, const Query *query,
									const PrepareStmt *prepare);

/* What a parsed statement that is no query itself is about, else the statement */
extern Node *pgseal_query_within(Node *stmt);

/* Tells a new ParseState of the parameters */
typedef void (*PgsealParameterSetup) (ParseState *pstate, void *context);

/* What it is analyzed to; NULL when that is no valid statement */
extern Query *pgseal_analyze_again(ParseState *pstate, RawStmt *raw,
								   PgsealParameterSetup set_up, void *context);

#endif							/* PGSEAL_ANALYZE_AGAIN_H */
