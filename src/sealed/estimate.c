/*-------------------------------------------------------------------------
 *
 * estimate.c
 *	  How many rows <, <=, > and >= on an encrypted column let through.
 *
 * Nothing about the values lies in pg_statistic.  Where the column has a sealed
 * index that the current user may use (the planner doesn't see others), going
 * down it to a constant tells how much lies before it.  The two ends of an
 * interval count once: the lower one with the share of all of it, the upper one
 * with 1.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/pathnodes.h"
#include "optimizer/optimizer.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/selfuncs.h"

#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/sealed.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_ltsel);
PG_FUNCTION_INFO_V1(pgseal_lesel);
PG_FUNCTION_INFO_V1(pgseal_gtsel);
PG_FUNCTION_INFO_V1(pgseal_gesel);

/* One comparison of the column with a constant: column strategy constant */
typedef struct Comparison
{
	StrategyNumber strategy;
	Const	   *constant;
} Comparison;

/* The index whose first column it is; NULL when there is none */
static IndexOptInfo *
index_of(const VariableStatData *vardata)
{
	const Var  *var = (const Var *) vardata->var;
	ListCell   *lc;

	if (vardata->rel == NULL || !IsA(var, Var) || vardata->rel->rtekind != RTE_RELATION)
		return NULL;
	foreach(lc, vardata->rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);

		if (index->nkeycolumns > 0 && index->indexkeys[0] == var->varattno &&
			index->indpred == NIL && !index->hypothetical &&
			pgseal_sealed_is_method(index->relam))
			return index;
	}
	return NULL;
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

static Const *
as_constant(PlannerInfo *root, Node *node)
{
	Node	   *value = estimate_expression_value(root, node);

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
	out_comparison->constant = as_constant(root, right);
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
share_before(PgsealSealedIndex *sealed, Relation relation, const Comparison *comparison)
{
	PgsealSealedBound bound = {.num_columns = 1};
	StrategyNumber strategy = comparison->strategy;
	double		total;
	double		before;

	if (!pgseal_sealed_make_argument(&bound.probes[0], &sealed->columns[0],
									 comparison->constant->consttype, comparison->constant->constvalue))
		return 0.5;
	/* Behind equal values for > and <=; in a descending column it is the other way */
	bound.side = strategy == BTGreaterStrategyNumber || strategy == BTLessEqualStrategyNumber ? 1 : -1;
	if (sealed->columns[0].descending)
		bound.side = -bound.side;
	before = pgseal_sealed_rank(sealed, relation, &bound, &total);
	before = total > 0 ? before / total : 0.5;
	return sealed->columns[0].descending ? 1 - before : before;
}

static double
share_of_interval(IndexOptInfo *index, const Comparison *comparison, const Comparison *other)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal estimate",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Relation	relation = index_open(index->indexoid, NoLock);
	PgsealSealedIndex sealed;
	double		from = 0;
	double		to = 1;

	pgseal_sealed_get(&sealed, relation);
	for (int i = 0; i < 2; i++)
	{
		const Comparison *end = i == 0 ? comparison : other;

		if (end != NULL && is_lower(end->strategy))
			from = share_before(&sealed, relation, end);
		else if (end != NULL)
			to = share_before(&sealed, relation, end);
	}
	index_close(relation, NoLock);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return Max(to - from, 0);
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
	index = index_of(&vardata);
	known = index != NULL &&
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
