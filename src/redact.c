/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Keeping plaintext out of the messages of COPY.
 *
 * When COPY FROM fails, PostgreSQL adds the input line to the context of the
 * error: to the client, and to the log.  For a table with encrypted columns
 * the line number stays and the line goes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "nodes/parsenodes.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "basetype.h"
#include "compat.h"
#include "redact.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

/* Is this a COPY into a table that may have encrypted columns? */
static bool
copies_into_encrypted(Node *stmt)
{
	CopyStmt   *copy = (CopyStmt *) stmt;
	Oid			relation;
	Relation	rel;
	bool		found = false;

	if (!IsA(stmt, CopyStmt) || !copy->is_from || copy->relation == NULL ||
		!OidIsValid(pgseal_type_schema()))
		return false;
	relation = RangeVarGetRelid(copy->relation, AccessShareLock, true);
	if (!OidIsValid(relation))
		return false;
	rel = relation_open(relation, NoLock);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel) && !found; i++)
	{
		Oid			type = TupleDescAttr(RelationGetDescr(rel), i)->atttypid;

		/* Domains, arrays and composite types included, and a few others */
		found = type >= FirstNormalObjectId;
	}
	relation_close(rel, AccessShareLock);
	return found;
}

/* Cuts the input off lines like: COPY t, line 7: "..." */
static char *
without_input(const char *context)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*context != '\0')
	{
		const char *end = strchrnul(context, '\n');
		const char *input = strstr(context, ": \"");

		if (strncmp(context, "COPY ", 5) == 0 && input != NULL && input < end)
		{
			appendBinaryStringInfo(&out, context, input - context);

			/* The input may itself have line breaks: nothing after it is kept */
			break;
		}
		appendBinaryStringInfo(&out, context, end - context + (*end == '\n'));
		context = *end == '\n' ? end + 1 : end;
	}
	return out.data;
}

static void
pass_on(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (prev_process_utility)
		prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	else
		standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, env,
								dest, qc);
}

static void
redact_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	MemoryContext memory = CurrentMemoryContext;

	if (!copies_into_encrypted(pstmt->utilityStmt))
	{
		pass_on(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
		return;
	}
	PG_TRY();
	{
		pass_on(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		if (error->context == NULL)
			PG_RE_THROW();
		FlushErrorState();
		error->context = without_input(error->context);
		ReThrowError(error);
	}
	PG_END_TRY();
}

void
pgseal_redact_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = redact_process_utility;
}
