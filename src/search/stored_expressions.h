/*-------------------------------------------------------------------------
 *
 * stored_expressions.h
 *	  Expressions that a table stores, and which of them compute tokens.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_STORED_EXPRESSIONS_H
#define PGSEAL_STORED_EXPRESSIONS_H

#include "postgres.h"

#include "nodes/pg_list.h"
#include "nodes/primnodes.h"
#include "utils/rel.h"

/*
 * Expressions and predicate of an index, the expression of a generated column, and a
 * partition key, as they are stored.  PostgreSQL's own functions for this evaluate what is
 * immutable in them, code of the table's owner, with the rights of whoever asks.
 */
extern List *pgseal_stored_index_expressions(Relation index);
extern List *pgseal_stored_index_predicate(Relation index);
extern Node *pgseal_stored_generation(Relation table, AttrNumber attnum);

/* What a partitioned table is partitioned by */
typedef struct PgsealPartitionKey
{
	int			num_columns;	/* 0: it isn't partitioned */
	AttrNumber	columns[PARTITION_MAX_KEYS];	/* 0 for an expression */
	List	   *expressions;
} PgsealPartitionKey;

extern PgsealPartitionKey pgseal_stored_partition_key(Relation table);

/* The type modifier of an encrypted column, also of one of a domain */
extern int32 pgseal_stored_typmod(Node *column);

/* Is it one of the extension's functions blind_index()? */
extern bool pgseal_stored_is_token_function(Oid function);

/* The column in blind_index(column, ...), a Var; NULL for all else */
extern Var *pgseal_stored_column(Node *expr);

/* A copy of such a call with its arguments in their places; NULL for all else */
extern FuncExpr *pgseal_stored_call(Node *expr);

/* A call of blind_index() of whatever, its arguments in their places; NULL for all else */
extern FuncExpr *pgseal_stored_any_call(Node *expr);

/* Of an encrypted value, or of a plain one? */
extern bool pgseal_stored_is_of_value(FuncExpr *call);

/* A call of blind_index() of any encrypted value */
extern FuncExpr *pgseal_stored_value_call(Node *expr);

/* The type modifier of that column */
extern int32 pgseal_stored_column_typmod(Node *expr);

/*
 * Does the expression compute tokens of columns with this type modifier, or
 * (PGSEAL_TYPMOD_NONE) of any column?
 */
extern bool pgseal_stored_has_tokens(Node *expr, int32 typmod);

/*
 * A function of neither PostgreSQL nor this extension that the expression hands a
 * column of this key, or of any; InvalidOid where there is none.  It may make
 * tokens, and nobody can tell: it isn't called, and not simplified, to find out.
 */
extern Oid	pgseal_stored_foreign_call(Node *expr, int32 key_hash);

/* An index of the relation that is made of tokens of the column, or InvalidOid */
extern Oid	pgseal_stored_index_of(Relation rel, AttrNumber attnum);

#endif							/* PGSEAL_STORED_EXPRESSIONS_H */
