/*-------------------------------------------------------------------------
 *
 * ddl.c
 *	  What happens when tables with encrypted columns are made or changed.
 *
 * A ProcessUtility hook completes a statement before PostgreSQL runs it: every
 * stored column (also of a domain or a composite type) of an encrypted type
 * gets the name of a key as its type modifier.  A column that names none gets
 * its table's own key (own_key.c), which is made in the same transaction; a name
 * that has no key yet is declared, and gets its material when it first seals.
 *
 * So no stored column is without a key, and nothing but values on their way is
 * sealed under the "default" key.
 *
 * What would store the order or the values of plaintexts is refused by the
 * object access hook in refuse.c; here only what that hook doesn't see:
 * partition keys, range types, and CREATE TABLE AS EXECUTE.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_partitioned_table.h"
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
#include "parser/parse_expr.h"
#include "parser/parse_relation.h"
#include "parser/parse_type.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "hooks/ddl.h"
#include "hooks/join_tables.h"
#include "hooks/open_results.h"
#include "hooks/own_key.h"
#include "hooks/refuse.h"
#include "hooks/result_columns.h"
#include "hooks/rules.h"
#include "keys/catalog.h"
#include "keys/keyring.h"
#include "kms/kms.h"
#include "life/rewrap.h"
#include "search/stored_tokens.h"
#include "type/sealed_input.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

static ProcessUtility_hook_type prev_process_utility = NULL;

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
			pgseal_refuse_without_usage(attribute->atttypmod);
	}
	relation_close(rel, NoLock);
}

/*
 * A column may name a key that is there, or one that is not there yet.  To put
 * a key that others use on one's own table takes the privilege to read what it
 * seals: otherwise a unique index there would answer whether a guess is right.
 */
static void
check_named_key(ParseState *statement, TypeName *type_name)
{
	const char *name = named_key(type_name);
	Oid			oid;
	int32		hash;

	/* Refuses what can't name a key; '#' stands for a name that isn't known */
	typenameTypeIdAndMod(statement, type_name, &oid, &hash);
	if (hash == PGSEAL_TYPMOD_ANY)
		return;
	pgseal_catalog_lock_columns(hash, false);
	if (name[0] != '#')
	{
		pgseal_keyring_check_maker(name);
		pgseal_catalog_declare(name, false);
	}
	pgseal_refuse_without_usage(hash);
}

/*
 * Gives an encrypted type without a key name the key of keep_typmod (if the
 * column has one already) or the owner's own key.
 */
static void
complete_type(TypeName *type_name, PgsealKeyOwner *owner, int32 keep_typmod)
{
	Oid			oid;
	const char *name;

	if (type_name == NULL || type_name->pct_type || type_name->setof)
		return;
	oid = LookupTypeNameOid(owner->statement, type_name, true);
	if (!OidIsValid(oid) || !OidIsValid(pgseal_own_key_type(oid)))
		return;

	if (type_name->typmods != NIL)
	{
		check_named_key(owner->statement, type_name);
		return;
	}
	if (keep_typmod == PGSEAL_TYPMOD_ANY)
		name = "*";
	else if (keep_typmod > 0)
		name = psprintf("#%08x", keep_typmod);
	else
		name = pgseal_own_key_name(owner);
	type_name->typmods = list_make1(string_constant(name));
}

