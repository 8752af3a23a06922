/*-------------------------------------------------------------------------
 *
 * search_operators.c
 *	  LIKE, regular expressions and JSON containment on encrypted values.
 *
 * They open the value and do what PostgreSQL does with it.  The planner is given
 * them in the place of PostgreSQL's operators on an opened value (search/unopen.c),
 * so that a sealed index finds them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/fmgrprotos.h"

#include "base/compat.h"
#include "type/constraint_caller.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_like);
PG_FUNCTION_INFO_V1(pgseal_ilike);
PG_FUNCTION_INFO_V1(pgseal_matches);
PG_FUNCTION_INFO_V1(pgseal_imatches);
PG_FUNCTION_INFO_V1(pgseal_starts_with);
PG_FUNCTION_INFO_V1(pgseal_json_contains);
PG_FUNCTION_INFO_V1(pgseal_json_path_exists);
PG_FUNCTION_INFO_V1(pgseal_json_path_match);

/* What a call site knows; the functions of PostgreSQL keep nothing there */
typedef struct Site
{
	const PgsealType *type;
	PgsealConstraint constraint;
} Site;

static const Site *
learn_site(FmgrInfo *function, Oid base_type)
{
	Site	   *site = MemoryContextAlloc(function->fn_mcxt, sizeof(Site));

	site->type = pgseal_type_by_base(base_type);
	site->constraint = pgseal_constraint_caller(function);
	function->fn_extra = site;
	return site;
}

/* What the function of PostgreSQL says about the opened first argument */
static Datum
on_opened(FunctionCallInfo fcinfo, Oid base_type, PGFunction function)
{
	const Site *site = fcinfo->flinfo->fn_extra;
	Datum		sealed = PG_GETARG_DATUM(0);
	bool		isnull;
	Datum		value;
	Datum		result;

	if (site == NULL)
		site = learn_site(fcinfo->flinfo, base_type);
	value = pgseal_open_for_constraint(site->type, sealed, site->constraint, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	fcinfo->args[0].value = value;
	result = function(fcinfo);
	fcinfo->args[0].value = sealed;
	pgseal_wipe(DatumGetPointer(value), VARSIZE_ANY(DatumGetPointer(value)));
	pfree(DatumGetPointer(value));
	return result;
}

#define SEARCH_OPERATOR(name, base_type, function) \
Datum \
name(PG_FUNCTION_ARGS) \
{ \
	return on_opened(fcinfo, base_type, function); \
}

SEARCH_OPERATOR(pgseal_like, TEXTOID, textlike)
SEARCH_OPERATOR(pgseal_ilike, TEXTOID, texticlike)
SEARCH_OPERATOR(pgseal_matches, TEXTOID, textregexeq)
SEARCH_OPERATOR(pgseal_imatches, TEXTOID, texticregexeq)
SEARCH_OPERATOR(pgseal_starts_with, TEXTOID, text_starts_with)
SEARCH_OPERATOR(pgseal_json_contains, JSONBOID, jsonb_contains)
SEARCH_OPERATOR(pgseal_json_path_exists, JSONBOID, jsonb_path_exists_opr)
SEARCH_OPERATOR(pgseal_json_path_match, JSONBOID, jsonb_path_match_opr)
