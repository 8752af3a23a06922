/*-------------------------------------------------------------------------
 *
 * refuse.c
 *	  What may not be made: what would store or reveal opened values.
 *
 * An object access hook refuses indexes on encrypted columns other than hash
 * indexes, extended statistics, generated columns of opened values, index
 * expressions and predicates that compare them, and columns without a key.  It
 * sees every way in which one can be made.  A foreign server can't be dropped
 * while keys name it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_trigger.h"
#include "commands/defrem.h"
#include "commands/extension.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "rewrite/rewriteHandler.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "citus/calls.h"
#include "ddl/refuse.h"
#include "keys/catalog.h"
#include "keys/wakeup.h"
#include "sealed/access.h"
#include "search/stored_expressions.h"
#include "search/stored_tokens.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

static object_access_hook_type prev_object_access = NULL;

bool		pgseal_refuse_dropping_extension = false;

/* The current user must be allowed to open what the key seals, if there is one. */
void
pgseal_refuse_without_usage(int32 key_hash)
{
	PgsealKeyRow *key = pgseal_catalog_key(key_hash);
	Oid			server = key != NULL ? get_foreign_server_oid(key->server, true) : InvalidOid;

	if (OidIsValid(server) &&
		pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, key->server);
}

/*
 * The object access hook
 */

/* A column whose pg_attribute row may be as new as its relation */
static bool
new_column(Oid relation, AttrNumber attnum, Name out_name, Oid *out_type, int32 *out_typmod)
{
	Relation	rel = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		found = false;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(attnum));
	scan = systable_beginscan(rel, AttributeRelidNumIndexId, true, SnapshotSelf, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);

		found = !attribute->attisdropped;
		namestrcpy(out_name, NameStr(attribute->attname));
		*out_type = attribute->atttypid;
		*out_typmod = attribute->atttypmod;
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return found;
}

/*
 * The rows of an object that is just being made aren't visible yet, except to
 * SnapshotSelf.
 */
static HeapTuple
new_row(Oid catalog, Oid index, AttrNumber oid_column, Oid oid)
{
	Relation	rel = table_open(catalog, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, oid_column, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
	scan = systable_beginscan(rel, index, true, SnapshotSelf, 1, &key);
	tuple = systable_getnext(scan);
	tuple = HeapTupleIsValid(tuple) ? heap_copytuple(tuple) : NULL;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return tuple;
}

/*
 * The upkeep of a hash index asks for no privilege, so an index of one's own,
 * over copied values, would tell which of them are equal to a guess.
 */
static void
check_hash_index(HeapTuple index_row)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(index_row);
	bool		isnull;
	Datum		classes;
	Oid			type;
	Oid			collation;
	int32		typmod = PGSEAL_TYPMOD_NONE;

	/* Its own column is an integer, so look at the operator class */
	classes = SysCacheGetAttr(INDEXRELID, index_row, Anum_pg_index_indclass, &isnull);
	type = get_opclass_input_type(((oidvector *) DatumGetPointer(classes))->values[0]);
	if (pgseal_type_by_oid(type) == NULL)
		return;
	if (form->indkey.values[0] > 0)
		get_atttypetypmodcoll(form->indrelid, form->indkey.values[0], &type, &typmod, &collation);
	pgseal_refuse_without_usage(typmod > 0 ? typmod : pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY));
}

/*
 * What may be stored of an encrypted value or of an array of them, besides
 * tokens: its size and its shape.
 */
static bool
tells_nothing(Oid function)
{
	static const Oid harmless[] = {
		F_NUM_NULLS, F_NUM_NONNULLS, F_CARDINALITY, F_ARRAY_LENGTH,
		F_ARRAY_NDIMS, F_ARRAY_DIMS, F_ARRAY_LOWER, F_ARRAY_UPPER
	};

	for (int i = 0; i < lengthof(harmless); i++)
		if (function == harmless[i])
			return true;
	return pgseal_stored_is_token_function(function);
}

/*
 * PostgreSQL stores what immutable functions return.  Its own for arrays and
 * rows are immutable whatever the elements are, so that a < '{m}' would store
 * an answer about plaintexts.  Functions of users are theirs to answer for: a
 * token of one's own making needs one that says it is immutable.
 */
