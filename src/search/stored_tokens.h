/*-------------------------------------------------------------------------
 *
 * stored_tokens.h
 *	  Stored tokens: indexes and generated columns that hold blind_index().
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_STORED_TOKENS_H
#define PGSEAL_STORED_TOKENS_H

#include "postgres.h"

#include "nodes/primnodes.h"

/* The table in whose stored expression this call is; InvalidOid in a query */
extern Oid	pgseal_stored_table(Node *expr);

/* Is it in a constraint for which the user must have the privilege? */
extern bool pgseal_stored_is_strict(Node *expr);

/*
 * From the object access hook: what was just made is known to be of its table.  And
 * for partition keys, which have no such hook, after the statement.
 */
extern void pgseal_stored_mark(Oid catalog, Oid object, int sub_id);

/*
 * From the object access hook, for what was just made.  Error 42501 without USAGE on
 * the key's foreign server.
 */
extern void pgseal_stored_created(Oid catalog, Oid object, int sub_id);

extern void pgseal_stored_init(void);

#endif							/* PGSEAL_STORED_TOKENS_H */
