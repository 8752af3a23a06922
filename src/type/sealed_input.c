/*-------------------------------------------------------------------------
 *
 * sealed_input.c
 *	  Whether the sealed form of a value is taken for what it is.
 *
 * Who has seen a sealed value, in a dump or a log, could otherwise type it into
 * an application's form and be shown what it holds; and who makes one up could
 * store what nobody can open.  So the sealed form is believed only where
 * pgseal.sealed_input allows it: by default in COPY FROM, in what a subscriber
 * applies, and in definitions (the literal in a column's DEFAULT), all of
 * which a dump and its restoration are made of, and between nodes of Citus.
 *
 * Which of them calls an input function is told by whose error context is the
 * innermost one, as each of them sets up its own and nothing in between does:
 *
 *	COPY:		CopyFromErrorCallback() of a COPY that is just converting a
 *				column, by a function that was looked up for that COPY; those
 *				of array elements and row fields are looked up into the same
 *				memory as the array's own.
 *	apply:		the only one in a process that applies.
 *	definition: the parser's, around one literal, above that which the
 *				statement was started under.  (Of a materialized view, the
 *				statement's text tells.)
 *
 *	Citus:		that under which a part of it runs which takes what other nodes
 *				sent, or the parser's above that; on a connection of another
 *				node, the only one while that sends a statement or parameters.
 *
 * A function, a trigger or a cast that runs inside of one of these has another
 * one innermost, so what it makes of a user's text is just text.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "commands/copy.h"
#include "commands/copyfrom_internal.h"
#include "miscadmin.h"
#include "parser/parse_node.h"
#include "parser/parser.h"
#include "replication/logicalworker.h"
#include "utils/rel.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/settings.h"
#include "type/sealed_input.h"
#include "value/seal.h"

static PgsealDefinition definition = {false, NULL};

/* The COPY FROM that this function converts a column for, or NULL */
static CopyFromState
calling_copy(const FmgrInfo *input_function)
{
	CopyFromState copy;

	if (error_context_stack == NULL || error_context_stack->callback != CopyFromErrorCallback)
		return NULL;
	copy = error_context_stack->arg;
	return copy->cur_attname != NULL && input_function->fn_mcxt == copy->copycontext ? copy : NULL;
}

void		(*pgseal_replicated_input) (void) = NULL;

static bool
is_apply(void)
{
	return IsLogicalWorker() && error_context_stack != NULL &&
		error_context_stack->previous == NULL;
}

static bool
is_definition(void)
{
	return definition.running && error_context_stack != NULL &&
		error_context_stack->previous == definition.context;
}

/* The statement whose literal is being parsed, if the parser is what calls; or NULL */
static const char *
parsed_text(void)
{
	ParseCallbackState own;
	const ParseCallbackState *caller;

	if (error_context_stack == NULL)
		return NULL;
	/* The parser's callback has no name outside of it */
	setup_parser_errposition_callback(&own, NULL, -1);
	cancel_parser_errposition_callback(&own);
	if (error_context_stack->callback != own.errcallback.callback)
		return NULL;
	caller = error_context_stack->arg;
	return caller->pstate != NULL ? caller->pstate->p_sourcetext : NULL;
}

/*
 * The query of CREATE MATERIALIZED VIEW is analyzed before the command runs, as
 * that of a SELECT is: so look at what the text is.
 */
static bool
is_materialized_view(void)
{
	const char *text = parsed_text();
	List	   *statements = text != NULL ? raw_parser(text, RAW_PARSE_DEFAULT) : NIL;
	ListCell   *lc;

	foreach(lc, statements)
	{
		CreateTableAsStmt *create = (CreateTableAsStmt *) lfirst_node(RawStmt, lc)->stmt;

		if (!IsA(create, CreateTableAsStmt) || create->objtype != OBJECT_MATVIEW)
			return false;
	}
	return statements != NIL;
}

/* Is it from another node of Citus? */
static bool
is_of_citus(void)
{
	bool		is_parsed = pgseal_citus_is_loaded && parsed_text() != NULL;

	if (!pgseal_citus_is_loaded)
		return false;
	switch (pgseal_running.what)
	{
		case PGSEAL_RUNNING_NOTHING:
			return pgseal_citus_is_client() &&
				error_context_stack != NULL && error_context_stack->previous == NULL;
		case PGSEAL_RUNNING_STATEMENT:
			return false;
		case PGSEAL_RUNNING_CITUS_PARSER:
			return is_parsed && error_context_stack->previous == pgseal_running.context;
		case PGSEAL_RUNNING_CITUS_READER:
			return error_context_stack == pgseal_running.context ||
				(is_parsed && error_context_stack->previous == pgseal_running.context);
	}
	return false;
}

PgsealDefinition
pgseal_sealed_input_define(bool defines)
{
	PgsealDefinition previous = definition;

	definition.running = defines;
	definition.context = error_context_stack;
	return previous;
}

void
pgseal_sealed_input_defined(PgsealDefinition previous)
{
	definition = previous;
}

/*
 * A dump may be restored in an order that loads values before their keys.  Who
 * restores a table owns it; an application that copies its users' input in has
 * no business with keys that aren't there.
 */
static bool
copy_restores(CopyFromState copy)
{
	return copy->rel != NULL && pgseal_owns_table(RelationGetRelid(copy->rel), GetUserId());
}

PgsealInputSource
pgseal_sealed_input_source(const FmgrInfo *input_function)
{
	CopyFromState copy = calling_copy(input_function);
	PgsealInputSource source = {false, false, false};

	if (IsBinaryUpgrade)
		source.taken = true;
	switch ((PgsealSealedInput) pgseal_sealed_input)
	{
		case PGSEAL_SEALED_INPUT_ON:
			source.taken = true;
			break;
		case PGSEAL_SEALED_INPUT_COPY:
			source.taken |= copy != NULL || is_apply() || is_definition() || is_materialized_view() ||
				is_of_citus();
			break;
		case PGSEAL_SEALED_INPUT_OFF:
			break;
	}
	source.replicated = source.taken && IsLogicalWorker();
	source.restores = source.taken && (copy == NULL || copy_restores(copy));
	return source;
}

bool
pgseal_sealed_input_check(PgsealInputSource source, const PgsealType *type,
						  struct varlena *sealed, Node *escontext)
{
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;

	if (!source.taken)
		pgseal_ereturn(escontext, false,
					   (errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
						errmsg("sealed values are not taken as input here"),
						errhint("See the setting pgseal.sealed_input: a dump made with --inserts is restored while it is on."),
						errhidestmt(true)));

	/*
	 * pg_upgrade makes definitions as they were, and before there are keys to
	 * look at
	 */
	if (IsBinaryUpgrade)
		return true;
	pgseal_value_header(&envelope, PointerGetDatum(sealed));
	info = pgseal_keyring_info(envelope.key_version_id);
	if (!info->known && !info->ephemeral && !source.restores)
		pgseal_ereturn(escontext, false,
					   (errcode(ERRCODE_UNDEFINED_OBJECT),
						errmsg("sealed value is of a key version that is not known in this database"),
						errhint("Only the owner of a table can restore values before their keys."),
						errhidestmt(true)));
	if (info->known && !info->destroyed && pgseal_keyring_at_hand(envelope.key_version_id) &&
		!pgseal_value_is_sound(type, PointerGetDatum(sealed)))
		pgseal_ereturn(escontext, false,
					   (errcode(ERRCODE_DATA_CORRUPTED),
						errmsg("sealed value failed authentication"),
						errhidestmt(true)));
	return true;
}