static bool
reveals_value(Node *node, void *context)
{
	const char *object = context;
	Oid			function = InvalidOid;
	List	   *args = NIL;
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr))
	{
		function = ((FuncExpr *) node)->funcid;
		args = ((FuncExpr *) node)->args;
	}
	else if (IsA(node, OpExpr))
	{
		function = get_opcode(((OpExpr *) node)->opno);
		args = ((OpExpr *) node)->args;
	}
	else if (IsA(node, ScalarArrayOpExpr))
	{
		function = get_opcode(((ScalarArrayOpExpr *) node)->opno);
		args = ((ScalarArrayOpExpr *) node)->args;
	}
	foreach(lc, args)
	{
		if (!pgseal_holds_encrypted(exprType(lfirst(lc))) ||
			pgseal_holds_encrypted(exprType(node)) || tells_nothing(function))
			continue;
		if (function < FirstNormalObjectId)
			return true;
		ereport(WARNING,
				(errcode(ERRCODE_WARNING),
				 errmsg("\"%s\" stores in plain what function %s makes of encrypted values",
						object, format_procedure_qualified(function)),
				 errhint("An index or a generated column of blind_index(column) reveals nothing but which values are equal.")));
		break;
	}
	return expression_tree_walker(node, reveals_value, context);
}

static void
check_index_expressions(HeapTuple index_row, char *name)
{
	AttrNumber	columns[] = {Anum_pg_index_indexprs, Anum_pg_index_indpred};

	for (int i = 0; i < lengthof(columns); i++)
	{
		bool		isnull;
		Datum		exprs = SysCacheGetAttr(INDEXRELID, index_row, columns[i], &isnull);

		if (!isnull && (reveals_value(stringToNode(TextDatumGetCString(exprs)), name) ||
						pgseal_citus_calls_has(stringToNode(TextDatumGetCString(exprs)))))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" would reveal encrypted values", name),
					 errhint("For equality, index blind_index(column).")));
	}
}

/* A sealed summary needs one key that dies with the values */
static void
check_brin_column(Form_pg_index index_form, int column)
{
	AttrNumber	attnum = index_form->indkey.values[column - 1];
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a BRIN index of encrypted values is on columns, not on expressions")));
	get_atttypetypmodcoll(index_form->indrelid, attnum, &type, &typmod, &collation);
	(void) getBaseTypeAndTypmod(type, &typmod);
	if (typmod <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a BRIN index cannot be on a column of any key"),
				 errdetail("It would keep values after their key is destroyed.")));
}

static void
check_index(Oid relation)
{
	HeapTuple	class_row = new_row(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid,
									relation);
	HeapTuple	index_row;
	Form_pg_class class_form;
	Form_pg_index index_form;
	oidvector  *classes;
	bool		isnull;

	if (class_row == NULL)
		return;
	class_form = (Form_pg_class) GETSTRUCT(class_row);
	if (class_form->relkind != RELKIND_INDEX && class_form->relkind != RELKIND_PARTITIONED_INDEX)
		return;
	index_row = new_row(IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid, relation);
	if (index_row == NULL)
		return;
	check_index_expressions(index_row, NameStr(class_form->relname));
	if (class_form->relam == HASH_AM_OID)
	{
		check_hash_index(index_row);
		return;
	}
	if (pgseal_sealed_is_method(class_form->relam))
		return;
	index_form = (Form_pg_index) GETSTRUCT(index_row);
	classes = (oidvector *) DatumGetPointer(SysCacheGetAttr(INDEXRELID, index_row,
															Anum_pg_index_indclass, &isnull));
	for (int i = 1; i <= index_form->indnkeyatts; i++)
	{
		NameData	name;
		Oid			type;
		int32		typmod;

		if (class_form->relam == BRIN_AM_OID && pgseal_brin_is_our_class(classes->values[i - 1]))
		{
			check_brin_column(index_form, i);
			continue;
		}
		/* What it stores, or what it makes that of */
		if ((new_column(relation, i, &name, &type, &typmod) && pgseal_holds_encrypted(type)) ||
			pgseal_holds_encrypted(get_opclass_input_type(classes->values[i - 1])))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" would reveal the order of encrypted values",
							NameStr(class_form->relname)),
					 errhint("Use USING sealed (column), or for equality an index on blind_index(column), which may be UNIQUE.")));
	}
}

