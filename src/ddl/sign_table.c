/*-------------------------------------------------------------------------
 *
 * sign_table.c
 *	  Beginning and ending the signing of a table's rows.
 *
 * It is what the table's owner could do with ALTER TABLE and CREATE TRIGGER, done
 * by these statements and with the current user's rights, so that everything that
 * watches DDL has its say.  The rows that are there are signed in the same
 * transaction, under an exclusive lock: nobody ever sees a signed table with rows
 * that aren't.
 *
 * Where other columns are to be signed in a table that is signed already, its rows stay
 * as they are: they go on to be verified by the former definition, until the worker
 * has signed them anew (life/redefine.c).  Who calls again has that done at once.
 * A third definition has to wait for that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "ddl/own_key.h"
#include "ddl/refuse.h"
#include "ddl/sign_table.h"
#include "ddl/signed_ledger.h"
#include "keys/keyring.h"
#include "keys/wakeup.h"
#include "signed/sign_rows.h"

static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

/*
 * Which tables
 */

static void
check_kind(Oid relid, const char *what)
{
	char		kind = get_rel_relkind(relid);

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" %s", get_rel_name(relid), what)));
}

/* The table and its partitions, locked; a list of OIDs, the table first */
static List *
lock_tables(Oid relid)
{
	List	   *relids;
	ListCell   *lc;

	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid)));
	if (!pgseal_owns_table(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
	if (pgseal_catalog_is_relation(relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("tables of the extension are not signed")));
	check_kind(relid, "is not a table");
	relids = find_all_inheritors(relid, AccessExclusiveLock, NULL);
	if (get_rel_relkind(relid) == RELKIND_RELATION &&
		(list_length(relids) > 1 || (has_superclass(relid) && !get_rel_relispartition(relid))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" inherits or is inherited from", get_rel_name(relid)),
				 errhint("Partitions can be signed.")));
	foreach(lc, relids)
		check_kind(lfirst_oid(lc), "is a partition that is not a table");
	return relids;
}

/*
 * What is signed
 */

static void
add_column(PgsealDefinition *definition, Relation rel, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), attnum - 1);
	PgsealSignedColumn *column = &definition->columns[definition->num_columns];

	if (definition->num_columns == PGSEAL_SIGNED_COLUMNS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("at most %d columns of a table can be signed", PGSEAL_SIGNED_COLUMNS_MAX)));
	column->label = column->name = pstrdup(NameStr(attribute->attname));
	column->type_label = format_type_be_qualified(attribute->atttypid);
	column->attnum = attnum;
	(void) pgseal_canonical_of_type(attribute->atttypid, attribute->atttypmod, column->name);
	definition->num_columns++;
}

static AttrNumber
require_column(Relation rel, const char *name)
{
	AttrNumber	attnum = get_attnum(RelationGetRelid(rel), name);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", name,
						RelationGetRelationName(rel))));
	if (TupleDescAttr(RelationGetDescr(rel), attnum - 1)->attgenerated != '\0' ||
		attnum == pgseal_signing_column(RelationGetDescr(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_COLUMN_REFERENCE),
				 errmsg("column \"%s\" is generated and cannot be signed itself", name)));
	return attnum;
}

/* columns NULL: all that can be */
static void
choose_columns(PgsealDefinition *definition, Relation rel, ArrayType *columns)
{
	Datum	   *names;
	bool	   *nulls;
	int			num;

	if (columns == NULL)
	{
		for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
		{
			Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

			if (!attribute->attisdropped && attribute->attgenerated == '\0' &&
				attribute->atttypid != pgseal_signature_type())
				add_column(definition, rel, i + 1);
		}
	}
	else
	{
		deconstruct_array(columns, TEXTOID, -1, false, TYPALIGN_INT, &names, &nulls, &num);
		for (int i = 0; i < num; i++)
		{
			AttrNumber	attnum;

			if (nulls[i])
				continue;
			attnum = require_column(rel, TextDatumGetCString(names[i]));
			if (!pgseal_definition_has(definition, attnum))
				add_column(definition, rel, attnum);
		}
	}
	if (definition->num_columns == 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("there is no column to be signed")));
}

