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

typedef struct PgsealSignTable
{
	ArrayType  *columns;		/* NULL: as before, or all but generated ones */
	const char *key;			/* NULL: as before, or the table's own */
	bool		writers;		/* who may write, signs */
	enum
	{
		PGSEAL_LEDGER_AS_BEFORE,
		PGSEAL_LEDGER_NO,
		PGSEAL_LEDGER_YES
	}			ledger;
} PgsealSignTable;

/*
 * Signs the rows of a table and of its partitions from now on, and those that are
 * there; returns how many.  42501 unless the current user owns the table and may use
 * the key.
 */
extern int64 pgseal_sign_table_rows(Oid relid, const PgsealSignTable *wish);

extern void pgseal_unsign_table_rows(Oid relid);

/*
 * Those triggers of the table and its partitions that were made to fire always do so
 * again, after ENABLE TRIGGER; relid may be invalid
 */
extern void pgseal_sign_table_enable_always(Oid relid);

#endif							/* PGSEAL_SIGN_TABLE_H */
