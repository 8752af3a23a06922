/*-------------------------------------------------------------------------
 *
 * plpgsql_rows.c
 *	  Where the rows of a PL/pgSQL function's query go.
 *
 * Rows that go into variables are converted by PL/pgSQL itself when they are used.
 * Rows that a function answers with are not: PL/pgSQL compares their types with
 * the declared ones.  Those are the rows of RETURN QUERY and of RETURN, and those that
 * go into a record variable which the function returns as a whole.  Nor are the
 * rows converted that a client fetches from a cursor that a function opened.
 *
 * The parser's hooks tell whose query it is: PL/pgSQL's are known by their addresses,
 * and what they are given is the PLpgSQL_expr.  The statement that is being executed
 * tells what becomes of it.  A query of EXECUTE has no such hooks; it is
 * analyzed within SPI right below the statement, which the error context shows.
 * PostgreSQL has plugins identify PL/pgSQL's frames there by the address of its
 * callback; it is learnt from a frame whose argument is known.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/proclang.h"
#include "fmgr.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "plpgsql.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "statement/plpgsql_rows.h"

typedef void (*ParserSetup) (ParseState *pstate, PLpgSQL_expr *expr);
typedef void (*ErrorCallback) (void *arg);

static PreParseColumnRefHook plpgsql_columnref_hook = NULL;
static ErrorCallback plpgsql_error_callback = NULL;

/* The expression that PL/pgSQL has analyzed here, or NULL */
static PLpgSQL_expr *
expression_of(ParseState *pstate)
{
	if (pstate->p_pre_columnref_hook == NULL || pstate->p_ref_hook_state == NULL)
		return NULL;
	if (plpgsql_columnref_hook == NULL && OidIsValid(get_language_oid("plpgsql", true)))
	{
		ParserSetup setup = (ParserSetup) load_external_function("$libdir/plpgsql",
																 "plpgsql_parser_setup",
																 false, NULL);
		ParseState *probe = make_parsestate(NULL);

		if (setup != NULL)
		{
			setup(probe, NULL);
			plpgsql_columnref_hook = probe->p_pre_columnref_hook;
		}
		free_parsestate(probe);
	}
	return pstate->p_pre_columnref_hook == plpgsql_columnref_hook ?
		(PLpgSQL_expr *) pstate->p_ref_hook_state : NULL;
}

RawParseMode
pgseal_plpgsql_parse_mode(ParseState *pstate)
{
	PLpgSQL_expr *expr = expression_of(pstate);

	return expr != NULL ? expr->parseMode : RAW_PARSE_DEFAULT;
}

static void
learn_error_callback(PLpgSQL_execstate *estate)
{
	for (ErrorContextCallback *frame = error_context_stack;
		 plpgsql_error_callback == NULL && frame != NULL; frame = frame->previous)
		if (frame->arg == estate)
			plpgsql_error_callback = frame->callback;
}

/* The function whose statement runs the query that SPI has analyzed here, or NULL */
static PLpgSQL_execstate *
executing(void)
{
	ErrorContextCallback *spi = error_context_stack;

	if (plpgsql_error_callback == NULL || spi == NULL || spi->callback == plpgsql_error_callback ||
		spi->previous == NULL || spi->previous->callback != plpgsql_error_callback)
		return NULL;
	return (PLpgSQL_execstate *) spi->previous->arg;
}

/*
 * Statements of a function
 */

/* Returns true to end the search. */
typedef bool (*StatementTest) (PLpgSQL_stmt *stmt, void *context);

static bool search_statement(PLpgSQL_stmt *stmt, StatementTest test, void *context);

static bool
search_statements(List *statements, StatementTest test, void *context)
{
	ListCell   *lc;

	foreach(lc, statements)
		if (search_statement((PLpgSQL_stmt *) lfirst(lc), test, context))
			return true;
	return false;
}

static bool
search_block(PLpgSQL_stmt_block *block, StatementTest test, void *context)
{
	ListCell   *lc;

	if (search_statements(block->body, test, context))
		return true;
	if (block->exceptions != NULL)
		foreach(lc, block->exceptions->exc_list)
			if (search_statements(((PLpgSQL_exception *) lfirst(lc))->action, test, context))
				return true;
	return false;
}

static bool
search_branches(PLpgSQL_stmt *stmt, StatementTest test, void *context)
{
	ListCell   *lc;

	if (stmt->cmd_type == PLPGSQL_STMT_IF)
	{
		PLpgSQL_stmt_if *branches = (PLpgSQL_stmt_if *) stmt;

		foreach(lc, branches->elsif_list)
			if (search_statements(((PLpgSQL_if_elsif *) lfirst(lc))->stmts, test, context))
				return true;
		return search_statements(branches->then_body, test, context) ||
			search_statements(branches->else_body, test, context);
	}
	foreach(lc, ((PLpgSQL_stmt_case *) stmt)->case_when_list)
		if (search_statements(((PLpgSQL_case_when *) lfirst(lc))->stmts, test, context))
			return true;
	return search_statements(((PLpgSQL_stmt_case *) stmt)->else_stmts, test, context);
}

