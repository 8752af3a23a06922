/*-------------------------------------------------------------------------
 *
 * relation_changes.h
 *	  Being told that a relation has changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_RELATION_CHANGES_H
#define PGSEAL_RELATION_CHANGES_H

#include "postgres.h"

/* InvalidOid: any may have changed */
typedef void (*PgsealRelationChange) (Oid relation);

/* Called for the rest of the process's life, in the order of these calls */
extern void pgseal_on_relation_change(PgsealRelationChange callback);

#endif							/* PGSEAL_RELATION_CHANGES_H */
