/*-------------------------------------------------------------------------
 *
 * column_default.c
 *	  Values in a column's default, which are its table's owner's.
 *
 * DEFAULT lower('X'::encrypted_text) or DEFAULT blind_index('x', 'key') is what the
 * table's owner wants to have in the row, whoever writes it, as a constraint is.  So it
 * is the owner who must have USAGE on the server of a value's key, and pgseal.on_denied
 * says nothing.  The writer sees no more of it than the column that he writes.
 *
 * That holds for defaults that call nothing but functions of PostgreSQL, of this
 * extension and in C.  Another function runs as who writes, under his settings: he could
 * have it return somebody's sealed value, and read in his row what that is.  There it is
 * the writer who must have the privilege, as in any expression of his.
 *
 * A statement has its defaults in its own expressions, where nothing tells them
 * from the user's.  So statement/column_defaults.c puts a call of column_default() in the
 * place of each, which evaluates it with an expression of its own, in a memory
 * context of its own: a call that was looked up there is the default's.  COPY FROM
 * does the same by itself: defaults are what it looks up in its context, besides
 * input functions.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "type/column_default.h"
#include "type/copying.h"
#include "value/basetype.h"
#include "value/find_sealed.h"
#include "value/owner_usage.h"

PG_FUNCTION_INFO_V1(pgseal_column_default);

/* The name of the memory contexts for defaults, which is known by its address */
static const char context_name[] = "pgseal column default";

/*
 * Whose code it is
 */

static bool
is_users_function(Oid function, void *context)
{
	HeapTuple	row;
	Oid			language;

	if (function < FirstNormalObjectId)
		return false;
	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(row))
		elog(ERROR, "cache lookup failed for function %u", function);
	language = ((Form_pg_proc) GETSTRUCT(row))->prolang;
	ReleaseSysCache(row);
	return language != ClanguageId && language != INTERNALlanguageId &&
		getExtensionOfObject(ProcedureRelationId, function) != pgseal_extension_oid();
}

/* Has the type constraints, which are code, here or deeper? */
static bool
is_checked_type(Oid type)
{
	Oid			element;

	if (type < FirstNormalObjectId)
		return type == RECORDOID || type == RECORDARRAYOID;
	element = get_element_type(type);
	if (OidIsValid(element))
		return is_checked_type(element);
	switch (get_typtype(type))
	{
		case TYPTYPE_DOMAIN:
			return DomainHasConstraints(type) || is_checked_type(getBaseType(type));
		case TYPTYPE_BASE:
		case TYPTYPE_ENUM:
			return false;
		default:
			return true;
	}
}

static bool
is_users_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, List))
		return expression_tree_walker(node, is_users_walker, context);
	return IsA(node, CoerceToDomain) || is_checked_type(exprType(node)) ||
		check_functions_in_node(node, is_users_function, context) ||
		expression_tree_walker(node, is_users_walker, context);
}

/* Does it only make a sealed value, which takes no privilege? */
static bool
only_seals(Node *node)
{
	return IsA(node, Const) ||
		(IsA(node, FuncExpr) && pgseal_type_by_oid(exprType(node)) != NULL &&
		 get_func_namespace(((FuncExpr *) node)->funcid) == pgseal_internal_schema());
}

static bool
is_ours(Oid function, void *context)
{
	return function >= FirstNormalObjectId &&
		getExtensionOfObject(ProcedureRelationId, function) == pgseal_extension_oid();
}

/* Is anything in it opened, compared or made a token of? */
static bool
asks_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (!only_seals(node) && check_functions_in_node(node, is_ours, context))
		return true;
	if (IsA(node, MinMaxExpr) && pgseal_type_by_oid(exprType(node)) != NULL)
		return true;
	return expression_tree_walker(node, asks_walker, context);
}

