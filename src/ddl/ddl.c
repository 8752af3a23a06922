/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  What happens when tables with encrypted columns are made or changed.
 *
 * A ProcessUtility hook completes a statement before PostgreSQL runs it: every
 * stored column of an encrypted type gets a key (column_keys.c).
 *
 * What would store the order or the values of plaintexts is refused by the
 * object access hook in refuse.c; here only what that hook doesn't see:
 * partition keys and range types.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_partitioned_table.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "tcop/utility.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/relation_changes.h"
#include "base/settings.h"
#include "citus/calls.h"
#include "ddl/alter_table.h"
#include "ddl/column_keys.h"
#include "ddl/constant_default.h"
#include "ddl/create_as.h"
#include "ddl/ddl.h"
#include "ddl/expressions.h"
#include "ddl/join_tables.h"
#include "ddl/no_statistics.h"
#include "ddl/own_key.h"
#include "ddl/refuse.h"
#include "ddl/rules.h"
#include "keys/catalog.h"
#include "keys/keyring.h"
#include "kms/kms.h"
#include "life/rewrap.h"
#include "search/stored_tokens.h"
#include "type/sealed_input.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

static ProcessUtility_hook_type prev_process_utility;

/* The relation of this name where this one would be made */
static Oid
relation_to_be(RangeVar *name)
{
	/* What PostgreSQL will refuse is left to it, as it has a better message */
	if (name->relpersistence == RELPERSISTENCE_TEMP && name->schemaname != NULL)
		return get_relname_relid(name->relname, LookupNamespaceNoError(name->schemaname));
	return get_relname_relid(name->relname, RangeVarGetCreationNamespace(name));
}

static void
refuse_partitions(const char *table)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("partitions of table \"%s\" would reveal encrypted values", table),
			 errhint("Use PARTITION BY HASH.")));
}

/* What check_partition_key() would refuse afterwards, before a key is made for it */
static void
check_partition_spec(CreateStmt *stmt)
{
	ListCell   *lc;
	ListCell   *lc2;

	if (stmt->partspec == NULL || pgseal_partitions_by_hash(stmt->partspec))
		return;
	foreach(lc, stmt->partspec->partParams)
		foreach(lc2, stmt->tableElts)
		{
			const char *name = lfirst_node(PartitionElem, lc)->name;
			ColumnDef  *column = lfirst(lc2);
			Oid			type;

			if (name == NULL || !IsA(column, ColumnDef) || strcmp(column->colname, name) != 0)
				continue;
			/* A partition's and a typed table's may have it from elsewhere */
			type = column->typeName != NULL ? LookupTypeNameOid(NULL, column->typeName, true) : InvalidOid;
			if (OidIsValid(type) && pgseal_holds_encrypted(type))
				refuse_partitions(stmt->relation->relname);
		}
}

static void
complete_create(CreateStmt *stmt, PgsealKeyOwner *owner)
{
	check_partition_spec(stmt);
	pgseal_join_parents(stmt->inhRelations);
	pgseal_column_keys_complete(stmt->tableElts, owner, stmt->inhRelations);
}

/*
 * What may not be made
 */

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
		if (OidIsValid(subtype) && pgseal_holds_encrypted(subtype))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a range type of encrypted values would reveal their order")));
	}
}

/*
 * The utility hook
 */

/* Takes USAGE of the keys of all encrypted columns that the condition mentions. */
static void
check_copy(CopyStmt *stmt, const char *query_string)
{
	Oid			relation = InvalidOid;
	ParseState *pstate;
	Relation	rel;
	Node	   *condition;
	ListCell   *lc;

	if (stmt->whereClause != NULL && stmt->relation != NULL)
		relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	if (!OidIsValid(relation))
		return;
	rel = table_open(relation, AccessShareLock);
	pstate = make_parsestate(NULL);
	pstate->p_sourcetext = query_string;
	addNSItemToQuery(pstate, addRangeTableEntryForRelation(pstate, rel, AccessShareLock, NULL,
														   false, false),
					 false, true, true);
	condition = transformExpr(pstate, copyObject(stmt->whereClause), EXPR_KIND_COPY_WHERE);
	foreach(lc, pull_vars_of_level(condition, 0))
	{
		Var		   *var = lfirst_node(Var, lc);

		if (var->varattno == InvalidAttrNumber)
			pgseal_column_keys_require_usage(relation);
		else if (OidIsValid(pgseal_own_key_type(var->vartype)) && var->vartypmod > 0)
			pgseal_refuse_without_usage(var->vartypmod);
	}
	free_parsestate(pstate);
	table_close(rel, NoLock);
}

/* Whose own key the columns get that a statement makes and that name no key */
static RangeVar *
owner_name(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			return ((CreateStmt *) stmt)->relation;
		case T_CreateForeignTableStmt:
			return ((CreateForeignTableStmt *) stmt)->base.relation;
		case T_CreateTableAsStmt:
			return ((CreateTableAsStmt *) stmt)->into->rel;
		case T_AlterTableStmt:
			return ((AlterTableStmt *) stmt)->relation;
		case T_CompositeTypeStmt:
			return ((CompositeTypeStmt *) stmt)->typevar;
		case T_CreateDomainStmt:
			return makeRangeVarFromNameList(((CreateDomainStmt *) stmt)->domainname);
		default:
			return NULL;
	}
}

