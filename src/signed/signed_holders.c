/*-------------------------------------------------------------------------
 *
 * signed_holders.c
 *	  Which tables need a key: for their values, or for their signatures.
 *
 * A signature names a key version as a sealed value does, and is as useless
 * without it.  The key's name is read from the trigger's row, without a lock on
 * the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "keys/catalog.h"
#include "signed/signed_holders.h"
#include "signed/signing.h"

/* The arguments of the trigger, of type char * */
static List *
arguments_of(Relation catalog, HeapTuple tuple)
{
	bool		isnull;
	Datum		stored = heap_getattr(tuple, Anum_pg_trigger_tgargs, RelationGetDescr(catalog),
									  &isnull);
	bytea	   *all = isnull ? NULL : DatumGetByteaPP(stored);
	const char *next = isnull ? NULL : VARDATA_ANY(all);
	const char *end = isnull ? NULL : next + VARSIZE_ANY_EXHDR(all);
	List	   *arguments = NIL;

	for (int i = 0; i < ((Form_pg_trigger) GETSTRUCT(tuple))->tgnargs && next < end; i++)
	{
		arguments = lappend(arguments, pnstrdup(next, end - next));
		next += strlen(llast(arguments)) + 1;
	}
	return arguments;
}

/* Calls back for each trigger that signs rows */
static void
visit_triggers(void (*visitor) (Form_pg_trigger trigger, List *arguments, List **result),
			   List **result)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	Oid			function = pgseal_signing_function();
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);

		if (form->tgfoid == function)
			visitor(form, arguments_of(catalog, tuple), result);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

static void
add_holder(Form_pg_trigger trigger, List *arguments, List **holders)
{
	PgsealHolder *holder = list_length(arguments) < 2 ? NULL :
		pgseal_shape_holder(holders, trigger->tgrelid);

	if (holder != NULL)
		holder->key_hashes = list_append_unique_int(holder->key_hashes,
													pgseal_catalog_key_hash(lsecond(arguments)));
}

List *
pgseal_signed_holders(void)
{
	List	   *holders = pgseal_shape_holders();

	visit_triggers(add_holder, &holders);
	return holders;
}

static void
add_redefined(Form_pg_trigger trigger, List *arguments, List **tables)
{
	int			last = list_length(arguments) - PGSEAL_SIGN_ARGUMENTS_OF_COLUMN;
	PgsealRedefined *table;

	if (OidIsValid(trigger->tgparentid))
		return;
	for (int i = PGSEAL_SIGN_ARGUMENTS_OF_TABLE; i < last; i += PGSEAL_SIGN_ARGUMENTS_OF_COLUMN)
	{
		if (((char *) list_nth(arguments, i))[0] != '\0')
			continue;
		table = palloc(sizeof(PgsealRedefined));
		table->relid = trigger->tgrelid;
		table->former = (uint8) atoi(list_nth(arguments, i + 2));
		*tables = lappend(*tables, table);
		return;
	}
}

List *
pgseal_signed_redefined(void)
{
	List	   *tables = NIL;

	visit_triggers(add_redefined, &tables);
	return tables;
}

static void
add_table(Form_pg_trigger trigger, List *arguments, List **relids)
{
	if (!OidIsValid(trigger->tgparentid))
		*relids = lappend_oid(*relids, trigger->tgrelid);
}

List *
pgseal_signed_tables(void)
{
	List	   *relids = NIL;

	visit_triggers(add_table, &relids);
	return relids;
}

static PgsealToldDefinition *
told_definition(const char *key, char *table_label, char *number)
{
	PgsealToldDefinition *told = palloc0(sizeof(PgsealToldDefinition));

	told->key = pstrdup(key);
	told->table_label = table_label;
	told->number = number;
	told->columns = palloc(PGSEAL_SIGNED_COLUMNS_MAX * PGSEAL_SIGN_ARGUMENTS_OF_COLUMN * sizeof(char *));
	return told;
}

static void
add_definitions(Form_pg_trigger trigger, List *arguments, List **definitions)
{
	PgsealToldDefinition *told;
	int			num = list_length(arguments);

	if (OidIsValid(trigger->tgparentid) || num < PGSEAL_SIGN_ARGUMENTS_OF_TABLE)
		return;
	told = told_definition(lsecond(arguments), linitial(arguments), lfourth(arguments));
	*definitions = lappend(*definitions, told);
	for (int i = PGSEAL_SIGN_ARGUMENTS_OF_TABLE; i + PGSEAL_SIGN_ARGUMENTS_OF_COLUMN <= num;
		 i += PGSEAL_SIGN_ARGUMENTS_OF_COLUMN)
	{
		char	   *label = list_nth(arguments, i);

		if (label[0] == '\0')
		{
			told = told_definition(told->key, list_nth(arguments, i + 1), list_nth(arguments, i + 2));
			*definitions = lappend(*definitions, told);
		}
		else if (told->num_columns < PGSEAL_SIGNED_COLUMNS_MAX)
		{
			for (int j = 0; j < PGSEAL_SIGN_ARGUMENTS_OF_COLUMN; j++)
				told->columns[told->num_columns * PGSEAL_SIGN_ARGUMENTS_OF_COLUMN + j] =
					list_nth(arguments, i + j);
			told->num_columns++;
		}
	}
}

List *
pgseal_signed_definitions(void)
{
	List	   *definitions = NIL;

	visit_triggers(add_definitions, &definitions);
	return definitions;
}
