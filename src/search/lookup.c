/*-------------------------------------------------------------------------
 *
 * lookup.c
 *	  Planner support: equality finds the blind index by itself.
 *
 * Where a column has an index on blind_index(column), the planner turns
 *
 *		column = x		into	blind_index(column) = token(x) AND recheck(column, x)
 *		column IN (...)	into	blind_index(column) = ANY (tokens(...)) AND ...
 *
 * so that the index can be used, whatever x is: a constant, a parameter or a
 * column of another table.  The comparison stays as a recheck.  While an index
 * key is replaced, tokens under both versions are searched for (rotate_index_key.c).
 *
 * This is done twice, always for all conditions of a query that decide whether a
 * row stays, by the query's own range table.  Before planning starts, so that a
 * condition on a view is extended where it can still be moved into it; and, for =,
 * when the planner has simplified the query and looks at its first table: there
 * is what came out of inlined functions.  A planner support function would be
 * the shorter way, but it isn't told whose range table the columns are of:
 * PostgreSQL simplifies the WHERE of a sub-select with the root of the query
 * around it (convert_EXISTS_to_ANY).
 *
 * The recheck isn't extended again.  It is a function; only where the planner must
 * see an operator, in joins (a semi-join can be turned round) and for partition
 * pruning, it is the operator again with another function behind it.  Neither
 * counts in estimates (estimates.c): the selectivity of the whole is that of the
 * token's clause.
 *
 * ANALYZE keeps nothing of tokens: stored_tokens.c tells the planner how they are
 * distributed.
 *
 * One file: = and IN come to it by two ways, but look for the index, and make its
 * clause, by the same means.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/supportnodes.h"
#include "optimizer/clauses.h"
#include "optimizer/optimizer.h"
#include "optimizer/plancat.h"
#include "optimizer/planner.h"
#include "parser/parse_coerce.h"
#include "parser/parse_func.h"
#include "parser/parsetree.h"
#include "partitioning/partdefs.h"
#include "rewrite/rewriteHandler.h"
#include "rewrite/rewriteManip.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "keys/keyring.h"
#include "search/lookup.h"
#include "search/on_conflict.h"
#include "search/stored_tokens.h"
#include "search/unopen.h"
#include "value/basetype.h"
#include "value/index_token.h"

PG_FUNCTION_INFO_V1(pgseal_equality_support);
PG_FUNCTION_INFO_V1(pgseal_recheck_support);

/* IN over a UNION is spelled out up to this many elements */
#define MAX_SPELLED_OUT			100

static planner_hook_type prev_planner = NULL;
static get_relation_info_hook_type prev_get_relation_info = NULL;

/* An index on blind_index(column) */
typedef struct BlindIndex
{
	FuncExpr   *call;			/* as the index has it */
	AttrNumber	stored_in;		/* generated column that holds it, or 0 */
	PgsealTokenForm form;
	bool		prunes;			/* the table is partitioned by the column */
} BlindIndex;

/* A column that is compared, and its index */
typedef struct Target
{
	Node	   *column;
	int32		typmod;			/* whose tokens the index holds */
	int			num_versions;	/* of the index key */
	BlindIndex	index;
} Target;

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
index_has_blind_index(Relation table, Relation index, AttrNumber attnum, BlindIndex *out)
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
collation_fits(const BlindIndex *index, Oid collation)
{
	Oid			own = index->call->inputcollid;

	if (own == collation || !OidIsValid(own) || !OidIsValid(collation))
		return !OidIsValid(own) || index->form.normalizer[0] == '\0' ||
			get_collation_isdeterministic(own);
	return get_collation_isdeterministic(own) && get_collation_isdeterministic(collation);
}

/* Is a more exact than b? */
static bool
is_better(const BlindIndex *a, const BlindIndex *b)
{
	bool		a_plain = a->form.normalizer[0] == '\0';
	bool		b_plain = b->form.normalizer[0] == '\0';

	return a_plain != b_plain ? a_plain : a->form.bits > b->form.bits;
}

static bool
is_partitioned_by(Relation table, AttrNumber attnum)
{
	PartitionKey key = RelationGetPartitionKey(table);

	for (int i = 0; key != NULL && i < key->partnatts; i++)
		if (key->partattrs[i] == attnum)
			return true;
	return false;
}

/*
 * The index of the most exact form, plain before normalized.  Where a parent
 * table has none, those of its children count.
 */
