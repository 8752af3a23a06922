/*-------------------------------------------------------------------------
 *
 * copying.c
 *	  The COPY FROM that runs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "type/copying.h"

PgsealCopying pgseal_copying = {NULL, InvalidOid, false};