/* The key, made if need be, that the current user may use */
static char *
choose_key(Oid relid, const char *name)
{
	PgsealKeyOwner owner = {.relation = relid};
	bool		is_named = name != NULL;
	int32		hash;

	if (!is_named)
	{
		owner.name = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
								  get_rel_name(relid), -1);
		name = pgseal_own_key_name(&owner);
	}
	pgseal_catalog_check_name(name);
	hash = pgseal_catalog_key_hash(name);
	pgseal_keyring_check_maker(name, pgseal_own_key_is_temporary(&owner));
	/* Whoever has mistyped a name shall know, as with encrypt_column() */
	if (is_named && pgseal_catalog_name(hash) == NULL)
		ereport(NOTICE, (errmsg("key \"%s\" does not exist, creating it", name)));
	pgseal_catalog_lock_columns(hash, false);
	pgseal_keyring_ensure(name);
	pgseal_refuse_without_usage(hash);
	return pstrdup(name);
}

/*
 * The statements
 */

static void run(const char *format,...) pg_attribute_printf(1, 2);

static void
run(const char *format,...)
{
	StringInfoData sql;
	va_list		args;
	int			needed;

	initStringInfo(&sql);
	do
	{
		va_start(args, format);
		needed = appendStringInfoVA(&sql, format, args);
		va_end(args);
		if (needed > 0)
			enlargeStringInfo(&sql, needed);
	} while (needed > 0);
	pgseal_command(sql.data);
	CommandCounterIncrement();
}

static void
make_trigger(Oid relid, const PgsealSigning *signing)
{
	StringInfoData arguments;
	ListCell   *lc;

	initStringInfo(&arguments);
	foreach(lc, pgseal_signing_arguments(signing))
		appendStringInfo(&arguments, "%s%s", arguments.len > 0 ? ", " : "",
						 quote_literal_cstr(lfirst(lc)));
	run("CREATE OR REPLACE TRIGGER " PGSEAL_SIGN_TRIGGER " BEFORE INSERT OR UPDATE ON %s"
		" FOR EACH ROW EXECUTE FUNCTION pgseal.sign_row(%s)", table_name(relid), arguments.data);
	run("ALTER TABLE %s ENABLE ALWAYS TRIGGER " PGSEAL_SIGN_TRIGGER, table_name(relid));
}

static void
ensure_signature_column(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		has_column = pgseal_signing_column(RelationGetDescr(rel)) != InvalidAttrNumber;

	table_close(rel, NoLock);
	if (!has_column)
		run("ALTER TABLE %s ADD COLUMN signature pg_catalog.row_signature", table_name(relid));
}

static PgsealSigning *
signing_of(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	PgsealSigning *signing = pgseal_signing_of_relation(rel);

	table_close(rel, NoLock);
	return signing;
}

/* The table and partitions are signed as the table's trigger says now */
static int64
sign_all(List *relids, List *olds)
{
	int64		num_signed = 0;
	int64		num_bad = 0;
	ListCell   *lc;
	ListCell   *old;

	forboth(lc, relids, old, olds)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (rel->rd_rel->relkind == RELKIND_RELATION)
			num_signed += pgseal_sign_rows(rel, lfirst(old), pgseal_signing_of_relation(rel),
										   &num_bad);
		table_close(rel, NoLock);
	}
	if (num_bad > 0)
		ereport(WARNING,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg_plural("%lld row did not verify and was left as it is",
							   "%lld rows did not verify and were left as they are",
							   (unsigned long) num_bad, (long long) num_bad)));
	return num_signed;
}

/* The ledger is begun, ended or goes on, when all rows are signed */
static void
update_ledger(List *relids, const PgsealSigning *old, const PgsealSigning *new,
			  const PgsealSignTable *wish)
{
	bool		has = old != NULL && old->ledger != PGSEAL_NO_LEDGER;

	if (has && wish->ledger == PGSEAL_LEDGER_NO)
		pgseal_signed_ledger_end(relids);
	else if (has)
		pgseal_signed_ledger_renew(relids, old->ledger, new->key_hash);
	else if (wish->ledger == PGSEAL_LEDGER_YES)
		pgseal_signed_ledger_begin(relids, new->key_hash);
}

static bool
has_rows(List *relids)
{
	bool		result = false;
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		result = result || (rel->rd_rel->relkind == RELKIND_RELATION &&
							RelationGetNumberOfBlocks(rel) > 0);
		table_close(rel, NoLock);
	}
	return result;
}

/* Can the rows stay as they are for a while?  The worker must be able to sign them. */
static bool
can_wait(List *relids, const PgsealSigning *old, const PgsealSigning *new)
{
	return strcmp(old->key, new->key) == 0 &&
		pgseal_definition_num_either(new->newest, old->newest) <= PGSEAL_SIGNED_COLUMNS_MAX &&
		get_rel_persistence(linitial_oid(relids)) != RELPERSISTENCE_TEMP && has_rows(relids);
}

