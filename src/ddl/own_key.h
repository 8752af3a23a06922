/*-------------------------------------------------------------------------
 *
 * own_key.h
 *	  The key of columns that name none: their table's own.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OWN_KEY_H
#define PGSEAL_OWN_KEY_H

#include "nodes/primnodes.h"

/* A table, domain or composite type whose columns may want an own key */
typedef struct PgsealKeyOwner
{
	RangeVar   *name;			/* of what is made or changed; NULL: nobody
								 * asks */
	Oid			relation;		/* InvalidOid when it doesn't exist yet */
	char	   *key;			/* NULL until asked for */
	struct ParseState *statement;	/* in whose text errors point to the
									 * place, or NULL */
} PgsealKeyOwner;

/*
 * The name of the own key, which is made if need be.  The owner's right to change
 * a relation that exists has been checked; 42501 without the right to make a new one.
 */
extern const char *pgseal_own_key_name(PgsealKeyOwner *owner);

/* Is it of a temporary table, or of a type that ends with the session? */
extern bool pgseal_own_key_is_temporary(const PgsealKeyOwner *owner);

/*
 * Is the key one that columns of this table get without naming it, or that those
 * of another table have got so?
 */
extern bool pgseal_own_key_is(int32 key_hash, Oid relation);

/*
 * The encrypted type that the type modifier of a column of this type is about:
 * the type itself or that of its elements, else InvalidOid
 */
extern Oid	pgseal_own_key_type(Oid column_type);

#endif							/* PGSEAL_OWN_KEY_H */
