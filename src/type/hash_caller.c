/*-------------------------------------------------------------------------
 *
 * hash_caller.c
 *	  On whose behalf a value is hashed.
 *
 * The support functions of the hash operator class are called by queries, which
 * need the privilege, and by PostgreSQL itself for hash indexes and partitions,
 * which a role that only writes must be able to keep up.  All of them pass the same
 * arguments; what differs is where they keep what they have looked up of the
 * function.  So a call is taken for PostgreSQL's own only when that is found in
 * the thing itself:
 *
 * - in the relation cache entry of an index, or in the partition key of a
 *   partitioned table.  A memory context has the name that its relation had when
 *   it was made; that is where the search begins, but the relation's own pointer
 *   to the context decides.
 * - in a call of satisfies_hash_partition(), which keeps a copy, that is part of a
 *   partition constraint which the executor checks.  A call that somebody has
 *   written is part of something else, however it comes to be evaluated.
 *
 * - in such a call again, in the executor's context of a COPY into a partition.
 *   Without a WHERE, all that is evaluated there is of the table's owner: defaults,
 *   generated columns and checks.
 *
 * This is done once for each place where the function was looked up.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "executor/execExpr.h"
#include "nodes/memnodes.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"

#include "base/compat.h"
#include "type/hash_caller.h"

EState	   *pgseal_hash_executor = NULL;
PgsealHashCopy pgseal_hash_copy = {0};

/* Is it this relation's context? */
static bool
keeps_in(Oid relid, char relkind, MemoryContext context)
{
	Relation	rel = RelationIdGetRelation(relid);
	bool		found;

	if (rel == NULL)
		return false;
	found = relkind == RELKIND_PARTITIONED_TABLE ?
		rel->rd_partkeycxt == context : rel->rd_indexcxt == context;
	RelationClose(rel);
	return found;
}

/* A hash index or a partitioned table, of this name if it isn't NULL */
static Oid
find_keeper(MemoryContext context, const char *name, char *out_relkind)
{
	Relation	classes = table_open(RelationRelationId, AccessShareLock);
	NameData	wanted;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			found = InvalidOid;

	if (name != NULL)
	{
		namestrcpy(&wanted, name);
		ScanKeyInit(&key, Anum_pg_class_relname, BTEqualStrategyNumber, F_NAMEEQ,
					NameGetDatum(&wanted));
	}
	scan = systable_beginscan(classes, ClassNameNspIndexId, name != NULL, NULL,
							  name != NULL ? 1 : 0, &key);
	while (!OidIsValid(found) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_class form = (Form_pg_class) GETSTRUCT(tuple);

		if (form->relkind != RELKIND_PARTITIONED_TABLE && form->relam != HASH_AM_OID)
			continue;
		*out_relkind = form->relkind;
		if (keeps_in(form->oid, form->relkind, context))
			found = form->oid;
	}
	systable_endscan(scan);
	table_close(classes, AccessShareLock);
	return found;
}

static Oid
keeper_of(MemoryContext context, char *out_relkind)
{
	Oid			found = InvalidOid;

	/* Those of the relation cache are all of this kind, and no query's is */
	if (MemoryContextGetParent(context) != CacheMemoryContext)
		return InvalidOid;
	if (context->ident != NULL)
		found = find_keeper(context, context->ident, out_relkind);
	/* It was renamed since */
	return OidIsValid(found) ? found : find_keeper(context, NULL, out_relkind);
}

/* Does a check of the partition constraint keep it? */
static bool
in_check(ExprState *check, const FmgrInfo *function)
{
	for (int i = 0; check != NULL && i < check->steps_len; i++)
	{
		ExprEvalStep *step = &check->steps[i];
		const FmgrInfo *caller;
		const char *kept;

		switch (ExecEvalStepOp(check, step))
		{
		PGSEAL_CASES_OF_CALL:
				break;
			default:
				continue;
		}
		caller = step->d.func.finfo;
		kept = caller->fn_extra;
		if (caller->fn_oid == F_SATISFIES_HASH_PARTITION && kept != NULL &&
			(const char *) function >= kept &&
			(const char *) function < kept + GetMemoryChunkSpace((void *) kept))
			return true;
	}
	return false;
}

/* The partition whose constraint is being checked */
static Oid
checked_partition(List *result_relations, const FmgrInfo *function)
{
	ListCell   *lc;

	foreach(lc, result_relations)
	{
		ResultRelInfo *result_relation = lfirst(lc);

		if (in_check(result_relation->ri_PartitionCheckExpr, function))
			return RelationGetRelid(result_relation->ri_RelationDesc);
	}
	return InvalidOid;
}

PgsealHashCaller
pgseal_hash_caller(const FmgrInfo *function, Oid *out_relation)
{
	char		relkind = '\0';

	*out_relation = keeper_of(function->fn_mcxt, &relkind);
	if (OidIsValid(*out_relation))
		return relkind == RELKIND_PARTITIONED_TABLE ? PGSEAL_HASH_PARTITION : PGSEAL_HASH_INDEX;
	if (OidIsValid(pgseal_hash_copy.relation) &&
		MemoryContextGetParent(function->fn_mcxt) == pgseal_hash_copy.context &&
		strcmp(function->fn_mcxt->name, "ExecutorState") == 0)
	{
		*out_relation = pgseal_hash_copy.relation;
		return PGSEAL_HASH_PARTITION;
	}
	if (pgseal_hash_executor == NULL)
		return PGSEAL_HASH_QUERY;
	*out_relation = checked_partition(pgseal_hash_executor->es_opened_result_relations, function);
	if (!OidIsValid(*out_relation))
		*out_relation = checked_partition(pgseal_hash_executor->es_tuple_routing_result_relations,
										  function);
	return OidIsValid(*out_relation) ? PGSEAL_HASH_PARTITION : PGSEAL_HASH_QUERY;
}
