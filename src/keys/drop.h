/*-------------------------------------------------------------------------
 *
 * drop.h
 *	  Destroyed key versions leave the shared cache when that is committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_DROP_H
#define PGSEAL_DROP_H

#include "postgres.h"

/* This transaction destroys the version */
extern void pgseal_drop_at_commit(int64 key_version_id);

/*
 * Looks for keys in the shared cache that are destroyed: after COMMIT
 * PREPARED, at which nobody knows what the transaction did, and on a standby
 */
extern void pgseal_drop_destroyed(void);

#endif							/* PGSEAL_DROP_H */
