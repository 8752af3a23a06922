/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The background worker.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_WORKER_H
#define PGSEAL_WORKER_H

#include "base/compat.h"

/* _PG_init, while libraries are preloaded: registers the launcher */
extern void pgseal_worker_init(void);

/* Entry points of the processes; the argument of main is a database's oid */
extern PGDLLEXPORT void pgseal_worker_launcher_main(Datum arg);
extern PGDLLEXPORT void pgseal_worker_main(Datum arg);

#endif							/* PGSEAL_WORKER_H */
