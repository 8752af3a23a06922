/*-------------------------------------------------------------------------
 *
 * refuse_triggers.c
 *	  Trigger functions that can't work on encrypted columns, or are somebody else's.
 *
 * tsvector_update_trigger(), and moddatetime(), autoinc() and insert_username() of
 * PostgreSQL's contrib modules, are given the names of columns and take nothing
 * but the types that they were written for: every INSERT would fail.  So the
 * trigger is refused when it is made, and the column when it is encrypted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "ddl/refuse.h"
#include "value/find_sealed.h"
#include "value/owner_usage.h"

typedef enum TriggerKind
{
	TRIGGER_OTHER,				/* may do what it likes */
	TRIGGER_WORDS,				/* stores the words of a column */
	TRIGGER_ASSIGNS				/* assigns to a column */
} TriggerKind;

static TriggerKind
kind_of(Oid function)
{
	static const char *const libraries[] = {
		"$libdir/moddatetime", "$libdir/autoinc", "$libdir/insert_username"
	};
	HeapTuple	row;
	Datum		probin;
	bool		isnull;
	TriggerKind kind = TRIGGER_OTHER;

	if (function == F_TSVECTOR_UPDATE_TRIGGER || function == F_TSVECTOR_UPDATE_TRIGGER_COLUMN)
		return TRIGGER_WORDS;
	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	if (!HeapTupleIsValid(row))
		return TRIGGER_OTHER;
	probin = SysCacheGetAttr(PROCOID, row, Anum_pg_proc_probin, &isnull);
	for (int i = 0; !isnull && i < lengthof(libraries); i++)
		if (strcmp(TextDatumGetCString(probin), libraries[i]) == 0)
			kind = TRIGGER_ASSIGNS;
	ReleaseSysCache(row);
	return kind;
}

static void
refuse(Oid function, const char *column)
{
	ereport(ERROR,
			(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
			 errmsg("trigger function %s cannot work on encrypted column \"%s\"",
					get_func_name(function), column),
			 kind_of(function) == TRIGGER_WORDS ?
			 errhint("A tsvector column would store the words in plain. Search for to_tsvector(%s) @@ query, which opens the rows that other conditions leave.",
					 quote_identifier(column)) :
			 errhint("Write the trigger in PL/pgSQL, with NEW.%s := value.",
					 quote_identifier(column))));
}

static bool
has_encrypted_column(Oid relation)
{
	Relation	rel = relation_open(relation, AccessShareLock);
	TupleDesc	desc = RelationGetDescr(rel);
	bool		found = false;

	for (int i = 0; i < desc->natts; i++)
		found = found || (!TupleDescAttr(desc, i)->attisdropped &&
						  pgseal_holds_encrypted(TupleDescAttr(desc, i)->atttypid));
	relation_close(rel, AccessShareLock);
	return found;
}

/*
 * A trigger's function is handed the rows of whoever writes, and opens what he may, or
 * its owner where it is SECURITY DEFINER.  What it makes of them nobody can tell; so
 * whoever makes or enables one that is of somebody else than the table hears of it.
 * pgseal.check() names them, too.
 */
static void
warn_of_function(Form_pg_trigger trigger)
{
	HeapTuple	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(trigger->tgfoid));
	Oid			author;

	if (!HeapTupleIsValid(row))
		return;
	author = ((Form_pg_proc) GETSTRUCT(row))->proowner;
	ReleaseSysCache(row);
	if (superuser_arg(author) || author == pgseal_relation_owner(trigger->tgrelid) ||
		!has_encrypted_column(trigger->tgrelid))
		return;
	ereport(WARNING,
			(errcode(ERRCODE_WARNING),
			 errmsg("function %s of role \"%s\" will be handed the rows of \"%s\", with encrypted columns",
					format_procedure(trigger->tgfoid), GetUserNameFromId(author, true),
					get_rel_name(trigger->tgrelid)),
			 errhint("It can open and keep what may be opened by who writes.")));
}

/* A trigger that was just made or changed; its row isn't visible yet, except to SnapshotSelf. */
void
pgseal_refuse_trigger(Oid trigger)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(trigger));
	scan = systable_beginscan(catalog, TriggerOidIndexId, true, SnapshotSelf, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row) && !((Form_pg_trigger) GETSTRUCT(row))->tgisinternal &&
		((Form_pg_trigger) GETSTRUCT(row))->tgenabled != TRIGGER_DISABLED)
		warn_of_function((Form_pg_trigger) GETSTRUCT(row));
	if (HeapTupleIsValid(row) &&
		kind_of(((Form_pg_trigger) GETSTRUCT(row))->tgfoid) != TRIGGER_OTHER)
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(row);
		bool		isnull;
		bytea	   *args = DatumGetByteaPP(heap_getattr(row, Anum_pg_trigger_tgargs,
														RelationGetDescr(catalog), &isnull));
		const char *arg = VARDATA_ANY(args);

		for (int i = 0; i < form->tgnargs; i++)
		{
			AttrNumber	attnum = get_attnum(form->tgrelid, arg);

			if (attnum > 0 && pgseal_holds_encrypted(get_atttype(form->tgrelid, attnum)))
				refuse(form->tgfoid, arg);
			arg += strlen(arg) + 1;
		}
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

void
pgseal_refuse_triggers_of(Oid relation, const char *column)
{
	Relation	rel = relation_open(relation, AccessShareLock);
	TriggerDesc *triggers = rel->trigdesc;

	for (int i = 0; triggers != NULL && i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		for (int j = 0; j < trigger->tgnargs; j++)
			if (strcmp(trigger->tgargs[j], column) == 0 && kind_of(trigger->tgfoid) != TRIGGER_OTHER)
				refuse(trigger->tgfoid, column);
	}
	relation_close(rel, AccessShareLock);
}
