/*-------------------------------------------------------------------------
 *
 * printing_bodies.c
 *	  What may be printed in the body of an SQL function.
 *
 * A body is text until PostgreSQL inlines it, and then it is part of a query that has been
 * seen already (plain_callers.c).  So it is parsed here, and each function and
 * operator in it looked up as PostgreSQL will look it up.  Which of several of a name it
 * will be shows only with the arguments' types; if any of them prints what it is given
 * (open_arguments.c), the body may.  So may a cast, also one that is written as
 * a call of the type's name, date(x), or as a field, x.name.
 *
 * The answer yes costs no more than that the function isn't inlined.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "parser/parser.h"
#include "utils/acl.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "statement/open_arguments.h"
#include "statement/printing_bodies.h"

bool
pgseal_makes_xml(Oid function)
{
	switch (function)
	{
		case F_QUERY_TO_XML:
		case F_QUERY_TO_XMLSCHEMA:
		case F_QUERY_TO_XML_AND_XMLSCHEMA:
		case F_TABLE_TO_XML:
		case F_TABLE_TO_XML_AND_XMLSCHEMA:
		case F_SCHEMA_TO_XML:
		case F_SCHEMA_TO_XML_AND_XMLSCHEMA:
		case F_DATABASE_TO_XML:
		case F_DATABASE_TO_XML_AND_XMLSCHEMA:
			return true;
		default:
			return false;
	}
}

/* Functions of extensions that take a row print it (open_arguments.c). */
static bool
takes_row(FuncCandidateList candidate)
{
	if (candidate->oid < FirstNormalObjectId)
		return false;
	for (int i = 0; i < candidate->nargs; i++)
		if (candidate->args[i] == RECORDOID)
			return true;
	return false;
}

/* Is there nothing for PostgreSQL to refuse about a name?  That is said when it is called. */
static bool
can_be_looked_up(List *name)
{
	Oid			schema;

	if (list_length(name) == 1)
		return true;
	schema = list_length(name) == 2 ? get_namespace_oid(strVal(linitial(name)), true) : InvalidOid;
	return OidIsValid(schema) &&
		pgseal_schema_aclcheck(schema, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

static void
look_at_function(List *name, int num_args, PgsealPrinting *printing)
{
	if (!can_be_looked_up(name))
	{
		*printing = Max(*printing, PGSEAL_PRINTS_ARGUMENTS);
		return;
	}
	for (FuncCandidateList candidate = FuncnameGetCandidates(name, -1, NIL, false, false, false, true);
		 candidate != NULL; candidate = candidate->next)
	{
		if (pgseal_makes_xml(candidate->oid))
			*printing = PGSEAL_PRINTS_QUERIES;
		else if (*printing == PGSEAL_PRINTS_NOTHING &&
				 (pgseal_prints_arguments(candidate->oid) || takes_row(candidate)))
			*printing = PGSEAL_PRINTS_ARGUMENTS;
	}
	if (num_args == 1 && *printing == PGSEAL_PRINTS_NOTHING &&
		OidIsValid(LookupTypeNameOid(NULL, makeTypeNameFromNameList(name), true)))
		*printing = PGSEAL_PRINTS_ARGUMENTS;
}

static bool
operator_prints(List *name)
{
	if (!can_be_looked_up(name))
		return true;
	for (FuncCandidateList candidate = OpernameGetCandidates(name, 'b', true);
		 candidate != NULL; candidate = candidate->next)
		if (pgseal_prints_arguments(get_opcode(candidate->oid)))
			return true;
	return false;
}

/* Fields may be functions of what they are fields of. */
static void
look_at_fields(List *fields, PgsealPrinting *printing)
{
	ListCell   *lc;

	foreach(lc, fields)
		if (IsA(lfirst(lc), String))
			look_at_function(list_make1(lfirst(lc)), 1, printing);
}

static bool
printing_walker(Node *node, void *context)
{
	PgsealPrinting *printing = context;

	if (node == NULL)
		return false;
	if (IsA(node, TypeCast) || IsA(node, XmlExpr) || IsA(node, XmlSerialize) ||
		pgseal_is_json_syntax(node) ||
		(IsA(node, A_Expr) && operator_prints(((A_Expr *) node)->name)))
		*printing = Max(*printing, PGSEAL_PRINTS_ARGUMENTS);
	else if (IsA(node, FuncCall))
		look_at_function(((FuncCall *) node)->funcname, list_length(((FuncCall *) node)->args), printing);
	else if (IsA(node, A_Indirection))
		look_at_fields(((A_Indirection *) node)->indirection, printing);
	else if (IsA(node, ColumnRef) && list_length(((ColumnRef *) node)->fields) > 1)
		look_at_fields(list_copy_tail(((ColumnRef *) node)->fields, 1), printing);
	return *printing == PGSEAL_PRINTS_QUERIES ||
		raw_expression_tree_walker(node, printing_walker, context);
}

/* The statements of a body; NIL where it can't be parsed, which PostgreSQL will say. */
static List *
parsed(const char *body)
{
	MemoryContext context = CurrentMemoryContext;
	List	   *volatile statements = NIL;

	PG_TRY();
	{
		statements = raw_parser(body, RAW_PARSE_DEFAULT);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		if (ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
	}
	PG_END_TRY();
	return statements;
}

/* May it be an array or a row, of whatever type the arguments are? */
static bool
may_be_printed(Node *expr)
{
	if (IsA(expr, A_Const))
		return false;
	if (!IsA(expr, FuncCall) || !can_be_looked_up(((FuncCall *) expr)->funcname))
		return true;
	for (FuncCandidateList candidate = FuncnameGetCandidates(((FuncCall *) expr)->funcname, -1, NIL, false, false, false, true);
		 candidate != NULL; candidate = candidate->next)
	{
		Oid			result = get_func_rettype(candidate->oid);

		if (IsPolymorphicType(result) || type_is_rowtype(result) || type_is_array(result))
			return true;
	}
	return false;
}

/*
 * A column of another type than the function's result was declared to be of is converted to
 * that, where that is text by printing it.
 */
static bool
result_may_be_printed(SelectStmt *select)
{
	ListCell   *lc;

	foreach(lc, select->targetList)
		if (may_be_printed(lfirst_node(ResTarget, lc)->val))
			return true;
	return select->targetList == NIL;
}

PgsealPrinting
pgseal_printing_in_body(const char *body, bool *out_result)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal body of a function",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	PgsealPrinting printing = PGSEAL_PRINTS_NOTHING;
	List	   *statements = parsed(body);

	/* PostgreSQL inlines nothing but one SELECT */
	*out_result = false;
	if (list_length(statements) == 1 && IsA(linitial_node(RawStmt, statements)->stmt, SelectStmt))
	{
		SelectStmt *select = (SelectStmt *) linitial_node(RawStmt, statements)->stmt;

		(void) printing_walker((Node *) select, &printing);
		*out_result = result_may_be_printed(select);
	}
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return printing;
}
