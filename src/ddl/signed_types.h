/*-------------------------------------------------------------------------
 *
 * signed_types.h
 *	  What DDL does to the types of signed columns.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGNED_TYPES_H
#define PGSEAL_SIGNED_TYPES_H

#include "nodes/parsenodes.h"

/* After the statement: 0A000 if no row that is signed with the type verifies any more */
extern void pgseal_signed_types_enum_changed(AlterEnumStmt *stmt);
extern void pgseal_signed_types_row_changed(AlterTableStmt *stmt);

#endif							/* PGSEAL_SIGNED_TYPES_H */
