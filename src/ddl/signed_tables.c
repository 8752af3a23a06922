/*-------------------------------------------------------------------------
 *
 * signed_tables.c
 *	  What DDL does to tables whose rows are signed.
 *
 * A table that is made with a column of type row_signature is signed from then
 * on.  (While a dump is restored, which check_function_bodies = off tells, it is
 * the dump that makes the trigger, after it has brought the rows.)
 *
 * What the trigger's arguments say must stay true of the table.  Renaming a
 * column changes the argument that is its present name.  A change that would
 * leave rows with signatures that aren't theirs is refused: another type for a
 * signed column, or dropping it.
 *
 * The trigger signs what is stored only if no trigger after it changes the row:
 * it is the last by name, and a BEFORE ROW trigger with a later name is refused.
 *
 * Who makes the trigger needs USAGE on the key's server: with any key in its
 * arguments, a trigger on a table of his own would give him signatures for rows
 * of anybody's.  After that the table's lock keeps those away who have planned
 * to read it without verifying.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "commands/tablecmds.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/extension.h"
#include "ddl/refuse.h"
#include "ddl/sign_table.h"
#include "ddl/signed_ledger.h"
#include "ddl/signed_tables.h"
#include "ddl/signed_types.h"
#include "keys/keyring.h"
#include "signed/row_signature.h"
#include "signed/signing.h"

static ProcessUtility_hook_type prev_process_utility;

/*
 * What must be true of a signed table
 */

static void
check_trigger_form(Relation rel, const Trigger *trigger)
{
	if (strcmp(trigger->tgname, PGSEAL_SIGN_TRIGGER) == 0 && TRIGGER_FOR_ROW(trigger->tgtype) &&
		TRIGGER_FOR_BEFORE(trigger->tgtype) && TRIGGER_FOR_INSERT(trigger->tgtype) &&
		TRIGGER_FOR_UPDATE(trigger->tgtype) && trigger->tgqual == NULL && trigger->tgnattr == 0)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the trigger that signs rows of table \"%s\" must be \"%s\", BEFORE INSERT OR UPDATE FOR EACH ROW, without conditions",
					RelationGetRelationName(rel), PGSEAL_SIGN_TRIGGER),
			 errhint("Use pgseal.sign_table().")));
}

static void
check_trigger_is_last(Relation rel, const Trigger *signs)
{
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *other = &rel->trigdesc->triggers[i];

		if (TRIGGER_FOR_ROW(other->tgtype) && TRIGGER_FOR_BEFORE(other->tgtype) &&
			(TRIGGER_FOR_INSERT(other->tgtype) || TRIGGER_FOR_UPDATE(other->tgtype)) &&
			other != signs && strcmp(other->tgname, signs->tgname) >= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("trigger \"%s\" would change rows of table \"%s\" after they are signed",
							other->tgname, RelationGetRelationName(rel)),
					 errhint("Give it a name that comes before \"%s\".", PGSEAL_SIGN_TRIGGER)));
	}
}

static void
check_signed_table(Oid relid)
{
	Relation	rel = table_open(relid, AccessShareLock);
	const Trigger *trigger = pgseal_signing_trigger(rel);

	if (trigger != NULL)
	{
		check_trigger_form(rel, trigger);
		check_trigger_is_last(rel, trigger);
		(void) pgseal_signing_read(rel, trigger);
		if (rel->rd_rel->relkind == RELKIND_RELATION && !rel->rd_rel->relispartition &&
			(has_superclass(relid) || find_inheritance_children(relid, NoLock) != NIL))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" cannot inherit or be inherited from: its rows are signed",
							RelationGetRelationName(rel))));
	}
	table_close(rel, trigger == NULL ? AccessShareLock : NoLock);
}

/* The table of this name, if it is one whose rows can be signed; else InvalidOid */
static Oid
table_named(RangeVar *name)
{
	Oid			relid = name != NULL ? RangeVarGetRelid(name, NoLock, true) : InvalidOid;

	return OidIsValid(relid) && strchr("rp", get_rel_relkind(relid)) != NULL ? relid : InvalidOid;
}

/* The one that CREATE TABLE makes, whatever else has its name in the search path */
static Oid
table_to_be(CreateStmt *stmt)
{
	return get_relname_relid(stmt->relation->relname,
							 RangeVarGetCreationNamespace(stmt->relation));
}

static void
check_named_table(RangeVar *name)
{
	Oid			relid = table_named(name);

	if (OidIsValid(relid))
		check_signed_table(relid);
}

/* Triggers of a table are those of its partitions, too */
static void
check_with_partitions(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
		if (strchr("rp", get_rel_relkind(lfirst_oid(lc))) != NULL)
			check_signed_table(lfirst_oid(lc));
}

/*
 * Making the trigger
 */

static void
check_right_to_sign(Oid relid)
{
	Relation	rel = table_open(relid, AccessExclusiveLock);
	PgsealSigning *signing = pgseal_signing_of_relation(rel);

	pgseal_catalog_check_name(signing->key);
	pgseal_catalog_lock_columns(signing->key_hash, false);
	pgseal_catalog_declare(signing->key, false);
	pgseal_refuse_without_usage(signing->key_hash);
	if (signing->writers && pgseal_catalog_key(signing->key_hash) == NULL && !superuser())
		pgseal_keyring_no_key(signing->key);
	table_close(rel, NoLock);
}

