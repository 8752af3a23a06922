/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Planner support: equality finds the blind index by itself.
 *
 * Where a column has an index on blind_index(column), the planner turns
 *
 *		column = x		into	blind_index(column) = token(x) AND column = x
 *		column IN (...)	into	blind_index(column) = ANY (tokens(...)) AND ...
 *
 * so that the index can be used, whatever x is: a constant, a parameter or a
 * column of another table.  The comparison stays as a recheck.  While an index
 * key is replaced, tokens under both versions are searched for.
 *
 * For = this is done by a support function, which also sees comparisons that
 * come out of views and inlined functions.  The recheck is the same operator
 * with another function behind it, which has no support function, so a clause
 * that is simplified twice is extended once.  IN has no such support; it is
 * extended before planning starts.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/optimizer.h"
#include "optimizer/planner.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "rewrite/rewriteHandler.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "basetype.h"
#include "compat.h"
#include "keyring.h"
#include "lookup.h"
#include "token.h"

PG_FUNCTION_INFO_V1(pgseal_equality_support);

static planner_hook_type prev_planner = NULL;

/* An index on blind_index(column) */
typedef struct BlindIndex
{
	FuncExpr   *call;			/* as the index has it */
	AttrNumber	stored_in;		/* generated column that holds it, or 0 */
	PgsealTokenForm form;
} BlindIndex;

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
is_blind_index_call(Node *expr, AttrNumber attnum, BlindIndex *out)
{
	FuncExpr   *call = (FuncExpr *) expr;
	Node	   *column;
	ListCell   *lc;

	if (!IsA(expr, FuncExpr) || call->funcresulttype != BYTEAOID)
		return false;
	column = linitial(call->args);
	if (!IsA(column, Var) || ((Var *) column)->varattno != attnum ||
		pgseal_type_by_oid(getBaseType(exprType(column))) == NULL ||
		get_func_namespace(call->funcid) != pgseal_type_schema() ||
		strcmp(get_func_name(call->funcid), "blind_index") != 0)
		return false;

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
index_has_blind_index(Relation table, Relation index, AttrNumber attnum, BlindIndex *out)
{
	ListCell   *expr = list_head(RelationGetIndexExpressions(index));

	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	key = index->rd_index->indkey.values[i];

		out->stored_in = key;
		if (key == 0)
		{
			if (is_blind_index_call(lfirst(expr), attnum, out))
				return true;
			expr = lnext(RelationGetIndexExpressions(index), expr);
		}
		else if (key > 0 && TupleDescAttr(RelationGetDescr(table), key - 1)->attgenerated &&
				 is_blind_index_call(build_column_default(table, key), attnum, out))
			return true;
	}
	return false;
}

/* An index of the most exact form, plain before normalized */
static bool
find_blind_index(Oid relation, AttrNumber attnum, BlindIndex *out)
{
	Relation	table = table_open(relation, AccessShareLock);
	bool		found = false;
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		BlindIndex	candidate;

		if (index->rd_index->indisvalid &&
			index_has_blind_index(table, index, attnum, &candidate) &&
			(!found || candidate.form.bits > out->form.bits ||
			 candidate.form.normalizer[0] == '\0'))
		{
			*out = candidate;
			out->call = copyObject(candidate.call);
			found = true;
		}
		index_close(index, NoLock);
	}
	table_close(table, NoLock);
	return found;
}

/*
 * Building the clause
 */

/* pgseal.token() or tokens() of a value that the column is compared with */
static Expr *
token_call(const char *function, Node *value, Oid value_type, int32 typmod,
		   const PgsealTokenForm *form, Oid collation)
{
	List	   *name = list_make2(makeString("pgseal"), makeString(pstrdup(function)));
	Oid			types[4] = {value_type, INT4OID, TEXTOID, INT4OID};
	Oid			oid = LookupFuncName(name, 4, types, false);
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

/* The side of the clause that matches the index */
static Expr *
indexed_side(Node *column, const BlindIndex *index)
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
	linitial(call->args) = copyObject(column);
	call->funcformat = COERCE_EXPLICIT_CALL;
	return (Expr *) call;
}

/*
 * The clause that column = value, or column = ANY (value), allows to add; NULL
 * when there is no index for it.
 */
static Expr *
lookup_clause(List *rtable, Node *column, Node *value, Oid value_type, Oid collation)
{
	int32		typmod = exprTypmod(column);
	bool		many = OidIsValid(get_element_type(value_type));
	Oid			relation;
	AttrNumber	attnum;
	bool		direct;
	BlindIndex	index;
	int			num_versions;
	ScalarArrayOpExpr *any;

	/* Without a key of its own, a column's tokens can't be computed */
	if (typmod <= 0 || !find_column(rtable, column, &relation, &attnum, &direct) ||
		contain_volatile_functions(value) ||
		!find_blind_index(relation, attnum, &index) || (index.stored_in != 0 && !direct))
		return NULL;
	num_versions = pgseal_keyring_num_index_versions(typmod);
	if (num_versions == 0)
		return NULL;
	if (num_versions == 1 && !many)
		return make_opclause(ByteaEqualOperator, BOOLOID, false, indexed_side(column, &index),
							 token_call("token", value, value_type, typmod, &index.form, collation),
							 InvalidOid, InvalidOid);

	any = makeNode(ScalarArrayOpExpr);
	any->opno = ByteaEqualOperator;
	any->opfuncid = get_opcode(ByteaEqualOperator);
	any->useOr = true;
	any->args = list_make2(indexed_side(column, &index),
						   token_call("tokens", value, value_type, typmod, &index.form, collation));
	any->location = -1;
	return (Expr *) any;
}

