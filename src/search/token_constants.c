/*-------------------------------------------------------------------------
 *
 * token_constants.c
 *	  Tokens that somebody has written into a stored expression.
 *
 *		CREATE POLICY p ON t USING (blind_index(a) <> '\x01…')
 *
 * With another index key the left side is another token and the constant stays: the
 * condition is silently true, or false, for other rows than before.  So while one is
 * there, the key isn't replaced.
 *
 * Which objects may hold one, PostgreSQL knows: those that depend on blind_index(), or
 * on a column or a view that does, and so on.  Each of their expressions is walked:
 * a column of a view, a subquery or a generated column stands for its expression.  A
 * comparison in which one operand holds tokens, and another a constant and none, is
 * what is looked for.
 *
 * The bodies of functions that are kept as text nobody can look into.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "parser/parse_relation.h"
#include "parser/parsetree.h"
#include "rewrite/prs2lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/spi_query.h"
#include "keys/catalog.h"
#include "search/stored_expressions.h"
#include "search/token_constants.h"

/* Views on views, and recursive ones: deeper, a column is taken for neither */
#define DEPTH_MAX		64

/* Where an expression stands */
typedef struct Place
{
	const char *key;
	int32		key_hash;
	List	   *queries;		/* around it, the innermost first */
	Oid			table;			/* whose expression it is, where no query is
								 * around it */
	int			depth;
} Place;

/* What an operand holds */
typedef struct Contents
{
	Place		place;
	bool		tokens;
	bool		constants;
} Contents;

static bool contents_walker(Node *node, void *context);

/*
 * Columns
 */

static Node *
result_of(Query *query, AttrNumber attnum)
{
	List	   *results = query->commandType == CMD_SELECT ? query->targetList : query->returningList;
	TargetEntry *result = get_tle_by_resno(results, attnum);

	return result != NULL ? (Node *) result->expr : NULL;
}

static Node *
column_of_query(Place *place, Query *query, List *around, AttrNumber attnum)
{
	place->queries = lcons(query, list_copy(around));
	return result_of(query, attnum);
}

static Query *
query_of_view(Relation view)
{
	for (int i = 0; view->rd_rules != NULL && i < view->rd_rules->numLocks; i++)
		if (view->rd_rules->rules[i]->event == CMD_SELECT)
			return linitial_node(Query, view->rd_rules->rules[i]->actions);
	return NULL;
}

/* A column of a view, materialized or not, and a generated one, is made by an expression */
static Node *
column_of_relation(Place *place, Oid relid, AttrNumber attnum)
{
	Relation	rel = attnum > 0 ? try_relation_open(relid, AccessShareLock) : NULL;
	Node	   *expr = NULL;

	if (rel == NULL)
		return NULL;
	if (query_of_view(rel) != NULL)
		expr = column_of_query(place, copyObject(query_of_view(rel)), NIL, attnum);
	else if (attnum <= RelationGetNumberOfAttributes(rel) &&
			 TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated != '\0')
	{
		place->queries = NIL;
		expr = pgseal_stored_generation(rel, attnum);
	}
	relation_close(rel, AccessShareLock);
	return expr;
}

static Node *
column_of_cte(Place *place, RangeTblEntry *rte, List *queries, AttrNumber attnum)
{
	List	   *around = list_copy_tail(queries, (int) rte->ctelevelsup);
	ListCell   *lc;

	if (around == NIL)
		return NULL;
	foreach(lc, linitial_node(Query, around)->cteList)
	{
		CommonTableExpr *cte = lfirst_node(CommonTableExpr, lc);

		if (strcmp(cte->ctename, rte->ctename) == 0)
			return column_of_query(place, castNode(Query, cte->ctequery), around, attnum);
	}
	return NULL;
}

static List *
values_of_column(List *rows, AttrNumber attnum)
{
	List	   *values = NIL;
	ListCell   *lc;

	foreach(lc, rows)
		values = lappend(values, list_nth(lfirst_node(List, lc), attnum - 1));
	return values;
}

