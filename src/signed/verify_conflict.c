/*-------------------------------------------------------------------------
 *
 * verify_conflict.c
 *	  Rows are verified as INSERT ... ON CONFLICT DO UPDATE WHERE looks at them.
 *
 * The row that is in the way is read without a plan.  If it is updated, the trigger
 * verifies it; but its values decide in WHERE whether that happens.  So the condition
 * that is put on scans (verify.c) comes before that one.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "nodes/makefuncs.h"
#include "optimizer/planner.h"
#include "parser/parsetree.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "signed/verify.h"

static planner_hook_type prev_planner = NULL;

static void
verify_conflicting(Query *query)
{
	OnConflictExpr *conflict = query->onConflict;
	RangeTblEntry *rte;
	Relation	rel;
	Expr	   *condition;

	if (query->commandType != CMD_INSERT || conflict == NULL || conflict->onConflictWhere == NULL)
		return;
	rte = rt_fetch(query->resultRelation, query->rtable);
	if (rte->relkind != RELKIND_RELATION && rte->relkind != RELKIND_PARTITIONED_TABLE)
		return;
	rel = table_open(rte->relid, NoLock);
	condition = pgseal_verify_condition(rel, query->resultRelation);
	table_close(rel, NoLock);
	if (condition != NULL)
		conflict->onConflictWhere = (Node *)
			makeBoolExpr(AND_EXPR, list_make2(condition, conflict->onConflictWhere), -1);
}

static PlannedStmt *
verify_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	ListCell   *lc;

	/* Only here and at the top of WITH a statement can write */
	verify_conflicting(parse);
	foreach(lc, parse->cteList)
		verify_conflicting(castNode(Query, lfirst_node(CommonTableExpr, lc)->ctequery));
	if (prev_planner)
		return prev_planner(parse, query_string, cursor_options, params);
	return standard_planner(parse, query_string, cursor_options, params);
}

void
pgseal_verify_conflict_init(void)
{
	prev_planner = planner_hook;
	planner_hook = verify_planner;
}
