/*-------------------------------------------------------------------------
 *
 * table_pass.h
 *	  A pass through the blocks of a table that may be rewritten meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_TABLE_PASS_H
#define PGSEAL_TABLE_PASS_H

#include "life/reencrypt_table.h"

/* How far it is, from a table of pgseal_internal with a row for each table */
typedef struct PgsealTablePass
{
	const char *kept_in;
	Oid			relid;
	Oid			filenode;
	BlockNumber next;
	BlockNumber blocks;			/* as many as there were */
	int			begun_anew;		/* so often it was rewritten */
} PgsealTablePass;

/* The columns that a query for passes begins with, and what it has found */
extern const char *pgseal_pass_columns(const char *kept_in);
extern PgsealTablePass pgseal_pass_found(const char *kept_in);

/* Keeps what was done up to a block, of so many */
typedef void (*PgsealPassSave) (Relation rel, const PgsealBatchResult *result, BlockNumber next,
								BlockNumber blocks);

/* Some blocks further; true at the end of the table.  Within a query session. */
extern bool pgseal_pass_go_on(PgsealTablePass *pass, Relation rel, PgsealPassSave save);

#endif							/* PGSEAL_TABLE_PASS_H */
