/*-------------------------------------------------------------------------
 *
 * constraint_caller.c
 *	  Opening a value where a CHECK constraint looks at it.
 *
 * A constraint of a table is its owner's, and must see the value, whoever writes:
 * a role that only writes could not write otherwise, and with pgseal.on_denied =
 * 'null' it would write what the constraint forbids, as NULL passes.  So it is the
 * owner who must have USAGE on the server of the value's key.  All else that the
 * same statement computes is the user's.
 *
 * That is so of a constraint that looks at one column.  One that compares columns would
 * answer guesses of whoever may write both: somebody's value into the one, copied
 * from another table, and his own into the other.  There, and in what a constraint of
 * the table has no column for, the user must have the privilege, and gets an error
 * where he has not.
 *
 * A call is a constraint's if the expression that the executor has made of the
 * constraint has it.  Of COPY FROM nobody has the executor at hand; but what it
 * evaluates for the table lives in the memory of its executor, whose parent is the
 * context that COPY began in, and what is the user's (WHERE) lives elsewhere.
 *
 * Triggers and rules are the owner's, too, who may check or note what is written by
 * them.  There as well the user must have the privilege, and a value that he may not
 * see is an error, as NULL would make a condition untrue: in the condition of a trigger,
 * in all that a trigger runs, and in what a rule adds to a statement.
 *
 * A domain's constraint doesn't say of which domain it is, so it is the user who must
 * have the privilege there; but without it, a value is an error and never NULL, which
 * would pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "catalog/pg_inherits.h"
#include "executor/execExpr.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "utils/fmgrprotos.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "type/column_default.h"
#include "type/constraint_caller.h"
#include "type/copying.h"
#include "type/hash_caller.h"
#include "type/restoring.h"
#include "value/find_sealed.h"
#include "value/owner_usage.h"
#include "value/seal.h"

static bool calls(ExprState *expr, const FmgrInfo *function);

static bool
step_calls(ExprState *expr, ExprEvalStep *step, const FmgrInfo *function)
{
	switch (ExecEvalStepOp(expr, step))
	{
	PGSEAL_CASES_OF_CALL:
		case EEOP_DISTINCT:
		case EEOP_NOT_DISTINCT:
		case EEOP_NULLIF:
			return step->d.func.finfo == function;
		case EEOP_SCALARARRAYOP:
			return step->d.scalararrayop.finfo == function;
		case EEOP_HASHED_SCALARARRAYOP:
			/* Its hash function is in what is made at the first call */
			return step->d.hashedscalararrayop.finfo == function;
		case EEOP_ROWCOMPARE_STEP:
			return step->d.rowcompare_step.finfo == function;
		case EEOP_MINMAX:
			return step->d.minmax.finfo == function;
		case EEOP_ARRAYCOERCE:
			return calls(step->d.arraycoerce.elemexprstate, function);
		default:
			return false;
	}
}

static bool
calls(ExprState *expr, const FmgrInfo *function)
{
	for (int i = 0; expr != NULL && i < expr->steps_len; i++)
		if (step_calls(expr, &expr->steps[i], function))
			return true;
	return false;
}

/* Does a constraint look at one column alone? */
static bool
stands_alone(const ConstrCheck *check)
{
	Bitmapset  *columns = NULL;

	pull_varattnos(stringToNode(check->ccbin), 1, &columns);
	/* Not the whole row, which is all of them */
	return bms_num_members(columns) == 1 &&
		!bms_is_member(0 - FirstLowInvalidHeapAttributeNumber, columns);
}

/* The table in whose constraint a call is */
static Oid
checked_table(List *result_relations, const FmgrInfo *function, bool *out_alone)
{
	ListCell   *lc;

	foreach(lc, result_relations)
	{
		ResultRelInfo *result_relation = lfirst(lc);
		ExprState **checks = result_relation->pgseal_check_exprs;
		TupleConstr *constr = RelationGetDescr(result_relation->ri_RelationDesc)->constr;

		for (int i = 0; checks != NULL && constr != NULL && i < constr->num_check; i++)
			if (calls(checks[i], function))
			{
				*out_alone = stands_alone(&constr->check[i]);
				return RelationGetRelid(result_relation->ri_RelationDesc);
			}
	}
	return InvalidOid;
}

/* Is a call in the condition of a trigger? */
static bool
triggers_call(List *result_relations, const FmgrInfo *function)
{
	ListCell   *lc;

	foreach(lc, result_relations)
	{
		ResultRelInfo *result_relation = lfirst(lc);
		ExprState **conditions = result_relation->ri_TrigWhenExprs;

		for (int i = 0; conditions != NULL && i < result_relation->ri_TrigDesc->numtriggers; i++)
			if (calls(conditions[i], function))
				return true;
	}
	return false;
}

static bool
is_condition_of_trigger(const FmgrInfo *function)
{
	EState	   *executor = pgseal_hash_executor;

	return executor != NULL &&
		(triggers_call(executor->es_opened_result_relations, function) ||
		 triggers_call(executor->es_tuple_routing_result_relations, function) ||
		 triggers_call(executor->es_trig_target_relations, function));
}

