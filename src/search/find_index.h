/*-------------------------------------------------------------------------
 *
 * find_index.h
 *	  From a column that is compared to its blind index, and the clause that uses it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FIND_INDEX_H
#define PGSEAL_FIND_INDEX_H

#include "nodes/primnodes.h"

#include "value/index_token.h"

/* An index on blind_index(column) */
typedef struct PgsealBlindIndex
{
	FuncExpr   *call;			/* as the index has it */
	AttrNumber	stored_in;		/* generated column that holds it, or 0 */
	PgsealTokenForm form;
	bool		prunes;			/* the table is partitioned by the column */
} PgsealBlindIndex;

/* A column that is compared, and its index */
typedef struct Target
{
	Node	   *column;
	int32		typmod;			/* whose tokens the index holds */
	int			num_versions;	/* of the index key */
	PgsealBlindIndex index;
} PgsealLookup;

/* Is this side of a comparison an indexed column of the query? */
extern bool pgseal_lookup_target(List *rtable, Node *column, Oid collation, PgsealLookup *out);

/* Can be looked for what the value will be? */
extern bool pgseal_lookup_is_searchable(Node *value);

/*
 * The clause that column = value, or column = ANY (value), allows to add;
 * many_tokens is the function that makes the tokens if they may be several.
 */
extern Expr *pgseal_lookup_clause(const PgsealLookup *target, Node *value, Oid value_type,
								  const char *many_tokens);

/* The side of that clause that matches the index */
extern Expr *pgseal_lookup_indexed_side(Node *column, const PgsealBlindIndex *index);

/* The other: pgseal_internal.token() or tokens() of a value that the column is compared with */
extern Expr *pgseal_lookup_token_call(const char *function, Node *value, Oid value_type,
									  int32 typmod, const PgsealTokenForm *form, Oid collation);

#endif							/* PGSEAL_FIND_INDEX_H */