static bool
makes_relation(Node *stmt)
{
	return IsA(stmt, CreateStmt) || IsA(stmt, CreateForeignTableStmt) ||
		IsA(stmt, CreateTableAsStmt);
}

/* The statement that makes something: that which EXPLAIN is about, or itself */
static Node *
making(Node *stmt)
{
	CreateTableAsStmt *explained = pgseal_create_as_explained(stmt);

	return explained != NULL ? (Node *) explained : stmt;
}

/*
 * What is refused anyway, as in a read-only transaction, makes nothing before.  EXPLAIN
 * ANALYZE isn't.
 */
static bool
concerns_us(Node *stmt)
{
	if (XactReadOnly && making(stmt) == stmt)
		return false;
	stmt = making(stmt);
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
		case T_RuleStmt:
			break;
		case T_ViewStmt:
			if (!((ViewStmt *) stmt)->replace)
				return false;
			break;
		default:
			return false;
	}
	if (IsBinaryUpgrade || !OidIsValid(pgseal_extension_oid()))
		return false;
	/* IF NOT EXISTS makes nothing, and without it there is an error */
	return !makes_relation(stmt) || !OidIsValid(relation_to_be(owner_name(stmt)));
}

static void
complete_statement(Node *stmt, const char *query_string, PgsealKeyOwner *owner)
{
	switch (nodeTag(stmt))
	{
		case T_ViewStmt:
			pgseal_join_view((ViewStmt *) stmt, query_string);
			break;
		case T_RuleStmt:
			pgseal_rules_complete((RuleStmt *) stmt);
			break;
		case T_CopyStmt:
			check_copy((CopyStmt *) stmt, query_string);
			break;
		case T_CreateStmt:
			complete_create((CreateStmt *) stmt, owner);
			break;
		case T_CreateForeignTableStmt:
			complete_create(&((CreateForeignTableStmt *) stmt)->base, owner);
			break;
		case T_AlterTableStmt:
			pgseal_alter_table_complete((AlterTableStmt *) stmt, owner);
			break;
		case T_CompositeTypeStmt:
			pgseal_column_keys_complete(((CompositeTypeStmt *) stmt)->coldeflist, owner, NIL);
			break;
		case T_CreateDomainStmt:
			pgseal_column_keys_complete_type(((CreateDomainStmt *) stmt)->typeName, owner, PGSEAL_TYPMOD_NONE);
			break;
		case T_CreateRangeStmt:
			check_range((CreateRangeStmt *) stmt);
			break;
		case T_CreateTableAsStmt:
			pgseal_create_as_complete((CreateTableAsStmt *) stmt, owner);
			break;
		default:
			break;
	}
}

/* The table that the statement made or changed; InvalidOid if it made none */
static Oid
resulting_table(Node *stmt)
{
	Oid			relation = InvalidOid;

	if (makes_relation(stmt))
		relation = relation_to_be(owner_name(stmt));
	else if (IsA(stmt, AlterTableStmt) && ((AlterTableStmt *) stmt)->objtype != OBJECT_TYPE)
		relation = RangeVarGetRelid(((AlterTableStmt *) stmt)->relation, NoLock, true);
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

	if (key != NULL && pgseal_citus_calls_has((Node *) key->partexprs))
		refuse_partitions(RelationGetRelationName(rel));
	for (int i = 0; key != NULL && i < key->partnatts; i++)
	{
		if (!pgseal_holds_encrypted(key->parttypid[i]))
			continue;
		if (key->strategy != PARTITION_STRATEGY_HASH)
			refuse_partitions(RelationGetRelationName(rel));
		pgseal_refuse_without_usage(key->parttypmod[i] > 0 ? key->parttypmod[i] :
									pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY));
	}
}

/* Has the statement changed a row type that now holds encrypted values? */
static bool
changes_row_type(Node *stmt)
{
	AlterTableStmt *alter = (AlterTableStmt *) stmt;
	Oid			relation;
	ListCell   *lc;

	if (!IsA(stmt, AlterTableStmt))
		return false;
	foreach(lc, alter->cmds)
	{
		AlterTableType subtype = lfirst_node(AlterTableCmd, lc)->subtype;

		if (subtype != AT_AddColumn && subtype != AT_AlterColumnType)
			continue;
		relation = RangeVarGetRelid(alter->relation, NoLock, true);
		return OidIsValid(relation) && OidIsValid(get_rel_type_id(relation)) &&
			pgseal_holds_encrypted(get_rel_type_id(relation));
	}
	return false;
}

