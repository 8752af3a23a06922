/*-------------------------------------------------------------------------
 *
 * sort_spill.c
 *	  Keeps sorts by encrypted columns off the disk, if that is asked for.
 *
 * A sort that exceeds work_mem writes the sealed values to a temporary file in the
 * order of the plaintexts, which whoever reads the file learns.  Sealing them once
 * more wouldn't help: it is their places that tell.  PostgreSQL has no hook for what
 * it writes there, but a limit for all temporary files of a process.  With
 * pgseal.sort_spill = error that is zero while a plan runs that puts rows in the
 * order of encrypted values, by a sort or by a sealed index.  Its hash joins may not
 * spill either, then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/guc.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "sealed/access.h"
#include "statement/sort_spill.h"
#include "value/basetype.h"

static ExecutorRun_hook_type prev_executor_run = NULL;

/* Is one of the columns that a sort goes by encrypted? */
static bool
sorts_encrypted(const Sort *sort)
{
	for (int i = 0; i < sort->numCols; i++)
	{
		TargetEntry *column = get_tle_by_resno(sort->plan.targetlist, sort->sortColIdx[i]);

		if (column != NULL && pgseal_type_by_oid(exprType((Node *) column->expr)) != NULL)
			return true;
	}
	return false;
}

/* sum(DISTINCT x), array_agg(x ORDER BY y), percentile_disc(...) WITHIN GROUP (ORDER BY x) */
static bool
aggregates_in_order(const AggState *state)
{
	ListCell   *lc;

	foreach(lc, state->aggs)
	{
		const Aggref *aggregate = lfirst_node(Aggref, lc);
		ListCell   *argument;

		if (aggregate->aggorder == NIL && aggregate->aggdistinct == NIL)
			continue;
		foreach(argument, aggregate->args)
			if (pgseal_type_by_oid(exprType((Node *) lfirst_node(TargetEntry, argument)->expr)) != NULL)
				return true;
	}
	foreach(lc, ((Agg *) state->ss.ps.plan)->chain)
	{
		const Plan *below = outerPlan(lfirst_node(Agg, lc));

		if (below != NULL && IsA(below, Sort) && sorts_encrypted((Sort *) below))
			return true;
	}
	return false;
}

static bool
orders_encrypted(PlanState *state, void *context)
{
	bool		found = false;

	if (state == NULL)
		return false;
	switch (nodeTag(state))
	{
		case T_SortState:
			found = sorts_encrypted((Sort *) state->plan);
			break;
		case T_IncrementalSortState:
			found = sorts_encrypted(&((IncrementalSort *) state->plan)->sort);
			break;
		case T_AggState:
			found = aggregates_in_order((AggState *) state);
			break;
		case T_IndexScanState:
			found = ((IndexScanState *) state)->iss_RelationDesc != NULL &&
				pgseal_sealed_is_method(((IndexScanState *) state)->iss_RelationDesc->rd_rel->relam);
			break;
		default:
			break;
	}
	return found || planstate_tree_walker(state, orders_encrypted, context);
}

static void
explain_limit(void *arg)
{
	if (geterrcode() == ERRCODE_CONFIGURATION_LIMIT_EXCEEDED)
		errcontext("rows in the order of an encrypted column, which pgseal.sort_spill = error keeps off the disk");
}

static void
run(PGSEAL_EXECUTOR_RUN_ARGS)
{
	if (prev_executor_run)
		prev_executor_run(PGSEAL_EXECUTOR_RUN_PASS);
	else
		standard_ExecutorRun(PGSEAL_EXECUTOR_RUN_PASS);
}

static void
sort_spill_executor_run(PGSEAL_EXECUTOR_RUN_ARGS)
{
	int			limit = temp_file_limit;
	ErrorContextCallback callback = {.callback = explain_limit, .previous = error_context_stack};

	if (pgseal_sort_spill == PGSEAL_SORT_SPILL_ALLOW || !OidIsValid(pgseal_extension_oid()) ||
		!orders_encrypted(desc->planstate, NULL))
	{
		run(PGSEAL_EXECUTOR_RUN_PASS);
		return;
	}
	error_context_stack = &callback;
	temp_file_limit = 0;
	PG_TRY();
	{
		run(PGSEAL_EXECUTOR_RUN_PASS);
	}
	PG_FINALLY();
	{
		temp_file_limit = limit;
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
}

void
pgseal_sort_spill_init(void)
{
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = sort_spill_executor_run;
}
