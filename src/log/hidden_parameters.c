/*-------------------------------------------------------------------------
 *
 * hidden_parameters.c
 *	  Values of parameters stay out of plans and of the log.
 *
 * INSERT INTO t (ssn) VALUES ($1): the value comes as the base type.  PostgreSQL
 * would show it in two places that others read.
 *
 * Plans: in one that is made for the values of a statement's parameters, they
 * become constants, which auto_explain logs and other extensions keep.  So the
 * planner is told that those beside encrypted values may change.  It still
 * estimates by them, and finds the same indexes, as those are found without a
 * value, too.  Parameters beside plain columns alone are constants as ever: a
 * partial index or a partition is found by them.
 *
 * The log: log_statement, log_min_duration_statement and the like add the values of
 * parameters.  What is logged when a statement is bound has nothing but its text to
 * tell which one it is.  So the texts of statements with encrypted values are
 * remembered, as hashes, when they are analyzed; a text that is analyzed twice, as
 * after DDL, is looked at twice.  redact.c leaves out what belongs to them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "common/hashfn.h"
#include "nodes/nodeFuncs.h"
#include "nodes/params.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/extension.h"
#include "log/hidden_parameters.h"
#include "value/find_sealed.h"

/*
 * When so many texts are remembered, every statement is taken for one of them: a
 * client that makes up a text for each statement has no parameters to hide anyway.
 */
#define TEXTS_MAX			20000

static planner_hook_type prev_planner = NULL;
static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;

/* Of uint64; NULL before the first */
static HTAB *texts = NULL;

/*
 * Which parameters stand beside encrypted values
 */

static bool
holds_encrypted(Oid type)
{
	return type >= FirstNormalObjectId &&
		(pgseal_type_by_oid(type) != NULL || pgseal_shape_of_type(type, -1) != NULL);
}

/*
 * Is there an encrypted value in an expression, or made in it?  All of them come
 * from one of these nodes.  Queries within are looked at if context says so.
 */
static bool
has_encrypted(Node *node, void *context)
{
	Oid			type = InvalidOid;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			return *(bool *) context &&
				query_tree_walker((Query *) node, has_encrypted, context, 0);
		case T_Var:
		case T_Const:
		case T_Param:
		case T_FuncExpr:
		case T_SubLink:
		case T_CoerceToDomain:
		case T_CoerceViaIO:
		case T_ArrayCoerceExpr:
			type = exprType(node);
			break;
		default:
			break;
	}
	return holds_encrypted(type) || expression_tree_walker(node, has_encrypted, context);
}

typedef struct Search
{
	Bitmapset  *hidden;			/* numbers of parameters */
	bool		within;			/* in an expression that has been judged */
} Search;

/* All parameters of an expression, but for those of queries within */
static bool
hide(Node *node, void *context)
{
	Search	   *search = context;

	if (node == NULL || IsA(node, Query))
		return false;
	if (IsA(node, Param) && ((Param *) node)->paramkind == PARAM_EXTERN &&
		((Param *) node)->paramid > 0)
		search->hidden = bms_add_member(search->hidden, ((Param *) node)->paramid);
	return expression_tree_walker(node, hide, context);
}

/*
 * Goes through a query expression by expression, where the parts of AND, OR and NOT
 * are expressions of their own.  What a query gives (its targets, rows of VALUES)
 * may be compared with anything further out.
 */
static bool
search_query(Node *node, void *context)
{
	Search	   *search = context;
	bool		within = search->within;
	bool		queries = false;
	bool		result;

	if (node == NULL)
		return false;
	switch (nodeTag(node))
	{
		case T_Query:
			search->within = false;
			result = query_tree_walker((Query *) node, search_query, context,
									   QTW_EXAMINE_RTES_BEFORE);
			search->within = within;
			return result;
		case T_RangeTblEntry:
			(void) hide((Node *) ((RangeTblEntry *) node)->values_lists, context);
			return false;		/* the caller goes into it */
		case T_TargetEntry:
			(void) hide(node, context);
			break;
		case T_List:
		case T_BoolExpr:
		case T_FromExpr:
		case T_JoinExpr:
		case T_SubLink:
		case T_CommonTableExpr:
			break;
		default:
			if (!within && has_encrypted(node, &queries))
				(void) hide(node, context);
			search->within = true;
			break;
	}
	result = expression_tree_walker(node, search_query, context);
	search->within = within;
	return result;
}

/*
 * Plans
 */

typedef struct Wrapped
{
	ParamListInfo original;
	Bitmapset  *hidden;
} Wrapped;