/*
 * Does a trigger run, or what a rule has added?  Workers are told that a plan sets no
 * tag, too, but there are none for such plans (statement/parallel.c).
 */
static bool
runs_trigger_or_rule(void)
{
	EState	   *executor = pgseal_hash_executor;

	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0)) > 0 ||
		(executor != NULL && executor->es_plannedstmt != NULL &&
		 !executor->es_plannedstmt->canSetTag && !IsParallelWorker());
}

void
pgseal_constraint_caller_init(void)
{
	pgseal_keyring_never_null(runs_trigger_or_rule);
}

/* Only the constraint of a domain has VALUE in it. */
static bool
has_domain_value(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, CoerceToDomainValue) || expression_tree_walker(node, has_domain_value, context);
}

/* Does a constraint look at anything encrypted? */
static bool
looks_at_encrypted(const ConstrCheck *check, TupleDesc desc)
{
	Bitmapset  *columns = NULL;
	int			column = -1;

	pull_varattnos(stringToNode(check->ccbin), 1, &columns);
	while ((column = bms_next_member(columns, column)) >= 0)
	{
		int			attnum = column + FirstLowInvalidHeapAttributeNumber;

		if (attnum == 0 || (attnum > 0 &&
							pgseal_shape_of_type(TupleDescAttr(desc, attnum - 1)->atttypid,
												 PGSEAL_TYPMOD_NONE) != NULL))
			return true;
	}
	return false;
}

/*
 * Of COPY it isn't known which constraint a call is in.  So all of the table's, and of
 * its partitions', must stand alone; and as conditions of triggers are evaluated in
 * the same place, there must be none.
 */
static bool
all_stand_alone(Oid table)
{
	bool		alone = true;
	ListCell   *lc;

	foreach(lc, find_all_inheritors(table, AccessShareLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(lc), AccessShareLock);
		TupleConstr *constr = RelationGetDescr(rel)->constr;

		for (int i = 0; constr != NULL && i < constr->num_check; i++)
			alone = alone && (stands_alone(&constr->check[i]) ||
							  !looks_at_encrypted(&constr->check[i], RelationGetDescr(rel)));
		for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
			alone = alone && rel->trigdesc->triggers[i].tgqual == NULL;
		table_close(rel, AccessShareLock);
	}
	return alone;
}

/* Is a call one of those that COPY FROM has evaluated for its table? */
static bool
copy_calls(const FmgrInfo *function)
{
	return pgseal_hash_executor == NULL && pgseal_copying.context != NULL &&
		MemoryContextGetParent(function->fn_mcxt) == pgseal_copying.context &&
		strcmp(function->fn_mcxt->name, "ExecutorState") == 0;
}

static Oid
table_of_constraint(const FmgrInfo *function, bool *out_alone)
{
	EState	   *executor = pgseal_hash_executor;
	Oid			table;

	if (copy_calls(function))
	{
		*out_alone = all_stand_alone(pgseal_copying.table);
		return pgseal_copying.table;
	}
	if (executor == NULL)
		return InvalidOid;
	table = checked_table(executor->es_opened_result_relations, function, out_alone);
	return OidIsValid(table) ? table :
		checked_table(executor->es_tuple_routing_result_relations, function, out_alone);
}

PgsealConstraint
pgseal_constraint_caller(const FmgrInfo *function)
{
	bool		alone = false;
	PgsealConstraint constraint = {pgseal_default_table(function), false, InvalidOid};

	if (OidIsValid(constraint.table))
		return constraint;
	constraint.table = table_of_constraint(function, &alone);
	if (copy_calls(function))
		constraint.restored = pgseal_restores_by_copy();
	else if (OidIsValid(constraint.table))
		constraint.restored = pgseal_restores_by_insert(pgseal_hash_executor);
	if (OidIsValid(constraint.table) && !alone)
	{
		constraint.table = InvalidOid;
		constraint.strict = true;
	}
	if (is_condition_of_trigger(function))
		constraint.strict = true;
	if (has_domain_value(function->fn_expr, NULL))
	{
		constraint.strict = true;
		constraint.restored = pgseal_restores_domain(pgseal_hash_executor);
	}
	return constraint;
}

Datum
pgseal_open_for_constraint(const PgsealType *type, Datum sealed, PgsealConstraint constraint,
						   bool *out_isnull)
{
	Datum		value;
	PgsealEnvelope envelope;

	*out_isnull = OidIsValid(constraint.restored) &&
		pgseal_restored_before_key(constraint.restored, sealed);
	if (*out_isnull)
		return (Datum) 0;
	if (!OidIsValid(constraint.table))
	{
		value = pgseal_value_open(type, sealed, PGSEAL_ACCESS_CHECKED, out_isnull);
		if (*out_isnull && constraint.strict)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to check a constraint on encrypted values")));
		return value;
	}
	if (pgseal_value_try_header(&envelope, sealed))
	{
		const PgsealKeyInfo *info = pgseal_keyring_info(envelope.key_version_id);

		if (OidIsValid(info->server))
			pgseal_check_owner_usage(constraint.table, pgseal_relation_owner(constraint.table),
									 info->server);
	}
	return pgseal_value_open(type, sealed, PGSEAL_ACCESS_INTERNAL, out_isnull);
}