int32
pgseal_ddl_column_key(Oid relation, Oid encrypted_type, const char *key)
{
	PgsealKeyOwner owner = {.relation = relation};
	TypeName   *type_name = makeTypeNameFromOid(encrypted_type, PGSEAL_TYPMOD_NONE);
	Oid			oid;
	int32		typmod;
	char	   *name;

	owner.name = makeRangeVar(get_namespace_name(get_rel_namespace(relation)),
							  get_rel_name(relation), -1);
	if (key != NULL)
		type_name->typmods = list_make1(string_constant(key));
	complete_type(type_name, &owner, PGSEAL_TYPMOD_NONE);
	typenameTypeIdAndMod(NULL, type_name, &oid, &typmod);
	name = typmod == PGSEAL_TYPMOD_ANY ? NULL : pgseal_catalog_name(typmod);
	if (name != NULL)
		pgseal_keyring_ensure(name);
	return typmod;
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
	return OidIsValid(pgseal_own_key_type(type)) ? typmod : PGSEAL_TYPMOD_NONE;
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
complete_columns(List *elements, PgsealKeyOwner *owner, List *parents)
{
	ListCell   *lc;

	foreach(lc, elements)
	{
		ColumnDef  *column = (ColumnDef *) lfirst(lc);

		if (IsA(column, ColumnDef))
			complete_type(column->typeName, owner, inherited_typmod(parents, column->colname));
	}
}

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
complete_create(CreateStmt *stmt, PgsealKeyOwner *owner)
{
	pgseal_join_parents(stmt->inhRelations);
	complete_columns(stmt->tableElts, owner, stmt->inhRelations);
}

/*
 * Taking the encryption off
 */

typedef struct EncryptedReference
{
	Oid			relation;
	const char *column;			/* out: an encrypted one that the expression
								 * names */
} EncryptedReference;

static bool
is_encrypted_column(Oid relation, const char *column)
{
	AttrNumber	attnum = get_attnum(relation, column);

	return attnum > 0 && pgseal_refuse_holds_encrypted(get_atttype(relation, attnum));
}

static bool
names_encrypted_walker(Node *node, void *context)
{
	EncryptedReference *reference = context;

	if (node == NULL)
		return false;
	if (IsA(node, ColumnRef))
	{
		ListCell   *lc;

		/* "column", or in any place of "schema.table.column.field" */
		foreach(lc, ((ColumnRef *) node)->fields)
			if (IsA(lfirst(lc), String) &&
				is_encrypted_column(reference->relation, strVal(lfirst(lc))))
			{
				reference->column = strVal(lfirst(lc));
				return true;
			}
		return false;
	}
	return raw_expression_tree_walker(node, names_encrypted_walker, context);
}

/* The encrypted column whose opened values this command would store, or NULL */
static const char *
decrypted_column(Oid relation, AlterTableCmd *cmd)
{
	ColumnDef  *definition = (ColumnDef *) cmd->def;
	EncryptedReference reference = {.relation = relation};
	Oid			type = LookupTypeNameOid(NULL, definition->typeName, true);

	if (!OidIsValid(type) || pgseal_refuse_holds_encrypted(type))
		return NULL;
	if (definition->raw_default != NULL)
		return names_encrypted_walker(definition->raw_default, &reference) ?
			reference.column : NULL;
	return is_encrypted_column(relation, cmd->name) ? cmd->name : NULL;
}

/*
 * Tools that bring a schema in line with a model do this of their own accord,
 * and nobody notices.  It isn't a matter of rights, as the owner of a table may
 * copy its values anywhere.
 */
static void
check_decryption(Oid relation, AlterTableCmd *cmd)
{
	const char *column = decrypted_column(relation, cmd);

	if (column == NULL)
		return;
	if (!pgseal_allow_decryption)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("ALTER TABLE would store the opened values of encrypted column \"%s\"",
						column),
				 errhint("Use pgseal.decrypt_column(), or set pgseal.allow_decryption.")));
	if (pgseal_owns_table(relation, GetUserId()))
		pgseal_catalog_event("column_decrypted", NULL, 0,
							 psprintf("table=%s column=%s role=%s",
									  quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
																 get_rel_name(relation)),
									  quote_identifier(column),
									  quote_identifier(GetUserNameFromId(GetUserId(), false))));
}

/*
 * A column whose type is no longer an encrypted one can't keep its blind
 * indexes.  PostgreSQL would only say that there is no such function.
 */
static void
check_blind_indexes(Oid relation, const char *column, TypeName *type_name)
{
	Oid			type = LookupTypeNameOid(NULL, type_name, true);
	AttrNumber	attnum = get_attnum(relation, column);
	Relation	rel;
	Oid			index;

	if (!OidIsValid(type) || pgseal_type_by_oid(getBaseType(type)) != NULL ||
		attnum == InvalidAttrNumber)
		return;
	rel = try_relation_open(relation, AccessShareLock);
	if (rel == NULL)
		return;
	index = pgseal_stored_index_of(rel, attnum);
	/* Not kept: two of these statements would wait for each other */
	relation_close(rel, AccessShareLock);
	if (OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" cannot become %s while it has a blind index",
						column, format_type_be(type)),
				 errdetail("Index \"%s\" is made of blind_index(%s).",
						   get_rel_name(index), quote_identifier(column)),
				 errhint("Drop the index first, or use pgseal.decrypt_column(), which replaces one on blind_index() of the column alone.")));
}

