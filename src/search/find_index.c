/*-------------------------------------------------------------------------
 *
 * find_index.c
 *	  From a column that is compared to its blind index, and the clause that uses it.
 *
 * The clause is blind_index(column) = token(value), as the index has the one side
 * and token() or tokens() computes the other.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "parser/parsetree.h"
#include "partitioning/partdefs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "search/find_index.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"

/*
 * Finding the index
 */

/*
 * The table column that an expression is, looked for through subqueries and
 * joins of this query level; false when it is none.
 */
static bool
find_column(List *rtable, Node *expr, Oid *out_relation, AttrNumber *out_attnum, bool *out_direct)
{
	*out_direct = true;
	for (;;)
	{
		Var		   *var;
		RangeTblEntry *rte;

		while (expr != NULL && IsA(expr, RelabelType))
			expr = (Node *) ((RelabelType *) expr)->arg;
		if (expr == NULL || !IsA(expr, Var))
			return false;
		var = (Var *) expr;
		if (var->varlevelsup != 0 || var->varattno <= 0 || IS_SPECIAL_VARNO(var->varno) ||
			var->varno > list_length(rtable))
			return false;
		rte = rt_fetch(var->varno, rtable);
		if (rte->rtekind == RTE_RELATION)
		{
			*out_relation = rte->relid;
			*out_attnum = var->varattno;
			return rte->relkind != RELKIND_VIEW;
		}
		*out_direct = false;
		if (rte->rtekind == RTE_JOIN)
			expr = list_nth(rte->joinaliasvars, var->varattno - 1);
		else if (rte->rtekind == RTE_SUBQUERY && rte->subquery->setOperations == NULL)
		{
			TargetEntry *target = get_tle_by_resno(rte->subquery->targetList, var->varattno);

			if (target == NULL)
				return false;
			expr = (Node *) target->expr;
			rtable = rte->subquery->rtable;
		}
		else
			return false;
	}
}

/* Is this blind_index(column attnum ...) with constants behind it? */
static bool
is_blind_index_call(Node *expr, AttrNumber attnum, PgsealBlindIndex *out)
{
	Var		   *column = pgseal_stored_column(expr);
	FuncExpr   *call;
	ListCell   *lc;

	if (column == NULL || column->varattno != attnum)
		return false;
	call = pgseal_stored_call(expr);

	out->call = call;
	out->form.normalizer = "";
	out->form.bits = PGSEAL_TOKEN_BITS_MAX;
	for_each_from(lc, call->args, 1)
	{
		Const	   *constant = lfirst(lc);

		if (!IsA(constant, Const) || constant->constisnull)
			return false;
		if (constant->consttype == TEXTOID)
			out->form.normalizer = TextDatumGetCString(constant->constvalue);
		else
			out->form.bits = DatumGetInt32(constant->constvalue);
	}
	return true;
}

/* Does a key column of the index hold blind_index(column)? */
static bool
index_has_blind_index(Relation table, Relation index, AttrNumber attnum, PgsealBlindIndex *out)
{
	List	   *exprs = pgseal_stored_index_expressions(index);
	ListCell   *expr = list_head(exprs);

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	key = index->rd_index->indkey.values[i];

		out->stored_in = key;
		if (key == 0)
		{
			if (is_blind_index_call(lfirst(expr), attnum, out))
				return true;
			expr = lnext(exprs, expr);
		}
		else if (key > 0 && TupleDescAttr(RelationGetDescr(table), key - 1)->attgenerated &&
				 is_blind_index_call(pgseal_stored_generation(table, key), attnum, out))
			return true;
	}
	return false;
}

/*
 * Do equal values, as the comparison means it, have equal tokens?  Under a
 * nondeterministic collation different strings may be equal; the tokens follow
 * the collation of the index, and what a normalizer cuts off follows none.
 */
static bool
collation_fits(const PgsealBlindIndex *index, Oid collation)
{
	Oid			own = index->call->inputcollid;

	if (own == collation || !OidIsValid(own) || !OidIsValid(collation))
		return !OidIsValid(own) || index->form.normalizer[0] == '\0' ||
			get_collation_isdeterministic(own);
	return get_collation_isdeterministic(own) && get_collation_isdeterministic(collation);
}

/* Is a more exact than b? */
static bool
is_better(const PgsealBlindIndex *a, const PgsealBlindIndex *b)
{
	bool		a_plain = a->form.normalizer[0] == '\0';
	bool		b_plain = b->form.normalizer[0] == '\0';

	return a_plain != b_plain ? a_plain : a->form.bits > b->form.bits;
}

static bool
is_partitioned_by(Relation table, AttrNumber attnum)
{
	PgsealPartitionKey key = pgseal_stored_partition_key(table);

	for (int i = 0; i < key.num_columns; i++)
		if (key.columns[i] == attnum)
			return true;
	return false;
}

/*
 * The index of the most exact form, plain before normalized.  Where a parent
 * table has none, those of its children count.
 */