/* What a column stands for, which then is at *place; NULL for an ordinary one */
static Node *
expression_of(Place *place, const Var *var)
{
	List	   *queries = list_copy_tail(place->queries, (int) var->varlevelsup);
	RangeTblEntry *rte;

	if (queries == NIL)
		return OidIsValid(place->table) ?
			column_of_relation(place, place->table, var->varattno) : NULL;
	if (var->varattno <= 0 || var->varno > list_length(linitial_node(Query, queries)->rtable))
		return NULL;
	rte = rt_fetch(var->varno, linitial_node(Query, queries)->rtable);
	place->queries = queries;
	if (pgseal_group_exprs(rte) != NIL)
		return list_nth(pgseal_group_exprs(rte), var->varattno - 1);
	switch (rte->rtekind)
	{
		case RTE_RELATION:
			return column_of_relation(place, rte->relid, var->varattno);
		case RTE_SUBQUERY:
			return column_of_query(place, rte->subquery, queries, var->varattno);
		case RTE_CTE:
			return column_of_cte(place, rte, queries, var->varattno);
		case RTE_JOIN:
			return list_nth(rte->joinaliasvars, var->varattno - 1);
		case RTE_VALUES:
			return (Node *) values_of_column(rte->values_lists, var->varattno);
		default:
			return NULL;
	}
}

/*
 * Operands
 */

/* The name of the key that blind_index(value, key) is told, as far as it is known */
static bool
may_name_key(FuncExpr *call, const char *key)
{
	Const	   *name = list_length(call->args) > 1 ? lsecond(call->args) : NULL;

	return name == NULL || !IsA(name, Const) || name->constisnull ||
		strcmp(TextDatumGetCString(name->constvalue), key) == 0;
}

/* Does it make tokens of this key, or of one that isn't known before? */
static bool
makes_tokens(Node *node, const Place *place)
{
	FuncExpr   *call = pgseal_stored_any_call(node);
	int32		typmod;

	if (call == NULL)
		return false;
	if (!pgseal_stored_is_of_value(call))
		return may_name_key(call, place->key);
	typmod = pgseal_stored_typmod(linitial(call->args));
	return typmod == place->key_hash || typmod == PGSEAL_TYPMOD_ANY || typmod == PGSEAL_TYPMOD_NONE;
}

static void
look_at_column(Contents *contents, const Var *var)
{
	Place		here = contents->place;
	Node	   *expr;

	if (here.depth >= DEPTH_MAX)
		return;
	expr = expression_of(&contents->place, var);
	contents->place.depth++;
	(void) contents_walker(expr, contents);
	contents->place = here;
}

static void
look_at_results(Contents *contents, Query *query)
{
	Place		here = contents->place;
	ListCell   *lc;

	contents->place.queries = lcons(query, list_copy(here.queries));
	foreach(lc, query->targetList)
		if (!lfirst_node(TargetEntry, lc)->resjunk)
			(void) contents_walker((Node *) lfirst_node(TargetEntry, lc)->expr, contents);
	contents->place = here;
}

static bool
contents_walker(Node *node, void *context)
{
	Contents   *contents = context;

	if (node == NULL)
		return false;
	if (pgseal_stored_any_call(node) != NULL)
	{
		contents->tokens |= makes_tokens(node, &contents->place);
		return false;
	}
	if (IsA(node, Const))
		contents->constants |= !((Const *) node)->constisnull;
	else if (IsA(node, Var))
		look_at_column(contents, (Var *) node);
	else if (IsA(node, Query))
		look_at_results(contents, (Query *) node);
	else
		return expression_tree_walker(node, contents_walker, context);
	return false;
}

static Contents
contents_of(Node *operand, const Place *place)
{
	Contents	contents = {*place, false, false};

	(void) contents_walker(operand, &contents);
	return contents;
}

/*
 * Comparisons
 */

static bool
is_comparison_of(List *operands, const Place *place)
{
	bool		tokens = false;
	bool		constants = false;
	ListCell   *lc;

	foreach(lc, operands)
	{
		Contents	contents = contents_of(lfirst(lc), place);

		tokens |= contents.tokens;
		constants |= contents.constants && !contents.tokens;
	}
	return tokens && constants;
}

/* CASE token WHEN constant THEN … */
static List *
operands_of_case(CaseExpr *expr)
{
	List	   *operands = NIL;
	ListCell   *lc;

	if (expr->arg == NULL)
		return NIL;
	foreach(lc, expr->args)
		operands = lappend(operands, lfirst_node(CaseWhen, lc)->expr);
	return lcons(expr->arg, operands);
}

/* The operands of what may be a comparison, NIL for all else */
static List *
operands_of(Node *node)
{
	switch (nodeTag(node))
	{
		case T_OpExpr:
			return ((OpExpr *) node)->opresulttype == BOOLOID ? ((OpExpr *) node)->args : NIL;
		case T_DistinctExpr:
			return ((DistinctExpr *) node)->args;
		case T_NullIfExpr:
			return ((NullIfExpr *) node)->args;
		case T_ScalarArrayOpExpr:
			return ((ScalarArrayOpExpr *) node)->args;
		case T_FuncExpr:
			return ((FuncExpr *) node)->funcresulttype == BOOLOID ? ((FuncExpr *) node)->args : NIL;
		case T_RowCompareExpr:
			return list_concat_copy(((RowCompareExpr *) node)->largs, ((RowCompareExpr *) node)->rargs);
		case T_SubLink:
			if (((SubLink *) node)->testexpr == NULL)
				return NIL;
			return list_make2(((SubLink *) node)->testexpr, ((SubLink *) node)->subselect);
		case T_CaseExpr:
			return operands_of_case((CaseExpr *) node);
		default:
			return NIL;
	}
}