static bool
find_blind_index(Oid relation, AttrNumber attnum, Oid collation, BlindIndex *out)
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
static Expr *
token_call(const char *function, Node *value, Oid value_type, int32 typmod,
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
	linitial(call->args) = with_collation_of(linitial(index->call->args), copyObject(column));
	call->funcformat = COERCE_EXPLICIT_CALL;
	return (Expr *) call;
}

/* Is this side of a comparison an indexed column? */
static bool
find_target(List *rtable, Node *column, Oid collation, Target *out)
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
static bool
is_searchable(Node *value)
{
	return !contain_volatile_functions(value) &&
		!(IsA(value, Param) && ((Param *) value)->paramkind == PARAM_SUBLINK);
}

/*
 * The clause that column = value, or column = ANY (value), allows to add;
 * many_tokens is the function that makes the tokens if they may be several.
 */
static Expr *
lookup_clause(const Target *target, Node *value, Oid value_type, const char *many_tokens)
{
	Oid			collation = target->index.call->inputcollid;
	ScalarArrayOpExpr *any;

	if (target->num_versions == 1 && !OidIsValid(get_element_type(value_type)))
		return make_opclause(ByteaEqualOperator, BOOLOID, false,
							 indexed_side(target->column, &target->index),
							 token_call("token", value, value_type, target->typmod,
										&target->index.form, collation),
							 InvalidOid, InvalidOid);

	any = makeNode(ScalarArrayOpExpr);
	any->opno = ByteaEqualOperator;
	any->opfuncid = get_opcode(ByteaEqualOperator);
	any->useOr = true;
	any->args = list_make2(indexed_side(target->column, &target->index),
						   token_call(many_tokens, value, value_type, target->typmod,
									  &target->index.form, collation));
	any->location = -1;
	return (Expr *) any;
}

/*
 * column = x
 */

/* The comparison again, without the support function */
static Expr *
recheck_clause(OpExpr *equality, Oid left, Oid right, bool as_operator)
{
	List	   *operator_name = list_make2(makeString("pg_catalog"), makeString("="));
	Oid			types[2] = {left, right};
	Oid			function = pgseal_internal_function("recheck", 2, types);
	OpExpr	   *recheck;

	if (!as_operator)
		return (Expr *) makeFuncExpr(function, BOOLOID, equality->args, InvalidOid,
									 equality->inputcollid, COERCE_EXPLICIT_CALL);
	recheck = makeNode(OpExpr);
	recheck->opno = OpernameGetOprid(operator_name, left, right);
	recheck->opfuncid = function;
	recheck->opresulttype = BOOLOID;
	recheck->inputcollid = equality->inputcollid;
	recheck->args = equality->args;
	recheck->location = -1;
	return (Expr *) recheck;
}

/* Columns of one key have the same token for the same value. */
static bool
share_tokens(const Target *a, const Target *b)
{
	return a->typmod == b->typmod && a->num_versions == 1 && b->num_versions == 1 &&
		a->index.form.bits == b->index.form.bits &&
		strcmp(a->index.form.normalizer, b->index.form.normalizer) == 0 &&
		a->index.call->funcid == b->index.call->funcid &&
		a->index.call->inputcollid == b->index.call->inputcollid;
}

/*
 * Sets out_targets of the sides of an equality that are looked for by the other
 * one; are there any?
 */
static bool
find_targets(List *rtable, List *args, const bool encrypted[2], Oid collation,
			 Target out_targets[2], bool out_found[2])
{
	for (int side = 0; side < 2; side++)
		out_found[side] = encrypted[side] && is_searchable(list_nth(args, 1 - side)) &&
			find_target(rtable, list_nth(args, side), collation, &out_targets[side]);
	return out_found[0] || out_found[1];
}

bool
pgseal_lookup_beside(PlannerInfo *root, List *args, Oid collation)
{
	Target		targets[2];
	bool		found[2];
	bool		encrypted[2];

	if (list_length(args) != 2 ||
		bms_overlap(pull_varnos(root, linitial(args)), pull_varnos(root, lsecond(args))))
		return false;
	for (int side = 0; side < 2; side++)
		encrypted[side] = pgseal_type_by_oid(getBaseType(exprType(list_nth(args, side)))) != NULL;
	return find_targets(root->parse->rtable, args, encrypted, collation, targets, found);
}