static void
trigger_made(CreateTrigStmt *stmt)
{
	Oid			relid = table_named(stmt->relation);
	Oid			function;

	if (!OidIsValid(relid))
		return;
	function = LookupFuncName(stmt->funcname, 0, NULL, true);
	if (function == pgseal_signing_function())
		check_right_to_sign(relid);
	if (function == pgseal_ledger_function() && stmt->row)
		pgseal_signed_ledger_check(relid);
	check_with_partitions(relid);
}

/*
 * Renaming a column
 */

/* The trigger with the column's former name, though the table has it no more */
static void
rename_in_trigger(Oid relid, const char *from, const char *to)
{
	Relation	rel = table_open(relid, AccessShareLock);
	const Trigger *trigger = pgseal_signing_trigger(rel);
	List	   *arguments = NIL;

	for (int i = 0; trigger != NULL && i < trigger->tgnargs; i++)
	{
		bool		is_name = i >= PGSEAL_SIGN_ARGUMENTS_OF_TABLE &&
			(i - PGSEAL_SIGN_ARGUMENTS_OF_TABLE) % PGSEAL_SIGN_ARGUMENTS_OF_COLUMN == 2 &&
			trigger->tgargs[i - 2][0] != '\0';

		arguments = lappend(arguments, pstrdup(is_name && strcmp(trigger->tgargs[i], from) == 0 ?
											   to : trigger->tgargs[i]));
	}
	table_close(rel, NoLock);
	if (arguments != NIL)
		pgseal_signing_store(relid, arguments);
}

static void
column_renamed(RenameStmt *stmt)
{
	Oid			relid = table_named(stmt->relation);
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
		rename_in_trigger(lfirst_oid(lc), stmt->subname, stmt->newname);
}

/*
 * Changing a column
 */

static bool
is_signed(const PgsealSigning *signing, AttrNumber attnum)
{
	return pgseal_definition_has(signing->newest, attnum) ||
		(signing->former != NULL && pgseal_definition_has(signing->former, attnum));
}

/* Only the former definition is in the way, and goes soon */
static bool
is_signed_no_more(const PgsealSigning *signing, AttrNumber attnum)
{
	return attnum != signing->signature && !pgseal_definition_has(signing->newest, attnum);
}

static void
check_change_of_columns(AlterTableStmt *stmt)
{
	Oid			relid = table_named(stmt->relation);
	Relation	rel;
	PgsealSigning *signing;
	ListCell   *lc;

	if (!OidIsValid(relid) || !pgseal_owns_table(relid, GetUserId()))
		return;

	/*
	 * Kept: what is found out must still be true when the statement runs.
	 * The statement's own lock: two that had a weaker one would wait for each
	 * other.
	 */
	rel = table_open(relid, AlterTableGetLockLevel(stmt->cmds));
	signing = pgseal_signing_of_relation(rel);
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		AttrNumber	attnum;

		if (signing == NULL ||
			(cmd->subtype != AT_AlterColumnType && cmd->subtype != AT_DropColumn))
			continue;
		/* The column of signatures goes only when nothing is signed */
		attnum = get_attnum(relid, cmd->name);
		if (!is_signed(signing, attnum) && attnum != signing->signature)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 cmd->subtype == AT_DropColumn ?
				 errmsg("column \"%s\" cannot be dropped: rows of table \"%s\" are signed with it",
						cmd->name, RelationGetRelationName(rel)) :
				 errmsg("column \"%s\" cannot be changed: rows of table \"%s\" are signed with it",
						cmd->name, RelationGetRelationName(rel)),
				 is_signed_no_more(signing, attnum) ?
				 errhint("The worker is signing the rows without it. To have that done at once, call pgseal.sign_table() again.") :
				 errhint("Take it out of the signed columns with pgseal.sign_table() first.")));
	}
	table_close(rel, NoLock);
}

/*
 * Making a table
 */

static bool
has_signature_unsigned(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		result = pgseal_signing_column(RelationGetDescr(rel)) != InvalidAttrNumber &&
		pgseal_signing_trigger(rel) == NULL;

	table_close(rel, NoLock);
	return result;
}

/* A second signature would sign nothing.  What a dump has is restored. */
static void
check_one_signature(Oid relid)
{
	Relation	rel = check_function_bodies ? table_open(relid, AccessShareLock) : NULL;
	AttrNumber	first = rel != NULL ? pgseal_signing_column(RelationGetDescr(rel)) : InvalidAttrNumber;

	for (int i = first; first != InvalidAttrNumber && i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(rel), i);

		if (!column->attisdropped && column->atttypid == pgseal_signature_type())
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
					 errmsg("table \"%s\" has a signature already, in column \"%s\"",
							RelationGetRelationName(rel),
							NameStr(TupleDescAttr(RelationGetDescr(rel), first - 1)->attname)),
					 errhint("Leave column \"%s\" out: one signature signs all columns that pgseal.sign_table() names.",
							 NameStr(column->attname))));
	}
	if (rel != NULL)
		table_close(rel, AccessShareLock);
}

