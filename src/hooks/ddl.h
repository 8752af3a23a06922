/*-------------------------------------------------------------------------
 *
 * ddl.h
 *	  What happens when tables with encrypted columns are made or changed.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_DDL_H
#define PGSEAL_DDL_H

#include "postgres.h"

/*
 * The type modifier for a column of this encrypted type that the table gets, or
 * an ERROR if the current user may not use the key.  NULL: the table's own key.
 * The key is made if there is none.
 */
extern int32 pgseal_ddl_column_key(Oid relation, Oid encrypted_type, const char *key);

extern void pgseal_ddl_init(void);

#endif							/* PGSEAL_DDL_H */
