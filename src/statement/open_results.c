/*-------------------------------------------------------------------------
 *
 * open_results.c
 *	  Opening the result columns of the client's own statements.
 *
 * After parse analysis, a result column of an encrypted type is wrapped into
 * pgseal_internal.open_result() or its like for arrays and rows (opened.c), so that the client gets an ordinary column of the base
 * type.  That happens to statements that the client itself sent, and to
 * nothing else: not to queries in functions, triggers and views (but see
 * function_results.c), not to CREATE TABLE AS, not to COPY of a table.  COPY of a
 * query to the client is a query of the client's.
 *
 * Whose a query is, is told by its source text: that of the client's statement
 * is debug_query_string, the same pointer.  Hooks around planner, executor and
 * utility commands say when something runs inside a statement; then only the
 * query of a PREPARE, or that of the prepared statement of an EXECUTE, counts.
 *
 * The client of a connection between nodes of Citus is a node, which has opened what its
 * own client gets, and goes on with what it gets itself as with columns of a table.
 *
 * One that is analyzed again when a client asks what a prepared statement's results are
 * is the client's, too, though debug_query_string is NULL then (prepared_results.c).
 *
 * A prepared statement follows pgseal.transparent as it follows search_path: it
 * is analyzed again after a change (settings.c), and where its results would be
 * of other types then, PostgreSQL says so ("cached plan must not change result
 * type"), upon which drivers prepare it anew.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "commands/prepare.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/planner.h"
#include "parser/analyze.h"
#include "parser/parse_func.h"
#include "tcop/pquery.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "statement/call_casts.h"
#include "statement/call_results.h"
#include "statement/column_defaults.h"
#include "statement/function_results.h"
#include "statement/open_arguments.h"
#include "statement/open_results.h"
#include "statement/opened.h"
#include "statement/parameters.h"
#include "statement/plain_callers.h"
#include "statement/prepared_results.h"
#include "statement/result_columns.h"
#include "type/hash_caller.h"
#include "value/seal.h"

/* pg_dump --inserts reads tables through a cursor of this name */
#define DUMP_CURSOR				"_pg_dump_cursor"

static post_parse_analyze_hook_type prev_post_parse_analyze = NULL;
static planner_hook_type prev_planner = NULL;
static ExecutorRun_hook_type prev_executor_run = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;
static ProcessUtility_hook_type prev_process_utility;

/* Are we inside a statement?  Then this source text, if any, is the client's. */
static bool inside = false;
static const char *inside_source = NULL;

/* The PREPARE that is running, as it was parsed, and its text; or NULL */
static const PrepareStmt *prepare = NULL;
static const char *prepare_source = NULL;

/* PgsealTargetMap: NULL unless the column holds sealed values */
static Expr *
open_target(TargetEntry *target, void *context)
{
	return pgseal_opened(target->expr, PGSEAL_OPEN_RESULT, list_make1(context));
}

/*
 * Whose statement is it, and shall it be opened?
 */

/* The query whose result the client gets; NULL when there is none */
static Query *
client_query(Query *query)
{
	if (query->commandType != CMD_UTILITY)
		return query;
	if (IsA(query->utilityStmt, DeclareCursorStmt))
	{
		DeclareCursorStmt *cursor = (DeclareCursorStmt *) query->utilityStmt;

		if (strcmp(cursor->portalname, DUMP_CURSOR) == 0)
			return NULL;
		return castNode(Query, cursor->query);
	}
	if (IsA(query->utilityStmt, ExplainStmt))
	{
		Query	   *explained = castNode(Query, ((ExplainStmt *) query->utilityStmt)->query);

		return explained->commandType != CMD_UTILITY ? explained : NULL;
	}
	return NULL;
}

static bool
has_encrypted_result(Query *query)
{
	ListCell   *lc;

	foreach(lc, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);

		if (!target->resjunk && open_target(target, query) != NULL)
			return true;
	}
	return false;
}

