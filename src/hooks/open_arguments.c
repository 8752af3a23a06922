/*-------------------------------------------------------------------------
 *
 * open_arguments.c
 *	  Opening the arguments of what prints what it is given.
 *
 * concat(), format(), json_object_agg(), JSON_OBJECT() and their like take arguments of "any"
 * type and print them with the type's output function, which for an encrypted
 * type is the sealed form; no cast and no overload comes into play.  A cast
 * that PostgreSQL makes of an output and an input function, as from text to
 * date or to an enum, does the same.  So in every query that is analyzed, also
 * in functions, such an argument is put through pgseal.open(), the public cast:
 * it checks the privilege and is no more than what "concat(email::text)" would
 * be.
 *
 * Bodies of SQL functions in standard form (BEGIN ATOMIC, RETURN) are not
 * analyzed through the hook; there the cast must be written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_func.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "hooks/open_arguments.h"
#include "value/basetype.h"

static bool
prints_arguments(Oid function)
{
	switch (function)
	{
		case F_CONCAT:
		case F_CONCAT_WS:
		case F_FORMAT_TEXT_ANY:
		case F_JSON_BUILD_OBJECT_ANY:
		case F_JSONB_BUILD_OBJECT_ANY:
		case F_JSON_OBJECT_AGG:
		case F_JSONB_OBJECT_AGG:
		PGSEAL_CASE_JSON_AGGREGATES
			return true;
		default:
			return false;
	}
}

/* The opened argument; itself when it is not encrypted */
static Node *
open_argument(Node *arg)
{
	Oid			oid = exprType(arg);
	Oid			collation = exprCollation(arg);
	const PgsealType *type;
	Oid			function;

	if (oid < FirstNormalObjectId)
		return arg;
	type = pgseal_type_by_oid(oid);
	if (type == NULL)
		return arg;
	function = LookupFuncName(list_make2(makeString("pgseal"), makeString("open")), 1,
							  &type->oid, false);
	return (Node *) makeFuncExpr(function, type->base->oid, list_make1(arg),
								 get_typcollation(type->base->oid) ? collation : InvalidOid,
								 collation, COERCE_IMPLICIT_CAST);
}

static void
open_arguments(List *args)
{
	ListCell   *lc;

	foreach(lc, args)
		lfirst(lc) = open_argument(lfirst(lc));
}

/* One that DISTINCT or ORDER BY refers to must stay what it is. */
static void
open_aggregated(Aggref *aggregate)
{
	ListCell   *lc;
	ListCell   *type;

	forboth(lc, aggregate->args, type, aggregate->aggargtypes)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (target->resjunk || target->ressortgroupref != 0)
			continue;
		target->expr = (Expr *) open_argument((Node *) target->expr);
		lfirst_oid(type) = exprType((Node *) target->expr);
	}
}

static bool
open_printed_walker(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, open_printed_walker, context, 0);
	if (IsA(node, FuncExpr) && prints_arguments(((FuncExpr *) node)->funcid))
		open_arguments(((FuncExpr *) node)->args);
	else if (IsA(node, WindowFunc) && prints_arguments(((WindowFunc *) node)->winfnoid))
		open_arguments(((WindowFunc *) node)->args);
	else if (IsA(node, Aggref) && prints_arguments(((Aggref *) node)->aggfnoid))
		open_aggregated((Aggref *) node);
	else if (IsA(node, CoerceViaIO))
		((CoerceViaIO *) node)->arg = (Expr *) open_argument((Node *) ((CoerceViaIO *) node)->arg);
	else if (IsA(node, XmlExpr))
	{
		open_arguments(((XmlExpr *) node)->named_args);
		open_arguments(((XmlExpr *) node)->args);
	}
	else
		open_arguments(pgseal_json_constructor_args(node));
	return expression_tree_walker(node, open_printed_walker, context);
}

void
pgseal_printed_open(Query *query)
{
	(void) query_tree_walker(query, open_printed_walker, NULL, 0);
}
