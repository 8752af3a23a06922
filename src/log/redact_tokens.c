/*-------------------------------------------------------------------------
 *
 * redact_tokens.c
 *	  Keeping tokens out of PostgreSQL's messages about constraints.
 *
 * A unique index on blind_index(email) that refuses a row would say
 *		Key (blind_index(email))=(\x0123...) already exists.
 * to the client and the log: a token, which can be looked for in a copy of the disk.
 * The detail becomes
 *		Key (email) already exists.
 * which also names the column as programs know it; of a key of several columns, and of rows
 * with generated columns of tokens, only the tokens and sealed values are left out, where
 * these can be told from other values.  The same goes for exclusion
 * constraints, foreign keys and partitions on tokens, and for rows that views refuse.
 *
 * That is done by an error context callback, which sees an error while it is made,
 * before a function of the user's can catch it.  PostgreSQL itself looks up
 * catalogs to write such a detail, so at that place the callback may, too.
 *
 * Constraints that are deferred to the end of a transaction are checked outside any
 * statement.  The log's hook sees their errors when nothing can be looked up any
 * more; key values with bytes among them are cut out then.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/bytea.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/catalog.h"
#include "log/redact_tokens.h"
#include "search/stored_expressions.h"
#include "type/hash_caller.h"
#include "value/basetype.h"
#include "value/envelope.h"

#define LEFT_OUT		"The row is left out because it has tokens."

static ExecutorRun_hook_type prev_executor_run = NULL;
static ExecutorFinish_hook_type prev_executor_finish = NULL;
static ProcessUtility_hook_type prev_process_utility;

/* Has the callback seen the error that will be reported, or one that was caught? */
static bool looked_at = false;

/*
 * What holds tokens
 */

static bool
has_tokens(Node *expr)
{
	return expr != NULL && pgseal_stored_has_tokens(expr, PGSEAL_TYPMOD_NONE);
}

static bool
is_token_column(Relation rel, AttrNumber attnum)
{
	return attnum > 0 && has_tokens(pgseal_stored_generation(rel, attnum));
}

static bool
has_token_column(Relation rel)
{
	for (int i = 1; i <= RelationGetNumberOfAttributes(rel); i++)
		if (is_token_column(rel, i))
			return true;
	return false;
}

static bool
is_partitioned_by_tokens(Relation rel)
{
	PgsealPartitionKey key = pgseal_stored_partition_key(rel);

	for (int i = 0; i < key.num_columns; i++)
		if (is_token_column(rel, key.columns[i]))
			return true;
	return has_tokens((Node *) key.expressions);
}

static bool
are_token_columns(Oid relation, Datum attnums)
{
	Relation	rel = relation_open(relation, AccessShareLock);
	ArrayType  *array = DatumGetArrayTypeP(attnums);
	int16	   *numbers = (int16 *) ARR_DATA_PTR(array);
	bool		found = false;

	for (int i = 0; i < ARR_DIMS(array)[0]; i++)
		found = found || is_token_column(rel, numbers[i]);
	relation_close(rel, AccessShareLock);
	return found;
}

/* The referenced table has tokens, whatever fills the column that refers to it. */
static bool
refers_to_tokens(Oid constraint)
{
	HeapTuple	row = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Form_pg_constraint form;
	Datum		attnums;
	bool		isnull;
	bool		found;

	if (!HeapTupleIsValid(row))
		return false;
	form = (Form_pg_constraint) GETSTRUCT(row);
	attnums = SysCacheGetAttr(CONSTROID, row, Anum_pg_constraint_confkey, &isnull);
	found = !isnull && OidIsValid(form->confrelid) &&
		are_token_columns(form->confrelid, attnums);
	ReleaseSysCache(row);
	return found;
}

/*
 * The detail
 */

/*
 * Names of the index's key columns, those of tokens by the column that they are
 * made of; NULL when it holds no tokens.
 */
static char *
names_of_index(Relation index, Relation rel)
{
	List	   *exprs = pgseal_stored_index_expressions(index);
	ListCell   *expr = list_head(exprs);
	StringInfoData names;
	bool		found = false;

	initStringInfo(&names);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	attnum = index->rd_index->indkey.values[i];
		Var		   *column = NULL;
		const char *name;

		if (attnum == 0)
		{
			column = pgseal_stored_column(lfirst(expr));
			found = found || has_tokens(lfirst(expr));
			expr = lnext(exprs, expr);
		}
		else
			found = found || is_token_column(rel, attnum);
		if (attnum != 0)
			name = get_attname(RelationGetRelid(rel), attnum, false);
		else if (column != NULL)
			name = get_attname(RelationGetRelid(rel), column->varattno, false);
		else
			name = TextDatumGetCString(DirectFunctionCall3(pg_get_indexdef_ext,
														   ObjectIdGetDatum(RelationGetRelid(index)),
														   Int32GetDatum(i + 1),
														   BoolGetDatum(true)));
		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", name);
	}
	return found ? names.data : NULL;
}

