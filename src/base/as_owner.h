/*-------------------------------------------------------------------------
 *
 * as_owner.h
 *	  Running code that belongs to the owner of a table.
 *
 * Expressions and predicates of indexes, checks, defaults, domains and triggers
 * are code of whoever owns the table.  What of it pgseal makes run, runs between
 * these two: with the owner's rights and no others (nor may it change them), with
 * a search_path of pg_catalog, and whatever it sets is undone.  A caller whose
 * work nobody waits for has it end after a time, by statement_timeout.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_AS_OWNER_H
#define PGSEAL_AS_OWNER_H

#include "postgres.h"

/* What was before; belongs on the caller's stack */
typedef struct PgsealCaller
{
	Oid			user;
	int			context;
	int			guc_level;
} PgsealCaller;

/* After an error, the end of the (sub)transaction does what pgseal_as_owner_end() does. */
extern void pgseal_as_owner_begin(PgsealCaller *out_caller, Oid owner);
extern void pgseal_as_owner_end(const PgsealCaller *caller);

#endif							/* PGSEAL_AS_OWNER_H */