static bool
search_statement(PLpgSQL_stmt *stmt, StatementTest test, void *context)
{
	check_stack_depth();
	if (test(stmt, context))
		return true;
	switch (stmt->cmd_type)
	{
		case PLPGSQL_STMT_BLOCK:
			return search_block((PLpgSQL_stmt_block *) stmt, test, context);
		case PLPGSQL_STMT_IF:
		case PLPGSQL_STMT_CASE:
			return search_branches(stmt, test, context);
		case PLPGSQL_STMT_LOOP:
			return search_statements(((PLpgSQL_stmt_loop *) stmt)->body, test, context);
		case PLPGSQL_STMT_WHILE:
			return search_statements(((PLpgSQL_stmt_while *) stmt)->body, test, context);
		case PLPGSQL_STMT_FORI:
			return search_statements(((PLpgSQL_stmt_fori *) stmt)->body, test, context);
		case PLPGSQL_STMT_FORS:
		case PLPGSQL_STMT_FORC:
		case PLPGSQL_STMT_DYNFORS:
			return search_statements(((PLpgSQL_stmt_forq *) stmt)->body, test, context);
		case PLPGSQL_STMT_FOREACH_A:
			return search_statements(((PLpgSQL_stmt_foreach_a *) stmt)->body, test, context);
		default:
			return false;
	}
}

/* Is a variable what a RETURN or a RETURN NEXT returns? */
static bool
returns_variable(PLpgSQL_stmt *stmt, void *context)
{
	int			variable = *(int *) context;

	if (stmt->cmd_type == PLPGSQL_STMT_RETURN)
		return ((PLpgSQL_stmt_return *) stmt)->retvarno == variable;
	return stmt->cmd_type == PLPGSQL_STMT_RETURN_NEXT &&
		((PLpgSQL_stmt_return_next *) stmt)->retvarno == variable;
}

/* Does a record variable take whatever columns a row has, to be returned with them? */
static bool
is_returned_record(PLpgSQL_function *func, PLpgSQL_variable *variable)
{
	return variable != NULL && variable->dtype == PLPGSQL_DTYPE_REC &&
		((PLpgSQL_rec *) variable)->rectypeid == RECORDOID &&
		search_statement((PLpgSQL_stmt *) func->action, returns_variable, &variable->dno);
}

typedef struct CursorFetches
{
	PLpgSQL_function *func;
	int			cursor;
} CursorFetches;

static bool
fetches_returned_record(PLpgSQL_stmt *stmt, void *context)
{
	CursorFetches *fetches = context;

	return stmt->cmd_type == PLPGSQL_STMT_FETCH &&
		((PLpgSQL_stmt_fetch *) stmt)->curvar == fetches->cursor &&
		is_returned_record(fetches->func, ((PLpgSQL_stmt_fetch *) stmt)->target);
}

/*
 * Cursors
 */

static bool
is_cursor(PLpgSQL_function *func, int dno)
{
	PLpgSQL_datum *datum = func->datums[dno];

	return (datum->dtype == PLPGSQL_DTYPE_VAR || datum->dtype == PLPGSQL_DTYPE_PROMISE) &&
		((PLpgSQL_var *) datum)->datatype->typoid == REFCURSOROID;
}

/* Does the function name its cursors to its caller, or is it told their names? */
static bool
hands_out_cursors(PLpgSQL_function *func)
{
	if (func->fn_rettype == REFCURSOROID)
		return true;
	for (int i = 0; i < func->fn_nargs; i++)
		if (is_cursor(func, func->fn_argvarnos[i]))
			return true;
	if (func->out_param_varno >= 0)
	{
		PLpgSQL_row *row = (PLpgSQL_row *) func->datums[func->out_param_varno];

		if (row->dtype != PLPGSQL_DTYPE_ROW)
			return is_cursor(func, func->out_param_varno);
		for (int i = 0; i < row->nfields; i++)
			if (is_cursor(func, row->varnos[i]))
				return true;
	}
	return false;
}

/* Does a statement go on with a cursor that was opened? */
static bool
uses_cursor(PLpgSQL_stmt *stmt, void *context)
{
	int			cursor = *(int *) context;

	if (stmt->cmd_type == PLPGSQL_STMT_FETCH)
		return ((PLpgSQL_stmt_fetch *) stmt)->curvar == cursor;
	return stmt->cmd_type == PLPGSQL_STMT_CLOSE && ((PLpgSQL_stmt_close *) stmt)->curvar == cursor;
}

/* One that is opened and left open is for whoever knows its name */
static bool
leaves_cursor(PLpgSQL_function *func, int cursor)
{
	return !search_statement((PLpgSQL_stmt *) func->action, uses_cursor, &cursor);
}