/* When an index key is replaced */
static void
plan_again_for_keys(PlannerInfo *root)
{
	root->glob->relationOids = list_append_unique_oid(root->glob->relationOids,
													  pgseal_catalog_version_relation());
}

/* Does it depend on a row of this query? */
static bool
depends_on_row(Node *node)
{
	return contain_vars_of_level(node, 0);
}

static bool
depends_on_outer_row(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, Var))
		return ((Var *) node)->varlevelsup > 0;
	return expression_tree_walker(node, depends_on_outer_row, NULL);
}

/*
 * What is sealed only to be compared, as a parameter that the statement casts:
 * its token is that of the value, and the comparison needs no seal.
 */
static Node *
without_seal(Node *value)
{
	FuncExpr   *cast = (FuncExpr *) value;
	const PgsealType *type;
	Oid			arguments[3] = {InvalidOid, INT4OID, BOOLOID};

	if (!IsA(value, FuncExpr) || list_length(cast->args) != 3)
		return value;
	type = pgseal_type_by_oid(cast->funcresulttype);
	if (type == NULL)
		return value;
	arguments[0] = type->base->oid;
	if (cast->funcid != pgseal_internal_function("seal_cast", 3, arguments))
		return value;
	return linitial(cast->args);
}

/* The equality without seals, and the types it compares then */
static OpExpr *
without_seals(OpExpr *equality, Oid *out_types)
{
	OpExpr	   *plain = makeNode(OpExpr);
	Oid		   *types;
	int			num_types;

	memcpy(plain, equality, sizeof(OpExpr));
	plain->args = NIL;
	get_func_signature(equality->opfuncid, &types, &num_types);
	for (int side = 0; side < 2; side++)
	{
		Node	   *arg = list_nth(equality->args, side);
		Node	   *value = without_seal(arg);

		out_types[side] = value != arg ? exprType(value) : types[side];
		plain->args = lappend(plain->args, value);
	}
	return OidIsValid(pgseal_internal_function("recheck", 2, out_types)) ? plain : NULL;
}

/* The equality with what finds its index beside it; NULL where there is none */
static Node *
extend_equality(List *rtable, OpExpr *sealed_equality)
{
	Oid			types[2];
	OpExpr	   *equality = without_seals(sealed_equality, types);
	List	   *clauses = NIL;
	Target		targets[2];
	bool		found[2];
	bool		encrypted[2];
	Node	   *left;
	Node	   *right;
	bool		as_operator;

	if (equality == NULL)
		return NULL;
	left = linitial(equality->args);
	right = lsecond(equality->args);
	as_operator = depends_on_row(left) && depends_on_row(right);

	/*
	 * A column of a query around this one becomes a parameter, or one of this
	 * query: then it is clear what can be looked for by what.
	 */
	if (depends_on_outer_row((Node *) equality->args, NULL) ||
		bms_overlap(pull_varnos(NULL, left), pull_varnos(NULL, right)))
		return NULL;
	for (int side = 0; side < 2; side++)
		encrypted[side] = pgseal_type_by_oid(types[side]) != NULL;
	if (!find_targets(rtable, equality->args, encrypted, equality->inputcollid, targets, found))
		return NULL;
	for (int side = 0; side < 2; side++)
		as_operator = as_operator || (found[side] && targets[side].index.prunes);

	/* One clause serves both indexes, and counts once in estimates */
	if (found[0] && found[1] && share_tokens(&targets[0], &targets[1]))
		clauses = list_make1(make_opclause(ByteaEqualOperator, BOOLOID, false,
										   indexed_side(targets[0].column, &targets[0].index),
										   indexed_side(targets[1].column, &targets[1].index),
										   InvalidOid, InvalidOid));
	else
		for (int side = 0; side < 2; side++)
			if (found[side])
				clauses = lappend(clauses, lookup_clause(&targets[side],
														 list_nth(equality->args, 1 - side),
														 types[1 - side], "tokens"));
	clauses = lappend(clauses, recheck_clause(equality, types[0], types[1], as_operator));
	return (Node *) make_andclause(clauses);
}

/*
 * Of the functions behind the = of encrypted types.  Only conditions that the
 * planner makes for the children of a table or for the arms of a UNION come
 * late enough: as soon as a root has its relations, what is simplified with it is
 * of its own range table.
 */
