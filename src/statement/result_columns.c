/*-------------------------------------------------------------------------
 *
 * result_columns.c
 *	  Rewriting the result columns of an analyzed query.
 *
 * ORDER BY, GROUP BY and window clauses point to entries of the target list.
 * An entry that they point to stays as a junk entry, and the result column
 * becomes an entry of its own.  DISTINCT and set operations need all their
 * columns to be results, so the whole query becomes a subquery of a SELECT
 * that has the new result columns.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"

#include "base/compat.h"
#include "statement/result_columns.h"

static void
map_in_place(List **targets, PgsealTargetMap map, void *context)
{
	List	   *junk = NIL;
	int			next_resno = list_length(*targets) + 1;
	ListCell   *lc;

	foreach(lc, *targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		Expr	   *mapped = target->resjunk ? NULL : map(target, context);

		if (mapped == NULL)
			continue;
		if (target->ressortgroupref != 0)
		{
			TargetEntry *sorted = makeTargetEntry(copyObject(target->expr), next_resno++,
												  NULL, true);

			sorted->ressortgroupref = target->ressortgroupref;
			target->ressortgroupref = 0;
			junk = lappend(junk, sorted);
		}
		target->expr = mapped;
	}
	*targets = list_concat(*targets, junk);
}

static bool
maps_any(List *targets, PgsealTargetMap map, void *context)
{
	ListCell   *lc;

	foreach(lc, targets)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (!target->resjunk && map(target, context) != NULL)
			return true;
	}
	return false;
}

/* References to the query's CTEs, from depth query levels below it */
static bool
raise_cte_references(Node *node, void *context)
{
	int		   *depth = (int *) context;

	if (node == NULL)
		return false;
	if (IsA(node, RangeTblEntry))
	{
		RangeTblEntry *rte = (RangeTblEntry *) node;

		if (rte->rtekind == RTE_CTE && rte->ctelevelsup == *depth)
			rte->ctelevelsup++;
		return false;
	}
	if (IsA(node, Query))
	{
		bool		result;

		(*depth)++;
		result = query_tree_walker((Query *) node, raise_cte_references, depth,
								   QTW_EXAMINE_RTES_BEFORE);
		(*depth)--;
		return result;
	}
	return expression_tree_walker(node, raise_cte_references, depth);
}

/* A data-modifying WITH must be at the top level. */
static void
raise_ctes(Query *outer, Query *inner)
{
	int			depth = 0;

	/*
	 * CTEs refer to each other from their own level on, and all move up
	 * together
	 */
	query_tree_walker(inner, raise_cte_references, &depth,
					  QTW_EXAMINE_RTES_BEFORE | QTW_IGNORE_CTE_SUBQUERIES);
	outer->cteList = inner->cteList;
	outer->hasModifyingCTE = true;
	outer->hasRecursive = inner->hasRecursive;
	inner->cteList = NIL;
	inner->hasModifyingCTE = false;
	inner->hasRecursive = false;
}

/* query becomes: SELECT its columns FROM (query) */
static void
wrap_in_select(Query *query)
{
	Query	   *inner = makeNode(Query);
	RangeTblEntry *rte = makeNode(RangeTblEntry);
	RangeTblRef *ref = makeNode(RangeTblRef);
	List	   *names = NIL;
	List	   *targets = NIL;
	ListCell   *lc;

	memcpy(inner, query, sizeof(Query));
	foreach(lc, inner->targetList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		TargetEntry *result;

		if (target->resjunk)
			continue;
		result = makeTargetEntry((Expr *) makeVarFromTargetEntry(1, target),
								 target->resno, target->resname, false);
		result->resorigtbl = target->resorigtbl;
		result->resorigcol = target->resorigcol;
		targets = lappend(targets, result);
		names = lappend(names, makeString(target->resname ? target->resname : "?column?"));
	}

	rte->rtekind = RTE_SUBQUERY;
	rte->subquery = inner;
	rte->eref = makeAlias("sealed", names);
	rte->inFromCl = true;
	ref->rtindex = 1;

	memset(query, 0, sizeof(Query));
	NodeSetTag(query, T_Query);
	query->commandType = CMD_SELECT;
	query->querySource = inner->querySource;
	query->queryId = inner->queryId;
	query->canSetTag = inner->canSetTag;
	query->stmt_location = inner->stmt_location;
	query->stmt_len = inner->stmt_len;
	query->rtable = list_make1(rte);
	query->jointree = makeFromExpr(list_make1(ref), NULL);
	query->targetList = targets;
	if (inner->hasModifyingCTE)
		raise_ctes(query, inner);
}

void
pgseal_result_columns_map(Query *query, PgsealTargetMap map, void *context)
{
	if (query->commandType != CMD_SELECT)
	{
		map_in_place(&query->returningList, map, context);
		return;
	}
	if ((query->distinctClause != NIL || query->setOperations != NULL) &&
		maps_any(query->targetList, map, context))
		wrap_in_select(query);
	map_in_place(&query->targetList, map, context);
}
