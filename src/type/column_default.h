/*-------------------------------------------------------------------------
 *
 * column_default.h
 *	  Values in a column's default, which are its table's owner's.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COLUMN_DEFAULT_H
#define PGSEAL_COLUMN_DEFAULT_H

#include "fmgr.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

/*
 * The default of a column as PostgreSQL puts it into a statement, if the table's owner
 * is asked for what it opens; NULL where it has none, or opens nothing, or is not of the
 * owner alone.
 */
extern Node *pgseal_default_of_owner(Relation rel, AttrNumber attnum);

/*
 * A default without what only checks the result: the constraints of the column's domain.
 * The pointer is to where it stands in the whole.
 */
extern Node **pgseal_default_value(Node **whole);

/* The table in whose default a call is, if its owner is asked; or InvalidOid */
extern Oid	pgseal_default_table(const FmgrInfo *function);

#endif							/* PGSEAL_COLUMN_DEFAULT_H */
