/*-------------------------------------------------------------------------
 *
 * redact.c
 *	  Keeping plaintext out of PostgreSQL's own messages.
 *
 * COPY: when COPY FROM fails, PostgreSQL adds the input line to the context of
 * the error: to the client, and to the log.  For a table with encrypted columns
 * the line number stays and the line goes.  The context of a lesser message (the
 * WARNING of a trigger) can't be changed; it is kept out of the log, and the
 * client has sent the line itself.  The text can: the NOTICE of a skipped row,
 * COPY (LOG_VERBOSITY verbose) since 17, ends with the value.
 *
 * Parameters: those for encrypted columns are of the base types (parameters.c), and
 * what PostgreSQL says of text that is none is redacted as below.
 *
 * Opened values: what fails to compute with one names it, as in: invalid input
 * syntax for type integer: "Ada".  Who may open it may see that, so the client
 * gets the message as it is.  The log, which others read, gets the message
 * without what was filled in, for every error of a transaction that has opened
 * a value.
 *
 * Parameters: the log of statements has the values of their parameters.  Where they
 * stand beside encrypted ones (hidden_parameters.c) they are left out.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <dlfcn.h>

#include "access/relation.h"
#include "access/transam.h"
#include "catalog/namespace.h"
#include "nodes/parsenodes.h"
#include "tcop/tcopprot.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "log/array_casts.h"
#include "log/hidden_parameters.h"
#include "log/redact.h"
#include "log/redact_tokens.h"
#include "statement/parameters.h"
#include "type/copying.h"
#include "value/find_sealed.h"
#include "value/seal.h"

static ProcessUtility_hook_type prev_process_utility;
static emit_log_hook_type prev_emit_log = NULL;

/*
 * COPY
 */

/* The table, if this is a COPY into one */
static Oid
copies_into(Node *stmt)
{
	CopyStmt   *copy = (CopyStmt *) stmt;

	if (!IsA(stmt, CopyStmt) || !copy->is_from || copy->relation == NULL ||
		!OidIsValid(pgseal_extension_oid()))
		return InvalidOid;
	return RangeVarGetRelid(copy->relation, NoLock, true);
}

/* Does the table hold encrypted values, at any depth? */
static bool
is_encrypted(Oid relation)
{
	Relation	rel = try_relation_open(relation, AccessShareLock);
	bool		found = false;

	if (rel == NULL)
		return false;
	for (int i = 0; i < RelationGetNumberOfAttributes(rel) && !found; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

		found = attribute->atttypid >= FirstNormalObjectId &&
			pgseal_shape_of_type(attribute->atttypid, attribute->atttypmod) != NULL;
	}
	relation_close(rel, AccessShareLock);
	return found;
}

/* Cuts the input off lines like: COPY t, line 7: "..." */
static char *
without_input(const char *context)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*context != '\0')
	{
		const char *end = strchrnul(context, '\n');
		const char *input = strstr(context, ": \"");

		if (strncmp(context, "COPY ", 5) == 0 && input != NULL && input < end)
		{
			appendBinaryStringInfo(&out, context, input - context);

			/* The input may itself have line breaks: nothing after it is kept */
			break;
		}
		appendBinaryStringInfo(&out, context, end - context + (*end == '\n'));
		context = *end == '\n' ? end + 1 : end;
	}
	return out.data;
}

/* Message of COPY about a row that it skips, followed by the column and the value */
#define SKIPPING_ROW	"skipping row due to data type incompatibility"

/*
 * Error context callback around COPY's own, so it is called after that one.
 * The argument is a memory context to work in.
 */
static void
redact_lesser_message(void *arg)
{
	MemoryContext error_context = MemoryContextSwitchTo((MemoryContext) arg);
	ErrorData  *error = CopyErrorData();

	if (error->elevel < ERROR)
	{
		if (error->context != NULL && strstr(error->context, ": \"") != NULL)
			errhidecontext(true);
		if (error->message_id != NULL &&
			strncmp(error->message_id, SKIPPING_ROW, strlen(SKIPPING_ROW)) == 0)
		{
			/* Translations have other quotation marks */
			char	   *value = strstr(error->message, ": \"");

			if (value != NULL)
				*value = '\0';
			errmsg_internal("%s", value != NULL ? error->message : SKIPPING_ROW);
		}
	}
	FreeErrorData(error);
	MemoryContextSwitchTo(error_context);
}

static void
pass_on_redacting(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
				  ProcessUtilityContext context, ParamListInfo params,
				  QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	MemoryContext memory = CurrentMemoryContext;
	ErrorContextCallback callback = {
		.previous = error_context_stack,
		.callback = redact_lesser_message,
		.arg = memory
	};

	error_context_stack = &callback;
	PG_TRY();
	{
		prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		error_context_stack = callback.previous;
		MemoryContextSwitchTo(memory);
		error = CopyErrorData();
		if (error->context == NULL)
			PG_RE_THROW();
		FlushErrorState();
		error->context = without_input(error->context);
		ReThrowError(error);
	}
	PG_END_TRY();
	error_context_stack = callback.previous;
}

static void
redact_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	PgsealCopying before = pgseal_copying;
	Oid			table = copies_into(pstmt->utilityStmt);

	if (!OidIsValid(table))
	{
		prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
		return;
	}
	pgseal_copying = (PgsealCopying)
	{
		CurrentMemoryContext, table, false
	};
	PG_TRY();
	{
		if (is_encrypted(table))
			pass_on_redacting(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
		else
			prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	}
	PG_FINALLY();
	{
		pgseal_copying = before;
	}
	PG_END_TRY();
}

