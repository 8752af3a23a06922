/*-------------------------------------------------------------------------
 *
 * scan.c
 *	  When it is Citus that reads sealed values.
 *
 * What Citus has from other nodes, or from a file that another part of the query
 * left, comes through input functions: sealed values in their sealed form, which is
 * believed nowhere else but in COPY (sealed_input.c).  That it is Citus who calls the
 * input function is told by what is running: a node of the plan that is Citus's, or
 * one of its functions.  What runs inside of those has been sent by users, and is an
 * executor, a planner or a utility command of its own (open_results.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "executor/executor.h"
#include "fmgr.h"
#include "nodes/extensible.h"
#include "nodes/nodeFuncs.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "citus/scan.h"

static ExecutorStart_hook_type prev_executor_start = NULL;
static needs_fmgr_hook_type prev_needs_fmgr_hook = NULL;
static fmgr_hook_type prev_fmgr_hook = NULL;

/*
 * Nodes of plans
 */

/* PostgreSQL calls a node by this pointer, around which EXPLAIN ANALYZE puts its own */
static TupleTableSlot *
read_from_nodes(PlanState *state)
{
	PgsealRunning saved = pgseal_running;
	TupleTableSlot *slot = NULL;

	pgseal_running.what = PGSEAL_RUNNING_CITUS_READER;
	pgseal_running.context = error_context_stack;
	PG_TRY();
	{
		slot = ((CustomScanState *) state)->methods->ExecCustomScan((CustomScanState *) state);
	}
	PG_FINALLY();
	{
		pgseal_running = saved;
	}
	PG_END_TRY();
	return slot;
}

static bool
watch_nodes(PlanState *state, void *context)
{
	if (IsA(state, CustomScanState) && IsA(state->plan, CustomScan) &&
		strncmp(((CustomScan *) state->plan)->methods->CustomName, "Citus ", strlen("Citus ")) == 0)
		ExecSetExecProcNode(state, read_from_nodes);
	return planstate_tree_walker(state, watch_nodes, context);
}

/* Where the rows are on this node, Citus parses here what it would send */
static void
citus_executor_start(QueryDesc *desc, int eflags)
{
	PgsealRunning saved = pgseal_running;

	pgseal_running.what = PGSEAL_RUNNING_CITUS_PARSER;
	pgseal_running.context = error_context_stack;
	PG_TRY();
	{
		if (prev_executor_start)
			prev_executor_start(desc, eflags);
		else
			standard_ExecutorStart(desc, eflags);
	}
	PG_FINALLY();
	{
		pgseal_running = saved;
	}
	PG_END_TRY();
	if (desc->planstate != NULL)
		(void) watch_nodes(desc->planstate, NULL);
}

/*
 * Functions
 */

/* The C function of Citus that this is; NULL of others */
static char *
function_of_citus(Oid function)
{
	HeapTuple	row;
	char	   *name = NULL;
	Datum		value;
	bool		isnull;

	if (function < FirstNormalObjectId)
		return NULL;
	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(row))
		return NULL;
	value = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_probin, &isnull);
	if (((Form_pg_proc) GETSTRUCT(row))->prolang == ClanguageId && !isnull &&
		strcmp(TextDatumGetCString(value), "$libdir/citus") == 0)
	{
		value = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_prosrc, &isnull);
		name = TextDatumGetCString(value);
	}
	ReleaseSysCache(row);
	return name;
}

static bool
reads(const char *name)
{
	return strcmp(name, "read_intermediate_result") == 0 ||
		strcmp(name, "read_intermediate_result_array") == 0;
}

static bool
parses(const char *name)
{
	return strcmp(name, "worker_partition_query_result") == 0;
}

static bool
citus_needs_fmgr_hook(Oid function)
{
	char	   *name;

	if (prev_needs_fmgr_hook != NULL && prev_needs_fmgr_hook(function))
		return true;
	name = function_of_citus(function);
	return name != NULL && (reads(name) || parses(name));
}

/* What is kept with a function that is called through the hook */
typedef struct Call
{
	PgsealRunning outer;
	Datum		next_private;
} Call;

static void
citus_fmgr_hook(FmgrHookEventType event, FmgrInfo *function, Datum *private)
{
	Call	   *call = (Call *) DatumGetPointer(*private);

	if (call == NULL)
	{
		call = MemoryContextAllocZero(function->fn_mcxt, sizeof(Call));
		*private = PointerGetDatum(call);
	}
	if (event == FHET_START)
	{
		char	   *name = function_of_citus(function->fn_oid);

		call->outer = pgseal_running;
		if (name != NULL && (reads(name) || parses(name)))
		{
			pgseal_running.what = reads(name) ? PGSEAL_RUNNING_CITUS_READER : PGSEAL_RUNNING_CITUS_PARSER;
			pgseal_running.context = error_context_stack;
		}
	}
	else
		pgseal_running = call->outer;
	if (prev_fmgr_hook != NULL)
		prev_fmgr_hook(event, function, &call->next_private);
}

void
pgseal_citus_scan_init(void)
{
	if (!pgseal_citus_is_loaded)
		return;
	prev_executor_start = ExecutorStart_hook;
	ExecutorStart_hook = citus_executor_start;
	prev_needs_fmgr_hook = needs_fmgr_hook;
	needs_fmgr_hook = citus_needs_fmgr_hook;
	prev_fmgr_hook = fmgr_hook;
	fmgr_hook = citus_fmgr_hook;
}