Query *
pgseal_analyzed_query(Query *query)
{
	Node	   *inner = NULL;

	if (query->commandType != CMD_UTILITY)
		return query;
	if (IsA(query->utilityStmt, ExplainStmt))
		inner = ((ExplainStmt *) query->utilityStmt)->query;
	else if (IsA(query->utilityStmt, DeclareCursorStmt))
		inner = ((DeclareCursorStmt *) query->utilityStmt)->query;
	else if (IsA(query->utilityStmt, CreateTableAsStmt))
		inner = ((CreateTableAsStmt *) query->utilityStmt)->query;
	return inner != NULL && IsA(inner, Query) ? pgseal_analyzed_query((Query *) inner) : query;
}

/* Opens the results, unless it is in doubt whether the statement is the client's, and isn't. */
static void
open_for_client(Query *query, const char *source, bool in_doubt)
{
	CallStmt   *call = query->commandType == CMD_UTILITY && IsA(query->utilityStmt, CallStmt) ?
		(CallStmt *) query->utilityStmt : NULL;
	Query	   *result = client_query(query);
	CachedPlanSource *prepared;

	if (call != NULL ? !pgseal_call_results_sealed(call) :
		result == NULL || !has_encrypted_result(result))
		return;
	prepared = pgseal_prepared_again(source);
	if (in_doubt && prepared == NULL)
		return;
	if (call != NULL)
	{
		pgseal_call_results_open(call);
		return;
	}
	pgseal_result_columns_map(result, open_target, result);
	if (prepared != NULL)
		pgseal_prepared_results_keep(prepared, result);
}

/*
 * Does a Describe message analyze its statement again?  There is no statement of the
 * client's then, and nobody is at work: whatever else analyzes without one, as a function
 * does that is called by a message of its own, says so in the context of errors.
 */
static bool
in_describe(void)
{
	return debug_query_string == NULL && MyBackendType == B_BACKEND && ActivePortal == NULL &&
		error_context_stack == NULL;
}

static void
transparent_post_parse_analyze(ParseState *pstate, Query *query, JumbleState *jstate)
{
	const char *source = inside ? inside_source : debug_query_string;
	bool		of_node = !inside && pgseal_citus_is_client();
	const PrepareStmt *prepared = inside && prepare_source == pstate->p_sourcetext ? prepare : NULL;
	RawStmt    *raw = pgseal_call_casts(pstate, query, pgseal_analyzed_query(query), prepared);

	if (of_node)
		source = NULL;			/* who asks is a node that takes sealed values */
	else if (!inside || prepared != NULL)
		pgseal_parameters_plain(pstate, query, prepared, raw);
	if (prev_post_parse_analyze)
		prev_post_parse_analyze(pstate, query, jstate);

	pgseal_open_arguments(pgseal_analyzed_query(query));
	if (inside)
		pgseal_function_results(pstate, query);
	if (pgseal_transparent && !of_node &&
		(source == NULL ? !inside : pstate->p_sourcetext == source))
		open_for_client(query, pstate->p_sourcetext, source == NULL && !in_describe());
}

/*
 * Inside a statement
 */

/* Runs what follows as the inside of a statement, whatever way it ends. */
#define INSIDE_BEGIN(source, executor) \
	{ \
		EState	   *saved_executor = pgseal_hash_executor; \
		PgsealHashCopy saved_copy = pgseal_hash_copy; \
		bool		saved_inside = inside; \
		PgsealRunning saved_running = pgseal_running; \
		const char *saved_source = inside_source; \
		const PrepareStmt *saved_prepare = prepare; \
		const char *saved_prepare_source = prepare_source; \
		const char *volatile new_source = (source); \
		inside = true; \
		pgseal_running.what = PGSEAL_RUNNING_STATEMENT; \
		pgseal_nesting++; \
		inside_source = new_source; \
		prepare = NULL; \
		prepare_source = NULL; \
		pgseal_hash_executor = (executor); \
		pgseal_hash_copy.relation = InvalidOid; \
		PG_TRY(); \
		{

#define INSIDE_END() \
		} \
		PG_FINALLY(); \
		{ \
			inside = saved_inside; \
			pgseal_running = saved_running; \
			pgseal_nesting--; \
			inside_source = saved_source; \
			prepare = saved_prepare; \
			prepare_source = saved_prepare_source; \
			pgseal_hash_executor = saved_executor; \
			pgseal_hash_copy = saved_copy; \
		} \
		PG_END_TRY(); \
	}

