/*-------------------------------------------------------------------------
 *
 * extend.h
 *	  Conditions of a query, each with what finds its index beside it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_EXTEND_H
#define PGSEAL_EXTEND_H

#include "nodes/pathnodes.h"

#include "search/find_index.h"

/* What the queries of one statement are extended with */
typedef struct PgsealExtension
{
	List	   *rtable;			/* of the query at hand */
	bool		is_planned;		/* it has been simplified: only = is left to
								 * do */
	bool		extended;		/* anything at all */
} PgsealExtension;

/* All of these: NULL where there is nothing to extend the condition by */
extern Node *pgseal_extend_equality(List *rtable, OpExpr *equality);
extern Node *pgseal_extend_any(ScalarArrayOpExpr *any, PgsealExtension *extension);
extern Node *pgseal_extend_explicit(OpExpr *equality, PgsealExtension *extension);
extern Node *pgseal_extend_opened(OpExpr *equality, PgsealExtension *extension);
extern Node *pgseal_extend_not_distinct(DistinctExpr *distinct, PgsealExtension *extension);

/*
 * Anywhere in the query: what blind_index() makes of a value of no column becomes
 * the token that the column has for it with whose tokens it is compared.
 */
extern void pgseal_tokens_alike(Query *query);

/* column IN (VALUES ...) as column = ANY (...), or NULL */
extern ScalarArrayOpExpr *pgseal_values_as_array(SubLink *in);

/* Is the operator one that pgseal_extend_equality() is for? */
extern bool pgseal_extends_equality(OpExpr *operator);

/* Is the operator the = of an encrypted type, with whatever on its right? */
extern bool pgseal_is_sealed_equality(Oid operator);

/* The value inside what is sealed only to be compared */
extern Node *pgseal_without_seal(Node *value);

/* Does it depend on a row of a query around this one?  context: NULL */
extern bool pgseal_depends_on_outer_row(Node *node, void *context);

/* When an index key is replaced */
extern void pgseal_plan_again_for_keys(PlannerInfo *root);

#endif							/* PGSEAL_EXTEND_H */
