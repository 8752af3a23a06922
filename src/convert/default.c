/*-------------------------------------------------------------------------
 *
 * default.c
 *	  The default of a converted column, when it is a constant.
 *
 * It is sealed as ALTER TABLE ... TYPE seals it (ddl/constant_default.c).  The other way,
 * the cast would open the same sealed value for each row; so the constant is opened when
 * the column is decrypted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "convert/convert.h"
#include "ddl/constant_default.h"

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
	Node	   *expr = has_default ? build_column_default(rel, conversion->attnum) : NULL;
	Const	   *constant = conversion->encrypts ? NULL : cast_constant(expr);

	table_close(rel, NoLock);
	if (conversion->encrypts)
		expr = pgseal_constant_default_sealed(expr, conversion->new_type, conversion->new_typmod);
	else
		expr = constant != NULL && !constant->constisnull && constant->consttype == conversion->type->oid ?
			opened_default(conversion, constant) : NULL;
	if (expr != NULL)
		pgseal_constant_default_put(conversion->relid, conversion->attnum, expr);
}
