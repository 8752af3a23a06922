/*-------------------------------------------------------------------------
 *
 * signed_triggers.c
 *	  Which triggers and which column a signed table has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/indexing.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "signed/row_signature.h"
#include "signed/signed_triggers.h"

static Oid
trigger_function(const char *name)
{
	oidvector  *no_types = buildoidvector(NULL, 0);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(no_types), ObjectIdGetDatum(pgseal_schema()));
}

Oid
pgseal_signing_function(void)
{
	return trigger_function("sign_row");
}

Oid
pgseal_ledger_function(void)
{
	return trigger_function("record_row");
}

const Trigger *
pgseal_signing_trigger(Relation rel)
{
	Oid			function;

	if (rel->trigdesc == NULL || !rel->trigdesc->trig_insert_before_row ||
		!OidIsValid(pgseal_extension_oid()))
		return NULL;
	function = pgseal_signing_function();
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgfoid == function)
			return &rel->trigdesc->triggers[i];
	return NULL;
}

AttrNumber
pgseal_signing_column(TupleDesc desc)
{
	Oid			type = pgseal_signature_type();

	for (int i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->atttypid == type && !TupleDescAttr(desc, i)->attisdropped)
			return i + 1;
	return InvalidAttrNumber;
}

int64
pgseal_ledger_of_relation(Relation rel)
{
	Oid			function;

	if (rel->trigdesc == NULL || !rel->trigdesc->trig_insert_after_row ||
		!OidIsValid(pgseal_extension_oid()))
		return PGSEAL_NO_LEDGER;
	function = pgseal_ledger_function();
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid == function && TRIGGER_FOR_ROW(trigger->tgtype))
			return trigger->tgnargs == 1 ? strtoll(trigger->tgargs[0], NULL, 10) : PGSEAL_NO_LEDGER;
	}
	return PGSEAL_NO_LEDGER;
}

bool
pgseal_signed_is_restored(Relation rel)
{
	return !check_function_bodies && rel->rd_rel->relispartition &&
		pgseal_owns_table(RelationGetRelid(rel), GetUserId());
}

/*
 * Changing what it says
 */

/* The trigger's arguments as the catalog has them, each with a NUL */
static bytea *
stored_arguments(List *arguments)
{
	StringInfoData all;
	bytea	   *result;
	ListCell   *lc;

	initStringInfo(&all);
	foreach(lc, arguments)
		appendBinaryStringInfo(&all, lfirst(lc), strlen(lfirst(lc)) + 1);
	result = palloc(VARHDRSZ + all.len);
	SET_VARSIZE(result, VARHDRSZ + all.len);
	memcpy(VARDATA(result), all.data, all.len);
	return result;
}

void
pgseal_signing_store(Oid relid, List *arguments)
{
	Relation	catalog = table_open(TriggerRelationId, RowExclusiveLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	int			columns[2] = {Anum_pg_trigger_tgnargs, Anum_pg_trigger_tgargs};
	Datum		values[2] = {Int16GetDatum(list_length(arguments)),
	PointerGetDatum(stored_arguments(arguments))};
	bool		nulls[2] = {false, false};

	ScanKeyInit(&key[0], Anum_pg_trigger_tgrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	ScanKeyInit(&key[1], Anum_pg_trigger_tgname, BTEqualStrategyNumber, F_NAMEEQ,
				CStringGetDatum(PGSEAL_SIGN_TRIGGER));
	scan = systable_beginscan(catalog, TriggerRelidNameIndexId, true, NULL, 2, key);
	if (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		tuple = heap_modify_tuple_by_cols(tuple, RelationGetDescr(catalog), 2, columns, values,
										  nulls);
		CatalogTupleUpdate(catalog, &tuple->t_self, tuple);
	}
	systable_endscan(scan);
	table_close(catalog, RowExclusiveLock);
	CacheInvalidateRelcacheByRelid(relid);
}