Datum
pgseal_equality_support(PG_FUNCTION_ARGS)
{
	SupportRequestSimplify *request = (SupportRequestSimplify *) PG_GETARG_POINTER(0);
	OpExpr		equality = {.xpr.type = T_OpExpr};
	Node	   *extended;

	if (!IsA(request, SupportRequestSimplify) || request->root == NULL ||
		request->root->simple_rel_array == NULL)
		PG_RETURN_POINTER(NULL);
	equality.opfuncid = request->fcall->funcid;
	equality.args = request->fcall->args;
	equality.inputcollid = request->fcall->inputcollid;
	extended = extend_equality(request->root->parse->rtable, &equality);
	if (extended != NULL)
		plan_again_for_keys(request->root);
	PG_RETURN_POINTER(extended);
}

/* Is the operator one that extend_equality() is for? */
static bool
is_marked_equality(OpExpr *operator)
{
	Oid			support;
	FmgrInfo	function;

	if (operator->opno < FirstNormalObjectId || list_length(operator->args) != 2 ||
		(pgseal_type_by_oid(getBaseType(exprType(linitial(operator->args)))) == NULL &&
		 pgseal_type_by_oid(getBaseType(exprType(lsecond(operator->args)))) == NULL))
		return false;
	set_opfuncid(operator);
	support = get_func_support(operator->opfuncid);
	if (!OidIsValid(support))
		return false;
	fmgr_info(support, &function);
	return function.fn_addr == pgseal_equality_support;
}

/* The clause beside it has picked the rows */
Datum
pgseal_recheck_support(PG_FUNCTION_ARGS)
{
	Node	   *request = (Node *) PG_GETARG_POINTER(0);

	if (!IsA(request, SupportRequestSelectivity))
		PG_RETURN_POINTER(NULL);
	((SupportRequestSelectivity *) request)->selectivity = 1;
	PG_RETURN_POINTER(request);
}

/*
 * column IN (...), column = ANY (...), and tokens that the user computed
 */

/* Is the operator the = of an encrypted type, with whatever on its right? */
static bool
is_our_equality(Oid operator)
{
	Oid			left;
	Oid			right;

	if (operator < FirstNormalObjectId)
		return false;
	op_input_types(operator, &left, &right);
	return pgseal_type_by_oid(left) != NULL &&
		strcmp(get_opname(operator), "=") == 0 &&
		get_func_namespace(get_opcode(operator)) == pgseal_internal_schema();
}

/*
 * What makes tokens of an array that a column is compared with by this operator.
 * Tokens are of a type: 7::int8 has another one than the 7 of an int4 column.
 * So arrays of a relative of the column's type are converted first, by one of
 * the functions of 47_related_types.sql; NULL where there is none.
 */
static const char *
tokens_function(Oid operator, Oid array_type)
{
	Oid			left;
	Oid			right;
	Oid			arguments[4] = {array_type, INT4OID, TEXTOID, INT4OID};
	const PgsealType *type;
	char	   *name;
	bool		exists;

	op_input_types(operator, &left, &right);
	type = pgseal_type_by_oid(left);
	if (right == left || right == type->base->oid)
		return "tokens";
	name = psprintf("tokens_of_%s", type->base->name);
	exists = OidIsValid(pgseal_internal_function(name, 4, arguments));
	return exists ? name : NULL;
}

/* What the queries of one statement are extended with */
typedef struct Extension
{
	List	   *rtable;			/* of the query at hand */
	bool		is_planned;		/* it has been simplified: only = is left to do */
	bool		extended;		/* anything at all */
} Extension;

/* Does a column come out of a set operation? */
static bool
is_set_operation_column(List *rtable, Node *column)
{
	Var		   *var = (Var *) column;
	RangeTblEntry *rte;

	if (!IsA(column, Var) || var->varlevelsup != 0)
		return false;
	rte = rt_fetch(var->varno, rtable);
	return rte->rtekind == RTE_SUBQUERY && rte->subquery->setOperations != NULL;
}

/* The value that a subquery's row stands for, in the place of its Param */
static Node *
put_for_row(Node *node, void *value)
{
	if (node != NULL && IsA(node, Param) && ((Param *) node)->paramkind == PARAM_SUBLINK)
		return copyObject(value);
	return expression_tree_mutator(node, put_for_row, value);
}

/*
 * column IN (VALUES (a), (b)) as column = ANY (ARRAY[a, b]), as the planner itself
 * does since PostgreSQL 18 where it is too late for us; NULL for all else.
 */