/*
 * column = x
 */

/* The operator again, behind it a function without support function */
static Expr *
recheck_clause(FuncExpr *equality, Oid left, Oid right)
{
	List	   *operator_name = list_make2(makeString(get_namespace_name(pgseal_type_schema())),
										   makeString("="));
	List	   *function_name = list_make2(makeString("pgseal"), makeString("recheck"));
	Oid			types[2] = {left, right};
	OpExpr	   *recheck = makeNode(OpExpr);

	recheck->opno = OpernameGetOprid(operator_name, left, right);
	recheck->opfuncid = LookupFuncName(function_name, 2, types, false);
	recheck->opresulttype = BOOLOID;
	recheck->inputcollid = equality->inputcollid;
	recheck->args = equality->args;
	recheck->location = -1;
	return (Expr *) recheck;
}

Datum
pgseal_equality_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);
	SupportRequestSimplify *simplify = (SupportRequestSimplify *) request;
	FuncExpr   *equality;
	PlannerInfo *root;
	List	   *clauses = NIL;
	Oid		   *types;
	int			num_types;

	if (!IsA(request, SupportRequestSimplify) || simplify->root == NULL)
		PG_RETURN_POINTER(NULL);
	root = simplify->root;
	equality = simplify->fcall;
	get_func_signature(equality->funcid, &types, &num_types);

	for (int side = 0; side < 2; side++)
	{
		Node	   *column = list_nth(equality->args, side);
		Node	   *value = list_nth(equality->args, 1 - side);
		Expr	   *clause;

		if (pgseal_type_by_oid(types[side]) == NULL || exprTypmod(column) <= 0 ||
			bms_overlap(pull_varnos(root, column), pull_varnos(root, value)))
			continue;
		clause = lookup_clause(root->parse->rtable, column, value, types[1 - side],
							   equality->inputcollid);
		if (clause != NULL)
			clauses = lappend(clauses, clause);
	}
	if (clauses == NIL)
		PG_RETURN_POINTER(NULL);

	/* Plan again when an index key is replaced */
	root->glob->relationOids = list_append_unique_oid(root->glob->relationOids,
													  pgseal_catalog_version_relation());
	clauses = lappend(clauses, recheck_clause(equality, types[0], types[1]));
	PG_RETURN_POINTER(make_andclause(clauses));
}

/*
 * column IN (...), column = ANY (...)
 */

static Node *
extend_any(Node *node, void *context)
{
	List	   *rtable = context;
	ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) node;

	if (node == NULL)
		return NULL;
	if (IsA(node, ScalarArrayOpExpr) && any->useOr && any->opno >= FirstNormalObjectId)
	{
		Node	   *column = linitial(any->args);
		Node	   *array = lsecond(any->args);
		char	   *operator_name = get_opname(any->opno);

		if (strcmp(operator_name, "=") == 0 && pgseal_type_by_oid(exprType(column)) != NULL)
		{
			Expr	   *clause = lookup_clause(rtable, column, array,
											   getBaseType(exprType(array)), any->inputcollid);

			if (clause != NULL)
				return (Node *) make_andclause(list_make2(clause, node));
		}
		return node;
	}
	if (IsA(node, Query) || IsA(node, SubLink))
		return node;
	return expression_tree_mutator(node, extend_any, context);
}

static void
extend_jointree(Node *node, List *rtable)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		from->quals = extend_any(from->quals, rtable);
		foreach(lc, from->fromlist)
			extend_jointree(lfirst(lc), rtable);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		join->quals = extend_any(join->quals, rtable);
		extend_jointree(join->larg, rtable);
		extend_jointree(join->rarg, rtable);
	}
}

static bool
extend_queries(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		extend_jointree((Node *) query->jointree, query->rtable);
		return query_tree_walker(query, extend_queries, context, 0);
	}
	return expression_tree_walker(node, extend_queries, context);
}

static bool
has_any_on_ours(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, ScalarArrayOpExpr) &&
		((ScalarArrayOpExpr *) node)->opno >= FirstNormalObjectId)
		return true;
	if (IsA(node, Query))
		return query_tree_walker((Query *) node, has_any_on_ours, context, 0);
	return expression_tree_walker(node, has_any_on_ours, context);
}

static PlannedStmt *
lookup_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	if (has_any_on_ours((Node *) parse, NULL) && OidIsValid(pgseal_type_schema()))
		extend_queries((Node *) parse, NULL);
	return prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);
}

void
pgseal_lookup_init(void)
{
	prev_planner = planner_hook;
	planner_hook = lookup_planner;
}
