/*-------------------------------------------------------------------------
 *
 * log.c
 *	  Noting which rows of a table change while a column is converted.
 *
 * A trigger on the table writes the primary key of each changed row, and nothing
 * else of it, to pgseal_internal.conversion_change, in the transaction that changes the
 * row.  So whoever sees the change sees the note, too.
 *
 * The trigger is an internal one: it isn't dumped, "DISABLE TRIGGER USER" leaves
 * it alone, and a table's owner can't disable it.  It is ALWAYS enabled, so that
 * session_replication_role and subscriptions don't pass it by.  A superuser who
 * disables it, and an owner who drops it, changes its row in pg_trigger, which
 * the digest in plan.c covers.
 *
 * A second one, of the same kind, keeps all but superusers from writing to the
 * copy.  It belongs to the table's owner, and verifying opens what it has without
 * asking for a privilege: who could put a foreign sealed value there would learn
 * whether it is equal to a guess in the table.
 *
 * A key is kept as the columns' datums one after the other, as this machine has
 * them in memory.  Equal keys may differ in their bytes (numeric 1.0 and 1.00),
 * so nothing depends on their being the same but a shortcut.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_trigger.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_func.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/extension.h"
#include "convert/convert.h"

PG_FUNCTION_INFO_V1(pgseal_note_change);
PG_FUNCTION_INFO_V1(pgseal_refuse_change);

#define CHANGE_RELID			1
#define CHANGE_KEY				2
#define CHANGE_NATTS			2

static Oid
catalog_relation(const char *name)
{
	return get_relname_relid(name, pgseal_internal_schema());
}

static Oid
trigger_function(const char *name)
{
	return pgseal_internal_function(name, 0, NULL);
}

/*
 * Keys
 */

bytea *
pgseal_convert_key_bytes(TupleDesc desc, int num, const AttrNumber *attnums,
						 const Datum *values, const bool *isnull)
{
	Datum		flat[INDEX_MAX_KEYS];
	Size		size = VARHDRSZ;
	bytea	   *bytes;
	char	   *at;

	for (int i = 0; i < num; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, attnums[i] - 1);

		flat[i] = values[i];
		if (!isnull[i] && attribute->attlen == -1)
			flat[i] = PointerGetDatum(PG_DETOAST_DATUM(values[i]));
		size += datumEstimateSpace(flat[i], isnull[i], attribute->attbyval, attribute->attlen);
	}
	bytes = palloc(size);
	SET_VARSIZE(bytes, size);
	at = VARDATA(bytes);
	for (int i = 0; i < num; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, attnums[i] - 1);

		datumSerialize(flat[i], isnull[i], attribute->attbyval, attribute->attlen, &at);
	}
	return bytes;
}

void
pgseal_convert_key_values(bytea *bytes, int num, Datum *out_values)
{
	char	   *at = VARDATA(bytes);

	for (int i = 0; i < num; i++)
	{
		bool		isnull;

		out_values[i] = datumRestore(&at, &isnull);
	}
}

/*
 * The trigger
 */

static bytea *
key_of_tuple(HeapTuple tuple, TupleDesc desc, Trigger *trigger)
{
	AttrNumber	attnums[INDEX_MAX_KEYS];
	Datum		values[INDEX_MAX_KEYS];
	bool		isnull[INDEX_MAX_KEYS];

	for (int i = 0; i < trigger->tgnargs; i++)
	{
		attnums[i] = pg_strtoint16(trigger->tgargs[i]);
		values[i] = heap_getattr(tuple, attnums[i], desc, &isnull[i]);
	}
	return pgseal_convert_key_bytes(desc, trigger->tgnargs, attnums, values, isnull);
}

static void
note_key(Oid relid, bytea *key)
{
	Relation	rel = table_open(catalog_relation("conversion_change"), RowExclusiveLock);
	Datum		values[CHANGE_NATTS];
	bool		nulls[CHANGE_NATTS] = {false};
	HeapTuple	tuple;

	values[CHANGE_RELID - 1] = ObjectIdGetDatum(relid);
	values[CHANGE_KEY - 1] = PointerGetDatum(key);
	tuple = heap_form_tuple(RelationGetDescr(rel), values, nulls);
	CatalogTupleInsert(rel, tuple);
	heap_freetuple(tuple);
	table_close(rel, RowExclusiveLock);
}

