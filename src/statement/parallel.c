/*-------------------------------------------------------------------------
 *
 * parallel.c
 *	  Which statements run without parallel workers.
 *
 * A parallel worker can make no keys, nor can its leader while there are workers.
 * So a statement that seals under a key which has no material yet, or that deals
 * with encrypted values where there is no default key, isn't planned for them.
 *
 * Nor has a worker what only its leader knows: the session's own key, by which
 * literals are sealed where there is no default key, and versions that were rolled
 * back (made.c).  Under a version that may yet be rolled back it can seal, but the
 * leader must know of it if code may keep the values.  And in a trigger or rule, where
 * a value that may not be seen is an error, a worker would not know of that.  A plan that
 * is there already is run by the leader alone then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/cost.h"
#include "optimizer/planner.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/no_core_dump.h"
#include "base/settings.h"
#include "keys/keyring.h"
#include "keys/used.h"
#include "statement/parallel.h"
#include "value/basetype.h"

static planner_hook_type prev_planner = NULL;
static ExecutorStart_hook_type prev_executor_start = NULL;

/* The key that a call which returns a sealed value may name, as modifier or by name */
static bool
names_key_to_make(const FuncExpr *call)
{
	ListCell   *lc;

	foreach(lc, call->args)
	{
		Const	   *argument = lfirst(lc);
		int32		hash;

		if (!IsA(argument, Const) || argument->constisnull)
			continue;
		if (argument->consttype == INT4OID)
			hash = DatumGetInt32(argument->constvalue);
		else if (argument->consttype == TEXTOID)
			hash = pgseal_catalog_name_hash(TextDatumGetCString(argument->constvalue));
		else
			continue;
		if (hash > 0 && !pgseal_keyring_has_material(hash))
			return true;
	}
	return false;
}

/* Is there a default key?  Asked once, and not for statements on plain columns */
typedef struct DefaultKey
{
	bool		is_known;
	bool		is_there;
} DefaultKey;

static bool
lacks_default_key(DefaultKey *key)
{
	if (!key->is_known)
		key->is_there = pgseal_keyring_has_material(PGSEAL_TYPMOD_NONE);
	key->is_known = true;
	return !key->is_there;
}

/* context: DefaultKey */
static bool
needs_key_to_be_made(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, needs_key_to_be_made, context, 0);
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid >= FirstNormalObjectId &&
		pgseal_type_by_oid(((FuncExpr *) node)->funcresulttype) != NULL &&
		names_key_to_make((FuncExpr *) node))
		return true;
	if (((IsA(node, Var) && pgseal_type_by_oid(((Var *) node)->vartype) != NULL) ||
		 (IsA(node, Const) && pgseal_type_by_oid(((Const *) node)->consttype) != NULL) ||
		 (IsA(node, Param) && pgseal_type_by_oid(((Param *) node)->paramtype) != NULL) ||
		 (IsA(node, FuncExpr) && pgseal_type_by_oid(((FuncExpr *) node)->funcresulttype) != NULL)) &&
		lacks_default_key(context))
		return true;
	return expression_tree_walker(node, needs_key_to_be_made, context);
}

static PlannedStmt *
parallel_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if ((cursor_options & CURSOR_OPT_PARALLEL_OK) != 0 && max_parallel_workers_per_gather > 0 &&
		OidIsValid(pgseal_extension_oid()) && OidIsValid(pgseal_catalog_version_relation()))
	{
		DefaultKey	key = {0};

		if (needs_key_to_be_made((Node *) parse, &key))
			cursor_options &= ~CURSOR_OPT_PARALLEL_OK;
	}
	return prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
}

/* Does code get what the plan returns, and may keep it when all is rolled back? */
static bool
code_gets_values(const QueryDesc *desc)
{
	switch (desc->dest->mydest)
	{
		case DestIntoRel:
		case DestTransientRel:
		case DestCopyOut:
			return false;
		default:
			return true;
	}
}

static void
parallel_executor_start(QueryDesc *desc, int eflags)
{
	if (desc->plannedstmt->parallelModeNeeded && OidIsValid(pgseal_extension_oid()))
	{
		if (pgseal_keyring_is_alone(code_gets_values(desc)) ||
			(pgseal_on_denied == PGSEAL_ON_DENIED_NULL && !pgseal_keyring_tells_null()))
		{
			/* The plan may be one that is kept */
			PlannedStmt *alone = MemoryContextAlloc(GetMemoryChunkContext(desc), sizeof(PlannedStmt));

			*alone = *desc->plannedstmt;
			alone->parallelModeNeeded = false;
			desc->plannedstmt = alone;
		}
		else
		{
			/*
			 * Values come from the workers opened, also to who has used no
			 * key himself
			 */
			pgseal_no_core_dump();
			pgseal_used_before_workers();
		}
	}
	if (prev_executor_start)
		prev_executor_start(desc, eflags);
	else
		standard_ExecutorStart(desc, eflags);
}

void
pgseal_parallel_init(void)
{
	prev_planner = planner_hook;
	planner_hook = parallel_planner;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = parallel_executor_start;
}
