/*-------------------------------------------------------------------------
 *
 * hide.h
 *	  Queries as Citus takes them to other nodes.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CITUS_HIDE_H
#define PGSEAL_CITUS_HIDE_H

#include "postgres.h"

#include "nodes/parsenodes.h"

/* A copy of the query in which pgseal's calls are hidden */
extern Query *pgseal_citus_hide(Query *original);

#endif							/* PGSEAL_CITUS_HIDE_H */
