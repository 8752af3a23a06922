/*-------------------------------------------------------------------------
 *
 * verify.h
 *	  Rows are verified as they are read.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_VERIFY_H
#define PGSEAL_VERIFY_H

#include "nodes/primnodes.h"

#include "signed/signing.h"

/* Has the current user turned verification off, and may he? */
extern bool pgseal_verify_is_off(const PgsealSigning *signing);

/*
 * Says that a row doesn't verify: the table and, where the current user may see
 * it, the primary key, of values given by attribute.  XX001.
 */
extern void pgseal_verify_report(int elevel, const PgsealSigning *signing, Relation rel,
								 const Datum *row_values, const bool *row_nulls);

/*
 * The primary key in the form (id)=(2); NULL when there is none, or the current user
 * may not see all of it.
 */
extern char *pgseal_verify_describe_key(Relation rel, const Datum *row_values,
										const bool *row_nulls);

/*
 * The condition that rows of the relation with this number in a query must meet; NULL
 * when they aren't signed
 */
extern Expr *pgseal_verify_condition(Relation rel, Index varno);

extern void pgseal_verify_init(void);
extern void pgseal_verify_conflict_init(void);

#endif							/* PGSEAL_VERIFY_H */