static void
check_triggers(Oid relation, const char *column, TypeName *type_name)
{
	Oid			type = LookupTypeNameOid(NULL, type_name, true);

	if (OidIsValid(type) && pgseal_refuse_holds_encrypted(type))
		pgseal_refuse_triggers_of(relation, column);
}

/* The tables and composite types that the relation is about to get columns from */
static List *
parents_to_be(AlterTableStmt *stmt)
{
	List	   *parents = NIL;
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);

		if (cmd->subtype == AT_AddInherit)
			parents = lappend(parents, cmd->def);
		else if (cmd->subtype == AT_AddOf)
			parents = lappend(parents, makeRangeVarFromNameList(((TypeName *) cmd->def)->names));
	}
	return parents;
}

/* Unless it is ALTER TABLE ONLY, children get the column, too */
static void
join_added_column(AlterTableStmt *stmt, Oid relation, ColumnDef *column)
{
	Oid			type = column->typeName != NULL ?
		LookupTypeNameOid(NULL, column->typeName, true) : InvalidOid;
	int32		typmod;

	if (!stmt->relation->inh || !OidIsValid(type) || !OidIsValid(pgseal_own_key_type(type)))
		return;
	typenameTypeIdAndMod(NULL, column->typeName, &type, &typmod);
	pgseal_join_added(relation, column->colname, type, typmod);
}

static void
complete_alter(AlterTableStmt *stmt, PgsealKeyOwner *owner)
{
	List	   *parents = parents_to_be(stmt);
	ListCell   *lc;

	owner->relation = RangeVarGetRelid(stmt->relation, NoLock, true);
	/* Who may not change it, or so, gets PostgreSQL's own error */
	if (!OidIsValid(owner->relation) || !pgseal_owns_table(owner->relation, GetUserId()) ||
		strchr("rpfc", get_rel_relkind(owner->relation)) == NULL)
		return;
	if (pgseal_catalog_is_relation(owner->relation))
		keep_catalog_triggers(stmt);
	pgseal_join_altered(stmt, owner->relation);
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		ColumnDef  *column = (ColumnDef *) cmd->def;

		if (cmd->subtype == AT_AddColumn)
		{
			complete_type(column->typeName, owner, inherited_typmod(parents, column->colname));
			join_added_column(stmt, owner->relation, column);
		}
		else if (cmd->subtype == AT_AlterColumnType)
		{
			int32		present = present_typmod(owner->relation, cmd->name);

			/* What is wrong with the type is said here, with its place */
			(void) LookupTypeNameOid(owner->statement, column->typeName, true);
			if (column->raw_default != NULL)
				require_usage_of_columns(owner->relation);
			check_blind_indexes(owner->relation, cmd->name, column->typeName);
			check_decryption(owner->relation, cmd);
			check_triggers(owner->relation, cmd->name, column->typeName);
			complete_type(column->typeName, owner, present != PGSEAL_TYPMOD_NONE ? present :
						  inherited_typmod(parents, cmd->name));
		}
	}
}

/*
 * CREATE TABLE AS, CREATE MATERIALIZED VIEW
 */

/* PgsealTargetMap: gives a column that inherits no key the new table's own */
static Expr *
reseal_target(TargetEntry *target, void *context)
{
	PgsealKeyOwner *owner = context;
	Expr	   *expr = target->expr;
	Oid			type = exprType((Node *) expr);
	Oid			element;
	Node	   *resealed;

	if (type < FirstNormalObjectId || exprTypmod((Node *) expr) != PGSEAL_TYPMOD_NONE)
		return NULL;
	element = get_element_type(type);
	if (pgseal_type_by_oid(OidIsValid(element) ? element : type) == NULL)
		return NULL;
	resealed = coerce_to_target_type(NULL, (Node *) copyObject(expr), type, type,
									 pgseal_catalog_name_hash(pgseal_own_key_name(owner)),
									 COERCION_ASSIGNMENT, COERCE_IMPLICIT_CAST, -1);
	assign_expr_collations(NULL, resealed);
	return (Expr *) resealed;
}

