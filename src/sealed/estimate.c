/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  How many rows <, <=, > and >= on an encrypted column let through.
 *
 * Nothing about the values lies in pg_statistic.  Where the column has a sealed
 * index that the current user may use (the planner doesn't see others), going
 * down it to a constant tells how much lies before it.  The two ends of an
 * interval count once: the lower one with the share of all of it, the upper one
 * with 1.  Where there is no sealed index but BRIN, its summaries are asked.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/selfuncs.h"

#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/brin.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_ltsel);
PG_FUNCTION_INFO_V1(pgseal_lesel);
PG_FUNCTION_INFO_V1(pgseal_gtsel);
PG_FUNCTION_INFO_V1(pgseal_gesel);
PG_FUNCTION_INFO_V1(pgseal_matchsel);

/* One comparison of the column with a constant: column strategy constant */
typedef struct Comparison
{
	StrategyNumber strategy;
	Const	   *constant;
} Comparison;

/* Is it a sealed index with this first column that serves the operator? */
static bool
is_index_for(const IndexOptInfo *index, const Var *column, Oid operator)
{
	return index->nkeycolumns > 0 && index->indexkeys[0] == column->varattno &&
		index->indpred == NIL && !index->hypothetical &&
		(pgseal_sealed_is_planned(index) || index->relam == BRIN_AM_OID) &&
		(op_in_opfamily(operator, index->opfamily[0]) ||
		 op_in_opfamily(get_commutator(operator), index->opfamily[0]));
}

static bool
is_table_column(const VariableStatData *vardata)
{
	return vardata->rel != NULL && IsA(vardata->var, Var) &&
		vardata->rel->rtekind == RTE_RELATION;
}

/* The index whose first column it is, rather a sealed one than BRIN; NULL: there is none */
static IndexOptInfo *
index_of(const VariableStatData *vardata, Oid operator)
{
	IndexOptInfo *found = NULL;
	ListCell   *lc;

	if (!is_table_column(vardata))
		return NULL;
	foreach(lc, vardata->rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);

		if (is_index_for(index, (const Var *) vardata->var, operator) &&
			(found == NULL || found->relam == BRIN_AM_OID))
			found = index;
	}
	return found;
}

