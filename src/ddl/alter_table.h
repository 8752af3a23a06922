/*-------------------------------------------------------------------------
 *
 * alter_table.h
 *	  ALTER TABLE: the keys of the columns, and what must not happen to them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_ALTER_TABLE_H
#define PGSEAL_ALTER_TABLE_H

#include "nodes/parsenodes.h"

#include "ddl/own_key.h"

/* Completes the types that it names, or refuses it */
extern void pgseal_alter_table_complete(AlterTableStmt *stmt, PgsealKeyOwner *owner);

#endif							/* PGSEAL_ALTER_TABLE_H */