static ScalarArrayOpExpr *
values_as_array(SubLink *in)
{
	OpExpr	   *equality = (OpExpr *) in->testexpr;
	Query	   *query = (Query *) in->subselect;
	RangeTblEntry *values;
	ArrayExpr  *array;
	ScalarArrayOpExpr *any;
	Oid			left;
	Oid			right;
	ListCell   *lc;

	if (in->subLinkType != ANY_SUBLINK || !IsA(equality, OpExpr) ||
		!is_our_equality(equality->opno) || list_length(query->rtable) != 1 ||
		query->setOperations != NULL || query->sortClause != NIL || query->limitCount != NULL ||
		query->limitOffset != NULL || query->hasSubLinks)
		return NULL;
	values = linitial_node(RangeTblEntry, query->rtable);
	if (values->rtekind != RTE_VALUES)
		return NULL;

	array = makeNode(ArrayExpr);
	op_input_types(equality->opno, &left, &right);
	foreach(lc, values->values_lists)
		array->elements = lappend(array->elements,
								  put_for_row(lsecond(equality->args), linitial(lfirst(lc))));
	if (contain_volatile_functions((Node *) array->elements))
		return NULL;
	IncrementVarSublevelsUp((Node *) array->elements, -1, 1);
	array->element_typeid = right;
	array->array_typeid = get_array_type(right);
	array->array_collid = get_typcollation(right);
	array->location = -1;

	any = makeNode(ScalarArrayOpExpr);
	any->opno = equality->opno;
	any->opfuncid = equality->opfuncid;
	any->useOr = true;
	any->inputcollid = equality->inputcollid;
	any->args = list_make2(linitial(equality->args), array);
	any->location = -1;
	return any;
}

/*
 * column IN (a, b) as column = a OR column = b; NULL for long lists and for
 * arrays whose elements aren't known.
 */
static Node *
spell_out(ScalarArrayOpExpr *any)
{
	Node	   *column = linitial(any->args);
	Node	   *array = lsecond(any->args);
	Oid			left;
	Oid			right;
	List	   *elements = NIL;
	List	   *clauses = NIL;
	ListCell   *lc;

	op_input_types(any->opno, &left, &right);
	if (IsA(array, ArrayExpr) && !((ArrayExpr *) array)->multidims)
		elements = ((ArrayExpr *) array)->elements;
	else if (IsA(array, Const) && !((Const *) array)->constisnull)
	{
		ArrayIterator it = array_create_iterator(DatumGetArrayTypeP(((Const *) array)->constvalue),
												 0, NULL);
		int16		len;
		bool		byval;
		Datum		element;
		bool		isnull;

		get_typlenbyval(right, &len, &byval);
		while (array_iterate(it, &element, &isnull))
			elements = lappend(elements, makeConst(right, -1, ((Const *) array)->constcollid, len,
												   element, isnull, byval));
	}
	if (elements == NIL || list_length(elements) > MAX_SPELLED_OUT)
		return NULL;
	foreach(lc, elements)
	{
		Expr	   *clause = make_opclause(any->opno, BOOLOID, false,
										   (Expr *) copyObject(column),
										   (Expr *) lfirst(lc), InvalidOid, any->inputcollid);

		clauses = lappend(clauses, clause);
	}
	return list_length(clauses) == 1 ? linitial(clauses) : (Node *) make_orclause(clauses);
}

/* Arguments of blind_index(plaintext, key, ...), NIL for all other expressions */
static List *
plaintext_call(Node *node)
{
	FuncExpr   *call = (FuncExpr *) node;
	HeapTuple	tuple;
	List	   *args;

	if (!IsA(node, FuncExpr) || call->funcresulttype != BYTEAOID ||
		call->funcid < FirstNormalObjectId ||
		get_func_namespace(call->funcid) != PG_CATALOG_NAMESPACE ||
		strcmp(get_func_name(call->funcid), "blind_index") != 0)
		return NIL;
	tuple = SearchSysCache1(PROCOID, ObjectIdGetDatum(call->funcid));
	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for function %u", call->funcid);
	args = expand_function_arguments(copyObject(call->args), false, call->funcresulttype, tuple);
	ReleaseSysCache(tuple);
	return pgseal_type_by_base(exprType(linitial(args))) != NULL ? args : NIL;
}

/*
 * x = blind_index(plaintext, key, ...), written by the user, while the index
 * key is replaced: x = ANY (tokens of all versions).  NULL for all else.
 */
