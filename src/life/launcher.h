/*-------------------------------------------------------------------------
 *
 * launcher.h
 *	  The launcher, which starts the workers.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_LAUNCHER_H
#define PGSEAL_LAUNCHER_H

#include "base/compat.h"

/* _PG_init, while libraries are preloaded: registers the launcher */
extern void pgseal_launcher_init(void);

/* Entry point of the process */
extern PGDLLEXPORT void pgseal_launcher_main(Datum arg);

#endif							/* PGSEAL_LAUNCHER_H */
