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
 * plaintexts: indexes on encrypted columns other than hash indexes, generated
 * columns of plaintexts, and extended statistics.  It sees every way in which
 * one can be made.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_am.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_statistic_ext.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "commands/prepare.h"
#include "commands/tablecmds.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_coerce.h"
#include "parser/parse_collate.h"
#include "parser/parse_type.h"
#include "rewrite/rewriteHandler.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
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
#include "stored.h"
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
		pgseal_catalog_lock_columns(pgseal_catalog_name_hash(owner->key), false);
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

/* The name in encrypted_text('name'), as typmod_in gets it */
static const char *
named_key(TypeName *type_name)
{
	Node	   *first = linitial(type_name->typmods);

	if (IsA(first, A_Const))
	{
		Node	   *value = (Node *) &((A_Const *) first)->val;

		if (IsA(value, String))
			return strVal(value);
		if (IsA(value, Float))
			return castNode(Float, value)->fval;
		if (IsA(value, Integer))
			return psprintf("%d", intVal(value));
	}
	if (IsA(first, ColumnRef) && list_length(((ColumnRef *) first)->fields) == 1 &&
		IsA(linitial(((ColumnRef *) first)->fields), String))
		return strVal(linitial(((ColumnRef *) first)->fields));
	return "";					/* typmod_in or its caller will refuse it */
}

/* The current user must be allowed to open what the key seals, if there is one. */
static void
require_usage(int32 key_hash)
{
	PgsealKeyRow *key = pgseal_catalog_key(key_hash);
	Oid			server = key != NULL ? get_foreign_server_oid(key->server, true) : InvalidOid;

	if (OidIsValid(server) &&
		pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_FOREIGN_SERVER, key->server);
}

/*
 * blind_index() of a column asks for no privilege where PostgreSQL itself
 * evaluates expressions (blind_index.c).  Those of COPY ... WHERE and ALTER
 * COLUMN ... USING are evaluated in the same way, but come from the user.
 */
static void
require_usage_of_columns(Oid relation)
{
	Relation	rel = relation_open(relation, AccessShareLock);

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

		if (!attribute->attisdropped && attribute->atttypmod > 0 &&
			pgseal_type_by_oid(attribute->atttypid) != NULL)
			require_usage(attribute->atttypmod);
	}
	relation_close(rel, NoLock);
}

/*
 * A column may name a key that is there, or one that is not there yet.  To put
 * a key that others use on one's own table takes the privilege to read what it
 * seals: otherwise a unique index there would answer whether a guess is right.
 */
static void
check_named_key(TypeName *type_name)
{
	const char *name = named_key(type_name);
	Oid			oid;
	int32		hash;

	/* Refuses what can't name a key; '#' stands for a name that isn't known */
	typenameTypeIdAndMod(NULL, type_name, &oid, &hash);
	if (hash == PGSEAL_TYPMOD_ANY)
		return;
	pgseal_catalog_lock_columns(hash, false);
	if (name[0] != '#')
		pgseal_catalog_declare(name);
	require_usage(hash);
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
		check_named_key(type_name);
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

/*
 * pg_restore --disable-triggers is about the user's tables: without its own
 * triggers the key catalog would not merge the rows of a dump.
 */
static void
keep_catalog_triggers(AlterTableStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableType subtype = lfirst_node(AlterTableCmd, lc)->subtype;

		if (subtype == AT_DisableTrigAll || subtype == AT_DisableTrigUser ||
			subtype == AT_EnableTrigAll || subtype == AT_EnableTrigUser)
			stmt->cmds = foreach_delete_current(stmt->cmds, lc);
	}
}

/* That of the column which the new one of this name will merge with */
static int32
inherited_typmod(List *parents, const char *column)
{
	ListCell   *lc;
	int32		typmod = PGSEAL_TYPMOD_NONE;

	foreach(lc, parents)
	{
		Oid			parent = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);

		if (OidIsValid(parent) && typmod == PGSEAL_TYPMOD_NONE)
			typmod = present_typmod(parent, column);
	}
	return typmod;
}

static void
complete_columns(List *elements, Owner *owner, List *parents)
{
	ListCell   *lc;

	foreach(lc, elements)
	{
		ColumnDef  *column = (ColumnDef *) lfirst(lc);

		if (IsA(column, ColumnDef))
			complete_type(column->typeName, owner, inherited_typmod(parents, column->colname));
	}
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
		complete_columns(stmt->tableElts, &owner, stmt->inhRelations);
}