static Node *
extend_explicit(OpExpr *equality, Extension *extension)
{
	for (int side = 0; side < 2; side++)
	{
		Node	   *call = list_nth(equality->args, side);
		List	   *args = plaintext_call(call);
		Const	   *key = args != NIL && IsA(lsecond(args), Const) ? lsecond(args) : NULL;
		PgsealTokenForm form = {"", PGSEAL_TOKEN_BITS_MAX};
		ScalarArrayOpExpr *any;
		FuncExpr   *tokens;
		int32		hash;

		if (key == NULL || key->constisnull)
			continue;
		extension->extended = true;
		hash = pgseal_catalog_name_hash(TextDatumGetCString(key->constvalue));
		if (pgseal_keyring_num_index_versions(hash) < 2)
			continue;
		tokens = (FuncExpr *) token_call("tokens", linitial(args), exprType(linitial(args)), hash,
										 &form, ((FuncExpr *) call)->inputcollid);
		if (list_length(args) > 2)
			lthird(tokens->args) = lthird(args);
		if (list_length(args) > 3)
			lfourth(tokens->args) = lfourth(args);
		any = makeNode(ScalarArrayOpExpr);
		any->opno = ByteaEqualOperator;
		any->opfuncid = get_opcode(ByteaEqualOperator);
		any->useOr = true;
		any->args = list_make2(list_nth(equality->args, 1 - side), tokens);
		any->location = -1;
		return (Node *) any;
	}
	return NULL;
}

/* The column in column::text and the like, NULL for all else */
static Node *
opened_column(Node *node)
{
	FuncExpr   *open;
	Oid			argument;

	while (IsA(node, RelabelType) && ((RelabelType *) node)->resulttypmod < 0)
		node = (Node *) ((RelabelType *) node)->arg;
	open = (FuncExpr *) node;
	if (!IsA(node, FuncExpr) || list_length(open->args) != 1)
		return NULL;
	argument = exprType(linitial(open->args));
	if (pgseal_type_by_oid(argument) == NULL ||
		(open->funcid != pgseal_internal_function("open", 1, &argument) &&
		 open->funcid != pgseal_internal_function("open_as_varchar", 1, &argument)))
		return NULL;
	return linitial(open->args);
}

/*
 * A value that equals what the column holds if this operator says so.  Only
 * conversions for which that is sure: one from timestamptz to timestamp would
 * miss the hours that clocks leave out.
 */
static Node *
as_column_type(Oid operator, Node *value, Oid base)
{
	TypeCacheEntry *entry = lookup_type_cache(base, TYPECACHE_EQ_OPR | TYPECACHE_BTREE_OPFAMILY);
	Oid			type = exprType(value);

	if (operator == entry->eq_opr)
		return value;
	if ((get_op_opfamily_strategy(operator, entry->btree_opf) != BTEqualStrategyNumber &&
		 !is_our_equality(operator) && !is_our_equality(get_commutator(operator))) ||
		!((base == TIMESTAMPTZOID && type == TIMESTAMPOID) ||
		  (base == TIMESTAMPTZOID && type == DATEOID) ||
		  (base == DATEOID && type == TIMESTAMPOID)))
		return NULL;
	return coerce_to_target_type(NULL, copyObject(value), type, base, -1, COERCION_EXPLICIT,
								 COERCE_IMPLICIT_CAST, -1);
}

/* column::text = x, as some tools write it, and column = x where x is of another type */
static Node *
extend_opened(OpExpr *equality, Extension *extension)
{
	for (int side = 0; side < 2 && list_length(equality->args) == 2; side++)
	{
		Node	   *arg = list_nth(equality->args, side);
		Node	   *column = pgseal_type_by_oid(exprType(arg)) != NULL ? arg : opened_column(arg);
		Node	   *value = list_nth(equality->args, 1 - side);
		const PgsealType *type;
		Target		target;

		if (column == NULL || depends_on_outer_row((Node *) equality->args, NULL) ||
			bms_overlap(pull_varnos(NULL, column), pull_varnos(NULL, value)))
			continue;
		type = pgseal_type_by_oid(exprType(column));
		value = as_column_type(equality->opno, value, type->base->oid);
		if (value == NULL || !is_searchable(value) ||
			!find_target(extension->rtable, column, equality->inputcollid, &target))
			continue;
		extension->extended = true;
		return (Node *) make_andclause(list_make2(lookup_clause(&target, value, type->base->oid,
																"tokens"),
												  equality));
	}
	return NULL;
}

