/*-------------------------------------------------------------------------
 *
 * handed_back.h
 *	  Sealed values that a function was handed as text, and hands back.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_HANDED_BACK_H
#define PGSEAL_HANDED_BACK_H

#include "postgres.h"

#include "utils/hsearch.h"

/* What one call of a function was handed; belongs to who calls it */
typedef struct PgsealHanded
{
	MemoryContext context;		/* where to keep it */
	HTAB	   *values;			/* NULL until there is one */
} PgsealHanded;

/*
 * The call of a function in a language that takes and returns values as text, which
 * runs innermost, or NULL.  statement/plain_callers.c keeps it.
 */
extern PgsealHanded *pgseal_handed;

/* Notes a value that is printed, if such a call runs */
extern void pgseal_handed_note(const struct varlena *sealed);

/* Was this value handed to the call that runs? */
extern bool pgseal_handed_is(const struct varlena *sealed);

extern void pgseal_handed_forget(PgsealHanded *handed);

#endif							/* PGSEAL_HANDED_BACK_H */