static bool
compares_walker(Node *node, void *context)
{
	Place	   *place = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Place		inside = *place;

		inside.queries = lcons(node, list_copy(place->queries));
		return query_tree_walker((Query *) node, compares_walker, &inside, 0);
	}
	if (is_comparison_of(operands_of(node), place))
		return true;
	return expression_tree_walker(node, compares_walker, context);
}

/*
 * Objects
 */

static const char *const expressions_of_dependents =
"WITH RECURSIVE dependent (class, id) AS ("
" SELECT d.classid, d.objid FROM pg_depend e JOIN pg_proc p ON p.oid = e.objid"
"  JOIN pg_depend d ON d.refclassid = e.classid AND d.refobjid = e.objid"
"  WHERE e.classid = 'pg_proc'::regclass AND e.refclassid = 'pg_extension'::regclass"
"  AND e.refobjid = $1 AND e.deptype = 'e' AND p.proname = 'blind_index' AND d.deptype IN ('n', 'a')"
" UNION"
" SELECT d.classid, d.objid FROM dependent s"
"  CROSS JOIN LATERAL (SELECT ev_class FROM pg_rewrite WHERE s.class = 'pg_rewrite'::regclass AND oid = s.id"
"   UNION ALL SELECT adrelid FROM pg_attrdef WHERE s.class = 'pg_attrdef'::regclass AND oid = s.id) r (rel)"
"  JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = r.rel AND d.deptype IN ('n', 'a'))"
", expression (class, id, rel, tree) AS ("
" SELECT 'pg_rewrite'::regclass, oid, 0, unnest(ARRAY[ev_action::text, ev_qual::text]) FROM pg_rewrite"
" UNION ALL SELECT 'pg_policy'::regclass, oid, polrelid, unnest(ARRAY[polqual::text, polwithcheck::text]) FROM pg_policy"
" UNION ALL SELECT 'pg_constraint'::regclass, oid, conrelid, conbin::text FROM pg_constraint"
" UNION ALL SELECT 'pg_trigger'::regclass, oid, tgrelid, tgqual::text FROM pg_trigger"
" UNION ALL SELECT 'pg_attrdef'::regclass, oid, adrelid, adbin::text FROM pg_attrdef"
" UNION ALL SELECT 'pg_proc'::regclass, oid, 0, prosqlbody::text FROM pg_proc"
" UNION ALL SELECT 'pg_class'::regclass, indexrelid, indrelid, unnest(ARRAY[indexprs::text, indpred::text]) FROM pg_index)"
" SELECT x.rel::int8, CASE WHEN v.oid IS NULL THEN pg_describe_object(class, id, 0)"
"  ELSE pg_describe_object('pg_class'::regclass, v.ev_class, 0) END, x.tree"
" FROM dependent JOIN expression x USING (class, id)"
"  LEFT JOIN pg_rewrite v ON class = 'pg_rewrite'::regclass AND v.oid = id AND v.rulename = '_RETURN'"
" WHERE x.tree IS NOT NULL ORDER BY 2";

void
pgseal_refuse_token_constants(const char *name, int32 key_hash)
{
	PgsealQuerySession session;
	StringInfoData found;
	uint64		num;

	initStringInfo(&found);
	pgseal_query_begin(&session);
	num = pgseal_query(expressions_of_dependents, 1, OIDOID, ObjectIdGetDatum(pgseal_extension_oid()));
	for (uint64 i = 0; i < num; i++)
	{
		Place		place = {name, key_hash, NIL, (Oid) pgseal_query_int64(i, 1), 0};

		CHECK_FOR_INTERRUPTS();
		if (compares_walker(stringToNode(pgseal_query_text(i, 3)), &place))
			appendStringInfo(&found, "%s%s", found.len > 0 ? "\n" : "", pgseal_query_text(i, 2));
	}
	pgseal_query_end(&session);
	if (found.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the index key of key \"%s\" while stored expressions compare its tokens with constants", name),
				 errdetail("The constants would still be tokens under the old index key:\n%s", found.data),
				 errhint("In one transaction, drop them, call pgseal.rotate_index_key(), and make them again with new tokens; or compare the column itself.")));
}