static Expr *
is_null(Node *arg)
{
	NullTest   *test = makeNode(NullTest);

	test->arg = (Expr *) copyObject(arg);
	test->nulltesttype = IS_NULL;
	test->location = -1;
	return (Expr *) test;
}

/*
 * column IS NOT DISTINCT FROM x as column = x OR (column IS NULL AND x IS NULL),
 * where the first is extended; the index finds the second, too, since what is NULL
 * has no token.
 */
static Node *
extend_not_distinct(DistinctExpr *distinct, Extension *extension)
{
	OpExpr	   *equality = copyObject((OpExpr *) distinct);
	Node	   *extended;

	equality->xpr.type = T_OpExpr;
	if (!is_marked_equality(equality))
		return NULL;
	extended = extend_equality(extension->rtable, equality);
	if (extended == NULL)
		return NULL;
	for (int side = 0; side < 2; side++)
	{
		Node	   *column = list_nth(equality->args, side);
		Node	   *value = without_seal(list_nth(equality->args, 1 - side));
		Target		target;

		if (!find_target(extension->rtable, column, equality->inputcollid, &target))
			continue;
		extension->extended = true;
		return (Node *) make_orclause(list_make2(extended,
												 make_andclause(list_make3(is_null((Node *) indexed_side(column, &target.index)),
																		   is_null(column),
																		   is_null(value)))));
	}
	return NULL;
}

/*
 * Only what decides whether a row stays: elsewhere, as below NOT, the added
 * clause would turn an unknown result into false.
 */
static Node *
extend_qual(Node *node, Extension *extension)
{
	ScalarArrayOpExpr *any = (ScalarArrayOpExpr *) node;

	if (node == NULL)
		return NULL;
	if (IsA(node, List))
	{
		/* Of a query that is being planned: clauses, all of which must hold */
		List	   *clauses = NIL;
		ListCell   *lc;

		foreach(lc, (List *) node)
			clauses = list_concat(clauses,
								  make_ands_implicit((Expr *) extend_qual(lfirst(lc), extension)));
		return (Node *) clauses;
	}
	if (is_andclause(node) || is_orclause(node))
	{
		ListCell   *lc;

		foreach(lc, ((BoolExpr *) node)->args)
			lfirst(lc) = extend_qual(lfirst(lc), extension);
	}
	else if (IsA(node, OpExpr) && is_marked_equality((OpExpr *) node))
	{
		Node	   *extended = extend_equality(extension->rtable, (OpExpr *) node);

		if (extended == NULL)
			return node;
		extension->extended = true;
		return extended;
	}
	else if (extension->is_planned)
		return node;
	else if (IsA(node, OpExpr))
	{
		Node	   *extended = NULL;

		if (((OpExpr *) node)->opno == ByteaEqualOperator)
			extended = extend_explicit((OpExpr *) node, extension);
		if (extended == NULL)
			extended = extend_opened((OpExpr *) node, extension);
		return extended != NULL ? extended : node;
	}
	else if (is_notclause(node) && IsA(get_notclausearg(node), DistinctExpr))
	{
		Node	   *extended = extend_not_distinct((DistinctExpr *) get_notclausearg(node),
												   extension);

		return extended != NULL ? extended : node;
	}
	else if (IsA(node, ScalarArrayOpExpr) && any->useOr && is_our_equality(any->opno))
	{
		Node	   *array = lsecond(any->args);
		Oid			array_type = getBaseType(exprType(array));
		const char *function = tokens_function(any->opno, array_type);
		Target		target;

		if (function != NULL && is_searchable(array) &&
			find_target(extension->rtable, linitial(any->args), any->inputcollid, &target))
		{
			extension->extended = true;
			return (Node *) make_andclause(list_make2(lookup_clause(&target, array, array_type,
																	function),
													  node));
		}

		/* Each arm of a UNION will extend the equalities in its own way */
		if (is_set_operation_column(extension->rtable, linitial(any->args)))
		{
			Node	   *spelled = spell_out(any);

			return spelled != NULL ? spelled : node;
		}
	}
	else if (IsA(node, SubLink))
	{
		Node	   *array = (Node *) values_as_array((SubLink *) node);
		Node	   *extended = extend_qual(array, extension);

		return extended != array ? extended : node;
	}
	return node;
}

