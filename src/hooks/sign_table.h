/*-------------------------------------------------------------------------
 *
 * sign_table.h
 *	  Beginning and ending the signing of a table's rows.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGN_TABLE_H
#define PGSEAL_SIGN_TABLE_H

#include "postgres.h"
#include "utils/array.h"

/*
 * Signs the rows of a table and of its partitions from now on, and those that are
 * there; returns how many.  columns NULL: all but generated ones; key NULL: the
 * table's own.  42501 unless the current user owns the table and may use the key.
 */
extern int64 pgseal_sign_table_rows(Oid relid, ArrayType *columns, const char *key, bool writers);

extern void pgseal_unsign_table_rows(Oid relid);

#endif							/* PGSEAL_SIGN_TABLE_H */
