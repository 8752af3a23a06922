/*-------------------------------------------------------------------------
 *
 * worker.h
 *	  The worker of one database.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_WORKER_H
#define PGSEAL_WORKER_H

#include "base/compat.h"

/* The library and the extension; the tests build these files under another */
#ifndef PGSEAL_MODULE
#define PGSEAL_MODULE "pgseal"
#endif

/* Entry point of the process; the argument is the database's oid */
extern PGDLLEXPORT void pgseal_worker_main(Datum arg);

/*
 * The lock of a new connection to a database, until the end of the transaction;
 * false when somebody is about to drop, rename, move or copy the database
 */
extern bool pgseal_worker_lock_database(Oid database);

#endif							/* PGSEAL_WORKER_H */
