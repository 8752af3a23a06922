/*-------------------------------------------------------------------------
 *
 * json_arguments.c
 *	  What SQL/JSON takes as JSON in text form, and values for a path.
 *
 * JSON(v), JSON_SERIALIZE(v), v::json and v FORMAT JSON parse what a text column holds.  Of
 * an encrypted one, PostgreSQL would make a JSON string: its cast to json is for
 * row_to_json() and its like, to which each value is one.  And PASSING d AS x hands a path
 * a date, but what an encrypted column holds as the string that it is printed as, which
 * compares with no date; so both are cast to the base type first (written_casts.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "statement/json_arguments.h"
#include "value/basetype.h"

bool
pgseal_json_is_cast(Node *analyzed)
{
	FuncExpr   *cast = (FuncExpr *) analyzed;
	const PgsealType *type;

	if (!IsA(analyzed, FuncExpr) || cast->funcformat != COERCE_EXPLICIT_CAST ||
		cast->funcresulttype != JSONOID || list_length(cast->args) != 1)
		return false;
	type = pgseal_type_by_oid(getBaseType(exprType(linitial(cast->args))));
	return type != NULL && type->base->oid == TEXTOID;
}

#ifndef PGSEAL_HAS_JSON_CONSTRUCTORS

List *
pgseal_json_given(Node *analyzed, int *out_location)
{
	return NIL;
}

List *
pgseal_json_places(Node *parsed, int *out_location)
{
	return NIL;
}

#else

/* Of what is taken as JSON if that is said, or where nothing else makes sense */
static Node *
given_as_json(Node *arg)
{
	if (IsA(arg, TargetEntry))
		arg = (Node *) ((TargetEntry *) arg)->expr;
	return IsA(arg, JsonValueExpr) ? (Node *) ((JsonValueExpr *) arg)->raw_expr : NULL;
}

List *
pgseal_json_given(Node *analyzed, int *out_location)
{
	List	   *args = NIL;
	List	   *given = NIL;
	ListCell   *lc;

	if (IsA(analyzed, JsonConstructorExpr))
	{
		JsonConstructorExpr *constructor = (JsonConstructorExpr *) analyzed;

		args = constructor->args;
		if (constructor->func != NULL && IsA(constructor->func, Aggref))
			args = ((Aggref *) constructor->func)->args;
		else if (constructor->func != NULL && IsA(constructor->func, WindowFunc))
			args = ((WindowFunc *) constructor->func)->args;
		*out_location = constructor->location;
		foreach(lc, args)
			given = lappend(given, given_as_json(lfirst(lc)));
	}
#ifdef PGSEAL_HAS_JSON_QUERIES
	else if (IsA(analyzed, JsonExpr))
	{
		*out_location = ((JsonExpr *) analyzed)->location;
		foreach(lc, ((JsonExpr *) analyzed)->passing_values)
		{
			Node	   *as_json = given_as_json(lfirst(lc));

			given = lappend(given, as_json != NULL ? as_json : lfirst(lc));
		}
	}
#endif
	return given;
}

static List *
place(JsonValueExpr * value)
{
	return list_make1(&value->raw_expr);
}

static List *
key_and_place(JsonKeyValue * pair)
{
	return lcons(&pair->key, place(pair->value));
}

#ifdef PGSEAL_HAS_JSON_QUERIES
static List *
passing_places(List *passing)
{
	List	   *places = NIL;
	ListCell   *lc;

	foreach(lc, passing)
		places = list_concat(places, place(lfirst_node(JsonArgument, lc)->val));
	return places;
}
#endif

/* The column of JSON_ARRAY(SELECT ...) */
static List *
column_place(Node *query)
{
	SelectStmt *select = (SelectStmt *) query;

	if (!IsA(query, SelectStmt) || list_length(select->targetList) != 1)
		return NIL;
	return list_make1(&linitial_node(ResTarget, select->targetList)->val);
}

List *
pgseal_json_places(Node *parsed, int *out_location)
{
	List	   *places = NIL;
	ListCell   *lc;

	switch (nodeTag(parsed))
	{
		case T_JsonObjectConstructor:
			*out_location = ((JsonObjectConstructor *) parsed)->location;
			foreach(lc, ((JsonObjectConstructor *) parsed)->exprs)
				places = list_concat(places, key_and_place(lfirst(lc)));
			return places;
		case T_JsonArrayConstructor:
			*out_location = ((JsonArrayConstructor *) parsed)->location;
			foreach(lc, ((JsonArrayConstructor *) parsed)->exprs)
				places = list_concat(places, place(lfirst(lc)));
			return places;
		case T_JsonArrayQueryConstructor:
			*out_location = ((JsonArrayQueryConstructor *) parsed)->location;
			return column_place(((JsonArrayQueryConstructor *) parsed)->query);
		case T_JsonObjectAgg:
			*out_location = ((JsonObjectAgg *) parsed)->constructor->location;
			return key_and_place(((JsonObjectAgg *) parsed)->arg);
		case T_JsonArrayAgg:
			*out_location = ((JsonArrayAgg *) parsed)->constructor->location;
			return place(((JsonArrayAgg *) parsed)->arg);
#ifdef PGSEAL_HAS_JSON_QUERIES
		case T_JsonParseExpr:
			*out_location = ((JsonParseExpr *) parsed)->location;
			return place(((JsonParseExpr *) parsed)->expr);
		case T_JsonSerializeExpr:
			*out_location = ((JsonSerializeExpr *) parsed)->location;
			return place(((JsonSerializeExpr *) parsed)->expr);
		case T_JsonFuncExpr:
			*out_location = ((JsonFuncExpr *) parsed)->location;
			return passing_places(((JsonFuncExpr *) parsed)->passing);
		case T_JsonTable:
			*out_location = ((JsonTable *) parsed)->location;
			return passing_places(((JsonTable *) parsed)->passing);
#endif
		default:
			return NIL;
	}
}

#endif							/* PGSEAL_HAS_JSON_CONSTRUCTORS */
