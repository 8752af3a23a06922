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
 * A call is a constraint's if the expression that the executor has made of the
 * constraint has it.  Of COPY FROM nobody has the executor at hand; but what it
 * evaluates for the table lives in the memory of its executor, whose parent is the
 * context that COPY began in, and what is the user's (WHERE) lives elsewhere.
 *
 * A domain's constraint doesn't say of which domain it is, so it is the user who must
 * have the privilege there; but without it, a value is an error and never NULL, which
 * would pass.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "executor/execExpr.h"
#include "nodes/execnodes.h"
#include "nodes/nodeFuncs.h"
#include "utils/memutils.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "type/constraint_caller.h"
#include "type/hash_caller.h"
#include "value/owner_usage.h"
#include "value/seal.h"

PgsealCopying pgseal_copying = {NULL, InvalidOid};

static bool calls(ExprState *expr, const FmgrInfo *function);

static bool
step_calls(ExprState *expr, ExprEvalStep *step, const FmgrInfo *function)
{
	switch (ExecEvalStepOp(expr, step))
	{
		case EEOP_FUNCEXPR:
		case EEOP_FUNCEXPR_STRICT:
		case EEOP_FUNCEXPR_FUSAGE:
		case EEOP_FUNCEXPR_STRICT_FUSAGE:
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

static Oid
checked_table(List *result_relations, const FmgrInfo *function)
{
	ListCell   *lc;

	foreach(lc, result_relations)
	{
		ResultRelInfo *result_relation = lfirst(lc);
		ExprState **checks = result_relation->pgseal_check_exprs;
		TupleConstr *constr = RelationGetDescr(result_relation->ri_RelationDesc)->constr;

		for (int i = 0; checks != NULL && constr != NULL && i < constr->num_check; i++)
			if (calls(checks[i], function))
				return RelationGetRelid(result_relation->ri_RelationDesc);
	}
	return InvalidOid;
}

/* Only the constraint of a domain has VALUE in it. */
static bool
has_domain_value(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return IsA(node, CoerceToDomainValue) || expression_tree_walker(node, has_domain_value, context);
}

static Oid
table_of_constraint(const FmgrInfo *function)
{
	EState	   *executor = pgseal_hash_executor;
	Oid			table;

	if (executor == NULL)
		return pgseal_copying.context != NULL &&
			MemoryContextGetParent(function->fn_mcxt) == pgseal_copying.context &&
			strcmp(function->fn_mcxt->name, "ExecutorState") == 0 ?
			pgseal_copying.table : InvalidOid;
	table = checked_table(executor->es_opened_result_relations, function);
	return OidIsValid(table) ? table :
		checked_table(executor->es_tuple_routing_result_relations, function);
}

PgsealConstraint
pgseal_constraint_caller(const FmgrInfo *function)
{
	PgsealConstraint constraint = {table_of_constraint(function), false};

	constraint.of_domain = has_domain_value(function->fn_expr, NULL);
	return constraint;
}

Datum
pgseal_open_for_constraint(const PgsealType *type, Datum sealed, PgsealConstraint constraint,
						   bool *out_isnull)
{
	Datum		value;
	PgsealEnvelope envelope;

	if (!OidIsValid(constraint.table))
	{
		value = pgseal_value_open(type, sealed, PGSEAL_ACCESS_CHECKED, out_isnull);
		if (*out_isnull && constraint.of_domain)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("permission denied to check an encrypted value against its domain")));
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