/* Key (a)=(1) is ... becomes: Key (a) is ...; NULL when it has another form */
static char *
without_values(const char *detail)
{
	const char *values = strstr(detail, ")=(");
	const char *end = strrchr(detail, ')');

	return values != NULL ? psprintf("%.*s%s", (int) (values + 1 - detail), detail, end + 1) : NULL;
}

/*
 * A row or a key as PostgreSQL prints it, with ... for sealed values and, where there are
 * tokens, for bytes.  NULL if these can't be told from other text.
 */
static char *
with_gaps(const char *text, bool bytes)
{
	static const char hex[] = "0123456789abcdef";
	static const char base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=";
	StringInfoData out;

	if (bytes && bytea_output != BYTEA_OUTPUT_HEX)
		return NULL;
	initStringInfo(&out);
	while (*text != '\0')
	{
		size_t		len = bytes && strncmp(text, "\\x", 2) == 0 ? 2 + strspn(text + 2, hex) :
			strncmp(text, PGSEAL_TEXT_PREFIX, strlen(PGSEAL_TEXT_PREFIX)) == 0 ?
			strlen(PGSEAL_TEXT_PREFIX) + strspn(text + strlen(PGSEAL_TEXT_PREFIX), base64) : 0;

		if (len == 0)
		{
			appendStringInfoChar(&out, *text++);
			continue;
		}
		text += len;
		appendStringInfoString(&out, "...");

		/* A long one is cut off already */
		if (strncmp(text, "...", 3) == 0)
			text += 3;
	}
	return out.data;
}

static bool
are_bytes(Oid type)
{
	return type == BYTEAOID || type == BYTEAARRAYOID;
}

/* Are all tokens of a table bytes, and not text that was made of them? */
static bool
tokens_are_bytes(Relation rel)
{
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		if (!are_bytes(TupleDescAttr(RelationGetDescr(rel), i)->atttypid) && is_token_column(rel, i + 1))
			return false;
	return true;
}

/* The same of an index */
static bool
index_tokens_are_bytes(Relation index, Relation rel)
{
	List	   *exprs = pgseal_stored_index_expressions(index);
	ListCell   *expr = list_head(exprs);

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	attnum = index->rd_index->indkey.values[i];
		bool		holds = attnum == 0 ? has_tokens(lfirst(expr)) : is_token_column(rel, attnum);

		if (attnum == 0)
			expr = lnext(exprs, expr);
		if (holds && !are_bytes(TupleDescAttr(RelationGetDescr(index), i)->atttypid))
			return false;
	}
	return true;
}

/* The failing row */
static char *
row_without_tokens(const char *detail, bool safely)
{
	char	   *result = safely ? with_gaps(detail, true) : NULL;

	return result != NULL ? result : pstrdup(LEFT_OUT);
}

/* A view's check option doesn't say of which table the row is: of one that is being written. */
static char *
detail_of_view(const char *detail)
{
	bool		tokens = pgseal_hash_executor == NULL;
	bool		bytes = !tokens;
	ListCell   *lc;

	foreach(lc, bytes ? pgseal_hash_executor->es_opened_result_relations : NIL)
	{
		Relation	rel = ((ResultRelInfo *) lfirst(lc))->ri_RelationDesc;

		tokens = tokens || has_token_column(rel);
		bytes = bytes && tokens_are_bytes(rel);
	}
	if (tokens)
		return row_without_tokens(detail, bytes);
	return strstr(detail, PGSEAL_TEXT_PREFIX) != NULL ? with_gaps(detail, false) : NULL;
}

static char *
detail_of_index(const ErrorData *error, const char *names, Relation index, Relation rel)
{
	const char *values = strstr(error->detail, ")=(");

	/* What else is in the key than tokens is worth to be said. */
	if (error->sqlerrcode == ERRCODE_UNIQUE_VIOLATION && values != NULL &&
		IndexRelationGetNumberOfKeyAttributes(index) > 1 && index_tokens_are_bytes(index, rel))
	{
		char	   *gaps = with_gaps(values + 1, true);

		if (gaps != NULL)
			return psprintf("Key (%s)%s", names, gaps);
	}
	if (error->sqlerrcode == ERRCODE_EXCLUSION_VIOLATION)
		return psprintf("Key (%s) conflicts with an existing key.", names);
	if (error->message_id != NULL && strncmp(error->message_id, "could not create", 16) == 0)
		return psprintf("Key (%s) is duplicated.", names);
	return psprintf("Key (%s) already exists.", names);
}

