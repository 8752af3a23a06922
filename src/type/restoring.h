/*-------------------------------------------------------------------------
 *
 * restoring.h
 *	  CHECK constraints while values are restored before their keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RESTORING_H
#define PGSEAL_RESTORING_H

#include "nodes/execnodes.h"

/*
 * The table whose owner restores it, its partitions his as well, so that constraints
 * may pass what they can't look at; or InvalidOid.  While a COPY FROM runs, or this
 * executor.
 */
extern Oid	pgseal_restores_by_copy(void);
extern Oid	pgseal_restores_by_insert(EState *executor);

/* The same of a value of a domain that either makes just now; the executor may be NULL */
extern Oid	pgseal_restores_domain(EState *executor);

/* Is the value of a key version that isn't there yet?  Warns, once a table. */
extern bool pgseal_restored_before_key(Oid table, Datum sealed);

#endif							/* PGSEAL_RESTORING_H */
