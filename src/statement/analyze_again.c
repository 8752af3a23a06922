/*-------------------------------------------------------------------------
 *
 * analyze_again.c
 *	  A statement that has been analyzed, parsed and analyzed again.
 *
 * PostgreSQL's hook shows a statement when it has been analyzed, which changes the
 * parsed one.  That of a PREPARE was put aside (open_results.c).  That of any other
 * is one of its text, known by its place there.  That of an expression of PL/pgSQL, which
 * is no statement, is parsed as PL/pgSQL has it parsed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/makefuncs.h"
#include "parser/analyze.h"
#include "parser/parser.h"
#include "utils/resowner.h"

#include "base/compat.h"
#include "statement/analyze_again.h"
#include "statement/plpgsql_rows.h"

Node *
pgseal_query_within(Node *stmt)
{
	Node	   *within = NULL;

	switch (nodeTag(stmt))
	{
		case T_PrepareStmt:
			within = ((PrepareStmt *) stmt)->query;
			break;
		case T_ViewStmt:
			within = ((ViewStmt *) stmt)->query;
			break;
		case T_CopyStmt:
			within = ((CopyStmt *) stmt)->query;
			break;
		case T_ExplainStmt:
			within = ((ExplainStmt *) stmt)->query;
			break;
		case T_DeclareCursorStmt:
			within = ((DeclareCursorStmt *) stmt)->query;
			break;
		case T_CreateTableAsStmt:
			within = ((CreateTableAsStmt *) stmt)->query;
			break;
		default:
			break;
	}
	return within != NULL ? pgseal_query_within(within) : stmt;
}

static RawStmt *
find_in_text(const char *text, RawParseMode mode, const Query *query)
{
	ListCell   *lc;

	foreach(lc, raw_parser(text, mode))
	{
		RawStmt    *raw = lfirst_node(RawStmt, lc);
		Node	   *within = raw->stmt;

		if (raw->stmt_location != query->stmt_location)
			continue;
		if (query->commandType != CMD_UTILITY)
			within = pgseal_query_within(within);
		raw->stmt = within;
		return within != NULL ? raw : NULL;
	}
	return NULL;
}

/* Is it about the statement, and not about the server's state or an end of patience? */
static bool
says_invalid(int sqlerrcode)
{
	int			category = ERRCODE_TO_CATEGORY(sqlerrcode);

	return category == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION ||
		category == ERRCODE_FEATURE_NOT_SUPPORTED || category == ERRCODE_DATA_EXCEPTION;
}

/* Ends a handled error's subtransaction, unless it isn't about the statement. */
static void
end_invalid(MemoryContext context, ResourceOwner owner)
{
	MemoryContextSwitchTo(context);
	if (!says_invalid(geterrcode()))
		PG_RE_THROW();
	FlushErrorState();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

RawStmt *
pgseal_parsed_again(ParseState *pstate, const Query *query, const PrepareStmt *prepare)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	RawStmt    *volatile raw = NULL;

	if (prepare != NULL)
	{
		raw = makeNode(RawStmt);
		raw->stmt = copyObject(prepare->query);
		raw->stmt_location = query->stmt_location;
		raw->stmt_len = query->stmt_len;
		return raw;
	}
	if (pstate->p_sourcetext == NULL)
		return NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		raw = find_in_text(pstate->p_sourcetext, pgseal_plpgsql_parse_mode(pstate), query);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		end_invalid(context, owner);
		raw = NULL;
	}
	PG_END_TRY();
	return raw;
}

static Query *
analyze(ParseState *pstate, RawStmt *raw, PgsealParameterSetup set_up, void *set_up_context)
{
	ParseState *again = make_parsestate(NULL);
	Query	   *query;

	again->p_sourcetext = pstate->p_sourcetext;
	again->p_queryEnv = pstate->p_queryEnv;
	set_up(again, set_up_context);
	query = transformTopLevelStmt(again, copyObject(raw));
	free_parsestate(again);
	return query;
}

Query *
pgseal_analyze_again(ParseState *pstate, RawStmt *raw, PgsealParameterSetup set_up,
					 void *set_up_context)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	Query	   *volatile query = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		query = analyze(pstate, raw, set_up, set_up_context);
		ReleaseCurrentSubTransaction();
		MemoryContextSwitchTo(context);
		CurrentResourceOwner = owner;
	}
	PG_CATCH();
	{
		end_invalid(context, owner);
		query = NULL;
	}
	PG_END_TRY();
	return query;
}
