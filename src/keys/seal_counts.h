/*-------------------------------------------------------------------------
 *
 * seal_counts.h
 *	  How many values each key version has sealed, for all backends.
 *
 * A count may be too high, never too low (see seal_counts.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SEAL_COUNTS_H
#define PGSEAL_SEAL_COUNTS_H

/* Of one key version of MyDatabaseId */
typedef struct PgsealSealCount
{
	int64		key_version_id;
	uint64		seals;
} PgsealSealCount;

/* While libraries are preloaded: asks for the shared memory */
extern void pgseal_seal_counts_init(void);

/*
 * Reserves count seals under a key version and returns how many have been
 * reserved in all since first_known (the count that the catalog has, used only
 * to start a counter).
 */
extern uint64 pgseal_seal_counts_reserve(int64 key_version_id, uint64 first_known, uint32 count);

/* Up to max counts of MyDatabaseId that have grown since they were last saved */
extern int	pgseal_seal_counts_unsaved(PgsealSealCount *out_counts, int max);

/*
 * These counts are in the catalog now (or their key version isn't any more).
 * If the transaction fails after all, the next reservation makes them unsaved
 * again.
 */
extern void pgseal_seal_counts_saved(const PgsealSealCount *counts, int num_counts);

/* Up to max databases with counts that have grown since they were last saved */
extern int	pgseal_seal_counts_unsaved_databases(Oid *out_databases, int max);

/* There is no catalog any more to save them in.  Should there be one yet: floors */
extern void pgseal_seal_counts_drop_database(Oid database);

/* What has been reserved of a key version of MyDatabaseId; 0 if there is no counter */
extern uint64 pgseal_seal_counts_reserved(int64 key_version_id);

#endif							/* PGSEAL_SEAL_COUNTS_H */
