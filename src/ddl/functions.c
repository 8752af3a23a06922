/*-------------------------------------------------------------------------
 *
 * functions.c
 *	  Functions that are made to work on encrypted columns.
 *
 * A parameter declared as table.column%TYPE is of the column's base type: it was
 * written for what callers hold, which is plaintext; an encrypted column converts
 * to that by itself.  Who wants sealed values passed names the encrypted type.
 *
 * The body of an SQL function in standard form is analyzed when the function is
 * made, and not through the parser's hook, so what it prints is opened here
 * (open_arguments.c).  Which of several functions of a name it calls is seen to before
 * (expressions.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_proc.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "ddl/functions.h"
#include "statement/open_arguments.h"
#include "value/basetype.h"

static ProcessUtility_hook_type prev_process_utility;

/*
 * Parameters of a column's type
 */

/* The base type of the column that %TYPE names; InvalidOid when it is not encrypted */
static Oid
base_of_column(TypeName *type_name)
{
	int			num_names = list_length(type_name->names);
	Oid			relation;
	AttrNumber	column;
	const PgsealType *type;
	Oid			element;

	if (num_names < 2)
		return InvalidOid;
	relation = RangeVarGetRelid(makeRangeVarFromNameList(list_copy_head(type_name->names,
																		num_names - 1)),
								NoLock, true);
	if (!OidIsValid(relation))
		return InvalidOid;
	column = get_attnum(relation, strVal(llast(type_name->names)));
	if (column == InvalidAttrNumber)
		return InvalidOid;
	type = pgseal_type_by_oid(get_atttype(relation, column));
	if (type != NULL)
		return type->base->oid;
	element = get_element_type(get_atttype(relation, column));
	type = OidIsValid(element) ? pgseal_type_by_oid(element) : NULL;
	return type != NULL ? get_array_type(type->base->oid) : InvalidOid;
}

static void
take_base_types(List *parameters)
{
	ListCell   *lc;

	foreach(lc, parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);
		Oid			base;

		if (!parameter->argType->pct_type || parameter->mode == FUNC_PARAM_OUT ||
			parameter->mode == FUNC_PARAM_TABLE)
			continue;
		base = base_of_column(parameter->argType);
		if (!OidIsValid(base))
			continue;
		ereport(NOTICE,
				(errmsg("type reference %s converted to %s",
						TypeNameToString(parameter->argType), format_type_be(base))));
		parameter->argType = makeTypeNameFromOid(base, -1);
	}
}

/*
 * Bodies in standard form
 */

/* The function that the statement made, as in the catalog */
static HeapTuple
made_function(CreateFunctionStmt *stmt)
{
	Oid			types[FUNC_MAX_ARGS];
	int			num_types = 0;
	char	   *name;
	Oid			schema = QualifiedNameGetCreationNamespace(stmt->funcname, &name);
	ListCell   *lc;

	foreach(lc, stmt->parameters)
	{
		FunctionParameter *parameter = lfirst_node(FunctionParameter, lc);
		bool		is_argument = parameter->mode != FUNC_PARAM_TABLE &&
			(parameter->mode != FUNC_PARAM_OUT || stmt->is_procedure);

		if (is_argument && num_types < FUNC_MAX_ARGS)
			types[num_types++] = typenameTypeId(NULL, parameter->argType);
	}
	return SearchSysCacheCopy3(PROCNAMEARGSNSP, CStringGetDatum(name),
							   PointerGetDatum(buildoidvector(types, num_types)),
							   ObjectIdGetDatum(schema));
}

static void
open_in_queries(Node *body)
{
	ListCell   *lc;

	/* BEGIN ATOMIC END holds nothing */
	if (body == NULL)
		return;
	if (IsA(body, Query))
		pgseal_open_arguments((Query *) body);
	else if (IsA(body, List))
		foreach(lc, (List *) body)
			open_in_queries(lfirst(lc));
}

static void
open_printed_in_body(CreateFunctionStmt *stmt)
{
	Relation	catalog = table_open(ProcedureRelationId, RowExclusiveLock);
	HeapTuple	tuple = made_function(stmt);
	Datum		values[Natts_pg_proc] = {0};
	bool		nulls[Natts_pg_proc] = {0};
	bool		replaces[Natts_pg_proc] = {0};
	bool		isnull = true;
	char	   *before = NULL;
	char	   *after;
	Node	   *body;

	if (HeapTupleIsValid(tuple))
	{
		Datum		stored = SysCacheGetAttr(PROCNAMEARGSNSP, tuple, Anum_pg_proc_prosqlbody,
											 &isnull);

		before = isnull ? NULL : TextDatumGetCString(stored);
	}
	if (before != NULL)
	{
		body = stringToNode(before);
		open_in_queries(body);
		after = nodeToString(body);
		if (strcmp(before, after) != 0)
		{
			values[Anum_pg_proc_prosqlbody - 1] = CStringGetTextDatum(after);
			replaces[Anum_pg_proc_prosqlbody - 1] = true;
			tuple = heap_modify_tuple(tuple, RelationGetDescr(catalog), values, nulls, replaces);
			CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
			CommandCounterIncrement();
		}
	}
	table_close(catalog, RowExclusiveLock);
}

static void
functions_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
						  ProcessUtilityContext context, ParamListInfo params,
						  QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		makes = IsA(pstmt->utilityStmt, CreateFunctionStmt) &&
		OidIsValid(pgseal_extension_oid());

	if (makes)
	{
		if (read_only_tree)
			pstmt = copyObject(pstmt);
		read_only_tree = false;
		take_base_types(((CreateFunctionStmt *) pstmt->utilityStmt)->parameters);
	}
	prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	if (makes && ((CreateFunctionStmt *) pstmt->utilityStmt)->sql_body != NULL)
		open_printed_in_body((CreateFunctionStmt *) pstmt->utilityStmt);
}

void
pgseal_functions_init(void)
{
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = functions_process_utility;
}