static void
table_made(CreateStmt *stmt)
{
	PgsealSignTable as_usual = {0};
	Oid			relid = table_to_be(stmt);
	ListCell   *lc;

	if (OidIsValid(relid))
		check_one_signature(relid);
	foreach(lc, stmt->inhRelations)
		check_named_table(lfirst_node(RangeVar, lc));
	if (OidIsValid(relid) && check_function_bodies && has_signature_unsigned(relid))
		(void) pgseal_sign_table_rows(relid, &as_usual);
	else if (OidIsValid(relid) && stmt->partbound != NULL)
		pgseal_signed_ledger_joined(relid, false);
}

/*
 * The utility hook
 */

static void
before_statement(Node *stmt)
{
	if (IsA(stmt, AlterTableStmt))
		check_change_of_columns((AlterTableStmt *) stmt);
}

static void
after_alter(AlterTableStmt *stmt)
{
	ListCell   *lc;

	check_named_table(stmt->relation);
	pgseal_signed_types_row_changed(stmt);
	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			partition = cmd->subtype == AT_AttachPartition ||
			cmd->subtype == AT_DetachPartition || cmd->subtype == AT_DetachPartitionFinalize ?
			table_named(((PartitionCmd *) cmd->def)->name) : InvalidOid;

		if ((cmd->subtype == AT_AddColumn || cmd->subtype == AT_AlterColumnType) &&
			OidIsValid(table_named(stmt->relation)))
			check_one_signature(table_named(stmt->relation));
		if (cmd->subtype == AT_AddInherit)
			check_named_table((RangeVar *) cmd->def);
		else if (cmd->subtype == AT_EnableTrig || cmd->subtype == AT_EnableTrigAll ||
				 cmd->subtype == AT_EnableTrigUser)
			pgseal_sign_table_enable_always(table_named(stmt->relation));
		else if (OidIsValid(partition) && cmd->subtype == AT_AttachPartition)
		{
			check_with_partitions(partition);
			pgseal_signed_ledger_joined(partition, true);
		}
		else if (OidIsValid(partition))
			pgseal_signed_ledger_left(partition);
	}
}

static void
after_statement(Node *stmt)
{
	RenameStmt *rename = (RenameStmt *) stmt;

	CommandCounterIncrement();
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			table_made((CreateStmt *) stmt);
			break;
		case T_CreateTrigStmt:
			trigger_made((CreateTrigStmt *) stmt);
			break;
		case T_AlterTableStmt:
			after_alter((AlterTableStmt *) stmt);
			break;
		case T_AlterEnumStmt:
			pgseal_signed_types_enum_changed((AlterEnumStmt *) stmt);
			break;
		case T_RenameStmt:
			if (rename->renameType == OBJECT_COLUMN)
				column_renamed(rename);
			else if (rename->renameType == OBJECT_TRIGGER)
				check_named_table(rename->relation);
			break;
		default:
			break;
	}
}

static bool
concerns_us(Node *stmt)
{
	switch (nodeTag(stmt))
	{
		case T_CreateStmt:
			return !((CreateStmt *) stmt)->if_not_exists ||
				!OidIsValid(table_to_be((CreateStmt *) stmt));
		case T_CreateTrigStmt:
		case T_AlterTableStmt:
		case T_AlterEnumStmt:
		case T_DropStmt:
			return true;
		case T_RenameStmt:
			return ((RenameStmt *) stmt)->renameType == OBJECT_COLUMN ||
				((RenameStmt *) stmt)->renameType == OBJECT_TRIGGER;
		default:
			return false;
	}
}

/* The ledgers that end with it are known meanwhile */
static void
pass_on_drop(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
			 ProcessUtilityContext context, ParamListInfo params,
			 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	List	   *ending = pgseal_signed_ledger_ended_by((DropStmt *) pstmt->utilityStmt);

	ending = pgseal_signed_ledger_ending(ending);
	PG_TRY();
	{
		prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	}
	PG_FINALLY();
	{
		(void) pgseal_signed_ledger_ending(ending);
	}
	PG_END_TRY();
}

static void
signed_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
					   ProcessUtilityContext context, ParamListInfo params,
					   QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	bool		ours = concerns_us(pstmt->utilityStmt) && !IsBinaryUpgrade && !XactReadOnly &&
		OidIsValid(pgseal_extension_oid());

	if (ours && IsA(pstmt->utilityStmt, DropStmt))
	{
		pass_on_drop(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
		return;
	}
	/* What PostgreSQL makes of the statement as it runs is its own */
	if (ours)
	{
		if (read_only_tree)
			pstmt = copyObject(pstmt);
		read_only_tree = false;
		before_statement(pstmt->utilityStmt);
	}
	prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	if (ours)
		after_statement(pstmt->utilityStmt);
}

void
pgseal_signed_tables_init(void)
{
	pgseal_signed_ledger_init();
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = signed_process_utility;
}