/* The query that is declared with a cursor variable */
static PLpgSQL_expr *
declared_query(PLpgSQL_function *func, int cursor)
{
	PLpgSQL_datum *datum = func->datums[cursor];

	return datum->dtype == PLPGSQL_DTYPE_VAR ? ((PLpgSQL_var *) datum)->cursor_explicit_expr : NULL;
}

/*
 * What becomes of the rows
 */

static PgsealRowsGo
rows_of_cursor(PLpgSQL_function *func, int cursor)
{
	CursorFetches fetches = {func, cursor};

	if (hands_out_cursors(func) || leaves_cursor(func, cursor))
		return PGSEAL_ROWS_FETCHED;
	return search_statement((PLpgSQL_stmt *) func->action, fetches_returned_record, &fetches) ?
		PGSEAL_ROWS_RETURNED : PGSEAL_ROWS_STAY;
}

static PgsealRowsGo
rows_of_variable(PLpgSQL_function *func, PLpgSQL_variable *variable)
{
	return is_returned_record(func, variable) ? PGSEAL_ROWS_RETURNED : PGSEAL_ROWS_STAY;
}

/* expr is NULL for a query of EXECUTE */
static PgsealRowsGo
rows_of_statement(PLpgSQL_function *func, PLpgSQL_stmt *stmt, PLpgSQL_expr *expr)
{
	PLpgSQL_stmt_open *open = (PLpgSQL_stmt_open *) stmt;
	PLpgSQL_stmt_forc *forc = (PLpgSQL_stmt_forc *) stmt;

	switch (stmt->cmd_type)
	{
		case PLPGSQL_STMT_RETURN_QUERY:
			return ((PLpgSQL_stmt_return_query *) stmt)->query == expr ?
				PGSEAL_ROWS_RETURNED : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_RETURN:
			return expr != NULL && ((PLpgSQL_stmt_return *) stmt)->expr == expr ?
				PGSEAL_ROWS_RETURNED : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_RETURN_NEXT:
			return expr != NULL && ((PLpgSQL_stmt_return_next *) stmt)->expr == expr ?
				PGSEAL_ROWS_RETURNED : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_FORS:
			return ((PLpgSQL_stmt_fors *) stmt)->query == expr ?
				rows_of_variable(func, ((PLpgSQL_stmt_fors *) stmt)->var) : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_DYNFORS:
			return expr == NULL ?
				rows_of_variable(func, ((PLpgSQL_stmt_dynfors *) stmt)->var) : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_FORC:
			return expr != NULL && declared_query(func, forc->curvar) == expr ?
				rows_of_variable(func, forc->var) : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_EXECSQL:
			return ((PLpgSQL_stmt_execsql *) stmt)->sqlstmt == expr ?
				rows_of_variable(func, ((PLpgSQL_stmt_execsql *) stmt)->target) : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_DYNEXECUTE:
			return expr == NULL ?
				rows_of_variable(func, ((PLpgSQL_stmt_dynexecute *) stmt)->target) : PGSEAL_ROWS_STAY;
		case PLPGSQL_STMT_OPEN:
			return open->query == expr ||
				(expr != NULL && declared_query(func, open->curvar) == expr) ?
				rows_of_cursor(func, open->curvar) : PGSEAL_ROWS_STAY;
		default:
			return PGSEAL_ROWS_STAY;
	}
}

/* The columns of a declared result; NULL when it is a value, or not known */
static TupleDesc
declared_columns(PLpgSQL_execstate *estate)
{
	TupleDesc	desc;
	TupleDesc	result;

	if (estate->rsi != NULL && IsA(estate->rsi, ReturnSetInfo) && estate->rsi->expectedDesc != NULL)
		return estate->rsi->expectedDesc;
	if (!estate->retistuple || !OidIsValid(estate->fn_rettype) || estate->fn_rettype == RECORDOID)
		return NULL;
	desc = lookup_rowtype_tupdesc_domain(estate->fn_rettype, -1, true);
	if (desc == NULL)
		return NULL;
	result = CreateTupleDescCopy(desc);
	ReleaseTupleDesc(desc);
	return result;
}

PgsealRowsGo
pgseal_plpgsql_rows_go(ParseState *pstate, TupleDesc *out_declared)
{
	PLpgSQL_expr *expr = expression_of(pstate);
	PLpgSQL_execstate *estate;
	PgsealRowsGo result;

	*out_declared = NULL;
	estate = expr == NULL ? executing() : expr->func != NULL ? expr->func->cur_estate : NULL;
	if (estate == NULL)
		return PGSEAL_ROWS_STAY;
	if (expr != NULL)
		learn_error_callback(estate);
	if (estate->err_stmt == NULL)
		return PGSEAL_ROWS_STAY;
	result = rows_of_statement(estate->func, estate->err_stmt, expr);
	if (result == PGSEAL_ROWS_RETURNED)
	{
		*out_declared = declared_columns(estate);
		if (*out_declared == NULL)
			result = PGSEAL_ROWS_STAY;
	}
	return result;
}
