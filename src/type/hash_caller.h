/*-------------------------------------------------------------------------
 *
 * hash_caller.h
 *	  On whose behalf a value is hashed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_HASH_CALLER_H
#define PGSEAL_HASH_CALLER_H

#include "fmgr.h"
#include "nodes/execnodes.h"

typedef enum PgsealHashCaller
{
	PGSEAL_HASH_QUERY,			/* a query, which learns the hash */
	PGSEAL_HASH_INDEX,			/* the upkeep or a scan of a hash index */
	PGSEAL_HASH_PARTITION		/* the way of a row to its partition */
} PgsealHashCaller;

/*
 * The executor whose statement runs, innermost; NULL in a utility statement and
 * while something is planned.  statement/open_results.c keeps it.
 */
extern EState *pgseal_hash_executor;

/*
 * A COPY into a partition, which has no executor that can be known; the context is
 * the one in which it will make the executor's.  The relation is InvalidOid where
 * there is no such COPY.  statement/open_results.c keeps it, too.
 */
typedef struct PgsealHashCopy
{
	Oid			relation;
	MemoryContext context;
} PgsealHashCopy;

extern PgsealHashCopy pgseal_hash_copy;

/*
 * Who looked this function up to call it?  *out_relation is the index or the
 * partitioned table or partition, else InvalidOid.
 */
extern PgsealHashCaller pgseal_hash_caller(const FmgrInfo *function, Oid *out_relation);

#endif							/* PGSEAL_HASH_CALLER_H */