/*
 * GIN and others have no operator classes for encrypted values, and those of BRIN but
 * for minimum and maximum don't take them, which PostgreSQL would say without a hint at
 * what there is.
 */
void
pgseal_refuse_index(const IndexStmt *stmt)
{
	Oid			relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	Oid			method = get_am_oid(stmt->accessMethod, true);
	ListCell   *lc;

	if (!OidIsValid(relation) || !OidIsValid(method))
		return;
	foreach(lc, stmt->indexParams)
	{
		IndexElem  *element = lfirst_node(IndexElem, lc);
		Oid			type = element->name == NULL ? InvalidOid :
			get_atttype(relation, get_attnum(relation, element->name));
		Oid			opclass;

		if (!OidIsValid(type) || pgseal_type_by_oid(getBaseType(type)) == NULL)
			continue;
		opclass = element->opclass == NIL ? GetDefaultOpClass(type, method) :
			get_opclass_oid(method, element->opclass, true);
		if (element->opclass == NIL && !OidIsValid(opclass))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("access method \"%s\" cannot index encrypted column \"%s\"",
							stmt->accessMethod, element->name),
					 errhint("Use USING sealed (column).")));
		if (method == BRIN_AM_OID && OidIsValid(opclass) && !pgseal_brin_is_our_class(opclass))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("operator class \"%s\" cannot index encrypted column \"%s\"",
							NameListToString(element->opclass), element->name),
					 OidIsValid(GetDefaultOpClass(type, method)) ?
					 errhint("Leave it out: BRIN keeps minimum and maximum of encrypted values, sealed.") :
					 errhint("Use USING sealed (column).")));
	}
}

/* Is it a generated column of tokens? */
static bool
holds_tokens(Oid relation, AttrNumber attnum)
{
	Relation	rel;
	bool		found;

	if (attnum <= 0 || get_attgenerated(relation, attnum) == '\0')
		return false;
	rel = table_open(relation, NoLock);
	found = pgseal_stored_has_tokens(pgseal_stored_generation(rel, attnum), PGSEAL_TYPMOD_NONE);
	table_close(rel, NoLock);
	return found;
}

static void
check_statistics(Oid statistics)
{
	HeapTuple	row = new_row(StatisticExtRelationId, StatisticExtOidIndexId,
							  Anum_pg_statistic_ext_oid, statistics);
	Form_pg_statistic_ext form;
	Relation	rel;
	bool		isnull;
	Datum		exprs;
	bool		found = false;

	if (row == NULL)
		return;
	form = (Form_pg_statistic_ext) GETSTRUCT(row);
	for (int i = 0; i < form->stxkeys.dim1 && !found; i++)
		found = pgseal_holds_encrypted(get_atttype(form->stxrelid, form->stxkeys.values[i])) ||
			holds_tokens(form->stxrelid, form->stxkeys.values[i]);

	rel = table_open(StatisticExtRelationId, AccessShareLock);
	exprs = heap_getattr(row, Anum_pg_statistic_ext_stxexprs, RelationGetDescr(rel), &isnull);
	if (!isnull && !found)
	{
		List	   *vars = pull_vars_of_level(stringToNode(TextDatumGetCString(exprs)), 0);
		ListCell   *lc;

		foreach(lc, vars)
			found = found || pgseal_holds_encrypted(lfirst_node(Var, lc)->vartype);
	}
	table_close(rel, AccessShareLock);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("extended statistics would reveal encrypted values")));
}

/*
 * Columns whose type comes from elsewhere than a statement that was completed:
 * the row type of a view, CREATE TABLE AS EXECUTE.
 */

/*
 * All columns of a relation that is just being made, or one that was added;
 * of tables, materialized views, foreign tables and composite types.
 */
