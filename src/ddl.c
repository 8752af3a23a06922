/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  What happens when tables with encrypted columns are made or changed.
 *
 * A ProcessUtility hook completes a statement before PostgreSQL runs it: every
 * stored column (also of a domain or a composite type) of an encrypted type
 * gets the name of a key as its type modifier.  A column that names none gets
 * its table's own key, which is made in the same transaction; a name that has
 * no key yet is declared, and gets its material when it first seals.
 *
 * So no stored column is without a key, and nothing but values on their way is
 * sealed under the "default" key.
 *
 * An object access hook refuses what would store the order or the values of
 * plaintexts: indexes on encrypted columns other than hash indexes, and
 * extended statistics.  It sees every way in which one can be made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "commands/prepare.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_func.h"
#include "parser/parse_type.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "basetype.h"
#include "catalog.h"
#include "compat.h"
#include "ddl.h"
#include "keyring.h"
#include "kms/kms.h"
#include "lifecycle.h"
#include "targets.h"
#include "transparent.h"

/* Temporary tables of all sessions share one key */
#define TEMPORARY_KEY			"pg_temp"

static ProcessUtility_hook_type prev_process_utility = NULL;
static object_access_hook_type prev_object_access = NULL;

/* DROP EXTENSION pgseal takes its servers along */
static bool dropping_extension = false;

/*
 * The own key of a table, domain or composite type
 */

/* Who asks for an own key; the name is made when it is first needed */
typedef struct Owner
{
	RangeVar   *name;			/* of what is made or changed */
	Oid			relation;		/* InvalidOid when it doesn't exist yet */
	char	   *key;			/* NULL until asked for */
} Owner;

/* Is the key the type modifier of a stored column of another relation? */
static bool
used_by_other_relation(int32 key_hash, Oid relation)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(attributes, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		used = false;

	while (!used && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);
		Oid			element;

		if (attribute->atttypmod != key_hash || attribute->attisdropped ||
			attribute->attrelid == relation)
			continue;
		element = get_base_element_type(attribute->atttypid);
		used = pgseal_type_by_oid(OidIsValid(element) ? element : attribute->atttypid) != NULL;
	}
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return used;
}

static char *
own_key_name(const Owner *owner)
{
	Oid			schema = OidIsValid(owner->relation) ?
		get_rel_namespace(owner->relation) : RangeVarGetCreationNamespace(owner->name);
	char	   *base;
	char	   *name;

	if (isAnyTempNamespace(schema))
		return TEMPORARY_KEY;
	base = psprintf("%s.%s", quote_identifier(get_namespace_name(schema)),
					quote_identifier(owner->name->relname));
	name = base;

	/*
	 * A key of this name is that of an earlier table, dropped (then it serves
	 * the new one, whose rows may come from its dump) or renamed.
	 */
	for (int i = 2;
		 pgseal_catalog_name(pgseal_catalog_name_hash(name)) != NULL &&
		 used_by_other_relation(pgseal_catalog_name_hash(name), owner->relation);
		 i++)
		name = psprintf("%s_%d", base, i);
	return name;
}

static const char *
own_key(Owner *owner)
{
	if (owner->key == NULL)
	{
		owner->key = own_key_name(owner);
		pgseal_keyring_ensure(owner->key);
		/* Literals will need it, perhaps where it can't be made any more */
		pgseal_keyring_ensure(PGSEAL_DEFAULT_KEY);
	}
	return owner->key;
}

/*
 * Completing type names
 */

static Node *
string_constant(const char *string)
{
	A_Const    *constant = makeNode(A_Const);

	constant->val.sval.type = T_String;
	constant->val.sval.sval = pstrdup(string);
	constant->location = -1;
	return (Node *) constant;
}

/*
 * A column may name a key that is there, or one that is not there yet.  To put
 * a key that others use on one's own table takes the privilege to read what it
 * seals: otherwise a unique index there would answer whether a guess is right.
 */
static void
check_named_key(const char *name)
{
	PgsealKeyRow *key;

	if (strcmp(name, "*") == 0 || name[0] == '#')
		return;
	pgseal_catalog_check_name(name);
	pgseal_catalog_declare(name);
	key = pgseal_catalog_key(pgseal_catalog_name_hash(name));
	if (key != NULL)
	{
		Oid			server = get_foreign_server_oid(key->server, true);

		if (OidIsValid(server) &&
			pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, key->server);
	}
}

