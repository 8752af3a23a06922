/*-------------------------------------------------------------------------
 *
 * brief_lock.h
 *	  Locks on tables in use, without keeping others waiting for long.
 *
 * Whoever waits for a strong lock has everybody queue behind him who comes later,
 * as long as those who came before take.  So such a lock is tried for a moment
 * only, and again after a pause in which the others get their turn.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_BRIEF_LOCK_H
#define PGSEAL_BRIEF_LOCK_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "storage/lockdefs.h"

/* How long to let others go first between two tries, ms */
#define PGSEAL_LOCK_PAUSE		700

/*
 * Locks all of these relations until the end of the transaction, or none; then
 * *out_busy, if not NULL, is one that others have locked.
 */
extern bool pgseal_try_lock(const List *relations, LOCKMODE mode, Oid *out_busy);

/*
 * Tries for as long as lock_timeout says, or ten seconds where it isn't set.
 * Errors: 55P03, with the table's name.
 */
extern void pgseal_lock_briefly(const List *relations, LOCKMODE mode);

#endif							/* PGSEAL_BRIEF_LOCK_H */