static void
complete_alter(AlterTableStmt *stmt)
{
	Owner		owner = {.name = stmt->relation};
	ListCell   *lc;

	owner.relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (!OidIsValid(owner.relation))
		return;
	if (pgseal_catalog_is_relation(owner.relation))
		keep_catalog_triggers(stmt);
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ColumnDef  *column = (ColumnDef *) cmd->def;

		if (cmd->subtype == AT_AddColumn)
			complete_type(column->typeName, &owner, PGSEAL_TYPMOD_NONE);
		else if (cmd->subtype == AT_AlterColumnType)
		{
			if (column->raw_default != NULL)
				require_usage_of_columns(owner.relation);
			complete_type(column->typeName, &owner, present_typmod(owner.relation, cmd->name));
		}
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
	Oid			element;
	Node	   *resealed;

	if (type < FirstNormalObjectId || exprTypmod((Node *) expr) != PGSEAL_TYPMOD_NONE)
		return NULL;
	element = get_element_type(type);
	if (pgseal_type_by_oid(OidIsValid(element) ? element : type) == NULL)
		return NULL;
	resealed = coerce_to_target_type(NULL, (Node *) copyObject(expr), type, type,
									 pgseal_catalog_name_hash(own_key(owner)),
									 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(NULL, resealed);
	return (Expr *) resealed;
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
		/* What REFRESH will run */
		if (stmt->into->viewQuery != NULL)
			pgseal_targets_map((Query *) stmt->into->viewQuery, reseal_target, &owner);
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

static void
check_range(CreateRangeStmt *stmt)
{
	ListCell   *lc;

	foreach(lc, stmt->params)
	{
		DefElem    *option = lfirst_node(DefElem, lc);
		Oid			subtype;

		if (strcmp(option->defname, "subtype") != 0)
			continue;
		subtype = LookupTypeNameOid(NULL, defGetTypeName(option), true);
		if (OidIsValid(subtype) && holds_encrypted(subtype))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a range type of encrypted values would reveal their order")));
	}
}

/*
 * The utility hook
 */

/* What is refused anyway in a read-only transaction must not make keys before */
static void
check_copy(CopyStmt *stmt)
{
	Oid			relation = InvalidOid;

	if (stmt->whereClause != NULL && stmt->relation != NULL)
		relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (OidIsValid(relation))
		require_usage_of_columns(relation);
}

static bool
concerns_us(Node *stmt)
{
	if (XactReadOnly)
		return false;
	switch (nodeTag(stmt))
	{
		case T_CopyStmt:
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_AlterTableStmt:
		case T_CompositeTypeStmt:
		case T_CreateDomainStmt:
		case T_CreateRangeStmt:
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
		case T_CopyStmt:
			check_copy((CopyStmt *) stmt);
			break;
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

				complete_columns(((CompositeTypeStmt *) stmt)->coldeflist, &owner, NIL);
				break;
			}
		case T_CreateDomainStmt:
			{
				CreateDomainStmt *domain = (CreateDomainStmt *) stmt;
				Owner		owner = {.name = makeRangeVarFromNameList(domain->domainname)};

				complete_type(domain->typeName, &owner, PGSEAL_TYPMOD_NONE);
				break;
			}
		case T_CreateRangeStmt:
			check_range((CreateRangeStmt *) stmt);
			break;
		case T_CreateTableAsStmt:
			complete_create_as((CreateTableAsStmt *) stmt);
			break;
		default:
			break;
	}
}

/* The table that the statement made or changed; InvalidOid if it made none */
static Oid
resulting_table(Node *stmt)
{
	RangeVar   *name = NULL;
	Oid			relation;

	if (IsA(stmt, CreateStmt))
		name = ((CreateStmt *) stmt)->relation;
	else if (IsA(stmt, CreateForeignTableStmt))
		name = ((CreateForeignTableStmt *) stmt)->base.relation;
	else if (IsA(stmt, CreateTableAsStmt))
		name = ((CreateTableAsStmt *) stmt)->into->rel;
	else if (IsA(stmt, AlterTableStmt) && ((AlterTableStmt *) stmt)->objtype != OBJECT_TYPE)
		name = ((AlterTableStmt *) stmt)->relation;
	relation = name != NULL ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;
	return OidIsValid(relation) && strchr("rpmf", get_rel_relkind(relation)) ? relation : InvalidOid;
}

/*
 * Partitions by range or list would tell the order of values from their place.
 * Partitions by hash tell which are equal, to whoever may look at them.  (There
 * is no access hook for partition keys.)
 */
static void
check_partition_key(Relation rel)
{
	PartitionKey key = RelationGetPartitionKey(rel);

	for (int i = 0; key != NULL && i < key->partnatts; i++)
	{
		if (!holds_encrypted(key->parttypid[i]))
			continue;
		if (key->strategy != PARTITION_STRATEGY_HASH)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("partitions of table \"%s\" would reveal encrypted values",
							RelationGetRelationName(rel)),
					 errhint("Use PARTITION BY HASH.")));
		require_usage(key->parttypmod[i] > 0 ? key->parttypmod[i] :
					  pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY));
	}
}

/*
 * PostgreSQL's own ANALYZE of arrays and composite types would keep values and
 * their order.  It leaves a column alone whose statistics target is 0.
 */
static void
forgo_statistics(Relation rel)
{
	List	   *commands = NIL;

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);
		AlterTableCmd *command;

		if (attribute->attisdropped || !holds_encrypted(attribute->atttypid) ||
			pgseal_type_by_oid(getBaseType(attribute->atttypid)) != NULL)
			continue;
		command = makeNode(AlterTableCmd);
		command->subtype = AT_SetStatistics;
		command->name = pstrdup(NameStr(attribute->attname));
		command->def = (Node *) makeInteger(0);
		commands = lappend(commands, command);
	}
	if (commands != NIL)
		AlterTableInternal(RelationGetRelid(rel), commands, true);
}