/* The name in encrypted_text('name'); NULL when it isn't a plain constant */
static const char *
named_key(TypeName *type_name)
{
	Node	   *first = linitial(type_name->typmods);

	if (IsA(first, A_Const) && nodeTag(&((A_Const *) first)->val) == T_String)
		return strVal(&((A_Const *) first)->val);
	if (IsA(first, ColumnRef) && list_length(((ColumnRef *) first)->fields) == 1 &&
		IsA(linitial(((ColumnRef *) first)->fields), String))
		return strVal(linitial(((ColumnRef *) first)->fields));
	return NULL;
}

/*
 * Gives an encrypted type without a key name the key of keep_typmod (if the
 * column has one already) or the owner's own key.
 */
static void
complete_type(TypeName *type_name, Owner *owner, int32 keep_typmod)
{
	Oid			oid;
	Oid			element;
	const char *name;

	if (type_name == NULL || type_name->pct_type || type_name->setof)
		return;
	oid = LookupTypeNameOid(NULL, type_name, true);
	if (!OidIsValid(oid) || oid < FirstNormalObjectId)
		return;
	element = get_element_type(oid);
	if (pgseal_type_by_oid(OidIsValid(element) ? element : oid) == NULL)
		return;

	if (type_name->typmods != NIL)
	{
		name = named_key(type_name);
		if (name != NULL)
			check_named_key(name);
		return;
	}
	if (keep_typmod == PGSEAL_TYPMOD_ANY)
		name = "*";
	else if (keep_typmod > 0)
		name = psprintf("#%08x", keep_typmod);
	else
		name = own_key(owner);
	type_name->typmods = list_make1(string_constant(name));
}

static void
complete_columns(List *elements, Owner *owner)
{
	ListCell   *lc;

	foreach(lc, elements)
		if (IsA(lfirst(lc), ColumnDef))
			complete_type(lfirst_node(ColumnDef, lc)->typeName, owner, PGSEAL_TYPMOD_NONE);
}

/* Does a relation of this name exist where this one would be made? */
static bool
exists_already(RangeVar *name)
{
	return OidIsValid(get_relname_relid(name->relname, RangeVarGetCreationNamespace(name)));
}

static void
complete_create(CreateStmt *stmt)
{
	Owner		owner = {.name = stmt->relation};

	if (!exists_already(stmt->relation))
		complete_columns(stmt->tableElts, &owner);
}

/* The type modifier of an encrypted column that is there already */
static int32
present_typmod(Oid relation, const char *column)
{
	AttrNumber	attnum = get_attnum(relation, column);
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (attnum == InvalidAttrNumber)
		return PGSEAL_TYPMOD_NONE;
	get_atttypetypmodcoll(relation, attnum, &type, &typmod, &collation);
	if (OidIsValid(get_base_element_type(type)))
		type = get_base_element_type(type);
	return pgseal_type_by_oid(type) != NULL ? typmod : PGSEAL_TYPMOD_NONE;
}

static void
complete_alter(AlterTableStmt *stmt)
{
	Owner		owner = {.name = stmt->relation};
	ListCell   *lc;

	owner.relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (!OidIsValid(owner.relation))
		return;
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ColumnDef  *column = (ColumnDef *) cmd->def;

		if (cmd->subtype == AT_AddColumn)
			complete_type(column->typeName, &owner, PGSEAL_TYPMOD_NONE);
		else if (cmd->subtype == AT_AlterColumnType)
			complete_type(column->typeName, &owner, present_typmod(owner.relation, cmd->name));
	}
}

/*
 * CREATE TABLE AS, CREATE MATERIALIZED VIEW
 */

/* PgsealTargetMap: gives a column that inherits no key the new table's own */
static Expr *
reseal_target(Expr *expr, void *context)
{
	Owner	   *owner = context;
	Oid			type = exprType((Node *) expr);
	List	   *name;
	Oid			arguments[3] = {type, INT4OID, BOOLOID};
	Const	   *typmod;

	if (type < FirstNormalObjectId || pgseal_type_by_oid(type) == NULL ||
		exprTypmod((Node *) expr) != PGSEAL_TYPMOD_NONE)
		return NULL;
	name = list_make2(makeString("pgseal"), makeString("reseal_cast"));
	typmod = makeConst(INT4OID, -1, InvalidOid, sizeof(int32),
					   Int32GetDatum(pgseal_catalog_name_hash(own_key(owner))), false, true);
	return (Expr *) makeFuncExpr(LookupFuncName(name, 3, arguments, false), type,
								 list_make3(copyObject(expr), typmod, makeBoolConst(false, false)),
								 exprCollation((Node *) expr), exprCollation((Node *) expr),
								 COERCE_IMPLICIT_CAST);
}

