/*-------------------------------------------------------------------------
 *
 * restoring.c
 *	  CHECK constraints while values are restored before their keys.
 *
 * pg_dump orders the rows of tables by the names of their schemas, so those of a
 * schema that comes before "pgseal" are restored before the keys that they need; a
 * parallel restore has no order at all.  Who restores a table and its partitions owns
 * them, and could take their constraints away; so these pass what nobody can look at yet, as NULL,
 * with a warning.  The values satisfied them where they come from.
 *
 * A dump's rows come by COPY, or by INSERT of constants (--inserts), which can be sealed
 * values only where pgseal.sealed_input says so.  Values that are read from somewhere
 * are none of a dump's.
 *
 * Only CHECK constraints may.  What keeps something for a value, as an index, a token
 * or the partition that it belongs to, gets the error that its key isn't there; and so
 * does a table that has triggers with conditions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_inherits.h"
#include "commands/copyfrom_internal.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/settings.h"
#include "type/copying.h"
#include "type/restoring.h"
#include "value/seal.h"

/* Its condition is evaluated where constraints are */
static bool
has_conditional_trigger(Relation rel)
{
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgqual != NULL)
			return true;
	return false;
}

static bool
is_all_his(Oid table)
{
	bool		result = true;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(table, AccessShareLock, NULL))
	{
		Relation	rel = relation_open(lfirst_oid(lc), AccessShareLock);

		result = result && pgseal_owns_table(lfirst_oid(lc), GetUserId()) &&
			!has_conditional_trigger(rel);
		relation_close(rel, AccessShareLock);
	}
	return result;
}

Oid
pgseal_restores_by_copy(void)
{
	return is_all_his(pgseal_copying.table) ? pgseal_copying.table : InvalidOid;
}

/*
 * INSERT INTO ... VALUES, of one row or several, without RETURNING; not in a function
 * that others call, who would hand it what its owner has no part in
 */
static bool
is_insert_of_dump(const PlannedStmt *statement)
{
	ModifyTable *modify = (ModifyTable *) statement->planTree;
	Plan	   *rows;

	if (pgseal_sealed_input != PGSEAL_SEALED_INPUT_ON || GetUserId() != GetOuterUserId() ||
		statement->commandType != CMD_INSERT ||
		statement->hasReturning || statement->subplans != NIL || !IsA(modify, ModifyTable) ||
		modify->onConflictAction == ONCONFLICT_UPDATE)
		return false;
	rows = outerPlan(modify);
	return rows != NULL &&
		(IsA(rows, ValuesScan) || (IsA(rows, Result) && outerPlan(rows) == NULL));
}

/* The table of the statement, whether or not its owner runs it */
static Oid
inserts_into(EState *executor)
{
	const PlannedStmt *statement = executor != NULL ? executor->es_plannedstmt : NULL;

	if (statement == NULL || !is_insert_of_dump(statement))
		return InvalidOid;
	return exec_rt_fetch(linitial_int(statement->resultRelations), executor)->relid;
}

Oid
pgseal_restores_by_insert(EState *executor)
{
	Oid			table = inserts_into(executor);

	return OidIsValid(table) && is_all_his(table) ? table : InvalidOid;
}

Oid
pgseal_restores_domain(EState *executor)
{
	CopyFromState copy;
	Oid			table;

	if (error_context_stack != NULL && error_context_stack->callback == CopyFromErrorCallback)
	{
		copy = error_context_stack->arg;
		table = copy->cur_attname != NULL && copy->rel != NULL ? RelationGetRelid(copy->rel) : InvalidOid;
	}
	else
		table = inserts_into(executor);
	return OidIsValid(table) && pgseal_owns_table(table, GetUserId()) ? table : InvalidOid;
}

static void
warn(Oid table)
{
	ereport(WARNING,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("constraints of table \"%s\" don't look at values whose keys are not there yet",
					get_rel_name(table)),
			 errdetail("Rows are accepted as if these values were NULL."),
			 errhint("They can be read when the tables pgseal.key and pgseal.key_version are restored, too.")));
}

/* Once a COPY; of statements, which may be as many as there are rows, once a table */
static void
warn_once(Oid table)
{
	static Oid	warned_of = InvalidOid;

	if (pgseal_copying.context != NULL && pgseal_copying.table == table)
	{
		if (!pgseal_copying.passed_unseen)
			warn(table);
		pgseal_copying.passed_unseen = true;
	}
	else if (warned_of != table)
	{
		warned_of = table;
		warn(table);
	}
}

bool
pgseal_restored_before_key(Oid table, Datum sealed)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;

	if (!pgseal_value_try_header(&envelope, sealed))
		return false;
	info = pgseal_keyring_info(envelope.key_version_id);
	if (info->known || info->lost || info->ephemeral)
		return false;
	warn_once(table);
	return true;
}
