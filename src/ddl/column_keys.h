/*-------------------------------------------------------------------------
 *
 * column_keys.h
 *	  The key of a column that is about to be made or changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COLUMN_KEYS_H
#define PGSEAL_COLUMN_KEYS_H

#include "nodes/parsenodes.h"

#include "ddl/own_key.h"

/*
 * Gives an encrypted type without a key name the key of keep_typmod (if the
 * column has one already) or the owner's own key.
 */
extern void pgseal_column_keys_complete_type(TypeName *type_name, PgsealKeyOwner *owner,
											 int32 keep_typmod);

/* Does that for all columns among the elements of CREATE TABLE or the like */
extern void pgseal_column_keys_complete(List *elements, PgsealKeyOwner *owner, List *parents);

/* The type modifier of an encrypted column that is there already */
extern int32 pgseal_column_keys_present(Oid relation, const char *column);

/* That of the column which the new one of this name will merge with */
extern int32 pgseal_column_keys_inherited(List *parents, const char *column);

/*
 * The type modifier for a column of this encrypted type that the table gets, or
 * an ERROR if the current user may not use the key.  NULL: the table's own key.
 * The key is made if there is none.
 */
extern int32 pgseal_column_keys_choose(Oid relation, Oid encrypted_type, const char *key);

/*
 * Asks for the privilege to use the keys of all columns.  blind_index() of a
 * column asks for none where PostgreSQL itself evaluates expressions
 * (blind_index.c).  Those of COPY ... WHERE and ALTER COLUMN ... USING are
 * evaluated in the same way, but come from the user.
 */
extern void pgseal_column_keys_require_usage(Oid relation);

#endif							/* PGSEAL_COLUMN_KEYS_H */
