/*-------------------------------------------------------------------------
 *
 * brin_cost.c
 *	  What a search in a BRIN index with encrypted columns costs.
 *
 * PostgreSQL takes the number of ranges that it would read from the column's
 * correlation in pg_statistic, where nothing stands about encrypted values: it
 * would think that it is all of them, and never use the index.  So some of the
 * summaries are asked.  What a search is compared with may not be known yet; then
 * the column is taken to grow with the table, for which BRIN is made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/brin.h"
#include "access/genam.h"
#include "nodes/pathnodes.h"
#include "optimizer/cost.h"
#include "optimizer/optimizer.h"
#include "utils/index_selfuncs.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/selfuncs.h"

#include "base/compat.h"
#include "sealed/brin.h"

/* Opening a summary, in units of cpu_operator_cost */
#define OPEN_COST	20

/* Conditions of a search on encrypted columns */
typedef struct Conditions
{
	int			num;
	int			max;
	PgsealBrinCondition *known;
	double		unknown;		/* share of ranges because of what isn't known */
} Conditions;

/* One bound lets a third through, the second one leaves little of it */
static void
add_unknown(Conditions *conditions, StrategyNumber strategy)
{
	if (strategy != BTEqualStrategyNumber && conditions->unknown > DEFAULT_INEQ_SEL)
		conditions->unknown = DEFAULT_INEQ_SEL;
	else
		conditions->unknown = DEFAULT_EQ_SEL;
}

static void
add_condition(PlannerInfo *root, Conditions *conditions, IndexOptInfo *index, int column,
			  Node *clause)
{
	OpExpr	   *condition = (OpExpr *) clause;
	StrategyNumber strategy;
	Const	   *constant;

	if (IsA(clause, ScalarArrayOpExpr))
	{
		add_unknown(conditions, BTEqualStrategyNumber);
		return;
	}
	if (!IsA(clause, OpExpr) || list_length(condition->args) != 2)
		return;
	strategy = get_op_opfamily_strategy(condition->opno, index->opfamily[column]);
	constant = pgseal_sealed_as_constant(root, lsecond(condition->args));
	if (constant == NULL)
	{
		add_unknown(conditions, strategy);
		return;
	}
	if (conditions->num == conditions->max)
	{
		conditions->max *= 2;
		conditions->known = repalloc(conditions->known,
									 conditions->max * sizeof(PgsealBrinCondition));
	}
	conditions->known[conditions->num++] = (PgsealBrinCondition)
	{
		.attno = column + 1, .strategy = strategy, .type = constant->consttype,
			.constant = constant->constvalue
	};
}

static double
share_of_ranges(PlannerInfo *root, IndexPath *path, Relation relation)
{
	Conditions	conditions = {.max = 4, .unknown = 1};
	double		ranges = 1;
	double		rows;
	ListCell   *lc;

	conditions.known = palloc(conditions.max * sizeof(PgsealBrinCondition));
	foreach(lc, path->indexclauses)
	{
		IndexClause *clause = lfirst_node(IndexClause, lc);
		ListCell   *qual;

		if (!pgseal_brin_is_our_column(relation, clause->indexcol))
			continue;
		foreach(qual, clause->indexquals)
			add_condition(root, &conditions, path->indexinfo, clause->indexcol,
						  (Node *) lfirst_node(RestrictInfo, qual)->clause);
	}
	if (conditions.num > 0)
		pgseal_brin_estimate(relation, conditions.known, conditions.num, &ranges, &rows);
	return Min(ranges, conditions.unknown);
}

void
pgseal_brin_cost_estimate(PlannerInfo *root, IndexPath *path, double loop_count,
						  double *startup_cost, double *total_cost, double *selectivity,
						  double *correlation, double *pages)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal estimate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller;
	Relation	relation;
	BrinStatsData stats;
	double		num_ranges;
	double		share;

	brincostestimate(root, path, loop_count, startup_cost, total_cost, selectivity, correlation,
					 pages);
	if (path->indexinfo->hypothetical)
		return;
	caller = MemoryContextSwitchTo(context);
	relation = index_open(path->indexinfo->indexoid, NoLock);
	brinGetStats(relation, &stats);
	num_ranges = Max(1, (double) path->indexinfo->rel->pages / stats.pagesPerRange);
	share = share_of_ranges(root, path, relation);
	index_close(relation, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);

	*selectivity = Min(*selectivity, Min(1, Max(share, 1 / num_ranges)));
	*total_cost += num_ranges * OPEN_COST * cpu_operator_cost;
}
