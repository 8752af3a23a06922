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

/* Is it nothing but a constant and casts of it? */
static bool
is_constant(Node *expr)
{
	while (expr != NULL && !IsA(expr, Const))
		expr = cast_argument(expr);
	return expr != NULL;
}

Node *
pgseal_constant_default_sealed(Node *expr, Oid type, int32 typmod)
{
	Oid			sealed = getBaseType(type);
	Oid			plain = plain_type(type);

	while (expr != NULL && OidIsValid(plain_type(exprType(expr))))
		expr = cast_argument(expr);
	if (!OidIsValid(plain) || expr == NULL || !is_constant(expr))
		return NULL;

	/* What depends on settings, as the time zone, is no constant */
	expr = coerce_to_target_type(NULL, expr, exprType(expr), plain, -1,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	expr = eval_const_expressions(NULL, expr);
	if (expr == NULL || !IsA(expr, Const) || ((Const *) expr)->constisnull)
		return NULL;
	expr = coerce_to_target_type(NULL, expr, plain, sealed, -1,
								 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	expr = (Node *) evaluate_expr((Expr *) expr, sealed, -1, exprCollation(expr));
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