Query *
pgseal_analyze_sealed(CachedPlanSource *prepared)
{
	Query	   *volatile result = NULL;

	INSIDE_BEGIN(NULL, NULL);
	result = parse_analyze_fixedparams(copyObject(prepared->raw_parse_tree),
									   prepared->query_string, prepared->param_types,
									   prepared->num_params, NULL);
	INSIDE_END();
	return result;
}

static PlannedStmt *
transparent_planner(Query *parse, const char *query_string, int cursor_options,
					ParamListInfo params)
{
	PlannedStmt *volatile result = NULL;

	/* Functions are inlined and constant ones are called here */
	pgseal_column_defaults_mark(parse);
	pgseal_plain_callers_mark(parse);
	INSIDE_BEGIN(NULL, NULL);
	result = prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
	INSIDE_END();
	return result;
}

static void
transparent_executor_run(PGSEAL_EXECUTOR_RUN_ARGS)
{
	INSIDE_BEGIN(NULL, desc->estate);
	if (prev_executor_run)
		prev_executor_run(PGSEAL_EXECUTOR_RUN_PASS);
	else
		standard_ExecutorRun(PGSEAL_EXECUTOR_RUN_PASS);
	INSIDE_END();
}

static void
transparent_executor_finish(QueryDesc *desc)
{
	INSIDE_BEGIN(NULL, desc->estate);
	if (prev_executor_finish)
		prev_executor_finish(desc);
	else
		standard_ExecutorFinish(desc);
	INSIDE_END();
}

/*
 * Does pg_dump copy tables in this way?  It does so with foreign tables, and with
 * tables of an extension that are part of dumps.
 */
static bool
may_be_of_dump(Node *query)
{
	SelectStmt *select = (SelectStmt *) query;
	Oid			relation;

	if (!IsA(select, SelectStmt) || list_length(select->fromClause) != 1 ||
		!IsA(linitial(select->fromClause), RangeVar))
		return false;
	relation = RangeVarGetRelid(linitial_node(RangeVar, select->fromClause), NoLock, true);
	return OidIsValid(relation) &&
		(get_rel_relkind(relation) == RELKIND_FOREIGN_TABLE ||
		 OidIsValid(getExtensionOfObject(RelationRelationId, relation)));
}

static bool
copies_query_to_client(CopyStmt *copy)
{
	return !copy->is_from && copy->relation == NULL && copy->filename == NULL &&
		!copy->is_program && !may_be_of_dump(copy->query);
}

/* Source text of the query that this utility statement analyzes for the client */
static const char *
source_inside_utility(Node *stmt, const char *query_string, ProcessUtilityContext context)
{
	PreparedStatement *prepared;

	/* The Execute message runs a copy of debug_query_string */
	if (inside ? query_string != inside_source : context != PROCESS_UTILITY_TOPLEVEL)
		return NULL;
	if (IsA(stmt, ExplainStmt))
	{
		Query	   *explained = castNode(Query, ((ExplainStmt *) stmt)->query);

		if (explained->commandType != CMD_UTILITY)
			return NULL;
		stmt = explained->utilityStmt;
	}
	if (IsA(stmt, PrepareStmt))
		return query_string;
	if (IsA(stmt, CopyStmt))
		return copies_query_to_client((CopyStmt *) stmt) ? query_string : NULL;
	if (IsA(stmt, ExecuteStmt))
	{
		prepared = FetchPreparedStatement(((ExecuteStmt *) stmt)->name, false);
		return prepared ? prepared->plansource->query_string : NULL;
	}
	return NULL;
}

