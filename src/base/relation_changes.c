/*-------------------------------------------------------------------------
 *
 * relation_changes.c
 *	  Being told that a relation has changed, and telling it.
 *
 * PostgreSQL has place for ten callbacks in a process, for itself and all
 * extensions: with one for each part of pgseal, logical replication would find none
 * left beside Citus.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_namespace.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
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

/* PostgreSQL forgets all plans whenever any schema changes. */
void
pgseal_row_type_changed(void)
{
	Relation	schemas = table_open(NamespaceRelationId, AccessShareLock);
	HeapTuple	ours = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(pgseal_internal_schema()));

	if (HeapTupleIsValid(ours))
	{
		CacheInvalidateHeapTuple(schemas, ours, NULL);
		ReleaseSysCache(ours);
	}
	table_close(schemas, AccessShareLock);
}
