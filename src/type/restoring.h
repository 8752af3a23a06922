/*-------------------------------------------------------------------------
 *
 * restoring.h
 *	  CHECK constraints while values are restored before their keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RESTORING_H
#define PGSEAL_RESTORING_H

/*
 * Does the owner of this table and its partitions copy into it, and may its
 * constraints pass what they can't look at?  Only while that COPY FROM runs.
 */
extern bool pgseal_restores_table(Oid table);

/* Does COPY FROM, by the owner of its table, make a value of a domain just now? */
extern bool pgseal_restores_domain(void);

/* Is the value of a key version that isn't there yet?  Warns, once a COPY. */
extern bool pgseal_restored_before_key(Datum sealed);

#endif							/* PGSEAL_RESTORING_H */
