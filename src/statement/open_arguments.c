/*-------------------------------------------------------------------------
 *
 * open_arguments.c
 *	  Opening the arguments of what prints what it is given.
 *
 * concat(), format(), json_object_agg(), JSON_OBJECT() and their like take arguments of "any"
 * type and print them with the type's output function, which for an encrypted
 * type is the sealed form; no cast and no overload comes into play.  So does
 * what prints whole arrays and rows (text || row), and a cast that PostgreSQL makes of an output
 * and an input function, as from text to date or to an enum, from an array or a row
 * to text.  So in every query that is analyzed, also in functions, such an
 * argument is put through pgseal_internal.open(), the public cast, or its like for arrays
 * and rows (opened.c): it checks the privilege and is no more than what
 * "concat(email::text)" would be.
 *
 * On the same way through the query, calls of functions with several of their name are
 * looked at again (overloads.c), and columns that joins have merged (join_columns.c).
 *
 * Bodies of SQL functions in standard form (BEGIN ATOMIC, RETURN) are not
 * analyzed through the hook; functions.c does the same to them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "statement/join_columns.h"
#include "statement/open_arguments.h"
#include "statement/opened.h"
#include "statement/overloads.h"

bool
pgseal_prints_arguments(Oid function)
{
	switch (function)
	{
		case F_CONCAT:
		case F_CONCAT_WS:
		case F_FORMAT_TEXT_ANY:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT:
		case F_ARRAY_TO_STRING_ANYARRAY_TEXT_TEXT:
		case F_QUOTE_LITERAL_ANYELEMENT:
		case F_QUOTE_NULLABLE_ANYELEMENT:
		case F_TEXTANYCAT:
		case F_ANYTEXTCAT:
		case F_JSON_BUILD_OBJECT_ANY:
		case F_JSONB_BUILD_OBJECT_ANY:
		case F_JSON_OBJECT_AGG:
		case F_JSONB_OBJECT_AGG:
			return true;
		default:
			return pgseal_is_later_json_aggregate(function);
	}
}

/* The queries around what is walked through, the innermost first */
typedef struct Walk
{
	List	   *queries;
} Walk;

/* The opened argument; itself when it holds no sealed values */
static Node *
open_argument(Node *arg, Walk *walk)
{
	Expr	   *opened = arg != NULL ?
		pgseal_opened((Expr *) arg, PGSEAL_OPEN_ARGUMENT, walk->queries) : NULL;

	return opened != NULL ? (Node *) opened : arg;
}

static void
open_arguments(List *args, Walk *walk)
{
	ListCell   *lc;

	foreach(lc, args)
		lfirst(lc) = open_argument(lfirst(lc), walk);
}

/* One that DISTINCT or ORDER BY refers to must stay what it is. */
static void
open_aggregated(Aggref *aggregate, Walk *walk)
{
	ListCell   *lc;
	ListCell   *type;

	forboth(lc, aggregate->args, type, aggregate->aggargtypes)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (target->resjunk || target->ressortgroupref != 0)
			continue;
		target->expr = (Expr *) open_argument((Node *) target->expr, walk);
		lfirst_oid(type) = exprType((Node *) target->expr);
	}
}

/*
 * Functions of other extensions that take a row print it, as hstore(record)
 * does.  Those of PostgreSQL that do are among the above, or compare.
 */
static void
open_rows(FuncExpr *function, Walk *walk)
{
	ListCell   *lc;
	Oid		   *declared;
	int			num_declared;

	if (function->funcid < FirstNormalObjectId ||
		get_func_namespace(function->funcid) == pgseal_internal_schema())
		return;
	(void) get_func_signature(function->funcid, &declared, &num_declared);
	foreach(lc, function->args)
		if (foreach_current_index(lc) < num_declared &&
			declared[foreach_current_index(lc)] == RECORDOID)
			lfirst(lc) = open_argument(lfirst(lc), walk);
}

static bool
open_printed_walker(Node *node, void *context)
{
	Walk	   *walk = (Walk *) context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Walk		inner = {lcons(node, walk->queries)};

		pgseal_join_columns_choose((Query *) node);
		return query_tree_walker((Query *) node, open_printed_walker, &inner, 0);
	}

	/* What is in an argument first: once opened, a row isn't known as one */
	(void) expression_tree_walker(node, open_printed_walker, context);
	if (IsA(node, FuncExpr) && pgseal_prints_arguments(((FuncExpr *) node)->funcid))
		open_arguments(((FuncExpr *) node)->args, walk);
	else if (IsA(node, FuncExpr))
	{
		pgseal_overload_choose((FuncExpr *) node);
		open_rows((FuncExpr *) node, walk);
	}
	else if (IsA(node, OpExpr))
	{
		set_opfuncid((OpExpr *) node);
		if (pgseal_prints_arguments(((OpExpr *) node)->opfuncid))
			open_arguments(((OpExpr *) node)->args, walk);
		else
			pgseal_overload_check(node);
	}
	else if (IsA(node, WindowFunc) && pgseal_prints_arguments(((WindowFunc *) node)->winfnoid))
		open_arguments(((WindowFunc *) node)->args, walk);
	else if (IsA(node, Aggref) && pgseal_prints_arguments(((Aggref *) node)->aggfnoid))
		open_aggregated((Aggref *) node, walk);
	else if (IsA(node, WindowFunc) || IsA(node, Aggref))
		pgseal_overload_check(node);
	else if (IsA(node, CoerceViaIO))
		((CoerceViaIO *) node)->arg = (Expr *) open_argument((Node *) ((CoerceViaIO *) node)->arg, walk);
	else if (IsA(node, XmlExpr))
	{
		open_arguments(((XmlExpr *) node)->named_args, walk);
		open_arguments(((XmlExpr *) node)->args, walk);
	}
	else
		open_arguments(pgseal_json_constructor_args(node), walk);
	return false;
}

void
pgseal_open_arguments(Query *query)
{
	Walk		walk = {list_make1(query)};

	pgseal_join_columns_choose(query);
	(void) query_tree_walker(query, open_printed_walker, &walk, 0);
}
