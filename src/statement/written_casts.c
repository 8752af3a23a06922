/*-------------------------------------------------------------------------
 *
 * written_casts.c
 *	  Casts to the base type that are written into parsed statements.
 *
 * A check, a policy, the condition of a trigger or of COPY is no query, and no hook of
 * the parser sees it.  What opens the arguments of what prints them, and chooses among
 * functions of one name, for queries (open_arguments.c, overloads.c), can't be done to
 * it afterwards either: PostgreSQL goes on with what it has analyzed, before and
 * while it is stored.  Nor can another function of that name be put into a query if it
 * has another result, or if what is beside the encrypted value has taken its type from
 * the first.  So the casts that a careful user would have written are written into the
 * statement: concat(email) becomes concat(email::text), and f(n), where there are several
 * f, f(n::integer).  NULLIF() of two types is of one of them, likewise; and what is JSON in
 * text form, or a value for a path, is that only as a plain value (json_arguments.c).
 *
 * Where they belong is found in the expression's analyzed form, and there by the
 * places in the statement's text that both forms point to.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "statement/analyze_again.h"
#include "statement/json_arguments.h"
#include "statement/open_arguments.h"
#include "statement/opened.h"
#include "statement/overloads.h"
#include "statement/written_casts.h"

/* All kinds of parsed nodes of SQL/JSON: one stands in a place */
#define SQL_JSON		T_Invalid

/* An argument that is to be cast */
typedef struct Cast
{
	NodeTag		parsed;			/* what kind of node the call is when parsed */
	int			location;
	int			number;			/* of the argument */
	Oid			type;
} Cast;

/* Notes the casts of a call's arguments; those of records can't be written. */
static void
note_casts(List **casts, NodeTag parsed, int location, List *args)
{
	ListCell   *lc;

	if (location < 0)
		return;
	foreach(lc, args)
	{
		Node	   *arg = lfirst(lc) != NULL ? pgseal_overload_given(lfirst(lc)) : NULL;
		Expr	   *opened = arg != NULL ? pgseal_opened((Expr *) arg, PGSEAL_OPEN_ARGUMENT, NIL) : NULL;
		Oid			type = opened != NULL ? exprType((Node *) opened) : RECORDOID;
		Cast	   *cast;

		if (type == RECORDOID || type == RECORDARRAYOID)
			continue;
		cast = palloc(sizeof(Cast));
		cast->parsed = parsed;
		cast->location = location;
		cast->number = foreach_current_index(lc);
		cast->type = type;
		*casts = lappend(*casts, cast);
	}
}

/* Where an analyzed call stands */
static int
location_of_call(Node *call)
{
	switch (nodeTag(call))
	{
		case T_FuncExpr:
			return ((FuncExpr *) call)->location;
		case T_OpExpr:
			return ((OpExpr *) call)->location;
		case T_Aggref:
			return ((Aggref *) call)->location;
		case T_WindowFunc:
			return ((WindowFunc *) call)->location;
		default:
			return -1;
	}
}

typedef struct Search
{
	bool		in_query;		/* where what prints is seen to elsewhere */
	List	   *casts;
} Search;

/* May another function be meant, or is it one that prints? */
static bool
wants_casts(Node *call, Oid function, List *args, bool in_query)
{
	return in_query ? pgseal_overload_may_differ(call) :
		pgseal_prints_arguments(function) || pgseal_overload_converts(function, args);
}

/* The same of what is in a query, at next to no cost for PostgreSQL's own */
static bool
is_built_in(Node *node)
{
	return IsA(node, FuncExpr) ? ((FuncExpr *) node)->funcid < FirstNormalObjectId :
		IsA(node, OpExpr) ? ((OpExpr *) node)->opno < FirstNormalObjectId :
		IsA(node, Aggref) ? ((Aggref *) node)->aggfnoid < FirstNormalObjectId :
		IsA(node, WindowFunc) ? ((WindowFunc *) node)->winfnoid < FirstNormalObjectId : false;
}

static bool
find_casts(Node *node, void *context)
{
	Search	   *search = context;
	List	   *args;
	Oid			function;
	int			location = -1;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, find_casts, context, 0);
	if ((args = pgseal_json_given(node, &location)) != NIL)
		note_casts(&search->casts, SQL_JSON, location, args);
	if (search->in_query && is_built_in(node))
		return expression_tree_walker(node, find_casts, context);
	if (IsA(node, NullIfExpr) && pgseal_overload_nullif_differs((NullIfExpr *) node))
		note_casts(&search->casts, T_A_Expr, ((NullIfExpr *) node)->location,
				   ((NullIfExpr *) node)->args);
	if (pgseal_json_is_cast(node))
		note_casts(&search->casts, T_TypeCast, ((FuncExpr *) node)->location,
				   ((FuncExpr *) node)->args);
	function = pgseal_overload_function(node, &args);
	if (OidIsValid(function) && wants_casts(node, function, args, search->in_query))
		note_casts(&search->casts, IsA(node, OpExpr) ? T_A_Expr : T_FuncCall, location_of_call(node),
				   args);
	else if (IsA(node, CoerceViaIO) && !search->in_query)
		note_casts(&search->casts, T_TypeCast, ((CoerceViaIO *) node)->location,
				   list_make1(((CoerceViaIO *) node)->arg));
	return expression_tree_walker(node, find_casts, context);
}