static void
check_columns(Oid relation, AttrNumber attnum)
{
	HeapTuple	class_row = new_row(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid,
									relation);
	Form_pg_class class_form;

	if (class_row == NULL)
		return;
	class_form = (Form_pg_class) GETSTRUCT(class_row);
	if (strchr("rpmfc", class_form->relkind) == NULL)
		return;
	for (int i = 1; i <= class_form->relnatts; i++)
	{
		NameData	name;
		Oid			type;
		int32		typmod;
		PgsealShape *shape;

		if ((attnum != 0 && attnum != i) || !new_column(relation, i, &name, &type, &typmod))
			continue;
		shape = pgseal_shape_of_type(type, typmod);
		if (shape != NULL && pgseal_shape_lacks_key(shape))
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("column \"%s\" would hold encrypted values under no key",
							NameStr(name)),
					 errhint("Cast them to a type that names one, such as encrypted_text('key').")));
	}
}

/*
 * PostgreSQL checks whether the expression of a generated column is immutable
 * before it casts its result to the column's type.
 */
static bool
opens_value(Node *node, void *context)
{
	ListCell   *lc;

	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && pgseal_type_by_oid(exprType(node)) == NULL &&
		!pgseal_stored_is_token_function(((FuncExpr *) node)->funcid) &&
		func_volatile(((FuncExpr *) node)->funcid) != PROVOLATILE_IMMUTABLE)
		foreach(lc, ((FuncExpr *) node)->args)
			if (pgseal_holds_encrypted(exprType(lfirst(lc))))
				return true;
	return expression_tree_walker(node, opens_value, context);
}

static void
check_generated(Oid relation, AttrNumber attnum)
{
	Relation	rel;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Datum		expr;
	bool		isnull;
	bool		opens = false;

	if (get_attgenerated(relation, attnum) == '\0')
		return;
	rel = table_open(AttrDefaultRelationId, AccessShareLock);
	ScanKeyInit(&keys[0], Anum_pg_attrdef_adrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relation));
	ScanKeyInit(&keys[1], Anum_pg_attrdef_adnum, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(attnum));
	scan = systable_beginscan(rel, AttrDefaultIndexId, true, SnapshotSelf, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		expr = heap_getattr(tuple, Anum_pg_attrdef_adbin, RelationGetDescr(rel), &isnull);
		opens = !isnull &&
			(opens_value(stringToNode(TextDatumGetCString(expr)), NULL) ||
			 reveals_value(stringToNode(TextDatumGetCString(expr)), get_attname(relation, attnum, false)) ||
			 pgseal_citus_calls_has(stringToNode(TextDatumGetCString(expr))));
	}
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	if (opens)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
				 errmsg("generated column \"%s\" would store opened values",
						get_attname(relation, attnum, false)),
				 errhint("Give it the encrypted type.")));
}

/* Keys of this database are wrapped by the server's master key */
static void
check_server_drop(Oid server)
{
	char	   *name;

	if (pgseal_refuse_dropping_extension || !OidIsValid(pgseal_catalog_version_relation()))
		return;
	name = GetForeignServer(server)->servername;
	if (pgseal_catalog_server_in_use(name))
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("cannot drop server %s because keys depend on it", name),
				 errdetail("Without it, nothing that they seal can be opened."),
				 errhint("Move the keys to another server first, see the view pgseal.key_versions.")));
}

static void
refuse_object_access(ObjectAccessType access, Oid class, Oid object, int sub_id, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, class, object, sub_id, arg);

	if (access == OAT_POST_CREATE && OidIsValid(pgseal_extension_oid()))
		pgseal_stored_mark(class, object, sub_id);
	if (IsBinaryUpgrade)
		return;
	if (access == OAT_DROP && class == ForeignServerRelationId)
		check_server_drop(object);
	if (access == OAT_POST_CREATE && class == ExtensionRelationId)
		pgseal_wakeup_at_commit();	/* the worker may not know this database */
	if (access == OAT_POST_ALTER && class == TriggerRelationId && OidIsValid(pgseal_extension_oid()))
		pgseal_refuse_trigger(object);	/* ENABLE */
	if (access != OAT_POST_CREATE || !OidIsValid(pgseal_extension_oid()))
		return;
	pgseal_stored_created(class, object, sub_id);
	switch (class)
	{
		case RelationRelationId:
			check_columns(object, sub_id);
			check_index(object);
			break;
		case AttrDefaultRelationId:
			check_generated(object, sub_id);
			break;
		case StatisticExtRelationId:
			check_statistics(object);
			break;
		case TriggerRelationId:
			pgseal_refuse_trigger(object);
			break;
	}
}

void
pgseal_refuse_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = refuse_object_access;
}