static void
extend_jointree(Node *node, Extension *extension)
{
	ListCell   *lc;

	if (node == NULL)
		return;
	if (IsA(node, FromExpr))
	{
		FromExpr   *from = (FromExpr *) node;

		from->quals = extend_qual(from->quals, extension);
		foreach(lc, from->fromlist)
			extend_jointree(lfirst(lc), extension);
	}
	else if (IsA(node, JoinExpr))
	{
		JoinExpr   *join = (JoinExpr *) node;

		join->quals = extend_qual(join->quals, extension);
		extend_jointree(join->larg, extension);
		extend_jointree(join->rarg, extension);
	}
}

/* The conditions of a query: its own, and those of row security */
static void
extend_query(Query *query, Extension *extension)
{
	ListCell   *lc;

	extension->rtable = query->rtable;
	extend_jointree((Node *) query->jointree, extension);
	foreach(lc, query->rtable)
	{
		ListCell   *qual;

		foreach(qual, lfirst_node(RangeTblEntry, lc)->securityQuals)
			lfirst(qual) = extend_qual(lfirst(qual), extension);
	}
}

static bool
extend_queries(Node *node, void *context)
{
	Extension  *extension = context;

	if (node == NULL)
		return false;
	if (IsA(node, Query))
	{
		Query	   *query = (Query *) node;

		extend_query(query, extension);
		if (pgseal_names_conflict_column(query))
			pgseal_resolve_conflict_columns(query);
		return query_tree_walker(query, extend_queries, context, 0);
	}
	return expression_tree_walker(node, extend_queries, context);
}

/* Statements without them cost this walk and nothing else */
static bool
has_extensible(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, ScalarArrayOpExpr) &&
		((ScalarArrayOpExpr *) node)->opno >= FirstNormalObjectId)
		return true;
	if (IsA(node, OpExpr) && (((OpExpr *) node)->opno == ByteaEqualOperator ||
							  ((OpExpr *) node)->opno >= FirstNormalObjectId))
		return true;
	if (IsA(node, SubLink) && values_as_array((SubLink *) node) != NULL)
		return true;
	if (IsA(node, DistinctExpr) && ((DistinctExpr *) node)->opno >= FirstNormalObjectId)
		return true;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->funcid >= FirstNormalObjectId)
		return true;
	if (IsA(node, Query))
		return pgseal_names_conflict_column((Query *) node) ||
			query_tree_walker((Query *) node, has_extensible, context, 0);
	return expression_tree_walker(node, has_extensible, context);
}

static PlannedStmt *
lookup_planner(Query *parse, const char *query_string, int cursor_options, ParamListInfo params)
{
	Extension	extension = {0};
	PlannedStmt *plan;

	pgseal_unopen_comparisons(parse);
	if (has_extensible((Node *) parse, NULL) && OidIsValid(pgseal_extension_oid()))
		extend_queries((Node *) parse, &extension);
	plan = prev_planner ?
		prev_planner(parse, query_string, cursor_options, params) :
		standard_planner(parse, query_string, cursor_options, params);

	/* Plan again when an index key is replaced */
	if (extension.extended)
		plan->relationOids = list_append_unique_oid(plan->relationOids,
													pgseal_catalog_version_relation());
	return plan;
}

/*
 * Is it the first table of its query that the planner looks at?  By then the
 * conditions are simplified, but not yet distributed among the tables.
 */
static bool
is_first_table(const PlannerInfo *root, const RelOptInfo *rel)
{
	if (rel->reloptkind != RELOPT_BASEREL || root->parse->jointree == NULL)
		return false;
	for (int i = 1; i < root->simple_rel_array_size; i++)
	{
		const RelOptInfo *other = root->simple_rel_array[i];

		if (other != NULL && i != rel->relid && other->reloptkind == RELOPT_BASEREL &&
			root->simple_rte_array[i]->rtekind == RTE_RELATION)
			return false;
	}
	return true;
}

static void
lookup_get_relation_info(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	Extension	extension = {.is_planned = true};

	if (prev_get_relation_info)
		prev_get_relation_info(root, relation, inhparent, rel);
	if (!is_first_table(root, rel) || !OidIsValid(pgseal_extension_oid()))
		return;
	extend_query(root->parse, &extension);
	if (extension.extended)
		plan_again_for_keys(root);
}

void
pgseal_lookup_init(void)
{
	prev_planner = planner_hook;
	planner_hook = lookup_planner;
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = lookup_get_relation_info;
}
