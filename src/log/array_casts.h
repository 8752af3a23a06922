/*-------------------------------------------------------------------------
 *
 * array_casts.h
 *	  Arrays that don't become encrypted ones by themselves.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_ARRAY_CASTS_H
#define PGSEAL_ARRAY_CASTS_H

#include "postgres.h"

/* Makes an error of what PostgreSQL takes for one of its own. */
extern void pgseal_explain_array_cast(ErrorData *error);

#endif							/* PGSEAL_ARRAY_CASTS_H */
