/*-------------------------------------------------------------------------
 *
 * constant_default.h
 *	  Constants that are defaults of columns that become encrypted.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CONSTANT_DEFAULT_H
#define PGSEAL_CONSTANT_DEFAULT_H

#include "postgres.h"
#include "nodes/parsenodes.h"

/*
 * The default of an encrypted column of this type in place of one that is a plain constant;
 * NULL when it isn't one.
 */
extern Node *pgseal_constant_default_sealed(Node *expr, Oid type, int32 typmod);

/* Puts a default into its place, of a locked table. */
extern void pgseal_constant_default_put(Oid relation, AttrNumber attnum, Node *expr);

/* Seals constants that are defaults of columns that the statement has made encrypted ones. */
extern void pgseal_constant_default_altered(AlterTableStmt *stmt);

#endif							/* PGSEAL_CONSTANT_DEFAULT_H */
