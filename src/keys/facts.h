/*-------------------------------------------------------------------------
 *
 * facts.h
 *	  What this process knows of key versions, and for how long it is true.
 *
 * The facts themselves (pgseal_keyring_info() and others) are declared in keyring.h.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FACTS_H
#define PGSEAL_FACTS_H

#include "utils/hsearch.h"

#include "keys/keyring.h"

/* Facts of a kind that a backend remembers */
#define PGSEAL_MAX_KEPT_FACTS		65536

/* The epoch, to read only, on hot paths: 0 when something is to be forgotten */
extern uint64 pgseal_facts_now;

/* Forgets what is doubtful, and begins an epoch then; the epoch */
extern uint64 pgseal_facts_epoch(void);

/* Has what was read in the epoch (never 0) been overtaken by nothing? */
extern bool pgseal_facts_hold(uint64 epoch);

/* How often something was rolled back that had changed the catalog or made keys */
extern uint64 pgseal_facts_rollbacks(void);

/* For facts of others: kept until the end of the process */
extern HTAB *pgseal_facts_make_table(const char *name, Size key_size, Size entry_size);
extern void pgseal_facts_empty_table(HTAB *table);

/* A key version of this backend alone, which the catalog doesn't have */
extern void pgseal_facts_set_ephemeral(int64 id);
extern bool pgseal_facts_is_ephemeral(int64 id);

extern void pgseal_facts_init(void);

#endif							/* PGSEAL_FACTS_H */
