/*-------------------------------------------------------------------------
 *
 * written_casts.h
 *	  Casts to the base type that are written into parsed statements.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_WRITTEN_CASTS_H
#define PGSEAL_WRITTEN_CASTS_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * Writes the casts into the parsed statement or expression, in place, that its analyzed
 * form shows to be needed; in a query, only those of calls that may be of another
 * function on a plain column.  Returns whether there are any.
 */
extern bool pgseal_write_casts(Node *analyzed, Node *parsed, bool in_query);

/* Such a cast, in parsed form, of a parsed expression */
extern Node *pgseal_written_cast(Node *arg, Oid type, int32 typmod);

/* Would any be written into this query? */
extern bool pgseal_wants_casts(Query *query);

#endif							/* PGSEAL_WRITTEN_CASTS_H */
