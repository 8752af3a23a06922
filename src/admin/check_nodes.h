/*-------------------------------------------------------------------------
 *
 * check_nodes.h
 *	  The nodes of Citus, as check() sees them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CHECK_NODES_H
#define PGSEAL_CHECK_NODES_H

#include "postgres.h"

/* Takes a row of check(); detail may be NULL */
typedef void (*PgsealCheckRow) (void *context, const char *object, const char *status,
								const char *detail);

/* Each other node, where there is Citus and the client isn't one */
extern void pgseal_check_nodes(PgsealCheckRow put, void *context);

#endif							/* PGSEAL_CHECK_NODES_H */
