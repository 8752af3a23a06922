/*-------------------------------------------------------------------------
 *
 * wakeup.h
 *	  Asking for the background worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_WAKEUP_H
#define PGSEAL_WAKEUP_H

#include "postgres.h"

/* _PG_init, while libraries are preloaded: installs the shared memory hooks */
extern void pgseal_wakeup_init(void);

/* Asks the launcher for a worker in this database, now or at commit */
extern void pgseal_wakeup_now(void);
extern void pgseal_wakeup_at_commit(void);

/* In a database with the extension, a prepared transaction was committed: perhaps one that asked */
extern void pgseal_wakeup_prepared(void);

/* Only wakes the launcher */
extern void pgseal_wakeup_launcher(void);

/* For the launcher: from now on, this process's latch is set for requests */
extern void pgseal_wakeup_attach(void);

/* For the launcher: up to max databases that have asked; they stay asked ... */
extern int	pgseal_wakeup_databases(Oid *out_databases, int max);

/* ... until a worker is started, or can't be */
extern void pgseal_wakeup_answered(Oid database);

/*
 * From a worker: its database doesn't have the extension.  The launcher need not
 * look there again before it is asked to.  It may get lost, like a request.
 */
extern void pgseal_wakeup_vacant(void);
extern int	pgseal_wakeup_take_vacant(Oid *out_databases, int max);

/* For the launcher: has a request got lost since it last asked this? */
extern bool pgseal_wakeup_take_lost(void);

#endif							/* PGSEAL_WAKEUP_H */