static void
refuse_third_definition(Oid relid)
{
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("what is signed in table \"%s\" has changed already, and not all rows are signed anew yet",
					get_rel_name(relid)),
			 errhint("Wait for the worker, or call pgseal.sign_table() with the columns that are to be signed now, which signs all rows at once.")));
}

/* As who would write the rows at once */
static void
check_updatable(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);

		if (rel->rd_rel->relkind == RELKIND_RELATION)
			CheckCmdReplicaIdentity(rel, CMD_UPDATE);
		table_close(rel, NoLock);
	}
}

/* Which definition signs from now on, and does the former stand for a while? */
static void
choose_definitions(PgsealSigning *new, const PgsealSigning *old, List *relids)
{
	if (old == NULL)
		new->newest->number = 1;
	else if (strcmp(old->key, new->key) == 0 &&
			 pgseal_definition_same_columns(old->newest, new->newest))
		new->newest = old->newest;
	else if (old->former != NULL)
		refuse_third_definition(old->relid);
	else
	{
		/* Nothing has been signed by another key under any number */
		new->newest->number = old->newest->number == PG_UINT8_MAX &&
			strcmp(old->key, new->key) != 0 ? 1 : pgseal_signing_next_definition(old);
		if (can_wait(relids, old, new))
			new->former = old->newest;
	}
}

int64
pgseal_sign_table_rows(Oid relid, const PgsealSignTable *wish)
{
	PgsealDefinition newest = {0};
	PgsealSigning signing = {.writers = wish->writers, .newest = &newest};
	List	   *relids = lock_tables(relid);
	List	   *olds = NIL;
	PgsealSigning *old;
	Relation	rel;
	ListCell   *lc;
	int64		num_signed = 0;

	foreach(lc, relids)
		olds = lappend(olds, signing_of(lfirst_oid(lc)));
	old = linitial(olds);
	signing.key = choose_key(relid, wish->key == NULL && old != NULL ? old->key : wish->key);
	signing.key_hash = pgseal_catalog_key_hash(signing.key);
	ensure_signature_column(relid);
	rel = table_open(relid, NoLock);
	if (wish->columns == NULL && old != NULL)
		newest = *old->newest;
	else
		choose_columns(&newest, rel, wish->columns);
	table_close(rel, NoLock);
	newest.table_label = table_name(relid);
	choose_definitions(&signing, old, relids);
	make_trigger(relid, &signing);
	if (signing.former == NULL)
		num_signed = sign_all(relids, olds);
	else
	{
		check_updatable(relids);
		ereport(NOTICE,
				(errmsg("the worker signs the rows of table \"%s\" anew; until then they verify as they were signed",
						get_rel_name(relid))));
		pgseal_wakeup_at_commit();
	}
	update_ledger(relids, old, &signing, wish);
	return num_signed;
}

/* Also where the trigger doesn't fit the table any more */
static bool
has_trigger(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	bool		result = pgseal_signing_trigger(rel) != NULL;

	table_close(rel, NoLock);
	return result;
}

void
pgseal_unsign_table_rows(Oid relid)
{
	List	   *relids = lock_tables(relid);
	Relation	rel;
	bool		has_ledger;

	if (!has_trigger(relid))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" are not signed", get_rel_name(relid))));
	rel = table_open(relid, NoLock);
	has_ledger = pgseal_ledger_of_relation(rel) != PGSEAL_NO_LEDGER;
	table_close(rel, NoLock);
	if (has_ledger)
		pgseal_signed_ledger_end(relids);
	run("DROP TRIGGER " PGSEAL_SIGN_TRIGGER " ON %s", table_name(relid));
}

/* As pg_restore --disable-triggers leaves them, what replication brings isn't recorded */
void
pgseal_sign_table_enable_always(Oid relid)
{
	Oid			functions[2] = {pgseal_signing_function(), pgseal_ledger_function()};
	ListCell   *lc;

	if (!OidIsValid(relid))
		return;
	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		Relation	rel = table_open(lfirst_oid(lc), NoLock);
		List	   *names = NIL;
		ListCell   *name;

		for (int i = 0; rel->trigdesc != NULL && i < rel->trigdesc->numtriggers; i++)
		{
			const Trigger *trigger = &rel->trigdesc->triggers[i];

			if (trigger->tgenabled == TRIGGER_FIRES_ON_ORIGIN &&
				(trigger->tgfoid == functions[0] || trigger->tgfoid == functions[1]))
				names = lappend(names, pstrdup(trigger->tgname));
		}
		table_close(rel, NoLock);
		foreach(name, names)
			run("ALTER TABLE %s ENABLE ALWAYS TRIGGER %s", table_name(lfirst_oid(lc)),
				quote_identifier(lfirst(name)));
	}
}