/* After each row; the arguments are the attribute numbers of the primary key */
Datum
pgseal_note_change(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	TupleDesc	desc;
	bytea	   *key;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_AFTER(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.note_change() must be called by its trigger")));
	desc = RelationGetDescr(data->tg_relation);
	key = key_of_tuple(data->tg_trigtuple, desc, data->tg_trigger);
	note_key(RelationGetRelid(data->tg_relation), key);
	if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
	{
		bytea	   *new_key = key_of_tuple(data->tg_newtuple, desc, data->tg_trigger);

		if (VARSIZE(key) != VARSIZE(new_key) || memcmp(key, new_key, VARSIZE(key)) != 0)
			note_key(RelationGetRelid(data->tg_relation), new_key);
	}
	return PointerGetDatum(NULL);
}

/* Before each row of a copy */
Datum
pgseal_refuse_change(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("pgseal_internal.refuse_change() must be called by its trigger")));
	if (!superuser())
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot change table \"%s\"",
						RelationGetRelationName(data->tg_relation)),
				 errdetail("It is the copy of a table that is being converted.")));
	return PointerGetDatum(TRIGGER_FIRED_BY_UPDATE(data->tg_event) ?
						   data->tg_newtuple : data->tg_trigtuple);
}

/* The primary key's columns, as arguments for the trigger */
static List *
key_arguments(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	Relation	index;
	List	   *args = NIL;

	(void) RelationGetIndexList(rel);
	index = index_open(rel->rd_pkindex, AccessShareLock);
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
		args = lappend(args, makeString(psprintf("%d", index->rd_index->indkey.values[i])));
	index_close(index, NoLock);
	table_close(rel, NoLock);
	return args;
}

/* For each row that is changed in any way */
static void
add_trigger(Oid relid, char *function, int16 timing, List *args)
{
	CreateTrigStmt *stmt = makeNode(CreateTrigStmt);

	stmt->trigname = psprintf("pgseal_%s", function);
	stmt->relation = makeRangeVar(get_namespace_name(get_rel_namespace(relid)),
								  get_rel_name(relid), -1);
	stmt->funcname = list_make2(makeString(PGSEAL_INTERNAL_SCHEMA), makeString(function));
	stmt->args = args;
	stmt->row = true;
	stmt->timing = timing;
	stmt->events = TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE | TRIGGER_TYPE_DELETE;
	(void) CreateTriggerFiringOn(stmt, NULL, relid, InvalidOid, InvalidOid, InvalidOid,
								 trigger_function(function), InvalidOid, NULL, true, false,
								 TRIGGER_FIRES_ALWAYS);
	CommandCounterIncrement();
}

void
pgseal_convert_add_triggers(const PgsealConversion *conversion)
{
	add_trigger(conversion->relid, "note_change", TRIGGER_TYPE_AFTER,
				key_arguments(conversion->relid));
	add_trigger(conversion->copy, "refuse_change", TRIGGER_TYPE_BEFORE, NIL);
}

void
pgseal_convert_drop_trigger(Oid relid)
{
	Relation	triggers = table_open(TriggerRelationId, AccessShareLock);
	ObjectAddresses *found = new_object_addresses();
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(triggers, TriggerRelidNameIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger trigger = (Form_pg_trigger) GETSTRUCT(tuple);
		ObjectAddress address;

		if (trigger->tgfoid != trigger_function("note_change"))
			continue;
		ObjectAddressSet(address, TriggerRelationId, trigger->oid);
		add_exact_object_address(&address, found);
	}
	systable_endscan(scan);
	table_close(triggers, AccessShareLock);
	performMultipleDeletions(found, DROP_RESTRICT, PERFORM_DELETION_INTERNAL);
	free_object_addresses(found);
	CommandCounterIncrement();
}

/*
 * Reading the changes
 */

int64
pgseal_convert_changes(Oid relid, int64 limit, bool consume, PgsealChangeVisitor visitor,
					   void *context)
{
	Relation	rel = table_open(catalog_relation("conversion_change"), RowExclusiveLock);
	MemoryContext per_change = AllocSetContextCreate(CurrentMemoryContext, "pgseal change",
													 ALLOCSET_DEFAULT_SIZES);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;
	int64		num = 0;

	ScanKeyInit(&key, CHANGE_RELID, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(rel, catalog_relation("conversion_change_relid_idx"), true,
							  GetActiveSnapshot(), 1, &key);
	while ((limit == 0 || num < limit) && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		MemoryContext context_of_scan = MemoryContextSwitchTo(per_change);
		bool		isnull;
		Datum		bytes = heap_getattr(tuple, CHANGE_KEY, RelationGetDescr(rel), &isnull);

		CHECK_FOR_INTERRUPTS();
		bytes = PointerGetDatum(PG_DETOAST_DATUM_COPY(bytes));
		if (consume)
			simple_heap_delete(rel, &tuple->t_self);
		if (visitor != NULL)
			visitor((bytea *) DatumGetPointer(bytes), context);
		num++;
		MemoryContextSwitchTo(context_of_scan);
		MemoryContextReset(per_change);
	}
	systable_endscan(scan);
	MemoryContextDelete(per_change);
	table_close(rel, NoLock);
	return num;
}
