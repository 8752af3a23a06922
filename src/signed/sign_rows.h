/*-------------------------------------------------------------------------
 *
 * sign_rows.h
 *	  Signing the rows that a table has.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGN_ROWS_H
#define PGSEAL_SIGN_ROWS_H

#include "signed/signing.h"

/*
 * Signs all rows of a table that nobody else uses now, as the new definition says.
 * Rows that have a signature which isn't good by the old definition are left as
 * they are; old NULL: there was none, and whatever the rows have is replaced.
 * Returns how many rows are signed; *out_bad is how many were left.
 */
extern int64 pgseal_sign_rows(Relation rel, const PgsealSigning *old, const PgsealSigning *new,
							  int64 *out_bad);

#endif							/* PGSEAL_SIGN_ROWS_H */
