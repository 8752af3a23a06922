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

/*
 * Has all sessions analyze their prepared statements and those of functions again, once
 * this transaction is committed.  Those that call a function which returns rows of a table
 * depend on the function only; without this they would go on with what the rows have been.
 */
extern void pgseal_row_type_changed(void);

#endif							/* PGSEAL_RELATION_CHANGES_H */