static bool
find_blind_index(Oid relation, AttrNumber attnum, Oid collation, PgsealBlindIndex *out)
{
	Relation	table = table_open(relation, AccessShareLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		PgsealBlindIndex candidate;

		if (index->rd_index->indisvalid &&
			index_has_blind_index(table, index, attnum, &candidate) &&
			collation_fits(&candidate, collation) && (!found || is_better(&candidate, out)))
		{
			*out = candidate;
			out->call = copyObject(candidate.call);
			found = true;
		}
		index_close(index, NoLock);
	}
	if (!found && table->rd_rel->relhassubclass)
	{
		foreach(lc, find_inheritance_children(relation, AccessShareLock))
		{
			AttrNumber	child_attnum = get_attnum(lfirst_oid(lc),
												  NameStr(TupleDescAttr(RelationGetDescr(table),
																		attnum - 1)->attname));

			/* A generated column may have another number there */
			found = child_attnum != InvalidAttrNumber &&
				find_blind_index(lfirst_oid(lc), child_attnum, collation, out) &&
				out->stored_in == 0;
			if (found)
				break;
		}
	}
	out->prunes = found && is_partitioned_by(table, attnum);
	table_close(table, NoLock);
	return found;
}

/*
 * Building the clause
 */

/* pgseal_internal.token() or tokens() of a value that the column is compared with */
Expr *
pgseal_lookup_token_call(const char *function, Node *value, Oid value_type, int32 typmod,
						 const PgsealTokenForm *form, Oid collation)
{
	Oid			types[4] = {value_type, INT4OID, TEXTOID, INT4OID};
	Oid			oid = pgseal_internal_function(function, 4, types);
	Const	   *typmod_const = makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
										 Int32GetDatum(typmod), false, true);
	Const	   *normalizer = makeConst(TEXTOID, -1, DEFAULT_COLLATION_OID, -1,
									   CStringGetTextDatum(form->normalizer), false, false);
	Const	   *bits = makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
								 Int32GetDatum(form->bits), false, true);

	return (Expr *) makeFuncExpr(oid, get_func_rettype(oid),
								 list_make4(copyObject(value), typmod_const, normalizer, bits),
								 InvalidOid, collation, COERCE_EXPLICIT_CALL);
}

/* The column as the planner sees it in blind_index(column COLLATE ...) */
static Node *
with_collation_of(Node *indexed, Node *column)
{
	if (!IsA(indexed, CollateExpr))
		return column;
	return applyRelabelType(column, exprType(column), exprTypmod(column),
							((CollateExpr *) indexed)->collOid, COERCE_IMPLICIT_CAST, -1, true);
}

/* The side of the clause that matches the index */
Expr *
pgseal_lookup_indexed_side(Node *column, const PgsealBlindIndex *index)
{
	FuncExpr   *call;

	if (index->stored_in != 0)
	{
		Var		   *var = copyObject((Var *) column);

		var->varattno = index->stored_in;
		var->varattnosyn = index->stored_in;
		var->vartype = BYTEAOID;
		var->vartypmod = -1;
		var->varcollid = InvalidOid;
		return (Expr *) var;
	}
	call = copyObject(index->call);
	linitial(call->args) = with_collation_of(linitial(index->call->args), copyObject(column));
	call->funcformat = COERCE_EXPLICIT_CALL;
	return (Expr *) call;
}

/* Is this side of a comparison an indexed column? */
bool
pgseal_lookup_target(List *rtable, Node *column, Oid collation, PgsealLookup *out)
{
	Oid			relation;
	AttrNumber	attnum;
	bool		direct;

	out->column = column;
	out->typmod = pgseal_stored_typmod(column);
	/* Without a key of its own, a column's tokens can't be computed */
	if (out->typmod <= 0 || !find_column(rtable, column, &relation, &attnum, &direct) ||
		!find_blind_index(relation, attnum, collation, &out->index) ||
		(out->index.stored_in != 0 && !direct))
		return false;
	out->num_versions = pgseal_keyring_num_index_versions(out->typmod);
	return out->num_versions > 0;
}

/* A volatile value can't be looked for; a subquery's result isn't known yet */
bool
pgseal_lookup_is_searchable(Node *value)
{
	return !contain_volatile_functions(value) &&
		!(IsA(value, Param) && ((Param *) value)->paramkind == PARAM_SUBLINK);
}

/*
 * The clause that column = value, or column = ANY (value), allows to add;
 * many_tokens is the function that makes the tokens if they may be several.
 */
Expr *
pgseal_lookup_clause(const PgsealLookup *target, Node *value, Oid value_type,
					 const char *many_tokens)
{
	Oid			collation = target->index.call->inputcollid;
	ScalarArrayOpExpr *any;

	if (target->num_versions == 1 && !OidIsValid(get_element_type(value_type)))
		return make_opclause(ByteaEqualOperator, BOOLOID, false,
							 pgseal_lookup_indexed_side(target->column, &target->index),
							 pgseal_lookup_token_call("token", value, value_type, target->typmod,
													  &target->index.form, collation),
							 InvalidOid, InvalidOid);

	any = makeNode(ScalarArrayOpExpr);
	any->opno = ByteaEqualOperator;
	any->opfuncid = get_opcode(ByteaEqualOperator);
	any->useOr = true;
	any->args = list_make2(pgseal_lookup_indexed_side(target->column, &target->index),
						   pgseal_lookup_token_call(many_tokens, value, value_type, target->typmod,
													&target->index.form, collation));
	any->location = -1;
	return (Expr *) any;
}
