/*-------------------------------------------------------------------------
 *
 * made.h
 *	  Key versions that sealed values before they were committed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_MADE_H
#define PGSEAL_MADE_H

#include "keys/catalog.h"

/*
 * A version that this transaction made is about to seal values.  Nothing is
 * noted of a version that is committed.
 */
extern void pgseal_made_note(const PgsealVersionRow *version);

/* Is anything noted? */
extern bool pgseal_made_any(void);

/* Is anything noted that is gone from the catalog? */
extern bool pgseal_made_any_lost(void);

/* The row of a version that was rolled back after it sealed values, or NULL */
extern PgsealVersionRow *pgseal_made_lost(int64 id);

/*
 * Before the commit of a transaction that has written something: versions that
 * were rolled back come back into the catalog, as values under them may have
 * been stored.
 */
extern void pgseal_made_keep(void);

/* No value under what is noted can be stored any more, or all is committed */
extern void pgseal_made_forget(void);

#endif							/* PGSEAL_MADE_H */
