/*-------------------------------------------------------------------------
 *
 * function_results.c
 *	  What functions answer to their callers.
 *
 * The rows that a PL/pgSQL function answers with must have the declared types
 * (plpgsql_rows.c).  On plain columns they have: a function that is declared to return
 * text answers with a text column.  So where a column's type is another form of
 * the declared one, it is converted: an encrypted column is opened, and one under
 * another key is sealed anew.  This is no more than what the cast would do that one
 * would write there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/transam.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/settings.h"
#include "statement/function_results.h"
#include "statement/opened.h"
#include "statement/plain_callers.h"
#include "statement/plpgsql_rows.h"
#include "statement/result_columns.h"
#include "value/basetype.h"

/* The encrypted type of a column's values or of its array's elements, or NULL */
static const PgsealType *
encrypted_type(Oid type)
{
	Oid			element;

	if (type < FirstNormalObjectId)
		return NULL;
	type = getBaseType(type);
	element = get_element_type(type);
	return pgseal_type_by_oid(OidIsValid(element) ? element : type);
}

/* The expression in the declared type; NULL when it stays as it is */
static Expr *
converted(Expr *expr, Form_pg_attribute declared, Query *query)
{
	Oid			type = exprType((Node *) expr);
	int32		typmod = exprTypmod((Node *) expr);
	Node	   *result;

	if ((type == declared->atttypid &&
		 (declared->atttypmod < 0 || declared->atttypmod == typmod)) ||
		(encrypted_type(type) == NULL && encrypted_type(declared->atttypid) == NULL))
		return NULL;

	/* Opened above sorts and joins, as a client's result is */
	result = encrypted_type(declared->atttypid) != NULL ? copyObject((Node *) expr) :
		(Node *) pgseal_opened(expr, PGSEAL_OPEN_RESULT, list_make1(query));
	if (result == NULL)
		return NULL;
	result = coerce_to_target_type(NULL, result, exprType(result), declared->atttypid,
								   declared->atttypmod, COERCION_ASSIGNMENT,
								   COERCE_IMPLICIT_CAST, -1);
	if (result != NULL)
		assign_expr_collations(NULL, result);
	return (Expr *) result;
}

typedef struct DeclaredResult
{
	TupleDesc	columns;
	Query	   *query;
} DeclaredResult;

/* A row type's columns that were dropped are no columns of the result.  NULL: too many */
static Form_pg_attribute
declared_column(TupleDesc columns, int number)
{
	for (int i = 0; i < columns->natts; i++)
		if (!TupleDescAttr(columns, i)->attisdropped && --number == 0)
			return TupleDescAttr(columns, i);
	return NULL;
}

/* PgsealTargetMap */
static Expr *
convert_target(TargetEntry *target, void *context)
{
	DeclaredResult *result = context;
	Form_pg_attribute declared = declared_column(result->columns, target->resno);

	return declared != NULL ? converted(target->expr, declared, result->query) : NULL;
}

/* The row that a RETURN makes of values: its columns are converted, in place. */
static bool
convert_row(List *targets, DeclaredResult *result)
{
	RowExpr    *row = list_length(targets) == 1 ?
		(RowExpr *) linitial_node(TargetEntry, targets)->expr : NULL;
	ListCell   *lc;

	if (row == NULL || !IsA(row, RowExpr) || row->row_typeid != RECORDOID)
		return false;
	foreach(lc, row->args)
	{
		Form_pg_attribute declared = declared_column(result->columns,
													 foreach_current_index(lc) + 1);
		Expr	   *value = declared != NULL ? converted(lfirst(lc), declared, result->query) : NULL;

		if (value != NULL)
			lfirst(lc) = value;
	}
	return true;
}

/* PgsealTargetMap */
static Expr *
open_target(TargetEntry *target, void *context)
{
	return pgseal_opened(target->expr, PGSEAL_OPEN_RESULT, list_make1(context));
}

void
pgseal_function_results(ParseState *pstate, Query *query)
{
	List	   *targets = query->commandType == CMD_SELECT ? query->targetList : query->returningList;
	DeclaredResult result = {.query = query};

	if (query->commandType == CMD_UTILITY || targets == NIL)
		return;
	switch (pgseal_plpgsql_rows_go(pstate, &result.columns))
	{
		case PGSEAL_ROWS_RETURNED:
			if (!convert_row(targets, &result))
				pgseal_result_columns_map(query, convert_target, &result);
			break;
		case PGSEAL_ROWS_FETCHED:
			if (pgseal_transparent)
				pgseal_result_columns_map(query, open_target, query);
			break;
		case PGSEAL_ROWS_STAY:
			if (pgseal_transparent && pgseal_plain_caller())
				pgseal_result_columns_map(query, open_target, query);
			break;
	}
}