static void
complete_create_as(CreateTableAsStmt *stmt)
{
	Owner		owner = {.name = stmt->into->rel};
	Query	   *query = castNode(Query, stmt->query);
	PreparedStatement *prepared;
	ListCell   *lc;

	if (exists_already(stmt->into->rel))
		return;
	if (query->commandType != CMD_UTILITY)
	{
		pgseal_targets_map(query, reseal_target, &owner);
		return;
	}
	if (!IsA(query->utilityStmt, ExecuteStmt))
		return;
	prepared = FetchPreparedStatement(((ExecuteStmt *) query->utilityStmt)->name, true);
	foreach(lc, prepared->plansource->query_list)
		if (pgseal_transparent_opens(lfirst_node(Query, lc)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("CREATE TABLE AS EXECUTE would store opened values of encrypted columns"),
					 errhint("Use CREATE TABLE AS SELECT, which keeps them encrypted, or prepare the statement with pgseal.transparent = off.")));
}

/*
 * The utility hook
 */

static bool
concerns_us(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_AlterTableStmt:
		case T_CompositeTypeStmt:
		case T_CreateDomainStmt:
		case T_CreateTableAsStmt:
			return !IsBinaryUpgrade && OidIsValid(pgseal_type_schema());
		default:
			return false;
	}
}

static void
complete_statement(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			complete_create((CreateStmt *) stmt);
			break;
		case T_CreateForeignTableStmt:
			complete_create(&((CreateForeignTableStmt *) stmt)->base);
			break;
		case T_AlterTableStmt:
			complete_alter((AlterTableStmt *) stmt);
			break;
		case T_CompositeTypeStmt:
			{
				Owner		owner = {.name = ((CompositeTypeStmt *) stmt)->typevar};

				complete_columns(((CompositeTypeStmt *) stmt)->coldeflist, &owner);
				break;
			}
		case T_CreateDomainStmt:
			{
				CreateDomainStmt *domain = (CreateDomainStmt *) stmt;
				Owner		owner = {.name = makeRangeVarFromNameList(domain->domainname)};

				complete_type(domain->typeName, &owner, PGSEAL_TYPMOD_NONE);
				break;
			}
		case T_CreateTableAsStmt:
			complete_create_as((CreateTableAsStmt *) stmt);
			break;
		default:
			break;
	}
}

static bool
drops_extension(Node *stmt)
{
	ListCell   *lc;

	if (!IsA(stmt, DropStmt) || ((DropStmt *) stmt)->removeType != OBJECT_EXTENSION)
		return false;
	foreach(lc, ((DropStmt *) stmt)->objects)
		if (strcmp(strVal(lfirst(lc)), "pgseal") == 0)
			return true;
	return false;
}

static void
pass_on(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		saved_dropping = dropping_extension;

	dropping_extension = saved_dropping || drops_extension(pstmt->utilityStmt);
	PG_TRY();
	{
		if (prev_process_utility)
			prev_process_utility(pstmt, query_string, read_only_tree, context, params, env,
								 dest, qc);
		else
			standard_ProcessUtility(pstmt, query_string, read_only_tree, context, params, env,
									dest, qc);
	}
	PG_FINALLY();
	{
		dropping_extension = saved_dropping;
	}
	PG_END_TRY();
}

/*
 * New options may name another master key.  They must not make unreadable what
 * the old one wraps; then everything is rewrapped by the new one.
 */
static void
check_server_options(AlterForeignServerStmt *stmt)
{
	ForeignServer *server = GetForeignServerByName(stmt->servername, false);

	if (stmt->options == NIL ||
		pgseal_kms_provider(GetForeignDataWrapper(server->fdwid)->fdwname) == NULL)
		return;
	pgseal_lifecycle_check_server(stmt->servername);
	(void) pgseal_lifecycle_rewrap(stmt->servername);
}

static void
ddl_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	RenameStmt *rename = (RenameStmt *) pstmt->utilityStmt;

	if (concerns_us(pstmt->utilityStmt))
	{
		if (read_only_tree)
			pstmt = copyObject(pstmt);
		read_only_tree = false;
		complete_statement(pstmt->utilityStmt);
	}
	pass_on(pstmt, query_string, read_only_tree, context, params, env, dest, qc);

	if (IsA(pstmt->utilityStmt, AlterForeignServerStmt) && OidIsValid(pgseal_type_schema()))
		check_server_options((AlterForeignServerStmt *) pstmt->utilityStmt);

	/* Keys name their server */
	if (IsA(rename, RenameStmt) && rename->renameType == OBJECT_FOREIGN_SERVER &&
		OidIsValid(pgseal_type_schema()))
		pgseal_catalog_rename_server(strVal(rename->object), rename->newname);
}