/* May the current user open the constant, if it is sealed? */
static bool
may_open(const Const *constant)
{
	PgsealEnvelope envelope;
	Oid			server;

	if (pgseal_type_by_oid(constant->consttype) == NULL)
		return true;
	if (!pgseal_value_try_header(&envelope, constant->constvalue))
		return false;
	server = pgseal_keyring_info(envelope.key_version_id)->server;
	return OidIsValid(server) &&
		pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

Const *
pgseal_sealed_as_constant(PlannerInfo *root, Node *node)
{
	Node	   *value = IsA(node, Const) ? node : estimate_expression_value(root, node);

	return IsA(value, Const) && !((Const *) value)->constisnull && may_open((Const *) value) ?
		(Const *) value : NULL;
}

/*
 * The comparison that a clause makes with the column: of the other end of the
 * interval when it is one.
 */
static bool
read_comparison(PlannerInfo *root, IndexOptInfo *index, const Node *column, Oid operator,
				List *args, Comparison *out_comparison)
{
	Oid			family = index->opfamily[0];
	Node	   *left = linitial(args);
	Node	   *right = lsecond(args);

	if (!equal(left, column))
	{
		Node	   *swapped = left;

		operator = get_commutator(operator);
		left = right;
		right = swapped;
	}
	if (!equal(left, column) || !OidIsValid(operator))
		return false;
	out_comparison->strategy = get_op_opfamily_strategy(operator, family);
	if (out_comparison->strategy < BTLessStrategyNumber ||
		out_comparison->strategy > BTGreaterStrategyNumber ||
		out_comparison->strategy == BTEqualStrategyNumber)
		return false;
	out_comparison->constant = pgseal_sealed_as_constant(root, right);
	return out_comparison->constant != NULL;
}

static bool
is_lower(StrategyNumber strategy)
{
	return strategy > BTEqualStrategyNumber;
}

/* The other end of the interval, from a clause beside this one, if there is one */
static bool
other_end(PlannerInfo *root, RelOptInfo *rel, IndexOptInfo *index, const Node *column,
		  List *args, StrategyNumber strategy, Comparison *out_other)
{
	bool		is_beside = false;
	bool		found = false;
	ListCell   *lc;

	foreach(lc, rel->baserestrictinfo)
	{
		OpExpr	   *clause = (OpExpr *) lfirst_node(RestrictInfo, lc)->clause;
		Comparison	comparison;

		if (!IsA(clause, OpExpr) || list_length(clause->args) != 2)
			continue;
		if (clause->args == args)
			is_beside = true;
		else if (!found &&
				 read_comparison(root, index, column, clause->opno, clause->args, &comparison) &&
				 is_lower(comparison.strategy) != is_lower(strategy))
		{
			*out_other = comparison;
			found = true;
		}
	}
	return is_beside && found;
}

/* The share of the index that lies before the place where the comparison changes */
static double
share_before(PgsealSealedIndex *sealed, Relation relation, const Comparison *comparison,
			 PgsealSealedNode **leaf)
{
	PgsealSealedBound bound = {.num_columns = 1};
	StrategyNumber strategy = comparison->strategy;
	double		total;
	double		before;

	if (!pgseal_sealed_make_argument(&bound.probes[0], &sealed->columns[0],
									 comparison->constant->consttype, comparison->constant->constvalue))
		return 0.5;

	/*
	 * Behind equal values for > and <=; in a descending column it is the
	 * other way
	 */
	bound.side = strategy == BTGreaterStrategyNumber || strategy == BTLessEqualStrategyNumber ? 1 : -1;
	if (sealed->columns[0].descending)
		bound.side = -bound.side;
	before = pgseal_sealed_rank(sealed, relation, &bound, leaf, &total);
	before = total > 0 ? before / total : 0.5;
	return sealed->columns[0].descending ? 1 - before : before;
}

/* The same by the summaries of a BRIN index */
static double
share_of_ranges(Relation relation, const Comparison *comparison, const Comparison *other)
{
	PgsealBrinCondition conditions[2];
	double		ranges;
	double		rows;

	for (int i = 0; i < 2; i++)
	{
		const Comparison *end = i == 0 ? comparison : other;

		if (end != NULL)
			conditions[i] = (PgsealBrinCondition)
		{
			.attno = 1, .strategy = end->strategy, .type = end->constant->consttype,
				.constant = end->constant->constvalue
		};
	}
	pgseal_brin_estimate(relation, conditions, other == NULL ? 1 : 2, &ranges, &rows);
	return rows;
}

static double
share_of_interval(IndexOptInfo *index, const Comparison *comparison, const Comparison *other)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal estimate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Relation	relation = index_open(index->indexoid, NoLock);
	PgsealSealedIndex sealed;
	PgsealSealedNode *leaf = NULL;
	double		from = 0;
	double		to = 1;

	if (index->relam == BRIN_AM_OID)
		to = share_of_ranges(relation, comparison, other);
	else
	{
		pgseal_sealed_get(&sealed, relation);
		sealed.without_entries = true;
	}
	for (int i = 0; i < 2 && index->relam != BRIN_AM_OID; i++)
	{
		const Comparison *end = i == 0 ? comparison : other;

		if (end != NULL && is_lower(end->strategy))
			from = share_before(&sealed, relation, end, &leaf);
		else if (end != NULL)
			to = share_before(&sealed, relation, end, &leaf);
	}
	pgseal_sealed_free_node(leaf);
	index_close(relation, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return Max(to - from, 0);
}

/*
 * May the estimate of a condition tell what is in the rows that row security hides?
 * As PostgreSQL's own from statistics: where the operator is leakproof.
 */
static bool
may_tell(PlannerInfo *root, const VariableStatData *vardata, Oid operator)
{
	Index		relid = vardata->rel->relid;

	if (get_func_leakproof(get_opcode(operator)))
		return true;
	while (planner_rt_fetch(relid, root)->securityQuals == NIL)
	{
		AppendRelInfo *child = root->append_rel_array != NULL ? root->append_rel_array[relid] : NULL;

		if (child == NULL)
			return true;
		relid = child->parent_relid;
	}
	return false;
}

/* False when nothing is known */
static bool
estimate(PlannerInfo *root, Oid operator, List *args, int relation, double *out_selectivity)
{
	VariableStatData vardata;
	Node	   *other;
	bool		var_is_left;
	IndexOptInfo *index;
	Comparison	comparison;
	Comparison	end;
	bool		known;

	if (!get_restriction_variable(root, args, relation, &vardata, &other, &var_is_left))
		return false;
	index = index_of(&vardata, operator);
	known = index != NULL && may_tell(root, &vardata, operator) &&
		read_comparison(root, index, vardata.var, operator, args, &comparison);
	if (known)
	{
		bool		is_interval = other_end(root, vardata.rel, index, vardata.var, args,
											comparison.strategy, &end);

		*out_selectivity = is_interval && !is_lower(comparison.strategy) ? 1.0 :
			share_of_interval(index, &comparison, is_interval ? &end : NULL);
		/* At least a row, so that what comes after isn't thought to be free */
		*out_selectivity = Max(*out_selectivity, 1.0 / Max(vardata.rel->tuples, 1));
	}
	ReleaseVariableStats(vardata);
	return known;
}

/*
 * Patterns and documents
 */

/* The share of the rows that begin as the pattern does; -1: not known */
static double
share_of_prefix(PgsealSealedIndex *sealed, Relation relation, StrategyNumber strategy,
				const Const *constant, Oid collation)
{
	PgsealSealedBound bound = {.num_columns = 1, .side = -1};
	PgsealSealedProbe *probe = &bound.probes[0];
	PgsealSealedNode *leaf = NULL;
	bool		exact;
	double		total;
	double		width;

	if (sealed->columns[0].order != PGSEAL_SEALED_BY_BYTES)
		return -1;
	probe->is_prefix = true;
	probe->bytes = (uint8 *) pgseal_sealed_prefix(strategy, constant->constvalue, collation,
												  &probe->len, &exact);
	if (probe->bytes == NULL || probe->len == 0)
		return -1;
	width = -pgseal_sealed_rank(sealed, relation, &bound, &leaf, &total);
	bound.side = 1;
	width += pgseal_sealed_rank(sealed, relation, &bound, &leaf, &total);
	pgseal_sealed_free_node(leaf);
	return total > 0 ? width / total : 0;
}

static double
share_of_terms(PgsealSealedIndex *sealed, Relation relation, StrategyNumber strategy,
			   const Const *constant, Oid collation, double rows)
{
	PgsealTermQuery query;

	pgseal_terms_of_query(&query, &sealed->columns[0], strategy, constant->constvalue, collation);
	if (query.everything)
		return -1;
	return Min(pgseal_term_estimate(sealed, relation, &query) / Max(rows, 1), 1);
}

static double
share_of_match(IndexOptInfo *index, Oid operator, const Const *constant, Oid collation)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal estimate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Relation	relation = index_open(index->indexoid, NoLock);
	StrategyNumber strategy = get_op_opfamily_strategy(operator, index->opfamily[0]);
	PgsealSealedIndex sealed;
	double		share;

	pgseal_sealed_get(&sealed, relation);
	sealed.without_entries = true;
	share = sealed.columns[0].terms == PGSEAL_SEALED_WHOLE ?
		share_of_prefix(&sealed, relation, strategy, constant, collation) :
		share_of_terms(&sealed, relation, strategy, constant, collation, index->rel->tuples);
	index_close(relation, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return share;
}

/* (root, operator, arguments, relation), as likesel */
Datum
pgseal_matchsel(PG_FUNCTION_ARGS)
{
	PlannerInfo *root = (PlannerInfo *) PG_GETARG_POINTER(0);
	Oid			operator = PG_GETARG_OID(1);
	VariableStatData vardata;
	Node	   *other;
	bool		var_is_left;
	double		least = -1;
	Const	   *constant;
	ListCell   *lc;

	if (!get_restriction_variable(root, (List *) PG_GETARG_POINTER(2), PG_GETARG_INT32(3),
								  &vardata, &other, &var_is_left))
		PG_RETURN_FLOAT8(DEFAULT_MATCH_SEL);
	constant = pgseal_sealed_as_constant(root, other);
	if (var_is_left && constant != NULL && is_table_column(&vardata) &&
		may_tell(root, &vardata, operator))
		foreach(lc, vardata.rel->indexlist)
		{
			IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);
			double		share = -1;

			if (is_index_for(index, (Var *) vardata.var, operator))
				share = share_of_match(index, operator, constant, PG_GET_COLLATION());
			if (share >= 0 && (least < 0 || share < least))
				least = share;
		}
	if (least >= 0)
		least = Max(least, 1.0 / Max(vardata.rel->tuples, 1));
	ReleaseVariableStats(vardata);
	PG_RETURN_FLOAT8(least >= 0 ? least : DEFAULT_MATCH_SEL);
}

