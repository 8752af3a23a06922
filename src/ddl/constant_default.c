/*-------------------------------------------------------------------------
 *
 * constant_default.c
 *	  Constants that are defaults of columns that become encrypted.
 *
 * ALTER TABLE ... TYPE puts a cast around the default.  Around a constant it would
 * seal the same plaintext, which stands in pg_attrdef, for each row.  So the constant is
 * sealed as a quoted one in CREATE TABLE is, under the key of values on their way.
 * What it is made of, as by lower('X'), stays as it is written, there as here.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/constant_default.h"
#include "value/basetype.h"

/* The plain type of such values or arrays of them; InvalidOid when the type is no encrypted one */
static Oid
plain_type(Oid type)
{
	Oid			element = get_element_type(getBaseType(type));
	const PgsealType *sealed = pgseal_type_by_oid(getBaseType(OidIsValid(element) ? element : type));

	if (sealed == NULL)
		return InvalidOid;
	return OidIsValid(element) ? get_array_type(sealed->base->oid) : sealed->base->oid;
}

/* What a cast converts; NULL when it is none */
static Node *
cast_argument(Node *expr)
{
	if (IsA(expr, CoerceToDomain))
		return (Node *) ((CoerceToDomain *) expr)->arg;
	if (IsA(expr, RelabelType))
		return (Node *) ((RelabelType *) expr)->arg;
	if (IsA(expr, ArrayCoerceExpr))
		return (Node *) ((ArrayCoerceExpr *) expr)->arg;
	return IsA(expr, FuncExpr) && ((FuncExpr *) expr)->args != NIL &&
		((FuncExpr *) expr)->funcformat != COERCE_EXPLICIT_CALL ? linitial(((FuncExpr *) expr)->args) : NULL;
}

/*
 * Whoever alters the table runs no code of others by it: neither their functions, which casts
 * may be, nor their domains' constraints, which the value has passed or will never meet.
 */
static bool
is_users(Oid function, void *context)
{
	return function >= FirstNormalObjectId;
}

static bool
calls_users(Node *node, void *context)
{
	if (node == NULL)
		return false;
	return check_functions_in_node(node, is_users, NULL) || IsA(node, CoerceToDomain) ||
		expression_tree_walker(node, calls_users, context);
}

static Node *
without_domains(Node *node, void *context)
{
	if (node != NULL && IsA(node, CoerceToDomain))
		return without_domains((Node *) ((CoerceToDomain *) node)->arg, context);
	return expression_tree_mutator(node, without_domains, context);
}

/* Is it nothing but a constant and casts of it, whose value depends on no settings? */
static bool
is_constant(Node *expr)
{
	if (calls_users(expr, NULL) || contain_mutable_functions(expr))
		return false;
	while (expr != NULL && !IsA(expr, Const))
		expr = cast_argument(expr);
	return expr != NULL;
}

/* The same, as another type; NULL where it can't be, or is NULL */
static Node *
as_constant(Node *expr, Oid type)
{
	expr = coerce_to_target_type(NULL, expr, exprType(expr), type, -1, COERCION_ASSIGNMENT,
								 COERCE_IMPLICIT_CAST, -1);
	expr = expr != NULL ? (Node *) evaluate_expr((Expr *) expr, type, -1, exprCollation(expr)) : NULL;
	return expr != NULL && IsA(expr, Const) && !((Const *) expr)->constisnull ? expr : NULL;
}

Node *
pgseal_constant_default_sealed(Node *expr, Oid type, int32 typmod)
{
	Oid			sealed = getBaseType(type);
	Oid			plain = plain_type(type);

	while (expr != NULL && OidIsValid(plain_type(exprType(expr))))
		expr = cast_argument(expr);
	if (!OidIsValid(plain) || expr == NULL)
		return NULL;
	expr = without_domains(expr, NULL);
	if (!is_constant(expr))
		return NULL;

	/* A cast of another type, as of a date to a time, isn't looked into above */
	expr = coerce_to_target_type(NULL, expr, exprType(expr), plain, -1,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	if (expr == NULL || !is_constant(expr))
		return NULL;
	expr = as_constant(expr, plain);
	if (expr == NULL)
		return NULL;
	expr = as_constant(expr, sealed);
	return coerce_to_target_type(NULL, expr, sealed, type, typmod,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
}

void
pgseal_constant_default_put(Oid relation, AttrNumber attnum, Node *expr)
{
	AlterTableCmd *cmd = makeNode(AlterTableCmd);

	cmd->subtype = AT_CookedColumnDefault;
	cmd->num = attnum;
	cmd->def = expr;
	assign_expr_collations(NULL, cmd->def);
	AlterTableInternal(relation, list_make1(cmd), false);
	CommandCounterIncrement();
}

static void
seal_default(Oid relation, const char *column)
{
	AttrNumber	attnum = get_attnum(relation, column);
	Relation	rel;
	Form_pg_attribute attribute;
	Node	   *sealed = NULL;

	if (attnum <= 0)
		return;
	rel = table_open(relation, NoLock);
	attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	if (attribute->atthasdef && attribute->attgenerated == '\0')
		sealed = pgseal_constant_default_sealed(build_column_default(rel, attnum),
												attribute->atttypid, attribute->atttypmod);
	table_close(rel, NoLock);
	if (sealed != NULL)
		pgseal_constant_default_put(relation, attnum, sealed);
}

void
pgseal_constant_default_altered(AlterTableStmt *stmt)
{
	Oid			relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	List	   *relations = NIL;
	ListCell   *cell;
	ListCell   *lc;

	foreach(cell, OidIsValid(relation) ? stmt->cmds : NIL)
	{
		if (lfirst_node(AlterTableCmd, cell)->subtype != AT_AlterColumnType)
			continue;
		if (relations == NIL)
			relations = find_all_inheritors(relation, NoLock, NULL);
		foreach(lc, relations)
			seal_default(lfirst_oid(lc), lfirst_node(AlterTableCmd, cell)->name);
	}
}