/*
 * What may not be made
 */

/* Does a value of this type hold encrypted values? */
static bool
holds_encrypted(Oid type)
{
	Oid			element;
	Oid			relation;
	bool		found = false;

	type = getBaseType(type);
	if (type < FirstNormalObjectId)
		element = InvalidOid;
	else
		element = get_element_type(type);
	if (OidIsValid(element))
		return holds_encrypted(element);
	if (pgseal_type_by_oid(type) != NULL)
		return true;
	relation = get_typ_typrelid(type);
	if (OidIsValid(relation))
	{
		Relation	rel = relation_open(relation, AccessShareLock);

		for (int i = 0; i < RelationGetNumberOfAttributes(rel) && !found; i++)
			if (!TupleDescAttr(RelationGetDescr(rel), i)->attisdropped)
				found = holds_encrypted(TupleDescAttr(RelationGetDescr(rel), i)->atttypid);
		relation_close(rel, AccessShareLock);
	}
	return found;
}

/* Type of a key column; its pg_attribute row is as new as the index */
static Oid
index_column_type(Oid index, AttrNumber attnum)
{
	Relation	rel = table_open(AttributeRelationId, AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	Oid			type = InvalidOid;

	ScanKeyInit(&keys[0], Anum_pg_attribute_attrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(index));
	ScanKeyInit(&keys[1], Anum_pg_attribute_attnum, BTEqualStrategyNumber, F_INT2EQ,
				Int16GetDatum(attnum));
	scan = systable_beginscan(rel, AttributeRelidNumIndexId, true, SnapshotSelf, 2, keys);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
		type = ((Form_pg_attribute) GETSTRUCT(tuple))->atttypid;
	systable_endscan(scan);
	table_close(rel, AccessShareLock);
	return type;
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

static void
check_index(Oid relation)
{
	HeapTuple	class_row = new_row(RelationRelationId, ClassOidIndexId, Anum_pg_class_oid,
									relation);
	HeapTuple	index_row;
	Form_pg_class class_form;
	Form_pg_index index_form;

	if (class_row == NULL)
		return;
	class_form = (Form_pg_class) GETSTRUCT(class_row);
	if ((class_form->relkind != RELKIND_INDEX &&
		 class_form->relkind != RELKIND_PARTITIONED_INDEX) ||
		class_form->relam == HASH_AM_OID)
		return;
	index_row = new_row(IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid, relation);
	if (index_row == NULL)
		return;
	index_form = (Form_pg_index) GETSTRUCT(index_row);
	for (int i = 0; i < index_form->indnkeyatts; i++)
		if (holds_encrypted(index_column_type(relation, i + 1)))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" would reveal the order of encrypted values",
							NameStr(class_form->relname)),
					 errhint("For equality, index blind_index(column) (it may be UNIQUE), or use USING hash (column).")));
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
		found = holds_encrypted(get_atttype(form->stxrelid, form->stxkeys.values[i]));

	rel = table_open(StatisticExtRelationId, AccessShareLock);
	exprs = heap_getattr(row, Anum_pg_statistic_ext_stxexprs, RelationGetDescr(rel), &isnull);
	if (!isnull && !found)
	{
		List	   *vars = pull_vars_of_level(stringToNode(TextDatumGetCString(exprs)), 0);
		ListCell   *lc;

		foreach(lc, vars)
			found = found || holds_encrypted(lfirst_node(Var, lc)->vartype);
	}
	table_close(rel, AccessShareLock);
	if (found)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("extended statistics would reveal encrypted values")));
}

/* Keys of this database are wrapped by the server's master key */
static void
check_server_drop(Oid server)
{
	char	   *name;

	if (dropping_extension || !OidIsValid(pgseal_catalog_version_relation()))
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
ddl_object_access(ObjectAccessType access, Oid class, Oid object, int sub_id, void *arg)
{
	if (prev_object_access)
		prev_object_access(access, class, object, sub_id, arg);

	if (IsBinaryUpgrade || sub_id != 0)
		return;
	if (access == OAT_POST_CREATE && class == RelationRelationId && OidIsValid(pgseal_type_schema()))
		check_index(object);
	else if (access == OAT_POST_CREATE && class == StatisticExtRelationId &&
			 OidIsValid(pgseal_type_schema()))
		check_statistics(object);
	else if (access == OAT_DROP && class == ForeignServerRelationId)
		check_server_drop(object);
}

void
pgseal_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = ddl_process_utility;
	prev_object_access = object_access_hook;
	object_access_hook = ddl_object_access;
}