/*
 * The values that an EXECUTE passes to parameters for encrypted columns: neither a
 * message about them nor the statement is for the log.
 */
static bool
executes_with_values(Node *stmt)
{
	PreparedStatement *prepared;
	Node	   *inner = IsA(stmt, ExplainStmt) ? ((ExplainStmt *) stmt)->query :
		IsA(stmt, CreateTableAsStmt) ? ((CreateTableAsStmt *) stmt)->query : NULL;

	if (inner != NULL)
		return castNode(Query, inner)->commandType == CMD_UTILITY &&
			executes_with_values(((Query *) inner)->utilityStmt);
	if (!IsA(stmt, ExecuteStmt))
		return false;
	prepared = FetchPreparedStatement(((ExecuteStmt *) stmt)->name, false);
	return prepared != NULL && pgseal_parameters_hold_values(prepared->plansource->query_string);
}

/*
 * COPY FROM into a partition: its constraint may be checked by who only writes.
 * A condition of the statement or of a trigger is evaluated in the same way and
 * may be of others than the table's owner.
 */
static void
note_copy_into_partition(CopyStmt *copy)
{
	Oid			relation;
	Relation	rel;
	bool		has_conditions = false;

	if (!copy->is_from || copy->relation == NULL || copy->whereClause != NULL ||
		!OidIsValid(pgseal_extension_oid()))
		return;
	relation = RangeVarGetRelid(copy->relation, AccessShareLock, true);
	if (!OidIsValid(relation) || !get_rel_relispartition(relation))
		return;
	rel = relation_open(relation, NoLock);
	for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		has_conditions = has_conditions || rel->trigdesc->triggers[i].tgqual != NULL;
	relation_close(rel, NoLock);
	if (has_conditions)
		return;
	pgseal_hash_copy.relation = relation;
	pgseal_hash_copy.context = CurrentMemoryContext;
}

static void
pass_on_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
				ProcessUtilityContext context, ParamListInfo params,
				QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	if (IsA(pstmt->utilityStmt, CopyStmt))
		note_copy_into_partition((CopyStmt *) pstmt->utilityStmt);
	if (IsA(pstmt->utilityStmt, CallStmt))
		dest = pgseal_call_results_receiver((CallStmt *) pstmt->utilityStmt, dest);
	if (IsA(pstmt->utilityStmt, PrepareStmt))
	{
		prepare = copyObject((PrepareStmt *) pstmt->utilityStmt);
		prepare_source = query_string;
	}
	prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
}

/*
 * The log says of a value that can't be converted where it stood, but shows no
 * statement that has it as a literal.  (A function of its own: PG_TRY doesn't
 * nest within one function, as compilers see it since 16.)
 */
static void
pass_on_hiding(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
			   ProcessUtilityContext context, ParamListInfo params,
			   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	PG_TRY();
	{
		pass_on_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	}
	PG_CATCH();
	{
		if (ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_DATA_EXCEPTION)
			errhidestmt(true);
		PG_RE_THROW();
	}
	PG_END_TRY();
}

static void
transparent_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
							ProcessUtilityContext context, ParamListInfo params,
							QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		executes = executes_with_values(pstmt->utilityStmt);

	INSIDE_BEGIN(source_inside_utility(pstmt->utilityStmt, query_string, context), NULL);
	pgseal_value_opened |= executes;
	if (executes)
		pass_on_hiding(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	else
		pass_on_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	INSIDE_END();
}

void
pgseal_open_results_init(void)
{
	prev_post_parse_analyze = post_parse_analyze_hook;
	post_parse_analyze_hook = transparent_post_parse_analyze;
	prev_planner = planner_hook;
	planner_hook = transparent_planner;
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = transparent_executor_run;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = transparent_executor_finish;
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = transparent_process_utility;
}
