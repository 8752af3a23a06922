/*-------------------------------------------------------------------------
 *
 * assign.h
 *	  What UPDATE assigns, as Citus takes it to other nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_ASSIGN_H
#define PGSEAL_CITUS_ASSIGN_H

#include "postgres.h"

#include "nodes/pg_list.h"

/* Changes the target list of a SET */
extern void pgseal_citus_leave_to_column(List *targets);

#endif							/* PGSEAL_CITUS_ASSIGN_H */
