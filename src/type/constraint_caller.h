/*-------------------------------------------------------------------------
 *
 * constraint_caller.h
 *	  Opening a value where a CHECK constraint looks at it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CONSTRAINT_CALLER_H
#define PGSEAL_CONSTRAINT_CALLER_H

#include "fmgr.h"

#include "value/basetype.h"

extern void pgseal_constraint_caller_init(void);

/* In whose CHECK constraint a call is */
typedef struct PgsealConstraint
{
	Oid			table;			/* whose owner counts, or InvalidOid: it is
								 * the user */
	bool		strict;			/* it must not be told NULL, which would pass, */
	Oid			restored;		/* but for a value that was restored into this
								 * table before its key; or InvalidOid */
} PgsealConstraint;

/* It is the same for all calls that are made through this FmgrInfo. */
extern PgsealConstraint pgseal_constraint_caller(const FmgrInfo *function);

/*
 * Opens a value for such a call as pgseal_value_open() does, but for the table's
 * owner instead of the user; or an error for a value that may not be opened.
 */
extern Datum pgseal_open_for_constraint(const PgsealType *type, Datum sealed,
										PgsealConstraint constraint, bool *out_isnull);

#endif							/* PGSEAL_CONSTRAINT_CALLER_H */
