/*-------------------------------------------------------------------------
 *
 * relation_changes.c
 *	  Being told that a relation has changed.
 *
 * PostgreSQL has place for ten callbacks in a process, for itself and all
 * extensions: with one for each part of pgseal, logical replication would find none
 * left beside Citus.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/inval.h"

#include "base/compat.h"
#include "base/relation_changes.h"

#define MAX_CALLBACKS			8

static PgsealRelationChange callbacks[MAX_CALLBACKS];
static int	num_callbacks = 0;

static void
relation_changed(Datum arg, Oid relation)
{
	for (int i = 0; i < num_callbacks; i++)
		callbacks[i] (relation);
}

void
pgseal_on_relation_change(PgsealRelationChange callback)
{
	if (num_callbacks == MAX_CALLBACKS)
		elog(FATAL, "out of callbacks");
	if (num_callbacks == 0)
		CacheRegisterRelcacheCallback(relation_changed, (Datum) 0);
	callbacks[num_callbacks++] = callback;
}