/* What is done once the statement has run */
static void
follow_up(Node *stmt)
{
	Oid			relation = resulting_table(stmt);
	Relation	rel;

	if (!OidIsValid(relation))
		return;
	CommandCounterIncrement();
	rel = table_open(relation, NoLock);
	if (IsA(stmt, CreateStmt))
		check_partition_key(rel);
	forgo_statistics(rel);
	table_close(rel, NoLock);
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
	bool		ours = concerns_us(pstmt->utilityStmt);

	if (ours)
	{
		if (read_only_tree)
			pstmt = copyObject(pstmt);
		read_only_tree = false;
		complete_statement(pstmt->utilityStmt);
	}
	pass_on(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	if (ours)
		follow_up(pstmt->utilityStmt);

	if (IsA(pstmt->utilityStmt, AlterForeignServerStmt) && OidIsValid(pgseal_type_schema()))
		check_server_options((AlterForeignServerStmt *) pstmt->utilityStmt);

	/* Keys name their server */
	if (IsA(rename, RenameStmt) && rename->renameType == OBJECT_FOREIGN_SERVER &&
		OidIsValid(pgseal_type_schema()))
		pgseal_catalog_rename_server(strVal(rename->object), rename->newname);
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
	require_usage(typmod > 0 ? typmod : pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY));
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
	if (class_form->relkind != RELKIND_INDEX && class_form->relkind != RELKIND_PARTITIONED_INDEX)
		return;
	index_row = new_row(IndexRelationId, IndexRelidIndexId, Anum_pg_index_indexrelid, relation);
	if (index_row == NULL)
		return;
	if (class_form->relam == HASH_AM_OID)
	{
		check_hash_index(index_row);
		return;
	}
	index_form = (Form_pg_index) GETSTRUCT(index_row);
	for (int i = 1; i <= index_form->indnkeyatts; i++)
	{
		NameData	name;
		Oid			type;
		int32		typmod;

		if (new_column(relation, i, &name, &type, &typmod) && holds_encrypted(type))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("index \"%s\" would reveal the order of encrypted values",
							NameStr(class_form->relname)),
					 errhint("For equality, index blind_index(column) (it may be UNIQUE), or use USING hash (column).")));
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
	found = pgseal_stored_has_tokens(build_column_default(rel, attnum), PGSEAL_TYPMOD_NONE);
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
		found = holds_encrypted(get_atttype(form->stxrelid, form->stxkeys.values[i])) ||
			holds_tokens(form->stxrelid, form->stxkeys.values[i]);

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

/*
 * Columns whose type comes from elsewhere than a statement that was completed:
 * the row type of a view, CREATE TABLE AS EXECUTE.
 */

/* Would values of this type be stored under no key of their own? */
static bool
lacks_key(Oid type, int32 typmod)
{
	Oid			element;
	Oid			relation;
	bool		found = false;

	if (type < FirstNormalObjectId)
		return false;
	type = getBaseTypeAndTypmod(type, &typmod);
	element = type < FirstNormalObjectId ? InvalidOid : get_element_type(type);
	if (OidIsValid(element))
		return lacks_key(element, typmod);
	if (pgseal_type_by_oid(type) != NULL)
		return typmod == PGSEAL_TYPMOD_NONE;
	relation = get_typ_typrelid(type);
	if (OidIsValid(relation))
	{
		Relation	rel = relation_open(relation, AccessShareLock);

		for (int i = 0; i < RelationGetNumberOfAttributes(rel) && !found; i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

			found = !attribute->attisdropped && lacks_key(attribute->atttypid, attribute->atttypmod);
		}
		relation_close(rel, AccessShareLock);
	}
	return found;
}

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

		if ((attnum != 0 && attnum != i) || !new_column(relation, i, &name, &type, &typmod))
			continue;
		if (lacks_key(type, typmod))
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
	if (node == NULL)
		return false;
	if (IsA(node, FuncExpr) && ((FuncExpr *) node)->args != NIL &&
		pgseal_type_by_oid(exprType(linitial(((FuncExpr *) node)->args))) != NULL &&
		pgseal_type_by_oid(exprType(node)) == NULL &&
		func_volatile(((FuncExpr *) node)->funcid) != PROVOLATILE_IMMUTABLE)
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
		opens = !isnull && opens_value(stringToNode(TextDatumGetCString(expr)), NULL);
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

	if (IsBinaryUpgrade)
		return;
	if (access == OAT_DROP && class == ForeignServerRelationId)
		check_server_drop(object);
	if (access != OAT_POST_CREATE || !OidIsValid(pgseal_type_schema()))
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
	}
}

void
pgseal_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = ddl_process_utility;
	prev_object_access = object_access_hook;
	object_access_hook = ddl_object_access;
}