/* A domain is the code of who owns it. */
static bool
is_default_of_table(Relation rel, Form_pg_attribute attribute)
{
	HeapTuple	row;
	Oid			owner;

	if (attribute->atthasdef)
		return attribute->attgenerated == '\0';
	if (get_typtype(attribute->atttypid) != TYPTYPE_DOMAIN)
		return false;
	row = SearchSysCache1(TYPEOID, ObjectIdGetDatum(attribute->atttypid));
	if (!HeapTupleIsValid(row))
		elog(ERROR, "cache lookup failed for type %u", attribute->atttypid);
	owner = ((Form_pg_type) GETSTRUCT(row))->typowner;
	ReleaseSysCache(row);
	return owner == rel->rd_rel->relowner;
}

Node	  **
pgseal_default_value(Node **whole)
{
	while (IsA(*whole, CoerceToDomain))
		whole = (Node **) &((CoerceToDomain *) *whole)->arg;
	return whole;
}

Node *
pgseal_default_of_owner(Relation rel, AttrNumber attnum)
{
	Node	   *whole = NULL;
	Node	   *value;

	if (attnum > 0 && is_default_of_table(rel, TupleDescAttr(RelationGetDescr(rel), attnum - 1)))
		whole = build_column_default(rel, attnum);
	if (whole == NULL)
		return NULL;
	value = *pgseal_default_value(&whole);
	return asks_walker(value, NULL) && !is_users_walker(value, NULL) ? whole : NULL;
}

/*
 * Which of them a call is in
 */

/*
 * Is all that COPY looks up in its context of the table's owner?  The constraints of a
 * column's domain are looked up there, too.
 */
static bool
copies_only_of_owner(Oid table)
{
	Relation	rel = table_open(table, AccessShareLock);
	bool		only = true;

	for (int i = 0; only && i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);
		Node	   *whole;

		if (attribute->attisdropped)
			continue;
		whole = attribute->attgenerated == '\0' ? build_column_default(rel, i + 1) : NULL;
		only = !is_checked_type(attribute->atttypid) &&
			(!asks_walker(whole, NULL) || pgseal_default_of_owner(rel, i + 1) != NULL);
	}
	table_close(rel, AccessShareLock);
	return only;
}

Oid
pgseal_default_table(const FmgrInfo *function)
{
	MemoryContext context = function->fn_mcxt;

	if (context->name == context_name)
		return atooid(context->ident);
	if (pgseal_copying.context != NULL &&
		MemoryContextGetParent(context) == pgseal_copying.context &&
		strcmp(context->name, "COPY") == 0 && copies_only_of_owner(pgseal_copying.table))
		return pgseal_copying.table;
	return InvalidOid;
}

/*
 * Evaluating it
 */

/* What is kept with a call */
typedef struct Evaluation
{
	ExprState  *expr;
	ExprContext *values;
} Evaluation;

static Evaluation *
prepare_evaluation(FunctionCallInfo fcinfo)
{
	Oid			table = PG_GETARG_OID(0);
	Relation	rel = table_open(table, AccessShareLock);
	Node	   *whole = pgseal_default_of_owner(rel, PG_GETARG_INT16(1));
	MemoryContext context = AllocSetContextCreateInternal(fcinfo->flinfo->fn_mcxt, context_name,
														  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Evaluation *evaluation = palloc(sizeof(Evaluation));

	if (whole == NULL)
		elog(ERROR, "column %d of relation %u has no default of its owner's",
			 PG_GETARG_INT16(1), table);
	MemoryContextSetIdentifier(context, psprintf("%u", table));
	evaluation->expr = ExecInitExpr(expression_planner((Expr *) copyObject(*pgseal_default_value(&whole))),
									NULL);
	evaluation->values = CreateStandaloneExprContext();
	MemoryContextSwitchTo(caller);
	table_close(rel, AccessShareLock);
	fcinfo->flinfo->fn_extra = evaluation;
	return evaluation;
}

/* column_default(table, column, internal), whose result is said to be of the column's type */
Datum
pgseal_column_default(PG_FUNCTION_ARGS)
{
	Evaluation *evaluation = fcinfo->flinfo->fn_extra;

	if (evaluation == NULL)
		evaluation = prepare_evaluation(fcinfo);
	return ExecEvalExpr(evaluation->expr, evaluation->values, &fcinfo->isnull);
}