/*
 * Opened values
 */

/* The format that a message was made from, which alone says what kind it is of */
static bool
has_format(const ErrorData *error)
{
	return error->message_id != NULL && strcmp(error->message_id, "%s") != 0;
}

/* What a key service said is in a message of this library, and holds no value */
static bool
is_of_key_service(const ErrorData *error)
{
	Dl_info		of_message;
	Dl_info		of_library;

	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYSTEM_ERROR &&
		has_format(error) &&
		dladdr(error->message_id, &of_message) != 0 &&
		dladdr((void *) pgseal_redact_init, &of_library) != 0 &&
		of_message.dli_fbase == of_library.dli_fbase;
}

/*
 * Any error may: a value is a wrong number, stands in the row that a constraint
 * refuses, and can be the name of a table or a file that isn't there.
 *
 * Parallel workers open values for their leader, who gets their errors as text
 * alone, without the format that it was made from.
 */
static bool
may_name_opened_value(const ErrorData *error)
{
	if (error->elevel < WARNING || is_of_key_service(error))
		return false;
	if (pgseal_value_opened || pgseal_parameters_hold_values(debug_query_string))
		return true;

	/* Or a parameter, where an index has found the rows and none was opened */
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION &&
		(error->message_id == NULL || pgseal_hides_parameters(debug_query_string));
}

/*
 * Where it happened, without what: other lines show JSON input, the text of a
 * dynamic statement, or a value that was assigned.
 */
static char *
places_only(const char *context)
{
	static const char *const places[] = {"PL/pgSQL function ", "SQL function "};
	StringInfoData out;

	initStringInfo(&out);
	while (*context != '\0')
	{
		const char *end = strchrnul(context, '\n');

		end += (*end == '\n');
		for (int i = 0; i < lengthof(places); i++)
			if (strncmp(context, places[i], strlen(places[i])) == 0)
				appendBinaryStringInfo(&out, context, end - context);
		context = end;
	}
	return out.data;
}

/* The format with the system's reason (%m), which is no value */
static char *
with_reason(const ErrorData *error)
{
	const char *format = error->message_id;
	StringInfoData out;

	initStringInfo(&out);
	for (; *format != '\0'; format++)
	{
		if (format[0] == '%' && format[1] == 'm')
			appendStringInfoString(&out, strerror(error->saved_errno));
		else
			appendBinaryStringInfo(&out, format, format[0] == '%' && format[1] != '\0' ? 2 : 1);
		format += (format[0] == '%' && format[1] != '\0');
	}
	return out.data;
}

/*
 * The message before anything was filled in, if that says anything; that of RAISE, and of
 * an error that a parallel worker has logged already, doesn't.  PostgreSQL's
 * own messages about constraints name the constraint, and leave the row to the detail.
 */
static char *
message_for_log(const ErrorData *error)
{
	if (!has_format(error))
		return psprintf("%s (SQLSTATE %s)",
						ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ?
						"data exception" : "error",
						unpack_sql_state(error->sqlerrcode));
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION ?
		error->message : with_reason(error);
}

/* Does a message say with which values a statement with encrypted ones was run? */
static bool
names_parameters(const ErrorData *error)
{
	return error->elevel == LOG && error->detail != NULL &&
		error->filename != NULL && strcmp(error->filename, "postgres.c") == 0 &&
		(strcmp(error->funcname, "exec_bind_message") == 0 ||
		 strcmp(error->funcname, "exec_execute_message") == 0) &&
		pgseal_hides_parameters(debug_query_string);
}

/*
 * The log is written first, from a message that was exchanged meanwhile, then
 * the client gets what the error was.  ErrorContext, where we are, is emptied
 * when the error has been dealt with.
 *
 * EmitErrorReport() calls this hook again, for a message that is redacted by
 * then.  That is known by the message itself: a flag would stay when anything
 * on the way fails, and let all later ones pass.
 */
static void
redact_emit_log(ErrorData *error)
{
	static char left_out[] = "Values are left out of the log because the transaction works with encrypted ones.";
	ErrorData	original;

	pgseal_redact_tokens_late(error);
	pgseal_explain_array_cast(error);
	if (names_parameters(error))
	{
		pfree(error->detail);
		error->detail = MemoryContextStrdup(error->assoc_context,
											"Parameters are left out because the statement deals with encrypted values.");
	}
	original = *error;
	if (error->detail == left_out || !error->output_to_server || !may_name_opened_value(error))
	{
		if (prev_emit_log)
			prev_emit_log(error);
		return;
	}

	error->context = error->context ? places_only(error->context) : NULL;
	error->output_to_client = false;
	error->message = message_for_log(error);
	error->detail = left_out;
	error->detail_log = NULL;
	error->hint = NULL;			/* of RAISE ... USING HINT */
	error->internalquery = NULL;
	EmitErrorReport();

	error->output_to_client = original.output_to_client;
	error->output_to_server = false;
	error->message = original.message;
	error->detail = original.detail;
	error->detail_log = original.detail_log;
	error->hint = original.hint;
	error->internalquery = original.internalquery;
	error->context = original.context;
}

void
pgseal_redact_init(void)
{
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = redact_process_utility;
	prev_emit_log = emit_log_hook;
	emit_log_hook = redact_emit_log;
}
