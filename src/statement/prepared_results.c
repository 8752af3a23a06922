/*-------------------------------------------------------------------------
 *
 * prepared_results.c
 *	  What a prepared statement of the client's has told of its results.
 *
 * A varchar column becomes one of encrypted_text when it is encrypted, and what is
 * opened of that is text.  A statement that a session has prepared before has told
 * its driver varchar, and PostgreSQL would refuse to run it with another type
 * ("cached plan must not change result type").  So where such a statement is analyzed
 * again, an opened result stays what it was: the bytes of both types are the same.  Likewise, a
 * row of a table was one of the table's row type, and is a record when it is opened.
 *
 * PostgreSQL analyzes a prepared statement's own copy of its text.  So which one it
 * is, shows by the address of the text: first, and at next to no cost, whether it is
 * any cached statement's, by the memory contexts that these are kept in; then which
 * of the session's own.  Those of functions are none of these.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "statement/opened.h"
#include "statement/prepared_results.h"

/* Is this the text of any cached statement?  Its memory context is named by it. */
static bool
is_cached(const char *source)
{
	for (MemoryContext context = CacheMemoryContext->firstchild; context != NULL;
		 context = context->nextchild)
		if (context->ident == source)
			return true;
	return false;
}

CachedPlanSource *
pgseal_prepared_again(const char *source)
{
	PgsealQuerySession session;
	CachedPlanSource *found = NULL;
	uint64		num_rows;

	if (source == NULL || !is_cached(source))
		return NULL;
	pgseal_query_begin(&session);
	num_rows = pgseal_query("SELECT name FROM pg_catalog.pg_prepared_statement()", 0);
	for (uint64 row = 0; row < num_rows && found == NULL; row++)
	{
		PreparedStatement *prepared = FetchPreparedStatement(pgseal_query_text(row, 1), false);

		if (prepared != NULL && prepared->plansource->query_string == source)
			found = prepared->plansource;
	}
	pgseal_query_end(&session);
	return found;
}

/* The expression as the type that it had, if its bytes are the same; else NULL */
static Node *
as_before(Expr *expr, Form_pg_attribute before)
{
	Oid			now = exprType((Node *) expr);
	Oid			now_element = get_element_type(now);
	Oid			element = get_element_type(before->atttypid);
	Node	   *kept;

	/*
	 * What an opened row holds is said by itself, whatever type it is told to
	 * be of
	 */
	if (now != before->atttypid &&
		((now == RECORDOID && type_is_rowtype(before->atttypid)) ||
		 (now == RECORDARRAYOID && OidIsValid(element) && type_is_rowtype(element))))
		return !pgseal_is_opened_result(expr) ? NULL :
			(Node *) makeRelabelType(expr, before->atttypid, -1, InvalidOid, COERCE_IMPLICIT_CAST);
	if (now == before->atttypid || before->atttypmod != -1 || !pgseal_is_opened_result(expr) ||
		OidIsValid(now_element) != OidIsValid(element) ||
		!(OidIsValid(element) ? IsBinaryCoercible(now_element, element) :
		  IsBinaryCoercible(now, before->atttypid)))
		return NULL;
	kept = coerce_to_target_type(NULL, (Node *) expr, now, before->atttypid, -1,
								 COERCION_IMPLICIT, COERCE_IMPLICIT_CAST, -1);
	if (kept != NULL)
		exprSetCollation(kept, exprCollation((Node *) expr));
	return kept;
}

void
pgseal_prepared_results_keep(CachedPlanSource *prepared, Query *query)
{
	TupleDesc	before = prepared->resultDesc;
	ListCell   *lc;

	if (before == NULL)
		return;
	foreach(lc, query->commandType == CMD_SELECT ? query->targetList : query->returningList)
	{
		TargetEntry *target = lfirst_node(TargetEntry, lc);
		Node	   *kept = target->resjunk || target->resno > before->natts ? NULL :
			as_before(target->expr, TupleDescAttr(before, target->resno - 1));

		if (kept != NULL)
			target->expr = (Expr *) kept;
	}
}
