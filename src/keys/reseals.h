/*-------------------------------------------------------------------------
 *
 * reseals.h
 *	  How many of a key version's seals are those of re-encryption (reseals.c).
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RESEALS_H
#define PGSEAL_RESEALS_H

#include "postgres.h"

/* What this process reserves between these two is for re-encryption */
extern void pgseal_reseals_begin(void);
extern void pgseal_reseals_end(void);

/* So many seals were reserved */
extern void pgseal_reseals_reserved(int64 key_version_id, uint32 count);

/* What was reserved, to the catalog; the caller has a pgseal_query_begin() */
extern void pgseal_reseals_save(void);

/* The database's extension has the table for it (since 1.1) */
extern bool pgseal_reseals_are_kept(void);

/* Of a version, as far as they were saved */
extern int64 pgseal_reseals_of(int64 key_version_id);

/* Has it sealed as much as pgseal.max_seals_per_key lets it? */
extern bool pgseal_reseals_exhausted(int64 key_version_id, uint64 seals);

#endif							/* PGSEAL_RESEALS_H */