static void
complete_create_as(CreateTableAsStmt *stmt, PgsealKeyOwner *owner)
{
	Query	   *query = castNode(Query, stmt->query);
	PreparedStatement *prepared;
	ListCell   *lc;

	if (query->commandType != CMD_UTILITY)
	{
		pgseal_targets_map(query, reseal_target, owner);
		/* What REFRESH will run */
		if (stmt->into->viewQuery != NULL)
			pgseal_targets_map((Query *) stmt->into->viewQuery, reseal_target, owner);
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
		if (OidIsValid(subtype) && pgseal_refuse_holds_encrypted(subtype))
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
			require_usage_of_columns(relation);
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

/* What is refused anyway, as in a read-only transaction, makes nothing before */
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
			pgseal_rule_complete((RuleStmt *) stmt);
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
			complete_alter((AlterTableStmt *) stmt, owner);
			break;
		case T_CompositeTypeStmt:
			complete_columns(((CompositeTypeStmt *) stmt)->coldeflist, owner, NIL);
			break;
		case T_CreateDomainStmt:
			complete_type(((CreateDomainStmt *) stmt)->typeName, owner, PGSEAL_TYPMOD_NONE);
			break;
		case T_CreateRangeStmt:
			check_range((CreateRangeStmt *) stmt);
			break;
		case T_CreateTableAsStmt:
			complete_create_as((CreateTableAsStmt *) stmt, owner);
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

	for (int i = 0; key != NULL && i < key->partnatts; i++)
	{
		if (!pgseal_refuse_holds_encrypted(key->parttypid[i]))
			continue;
		if (key->strategy != PARTITION_STRATEGY_HASH)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("partitions of table \"%s\" would reveal encrypted values",
							RelationGetRelationName(rel)),
					 errhint("Use PARTITION BY HASH.")));
		pgseal_refuse_without_usage(key->parttypmod[i] > 0 ? key->parttypmod[i] :
									pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY));
	}
}

static bool
has_no_statistics(Oid relation, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attnum));
	bool		isnull = true;
	Datum		target = (Datum) 0;

	if (HeapTupleIsValid(tuple))
	{
		target = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attstattarget, &isnull);
		ReleaseSysCache(tuple);
	}
	/* An int4 that fits into the int2 that it is since 17 */
	return !isnull && DatumGetInt16(target) == 0;
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

		if (attribute->attisdropped || !pgseal_refuse_holds_encrypted(attribute->atttypid) ||
			pgseal_type_by_oid(getBaseType(attribute->atttypid)) != NULL ||
			has_no_statistics(RelationGetRelid(rel), attribute->attnum))
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
			pgseal_refuse_holds_encrypted(get_rel_type_id(relation));
	}
	return false;
}

/* Columns of tables that were made long before may be of such a type. */
static void
forgo_statistics_of_all(void)
{
	ListCell   *lc;

	foreach(lc, pgseal_shape_holders())
	{
		PgsealHolder *holder = lfirst(lc);
		Relation	rel = try_relation_open(holder->relid, AccessShareLock);

		if (rel == NULL)
			continue;
		forgo_statistics(rel);
		relation_close(rel, NoLock);
	}
}

/* What is done once the statement has run */
static void
follow_up(Node *stmt)
{
	Oid			relation;
	Relation	rel;

	CommandCounterIncrement();
	if (changes_row_type(stmt))
		forgo_statistics_of_all();
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
pass_on(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
		ProcessUtilityContext context, ParamListInfo params,
		QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		saved_dropping = pgseal_refuse_dropping_extension;
	volatile PgsealDefinition saved_definition = pgseal_sealed_input_define(defines(pstmt->utilityStmt));

	pgseal_refuse_dropping_extension = saved_dropping || drops_extension(pstmt->utilityStmt);
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
	PgsealKeyOwner owner = {0};

	if (IsA(pstmt->utilityStmt, CreateExtensionStmt))
		check_extension_schema((CreateExtensionStmt *) pstmt->utilityStmt);
	if (ours)
	{
		if (read_only_tree)
			pstmt = copyObject(pstmt);
		read_only_tree = false;
		owner.name = owner_name(pstmt->utilityStmt);
		owner.statement = make_parsestate(NULL);
		owner.statement->p_sourcetext = query_string;
		complete_statement(pstmt->utilityStmt, query_string, &owner);
	}
	pass_on(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	if (ours)
		follow_up(pstmt->utilityStmt);

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
	prev_process_utility = ProcessUtility_hook;
	ProcessUtility_hook = ddl_process_utility;
}
