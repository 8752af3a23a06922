/*-------------------------------------------------------------------------
 *
 * default.c
 *	  The default of a converted column, when it is a constant.
 *
 * ALTER TABLE ... TYPE puts a cast around the default.  Around a constant it would
 * seal the same plaintext, which stands in pg_attrdef, for each row; or, the other
 * way, open the same sealed value, which whoever inserts may not be allowed to.
 * So the constant is sealed as one in CREATE TABLE is, under the key of values on
 * their way, and opened when the column is decrypted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "convert/convert.h"
#include "keys/catalog.h"
#include "value/seal.h"

/* Is it a cast that seals, opens or reseals? */
static bool
is_our_cast(FuncExpr *call)
{
	return call->args != NIL && call->funcformat != COERCE_EXPLICIT_CALL &&
		(pgseal_type_by_oid(call->funcresulttype) != NULL ||
		 pgseal_type_by_oid(exprType(linitial(call->args))) != NULL);
}

/* The constant below such casts, or NULL */
static Const *
cast_constant(Node *expr)
{
	while (expr != NULL && !IsA(expr, Const))
	{
		if (IsA(expr, RelabelType))
			expr = (Node *) ((RelabelType *) expr)->arg;
		else if (IsA(expr, FuncExpr) && is_our_cast((FuncExpr *) expr))
			expr = linitial(((FuncExpr *) expr)->args);
		else
			return NULL;
	}
	return (Const *) expr;
}

static Node *
sealed_default(const PgsealConversion *conversion, const Const *constant)
{
	const PgsealType *type = conversion->type;
	struct varlena *sealed = pgseal_value_seal(type, constant->constvalue,
											   pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY));
	Const	   *result = makeConst(type->oid, PGSEAL_TYPMOD_NONE, constant->constcollid, -1,
								   PointerGetDatum(sealed), false, false);

	return coerce_to_target_type(NULL, (Node *) result, type->oid, type->oid,
								 conversion->new_typmod, COERCION_ASSIGNMENT,
								 COERCE_IMPLICIT_CAST, -1);
}

static Node *
opened_default(const PgsealConversion *conversion, const Const *constant)
{
	const PgsealType *type = conversion->type;

	return (Node *) makeConst(type->base->oid, -1, get_typcollation(type->base->oid), type->len,
							  pgseal_convert_open(conversion, constant->constvalue,
												  PGSEAL_ACCESS_CHECKED),
							  false, type->byval);
}

void
pgseal_convert_default(const PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	bool		has_default = TupleDescAttr(RelationGetDescr(rel), conversion->attnum - 1)->atthasdef;
	Const	   *constant = has_default ?
		cast_constant(build_column_default(rel, conversion->attnum)) : NULL;
	AlterTableCmd *cmd = makeNode(AlterTableCmd);
	Oid			before = conversion->encrypts ? conversion->type->base->oid : conversion->type->oid;

	table_close(rel, NoLock);
	if (constant == NULL || constant->constisnull ||
		(constant->consttype == VARCHAROID ? TEXTOID : constant->consttype) != before)
		return;
	cmd->subtype = AT_CookedColumnDefault;
	cmd->num = conversion->attnum;
	cmd->def = conversion->encrypts ? sealed_default(conversion, constant) :
		opened_default(conversion, constant);
	assign_expr_collations(NULL, cmd->def);
	AlterTableInternal(conversion->relid, list_make1(cmd), false);
	CommandCounterIncrement();
}
