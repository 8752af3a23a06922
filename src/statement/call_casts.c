/*-------------------------------------------------------------------------
 *
 * call_casts.c
 *	  Queries that call one of several functions of a name.
 *
 * Where a plain column might be taken by another function, operator or aggregate of the
 * name (overloads.c), the statement is analyzed once more, with casts to the base types
 * in it (written_casts.c): then PostgreSQL itself chooses, for the types of plain
 * columns, and gives literals and parameters without a type those of that function.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "parser/parse_param.h"

#include "base/compat.h"
#include "base/extension.h"
#include "statement/analyze_again.h"
#include "statement/call_casts.h"
#include "statement/parameters.h"
#include "statement/written_casts.h"

/* The parameters of a statement */
typedef struct Parameters
{
	ParseState *before;
	Oid		   *declared;		/* NULL unless types are inferred */
	int			number;
} Parameters;

/* PgsealParameterSetup */
static void
set_up_parameters(ParseState *pstate, void *context)
{
	Parameters *parameters = context;
	ParseState *before = parameters->before;

	if (parameters->declared != NULL)
	{
		setup_parse_variable_parameters(pstate, &parameters->declared, &parameters->number);
		return;
	}
	pstate->p_pre_columnref_hook = before->p_pre_columnref_hook;
	pstate->p_post_columnref_hook = before->p_post_columnref_hook;
	pstate->p_paramref_hook = before->p_paramref_hook;
	pstate->p_coerce_param_hook = before->p_coerce_param_hook;
	pstate->p_ref_hook_state = before->p_ref_hook_state;
}

/* Has each parameter got a type? */
static bool
are_known(const Parameters *parameters)
{
	for (int i = 0; parameters->declared != NULL && i < parameters->number; i++)
		if (!OidIsValid(parameters->declared[i]) || parameters->declared[i] == UNKNOWNOID)
			return false;
	return true;
}

RawStmt *
pgseal_call_casts(ParseState *pstate, Query *query, Query *analyzed, const PrepareStmt *prepare)
{
	Parameters	parameters = {.before = pstate};
	RawStmt    *raw;
	Query	   *again;

	if (!OidIsValid(pgseal_extension_oid()) || !pgseal_wants_casts(analyzed))
		return NULL;
	raw = pgseal_parsed_again(pstate, query, prepare);
	if (raw == NULL)
		return NULL;
	(void) pgseal_write_casts((Node *) analyzed, raw->stmt, true);
	parameters.declared = pgseal_parameters_declared(pstate, prepare, &parameters.number);
	again = pgseal_analyze_again(pstate, raw, set_up_parameters, &parameters);
	if (again == NULL || again->commandType != query->commandType || !are_known(&parameters))
		return NULL;
	if (parameters.declared != NULL)
	{
		PgsealInferredParams *inferred = pstate->p_ref_hook_state;

		if (parameters.number != *inferred->numParams)
			return NULL;
		memcpy(*inferred->paramTypes, parameters.declared, sizeof(Oid) * parameters.number);
	}
	again->queryId = query->queryId;
	*query = *again;
	return raw;
}