/* What is read of a term's list at least, and how many terms an unknown pattern has */
#define ENTRIES_OF_TERM			400
#define TERMS_OF_UNKNOWN		8

double
pgseal_sealed_entries_read(PlannerInfo *root, IndexOptInfo *index, int column, Node *clause)
{
	OpExpr	   *condition = (OpExpr *) clause;
	StrategyNumber strategy;
	Relation	relation;
	PgsealSealedIndex sealed;
	Const	   *constant;
	double		entries = 0;

	if (!IsA(clause, OpExpr) || list_length(condition->args) != 2)
		return 0;
	strategy = get_op_opfamily_strategy(condition->opno, index->opfamily[column]);
	if (strategy < PGSEAL_SEALED_LIKE)
		return 0;
	relation = index_open(index->indexoid, NoLock);
	pgseal_sealed_get(&sealed, relation);
	index_close(relation, NoLock);
	constant = pgseal_sealed_as_constant(root, lsecond(condition->args));
	if (sealed.columns[column].terms != PGSEAL_SEALED_WHOLE)
	{
		PgsealTermQuery query = {0};

		if (constant == NULL)
			return TERMS_OF_UNKNOWN * ENTRIES_OF_TERM;
		pgseal_terms_of_query(&query, &sealed.columns[column], strategy, constant->constvalue,
							  condition->inputcollid);
		for (int i = 0; i < query.num; i++)
			entries += (double) query.alternatives[i].num * ENTRIES_OF_TERM;
		return query.everything ? -1 : entries;
	}
	if (sealed.columns[column].order != PGSEAL_SEALED_BY_BYTES)
		return -1;
	if (constant != NULL)
	{
		size_t		len;
		bool		exact;

		(void) pgseal_sealed_prefix(strategy, constant->constvalue, condition->inputcollid, &len,
									&exact);
		if (len == 0)
			return -1;
	}
	return 0;
}

#define SELECTIVITY(name, default_function) \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	double		selectivity; \
\
	if (estimate((PlannerInfo *) PG_GETARG_POINTER(0), PG_GETARG_OID(1), \
				 (List *) PG_GETARG_POINTER(2), PG_GETARG_INT32(3), &selectivity)) \
		PG_RETURN_FLOAT8(selectivity); \
	return DirectFunctionCall4Coll(default_function, PG_GET_COLLATION(), PG_GETARG_DATUM(0), \
								   PG_GETARG_DATUM(1), PG_GETARG_DATUM(2), PG_GETARG_DATUM(3)); \
}

/* (root, operator, arguments, relation), as scalarltsel */
SELECTIVITY(pgseal_ltsel, scalarltsel)
SELECTIVITY(pgseal_lesel, scalarlesel)
SELECTIVITY(pgseal_gtsel, scalargtsel)
SELECTIVITY(pgseal_gesel, scalargesel)
