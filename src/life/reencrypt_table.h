/*-------------------------------------------------------------------------
 *
 * reencrypt_table.h
 *	  Resealing the values in a range of a table's blocks.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REENCRYPT_TABLE_H
#define PGSEAL_REENCRYPT_TABLE_H

#include "nodes/pg_list.h"
#include "storage/block.h"
#include "utils/relcache.h"

#include "value/find_sealed.h"

/* Values found under one old key version */
typedef struct PgsealFound
{
	int64		key_version_id;
	int64		values;
} PgsealFound;

typedef struct PgsealBatchResult
{
	int64		resealed;		/* values */
	int64		skipped;		/* rows that others had locked or changed */
	int64		broken;			/* values that don't open, rows that don't
								 * verify */
	List	   *found;			/* of PgsealFound, whatever became of them */
	int64		by_former;		/* rows signed by the former definition,
								 * whatever became of them but for broken ones */
	int64		signed_anew;
} PgsealBatchResult;

/*
 * Why the relation's values can't be resealed; NULL when they can.  Within a query
 * session (spi_query.h).
 */
extern const char *pgseal_reencrypt_obstacle(const PgsealHolder *holder);
extern const char *pgseal_reencrypt_relation_obstacle(Relation rel);

/*
 * Reseals the values under old key versions in blocks from (inclusive) to
 * end (exclusive), in the caller's transaction.  Does not wait for row locks.
 */
extern void pgseal_reencrypt_blocks(Relation rel, BlockNumber from, BlockNumber end,
									PgsealBatchResult *out_result);

#endif							/* PGSEAL_REENCRYPT_TABLE_H */
