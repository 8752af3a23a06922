/*-------------------------------------------------------------------------
 *
 * hashindex.h
 *	  Who may use a hash index on encrypted values.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_HASHINDEX_H
#define PGSEAL_HASHINDEX_H

/* Has the current user USAGE on the server of the key with this hash? */
extern bool pgseal_may_use_key(int32 hash);

/* Sets the planner's hook; called once, from _PG_init() */
extern void pgseal_hashindex_init(void);

#endif							/* PGSEAL_HASHINDEX_H */