/* The detail to give instead; NULL when the error's own may stay */
static char *
detail_without_tokens(const ErrorData *error)
{
	Oid			schema = get_namespace_oid(error->schema_name, true);
	Oid			relation = OidIsValid(schema) ?
		get_relname_relid(error->table_name, schema) : InvalidOid;
	Relation	rel = OidIsValid(relation) ? try_relation_open(relation, AccessShareLock) : NULL;
	Oid			object = InvalidOid;
	char	   *result = NULL;

	if (rel == NULL)
		return NULL;
	if (error->constraint_name != NULL && error->sqlerrcode == ERRCODE_FOREIGN_KEY_VIOLATION)
	{
		object = get_relation_constraint_oid(relation, error->constraint_name, true);
		if (OidIsValid(object) && refers_to_tokens(object))
		{
			result = without_values(error->detail);
			result = result != NULL ? result : pstrdup(LEFT_OUT);
		}
	}
	else if (error->constraint_name != NULL &&
			 OidIsValid(object = get_relname_relid(error->constraint_name, schema)) &&
			 strchr("iI", get_rel_relkind(object)) != NULL)
	{
		Relation	index = index_open(object, AccessShareLock);

		if (index->rd_index->indrelid == relation)
		{
			char	   *names = names_of_index(index, rel);

			result = names != NULL ? detail_of_index(error, names, index, rel) : NULL;
		}
		index_close(index, AccessShareLock);
	}
	else if (is_partitioned_by_tokens(rel))
		result = pstrdup(LEFT_OUT);
	else if (has_token_column(rel))
		result = row_without_tokens(error->detail, tokens_are_bytes(rel));
	else if (strstr(error->detail, PGSEAL_TEXT_PREFIX) != NULL)
		result = with_gaps(error->detail, false);
	relation_close(rel, AccessShareLock);
	return result;
}

/* Error context callback; its argument is a memory context to work in */
static void
redact_tokens(void *arg)
{
	MemoryContext error_context;
	ErrorData  *error;
	char	   *detail = NULL;

	if ((ERRCODE_TO_CATEGORY(geterrcode()) != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION &&
		 geterrcode() != ERRCODE_WITH_CHECK_OPTION_VIOLATION) ||
		!IsTransactionState() || !OidIsValid(pgseal_extension_oid()))
		return;
	looked_at = true;
	error_context = MemoryContextSwitchTo((MemoryContext) arg);
	error = CopyErrorData();
	HOLD_INTERRUPTS();
	if (error->elevel == ERROR && error->detail != NULL)
		detail = error->sqlerrcode == ERRCODE_WITH_CHECK_OPTION_VIOLATION ? detail_of_view(error->detail) :
			error->schema_name != NULL && error->table_name != NULL ? detail_without_tokens(error) : NULL;
	RESUME_INTERRUPTS();
	MemoryContextSwitchTo(error_context);
	if (detail != NULL)
		errdetail_internal("%s", detail);
}

void
pgseal_redact_tokens_late(ErrorData *error)
{
	bool		done = looked_at;
	char	   *detail;

	if (error->elevel != ERROR ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_INTEGRITY_CONSTRAINT_VIOLATION)
		return;
	looked_at = false;
	if (done || error->detail == NULL || strchr(error->detail, '\\') == NULL)
		return;
	detail = without_values(error->detail);
	if (detail != NULL)
		error->detail = detail;
}

/*
 * Putting the callback around all that runs
 */

static bool
is_set(void)
{
	for (ErrorContextCallback *frame = error_context_stack; frame != NULL; frame = frame->previous)
		if (frame->callback == redact_tokens)
			return true;
	return false;
}

#define WITH_CALLBACK(call) \
	do { \
		ErrorContextCallback callback = { \
			.previous = error_context_stack, \
			.callback = redact_tokens, \
			.arg = CurrentMemoryContext \
		}; \
		bool		sets = !is_set(); \
		if (sets) \
			error_context_stack = &callback; \
		call; \
		if (sets) \
		{ \
			error_context_stack = callback.previous; \
			looked_at = false; \
		} \
	} while (0)

static void
redact_executor_run(PGSEAL_EXECUTOR_RUN_ARGS)
{
	if (prev_executor_run)
		WITH_CALLBACK(prev_executor_run(PGSEAL_EXECUTOR_RUN_PASS));
	else
		WITH_CALLBACK(standard_ExecutorRun(PGSEAL_EXECUTOR_RUN_PASS));
}

static void
redact_executor_finish(QueryDesc *desc)
{
	if (prev_executor_finish)
		WITH_CALLBACK(prev_executor_finish(desc));
	else
		WITH_CALLBACK(standard_ExecutorFinish(desc));
}

static void
redact_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	WITH_CALLBACK(prev_process_utility(pstmt, query_string, read_only_tree, context, params,
									   env, dest, qc));
}

void
pgseal_redact_tokens_init(void)
{
	prev_executor_run = ExecutorRun_hook;
	ExecutorRun_hook = redact_executor_run;
	prev_executor_finish = ExecutorFinish_hook;
	ExecutorFinish_hook = redact_executor_finish;
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = redact_process_utility;
}