/* The argument of a parsed call, as it is written to; NULL when there is none */
static Node **
argument(Node *call, int number)
{
	int			location;
	List	   *places = pgseal_json_places(call, &location);

	if (places != NIL)
		return number < list_length(places) ? list_nth(places, number) : NULL;
	if (IsA(call, TypeCast))
		return number == 0 ? &((TypeCast *) call)->arg : NULL;
	if (IsA(call, A_Expr))
		return number == 0 && ((A_Expr *) call)->lexpr != NULL ? &((A_Expr *) call)->lexpr :
			&((A_Expr *) call)->rexpr;
	if (number >= list_length(((FuncCall *) call)->args))
		return NULL;
	call = list_nth(((FuncCall *) call)->args, number);
	return IsA(call, NamedArgExpr) ? (Node **) &((NamedArgExpr *) call)->arg : NULL;
}

/*
 * The type has its name in it, with the schema: where nothing else names a result
 * column, the parser takes it from there.
 */
Node *
pgseal_written_cast(Node *arg, Oid type, int32 typmod)
{
	TypeCast   *cast = makeNode(TypeCast);
	HeapTuple	tuple = SearchSysCache1(TYPEOID, ObjectIdGetDatum(type));
	Form_pg_type form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for type %u", type);
	form = (Form_pg_type) GETSTRUCT(tuple);
	cast->arg = arg;
	cast->typeName = makeTypeNameFromNameList(list_make2(makeString(get_namespace_name(form->typnamespace)),
														 makeString(pstrdup(NameStr(form->typname)))));
	cast->typeName->typemod = typmod;
	cast->location = -1;
	ReleaseSysCache(tuple);
	return (Node *) cast;
}

static Node *
with_cast(Node *arg, Oid type)
{
	if (IsA(arg, TypeCast) && ((TypeCast *) arg)->location < 0)
		return arg;				/* it has one already */
	return pgseal_written_cast(arg, type, -1);
}

static void
write_cast(Node *call, const Cast *cast)
{
	Node	  **arg = argument(call, cast->number);

	if (arg != NULL)
		*arg = with_cast(*arg, cast->type);
	else if (IsA(call, FuncCall) && cast->number < list_length(((FuncCall *) call)->args))
	{
		ListCell   *lc = list_nth_cell(((FuncCall *) call)->args, cast->number);

		lfirst(lc) = with_cast(lfirst(lc), cast->type);
	}
}

/* Where a parsed call stands, and what kind it is of */
static int
location_of(Node *call, NodeTag *out_kind)
{
	int			location = -1;

	*out_kind = nodeTag(call);
	switch (nodeTag(call))
	{
		case T_FuncCall:
			return ((FuncCall *) call)->location;
		case T_A_Expr:
			return ((A_Expr *) call)->location;
		case T_TypeCast:
			return ((TypeCast *) call)->location >= 0 ? ((TypeCast *) call)->location :
				((TypeCast *) call)->typeName->location;
		default:
			*out_kind = SQL_JSON;
			return pgseal_json_places(call, &location) != NIL ? location : -1;
	}
}

/* The casts of a parsed node */
static List *
casts_at(Node *node, List *casts)
{
	List	   *found = NIL;
	ListCell   *lc;
	NodeTag		kind;
	int			location = location_of(node, &kind);

	foreach(lc, location >= 0 ? casts : NIL)
	{
		Cast	   *cast = lfirst(lc);

		if (cast->parsed == kind && cast->location == location)
			found = lappend(found, cast);
	}
	return found;
}

static void
write_all(Node *call, List *casts)
{
	ListCell   *lc;

	foreach(lc, casts)
		write_cast(call, lfirst(lc));
}

typedef struct Alike
{
	Node	   *call;			/* before its casts were written */
	List	   *casts;
} Alike;

static bool
write_alike(Node *node, void *context)
{
	Alike	   *alike = context;

	/* There the same names may be of other things */
	if (node == NULL || IsA(node, SelectStmt))
		return false;
	if (equal(node, alike->call))
	{
		write_all(node, alike->casts);
		return false;
	}
	return raw_expression_tree_walker(node, write_alike, context);
}

/*
 * What a query groups by is analyzed once since PostgreSQL 18, and the same expressions
 * elsewhere in the query have lost their places.
 */
static void
write_grouped(SelectStmt *select, Node *call, List *casts)
{
	Alike		alike = {.call = call, .casts = casts};

	(void) write_alike((Node *) select->targetList, &alike);
	(void) write_alike((Node *) select->distinctClause, &alike);
	(void) write_alike((Node *) select->groupClause, &alike);
	(void) write_alike(select->havingClause, &alike);
	(void) write_alike((Node *) select->windowClause, &alike);
	(void) write_alike((Node *) select->sortClause, &alike);
}

typedef struct Writing
{
	List	   *casts;
	SelectStmt *select;			/* around the node */
} Writing;

static bool
write_casts(Node *node, void *context)
{
	Writing    *writing = context;
	List	   *casts;

	if (node == NULL)
		return false;
	if (IsA(node, SelectStmt))
	{
		Writing		within = {.casts = writing->casts, .select = (SelectStmt *) node};

		return raw_expression_tree_walker(node, write_casts, &within);
	}
	casts = casts_at(node, writing->casts);
	if (casts != NIL)
	{
		bool		grouped = writing->select != NULL && writing->select->groupClause != NIL;
		Node	   *call = grouped ? copyObject(node) : NULL;

		write_all(node, casts);
		if (grouped)
			write_grouped(writing->select, call, casts);
	}
	return raw_expression_tree_walker(node, write_casts, context);
}

bool
pgseal_write_casts(Node *analyzed, Node *parsed, bool in_query)
{
	Search		search = {.in_query = in_query};
	Writing		writing = {0};

	(void) find_casts(analyzed, &search);
	if (search.casts == NIL)
		return false;
	writing.casts = search.casts;
	(void) write_casts(pgseal_query_within(parsed), &writing);
	return true;
}

bool
pgseal_wants_casts(Query *query)
{
	Search		search = {.in_query = true};

	(void) find_casts((Node *) query, &search);
	return search.casts != NIL;
}