/* What is done once the statement has run */
static void
follow_up(Node *stmt)
{
	Oid			relation;
	Relation	rel;

	CommandCounterIncrement();
	if (changes_row_type(stmt))
	{
		pgseal_no_statistics_anywhere();
		pgseal_row_type_changed();
	}
	if (IsA(stmt, AlterTableStmt) && ((AlterTableStmt *) stmt)->objtype == OBJECT_TABLE)
		pgseal_constant_default_altered((AlterTableStmt *) stmt);
	relation = resulting_table(stmt);
	if (!OidIsValid(relation))
		return;
	rel = table_open(relation, AccessShareLock);
	if (IsA(stmt, CreateStmt))
	{
		check_partition_key(rel);
		pgseal_stored_mark(PartitionedRelationId, relation, 0);
		pgseal_stored_created(PartitionedRelationId, relation, 0);
	}
	pgseal_no_statistics_of(rel);
	table_close(rel, AccessShareLock);
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

/* PostgreSQL would refuse it, too, but not say why */
static void
check_extension_schema(CreateExtensionStmt *stmt)
{
	ListCell   *lc;

	if (strcmp(stmt->extname, "pgseal") != 0)
		return;
	foreach(lc, stmt->options)
	{
		DefElem    *option = lfirst_node(DefElem, lc);

		if (strcmp(option->defname, "schema") == 0 && strcmp(defGetString(option), "pg_catalog") != 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("extension \"pgseal\" must be installed in schema \"pg_catalog\""),
					 errdetail("Elsewhere, an encrypted column would be without its casts and operators whenever the schema is not in the search path: in dumps, in functions that set it, on subscribers."),
					 errhint("Leave SCHEMA out.")));
	}
}

/*
 * Literals in these are definitions, which pg_dump writes in their sealed form:
 * a column's default, a check, a view's condition.
 */
static bool
defines(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
		case T_CreateForeignTableStmt:
		case T_AlterTableStmt:
		case T_CreateDomainStmt:
		case T_AlterDomainStmt:
		case T_ViewStmt:
		case T_RuleStmt:
		case T_IndexStmt:
		case T_CreateTrigStmt:
		case T_CreatePolicyStmt:
		case T_AlterPolicyStmt:
		case T_CreateFunctionStmt:
		case T_CreateStatsStmt:
			return true;
		default:
			return false;
	}
}

static void
pass_on(PlannedStmt *pstmt, const char *query_string, bool read_only_tree, bool has_expressions,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		saved_dropping = pgseal_refuse_dropping_extension;
	volatile PgsealDefinition saved_definition = pgseal_sealed_input_define(defines(pstmt->utilityStmt));

	pgseal_refuse_dropping_extension = saved_dropping || drops_extension(pstmt->utilityStmt);
	PG_TRY();
	{
		if (has_expressions)
			pgseal_expressions_complete(pstmt->utilityStmt, query_string);
		prev_process_utility(pstmt, query_string, read_only_tree, context, params, env,
							 dest, qc);
	}
	PG_FINALLY();
	{
		pgseal_refuse_dropping_extension = saved_dropping;
		pgseal_sealed_input_defined(saved_definition);
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
	pgseal_rewrap_check_server(stmt->servername);
	(void) pgseal_rewrap_server(stmt->servername);
}

static void
ddl_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					ProcessUtilityContext context, ParamListInfo params,
					QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	RenameStmt *rename = (RenameStmt *) pstmt->utilityStmt;
	bool		ours = concerns_us(pstmt->utilityStmt);
	bool		has_expressions = !XactReadOnly && !IsBinaryUpgrade &&
		pgseal_expressions_may_be(pstmt->utilityStmt) && OidIsValid(pgseal_extension_oid());
	Node	   *stmt = NULL;
	PgsealKeyOwner owner = {0};

	if (IsA(pstmt->utilityStmt, CreateExtensionStmt))
		check_extension_schema((CreateExtensionStmt *) pstmt->utilityStmt);
	if (IsA(pstmt->utilityStmt, IndexStmt) && OidIsValid(pgseal_extension_oid()))
		pgseal_refuse_index((IndexStmt *) pstmt->utilityStmt);
	if (read_only_tree && (ours || has_expressions))
		pstmt = copyObject(pstmt);
	read_only_tree = read_only_tree && !ours && !has_expressions;
	if (ours)
	{
		stmt = making(pstmt->utilityStmt);
		if (IsA(stmt, CreateTableAsStmt))
			params = pgseal_create_as_execute((CreateTableAsStmt *) stmt, query_string, params);
		owner.name = owner_name(stmt);
		owner.statement = make_parsestate(NULL);
		owner.statement->p_sourcetext = query_string;
		if (pgseal_create_as_is_run(pstmt->utilityStmt))
			complete_statement(stmt, query_string, &owner);
	}
	pass_on(pstmt, query_string, read_only_tree, has_expressions, context, params, env, dest, qc);
	if (ours)
		follow_up(stmt);

	if (IsA(pstmt->utilityStmt, AlterForeignServerStmt) && OidIsValid(pgseal_extension_oid()))
		check_server_options((AlterForeignServerStmt *) pstmt->utilityStmt);

	/* Keys name their server */
	if (IsA(rename, RenameStmt) && rename->renameType == OBJECT_FOREIGN_SERVER &&
		OidIsValid(pgseal_extension_oid()))
		pgseal_catalog_rename_server(strVal(rename->object), rename->newname);
}

void
pgseal_ddl_init(void)
{
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = ddl_process_utility;
}
