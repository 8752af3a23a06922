/*-------------------------------------------------------------------------
 *
 * alter_table.c
 *	  ALTER TABLE: the keys of the columns, and what must not happen to them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/settings.h"
#include "ddl/alter_table.h"
#include "ddl/brin_networks.h"
#include "ddl/column_keys.h"
#include "ddl/join_tables.h"
#include "ddl/refuse.h"
#include "keys/catalog.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

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

	return attnum > 0 && pgseal_holds_encrypted(get_atttype(relation, attnum));
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

	if (!OidIsValid(type) || pgseal_holds_encrypted(type))
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

/* Of one table; a partition's index that belongs to its parent's is announced with that */
static void
announce_brin_of(Oid relation, const char *column, bool partition)
{
	AttrNumber	attnum = get_attnum(relation, column);
	Relation	rel = attnum != InvalidAttrNumber && get_atttype(relation, attnum) == INETOID ?
		try_relation_open(relation, AccessShareLock) : NULL;
	ListCell   *lc;

	foreach(lc, rel != NULL ? RelationGetIndexList(rel) : NIL)
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);

		if (!partition || !index->rd_rel->relispartition)
			pgseal_brin_announce_minmax(index, attnum);
		index_close(index, AccessShareLock);
	}
	/* Not kept: two of these statements would wait for each other */
	if (rel != NULL)
		relation_close(rel, AccessShareLock);
}

static void
announce_brin(Oid relation, const char *column, TypeName *type_name)
{
	Oid			type = LookupTypeNameOid(NULL, type_name, true);
	ListCell   *lc;

	if (OidIsValid(type) && pgseal_type_by_oid(getBaseType(type)) != NULL)
		foreach(lc, find_all_inheritors(relation, NoLock, NULL))
			announce_brin_of(lfirst_oid(lc), column, lfirst_oid(lc) != relation);
}

static void
check_triggers(Oid relation, const char *column, TypeName *type_name)
{
	Oid			type = LookupTypeNameOid(NULL, type_name, true);

	if (OidIsValid(type) && pgseal_holds_encrypted(type))
		pgseal_refuse_triggers_of(relation, column);
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

void
pgseal_alter_table_complete(AlterTableStmt *stmt, PgsealKeyOwner *owner)
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
			pgseal_column_keys_complete_type(column->typeName, owner, pgseal_column_keys_inherited(parents, column->colname));
			join_added_column(stmt, owner->relation, column);
		}
		else if (cmd->subtype == AT_AlterColumnType)
		{
			int32		present = pgseal_column_keys_present(owner->relation, cmd->name);

			/* What is wrong with the type is said here, with its place */
			(void) LookupTypeNameOid(owner->statement, column->typeName, true);
			if (column->raw_default != NULL)
				pgseal_column_keys_require_usage(owner->relation);
			check_blind_indexes(owner->relation, cmd->name, column->typeName);
			check_decryption(owner->relation, cmd);
			check_triggers(owner->relation, cmd->name, column->typeName);
			announce_brin(owner->relation, cmd->name, column->typeName);
			pgseal_column_keys_complete_type(column->typeName, owner, present != PGSEAL_TYPMOD_NONE ? present :
											 pgseal_column_keys_inherited(parents, cmd->name));
		}
	}
}
