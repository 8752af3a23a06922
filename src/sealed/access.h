/*-------------------------------------------------------------------------
 *
 * access.h
 *	  The access method "sealed", and sealed BRIN, as the rest of pgseal sees them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SEALED_ACCESS_H
#define PGSEAL_SEALED_ACCESS_H

#include "postgres.h"
#include "utils/rel.h"

struct IndexOptInfo;

/* Is this the OID of the access method?  Asks its handler */
extern bool pgseal_sealed_is_method(Oid access_method);

/* The same of an index that the planner has before it */
extern bool pgseal_sealed_is_planned(const struct IndexOptInfo *index);

/* Of such an index: does it hold values, not terms?  Then, by their bytes? */
extern bool pgseal_sealed_is_ordered(Relation index);
extern bool pgseal_sealed_is_for_patterns(Relation index);

/* What WITH (node_size = ...) says: 1024, 2048, 4096, 8192, or 0 */
extern int	pgseal_sealed_node_size(Relation relation);

/* The bytes of the longest text that an index on it alone takes, by default */
extern int	pgseal_sealed_value_limit(void);

/* What WITH (pending_pages = ...) says, or -1 */
extern int	pgseal_sealed_pending_pages(Relation relation);

/*
 * Seals all nodes that aren't under the newest index key version anew; returns
 * how many.  The caller has a lock that admits writers at most.
 */
extern uint32 pgseal_sealed_reseal(Relation relation);

/* Is it a BRIN index with encrypted columns?  Then the same of its summaries. */
extern bool pgseal_brin_is_ours(Relation index);
extern uint32 pgseal_brin_reseal(Relation relation);

/* Does PostgreSQL keep a minimum and maximum of this operator class sealed? */
extern bool pgseal_brin_is_our_class(Oid opclass);

/*
 * Before rows are written into a table, or its partitions, other than by a statement:
 * then such an index has its keys before it locks a block (brin_insert.c)
 */
extern void pgseal_brin_watch_table(Oid table);

/* The same of an index, when a plan is made that may write to it */
extern void pgseal_brin_watch_planned(Oid index);

struct PlannerInfo;
struct IndexPath;

/* amcostestimate of such an index */
extern void pgseal_brin_cost_estimate(struct PlannerInfo *root, struct IndexPath *path,
									  double loop_count, double *startup_cost,
									  double *total_cost, double *selectivity,
									  double *correlation, double *pages);

extern void pgseal_sealed_init(void);
extern void pgseal_brin_init(void);

#endif							/* PGSEAL_SEALED_ACCESS_H */