/* A ParamFetchHook: as the original says, but for the flag */
static ParamExternData *
fetch(ParamListInfo params, int number, bool speculative, ParamExternData *workspace)
{
	Wrapped    *wrapped = params->paramFetchArg;
	ParamListInfo original = wrapped->original;
	ParamExternData *found = original->paramFetch ?
		original->paramFetch(original, number, speculative, workspace) :
		&original->params[number - 1];

	if (!bms_is_member(number, wrapped->hidden))
		return found;
	if (found != workspace)
		*workspace = *found;
	workspace->pflags &= ~PARAM_FLAG_CONST;
	return workspace;
}

/* The parameters to plan with; the caller's, where none is to be hidden */
static ParamListInfo
for_planning(Query *parse, ParamListInfo params)
{
	Search		search = {NULL, false};
	bool		queries = true;
	ParamListInfo list;
	Wrapped    *wrapped;

	if (params == NULL || params->numParams == 0 || !OidIsValid(pgseal_extension_oid()) ||
		!has_encrypted((Node *) parse, &queries))
		return params;
	(void) search_query((Node *) parse, &search);
	if (search.hidden == NULL)
		return params;
	wrapped = palloc(sizeof(Wrapped));
	wrapped->original = params;
	wrapped->hidden = search.hidden;
	list = makeParamList(0);
	list->paramFetch = fetch;
	list->paramFetchArg = wrapped;
	list->numParams = params->numParams;
	return list;
}

static PlannedStmt *
hiding_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	params = for_planning(parse, params);
	return prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
}

/*
 * The log
 */

static uint64
hash_of(const char *statement)
{
	return hash_bytes_extended((const unsigned char *) statement, strlen(statement), 0);
}

static void
remember(const char *statement)
{
	uint64		hash = hash_of(statement);

	if (texts == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(uint64), .entrysize = sizeof(uint64),
			.hcxt = TopMemoryContext
		};

		texts = hash_create("pgseal statements", 64, &info, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	}
	if (hash_get_num_entries(texts) < TEXTS_MAX)
		(void) hash_search(texts, &hash, HASH_ENTER, NULL);
}

bool
pgseal_hides_parameters(const char *statement)
{
	uint64		hash;

	if (statement == NULL || texts == NULL)
		return false;
	hash = hash_of(statement);
	return hash_get_num_entries(texts) >= TEXTS_MAX ||
		hash_search(texts, &hash, HASH_FIND, NULL) != NULL;
}

/* Do parameters of a utility statement stand beside encrypted values?  EXECUTE takes none. */
static bool
utility_has_encrypted(Node *statement)
{
	bool		queries = true;

	switch (nodeTag(statement))
	{
		case T_ExplainStmt:
			return has_encrypted(((ExplainStmt *) statement)->query, &queries);
		case T_DeclareCursorStmt:
			return has_encrypted(((DeclareCursorStmt *) statement)->query, &queries);
		case T_CreateTableAsStmt:
			return has_encrypted(((CreateTableAsStmt *) statement)->query, &queries);
		case T_CallStmt:
			return has_encrypted((Node *) ((CallStmt *) statement)->funcexpr, &queries);
		default:
			return false;
	}
}

/* EXPLAIN and CREATE TABLE AS may have one of the others within */
static bool
statement_has_encrypted(Query *query)
{
	bool		queries = true;
	Node	   *utility = query->utilityStmt;

	while (utility != NULL)
	{
		Node	   *within = IsA(utility, ExplainStmt) ? ((ExplainStmt *) utility)->query :
			IsA(utility, CreateTableAsStmt) ? ((CreateTableAsStmt *) utility)->query : NULL;

		if (utility_has_encrypted(utility))
			return true;
		utility = within != NULL && IsA(within, Query) ? ((Query *) within)->utilityStmt : NULL;
	}
	return has_encrypted((Node *) query, &queries);
}

/* Only the client's own statements with parameters are logged with their values */
static void
hiding_post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jumble)
{
	if (prev_post_parse_analyze)
		prev_post_parse_analyze(pstate, query, jumble);
	if (pstate->p_sourcetext != NULL && pstate->p_paramref_hook != NULL &&
		OidIsValid(pgseal_extension_oid()) && statement_has_encrypted(query))
		remember(pstate->p_sourcetext);
}

void
pgseal_hidden_parameters_init(void)
{
	prev_planner = planner_hook;
	planner_hook = hiding_planner;
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = hiding_post_parse_analyze;
}
