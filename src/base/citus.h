/*-------------------------------------------------------------------------
 *
 * citus.h
 *	  Tables whose rows are in the shards of Citus.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_H
#define PGSEAL_CITUS_H

#include "postgres.h"

/* Is it a distributed, reference or local table of Citus? */
extern bool pgseal_is_citus_table(Oid relid);

#endif							/* PGSEAL_CITUS_H */
