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
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
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

bool
pgseal_restores_table(Oid table)
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

bool
pgseal_restores_domain(void)
{
	CopyFromState copy;

	if (error_context_stack == NULL || error_context_stack->callback != CopyFromErrorCallback)
		return false;
	copy = error_context_stack->arg;
	return copy->cur_attname != NULL && copy->rel != NULL &&
		pgseal_owns_table(RelationGetRelid(copy->rel), GetUserId());
}

bool
pgseal_restored_before_key(Datum sealed)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;

	if (!pgseal_value_try_header(&envelope, sealed))
		return false;
	info = pgseal_keyring_info(envelope.key_version_id);
	if (info->known || info->lost || info->ephemeral)
		return false;
	if (!pgseal_copying.passed_unseen)
	{
		pgseal_copying.passed_unseen = true;
		ereport(WARNING,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("constraints of table \"%s\" don't look at values whose keys are not there yet",
						get_rel_name(pgseal_copying.table)),
				 errdetail("Rows are accepted as if these values were NULL."),
				 errhint("They can be read when the tables pgseal.key and pgseal.key_version are restored, too.")));
	}
	return true;
}
