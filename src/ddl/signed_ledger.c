/*-------------------------------------------------------------------------
 *
 * signed_ledger.c
 *	  What DDL does to the ledgers of signed tables.
 *
 * A table's ledger has a number, which is the argument of the trigger that records
 * rows.  So it is known as long as the trigger is, whatever the table is called, and
 * dumps carry it; partitions inherit it, so there is one ledger for all of them, in
 * which rows that move between them cancel out.
 *
 * The rows of a partition are taken out of the ledger when it is detached or
 * dropped, which is when it loses the trigger, and come in when it is attached.
 * Both look at all of its rows.  The ledger ends with the table's trigger.
 *
 * PostgreSQL has no TRUNCATE triggers that partitions inherit: each gets its own.
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
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "base/extension.h"
#include "base/spi_query.h"
#include "ddl/signed_ledger.h"
#include "keys/keyring.h"
#include "signed/ledger_store.h"
#include "signed/signing.h"

static object_access_hook_type prev_object_access = NULL;
static List *ending = NIL;		/* of pointers to int64 */

static char *
table_name(Oid relid)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
									  get_rel_name(relid));
}

static void
run(char *sql)
{
	pgseal_command(sql);
	CommandCounterIncrement();
}

static bool
is_plain_table(Oid relid)
{
	return get_rel_relkind(relid) == RELKIND_RELATION;
}

static int64
ledger_of(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	int64		ledger = pgseal_ledger_of_relation(rel);

	table_close(rel, NoLock);
	return ledger;
}

/*
 * Beginning and ending
 */

static void
make_truncate_trigger(Oid relid)
{
	run(psprintf("CREATE OR REPLACE TRIGGER " PGSEAL_RECORD_ALL_TRIGGER " BEFORE TRUNCATE ON %s"
				 " FOR EACH STATEMENT EXECUTE FUNCTION pgseal.record_row()", table_name(relid)));
	run(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER " PGSEAL_RECORD_ALL_TRIGGER, table_name(relid)));
}

static void
drop_truncate_trigger(Oid relid)
{
	run(psprintf("DROP TRIGGER IF EXISTS " PGSEAL_RECORD_ALL_TRIGGER " ON %s", table_name(relid)));
}

static PgsealLedgerSum
sum_of_tables(List *relids)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PgsealLedgerSum sum = {0};
	ListCell   *lc;

	foreach(lc, relids)
	{
		Relation	rel;
		PgsealLedgerSum one;

		if (!is_plain_table(lfirst_oid(lc)))
			continue;
		rel = table_open(lfirst_oid(lc), NoLock);
		one = pgseal_ledger_sum_of_rows(rel, snapshot);
		pgseal_ledger_sum_add(&sum, &one);
		table_close(rel, NoLock);
	}
	UnregisterSnapshot(snapshot);
	return sum;
}

/* The ledger outlives a session, and a crash */
static void
check_persistence(List *relids)
{
	ListCell   *lc;

	foreach(lc, relids)
		if (get_rel_persistence(lfirst_oid(lc)) != RELPERSISTENCE_PERMANENT)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("table \"%s\" cannot have a ledger: it is temporary or unlogged",
							get_rel_name(lfirst_oid(lc))),
					 errdetail("The ledger would outlive its rows, which end with the session or a crash, and tell that they are missing.")));
}

void
pgseal_signed_ledger_begin(List *relids, int32 key_hash)
{
	int64		ledger = pgseal_record_new_number();
	PgsealLedgerSum sum;
	ListCell   *lc;

	check_persistence(relids);
	run(psprintf("CREATE TRIGGER " PGSEAL_RECORD_TRIGGER " AFTER INSERT OR UPDATE OR DELETE ON %s"
				 " FOR EACH ROW EXECUTE FUNCTION pgseal.record_row(" INT64_FORMAT ")",
				 table_name(linitial_oid(relids)), ledger));
	run(psprintf("ALTER TABLE %s ENABLE ALWAYS TRIGGER " PGSEAL_RECORD_TRIGGER,
				 table_name(linitial_oid(relids))));
	foreach(lc, relids)
		if (is_plain_table(lfirst_oid(lc)))
			make_truncate_trigger(lfirst_oid(lc));
	sum = sum_of_tables(relids);
	pgseal_ledger_begin(ledger, key_hash, &sum);
}

void
pgseal_signed_ledger_end(List *relids)
{
	int64		ledger = ledger_of(linitial_oid(relids));
	List	   *others = pgseal_signed_ledger_ending(list_make1(&ledger));
	ListCell   *lc;

	PG_TRY();
	{
		foreach(lc, relids)
			if (is_plain_table(lfirst_oid(lc)))
				drop_truncate_trigger(lfirst_oid(lc));
		run(psprintf("DROP TRIGGER " PGSEAL_RECORD_TRIGGER " ON %s", table_name(linitial_oid(relids))));
	}
	PG_FINALLY();
	{
		(void) pgseal_signed_ledger_ending(others);
	}
	PG_END_TRY();
}

void
pgseal_signed_ledger_renew(List *relids, int64 ledger, int32 key_hash)
{
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	PgsealLedgerState state;
	PgsealLedgerSum sum;

	pgseal_ledger_read(&state, ledger, key_hash, snapshot);
	UnregisterSnapshot(snapshot);
	if (state.begun)
	{
		pgseal_ledger_rekey(ledger, key_hash);
		return;
	}
	pgseal_ledger_end(ledger);
	sum = sum_of_tables(relids);
	pgseal_ledger_begin(ledger, key_hash, &sum);
}

/*
 * Partitions
 */

void
pgseal_signed_ledger_joined(Oid relid, bool with_rows)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		Oid			leaf = lfirst_oid(lc);
		Relation	rel;
		PgsealSigning *signing;

		if (!is_plain_table(leaf))
			continue;
		rel = table_open(leaf, AccessShareLock);
		signing = pgseal_signing_of_relation(rel);
		table_close(rel, NoLock);
		if (signing == NULL || signing->ledger == PGSEAL_NO_LEDGER)
			continue;
		make_truncate_trigger(leaf);
		if (with_rows)
		{
			PgsealLedgerSum sum = sum_of_tables(list_make1_oid(leaf));

			pgseal_ledger_record_sum(signing->ledger, signing->key_hash, &sum);
		}
	}
}

void
pgseal_signed_ledger_left(Oid relid)
{
	ListCell   *lc;

	foreach(lc, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		Oid			leaf = lfirst_oid(lc);

		if (is_plain_table(leaf) && ledger_of(leaf) == PGSEAL_NO_LEDGER &&
			OidIsValid(get_trigger_oid(leaf, PGSEAL_RECORD_ALL_TRIGGER, true)))
			drop_truncate_trigger(leaf);
	}
}

/*
 * Whose it is
 */

/* What a row of pg_trigger says, if it is one that records rows */
typedef struct RecordTrigger
{
	Oid			relid;
	Oid			parent;			/* InvalidOid: the table's own */
	int64		ledger;
} RecordTrigger;

static bool
read_trigger(Relation catalog, HeapTuple tuple, RecordTrigger *out)
{
	Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
	bool		isnull;
	Datum		arguments;

	if (form->tgfoid != pgseal_ledger_function() || !TRIGGER_FOR_ROW(form->tgtype) ||
		form->tgnargs != 1)
		return false;
	arguments = heap_getattr(tuple, Anum_pg_trigger_tgargs, RelationGetDescr(catalog), &isnull);
	out->relid = form->tgrelid;
	out->parent = form->tgparentid;
	out->ledger = strtoll(text_to_cstring((text *) DatumGetPointer(arguments)), NULL, 10);
	return true;
}

/* The trigger with this OID, or the one that it is a copy of */
static bool
find_trigger(Oid oid, bool original, RecordTrigger *out)
{
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	bool		found = true;

	while (found)
	{
		ScanKeyData key;
		SysScanDesc scan;
		HeapTuple	tuple;

		ScanKeyInit(&key, Anum_pg_trigger_oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(oid));
		scan = systable_beginscan(catalog, TriggerOidIndexId, true, NULL, 1, &key);
		tuple = systable_getnext(scan);
		found = HeapTupleIsValid(tuple) && read_trigger(catalog, tuple, out);
		systable_endscan(scan);
		if (!original || !OidIsValid(out->parent))
			break;
		oid = out->parent;
	}
	table_close(catalog, AccessShareLock);
	return found;
}

void
pgseal_signed_ledger_check(Oid relid)
{
	int64		ledger = ledger_of(relid);
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	RecordTrigger other;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
		if (read_trigger(catalog, tuple, &other) && !OidIsValid(other.parent) &&
			other.ledger == ledger && other.relid != relid)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
					 errmsg("the ledger is that of another table"),
					 errhint("Use pgseal.sign_table().")));
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
}

/*
 * Losing the trigger
 */

List *
pgseal_signed_ledger_ending(List *ledgers)
{
	List	   *before = ending;

	ending = ledgers;
	return before;
}

List *
pgseal_signed_ledger_ended_by(DropStmt *stmt)
{
	List	   *ledgers = list_copy(ending);
	ListCell   *lc;

	if (stmt->removeType != OBJECT_TABLE && stmt->removeType != OBJECT_TRIGGER)
		return ledgers;
	foreach(lc, stmt->objects)
	{
		List	   *name = list_copy(lfirst(lc));
		Oid			relid;
		int64	   *ledger = palloc(sizeof(int64));
		Relation	rel;

		if (stmt->removeType == OBJECT_TRIGGER)
			name = list_truncate(name, list_length(name) - 1);
		relid = RangeVarGetRelid(makeRangeVarFromNameList(name), NoLock, true);
		if (!OidIsValid(relid) || !pgseal_owns_table(relid, GetUserId()) ||
			strchr("rp", get_rel_relkind(relid)) == NULL || get_rel_relispartition(relid))
			continue;
		rel = table_open(relid, AccessShareLock);
		*ledger = pgseal_ledger_of_relation(rel);
		table_close(rel, AccessShareLock);
		if (*ledger != PGSEAL_NO_LEDGER)
			ledgers = lappend(ledgers, ledger);
	}
	return ledgers;
}

static bool
is_ending(int64 ledger)
{
	ListCell   *lc;

	foreach(lc, ending)
		if (*(int64 *) lfirst(lc) == ledger)
			return true;
	return false;
}

/* The key is that of the table, which the partition may know no more */
static void
partition_leaves(const RecordTrigger *trigger, const RecordTrigger *original)
{
	Relation	root = table_open(original->relid, NoLock);
	const Trigger *signs = pgseal_signing_trigger(root);
	PgsealLedgerSum none = {0};
	PgsealLedgerSum sum;

	if (signs != NULL && signs->tgnargs >= PGSEAL_SIGN_ARGUMENTS_OF_TABLE)
	{
		sum = sum_of_tables(list_make1_oid(trigger->relid));
		pgseal_ledger_sum_subtract(&none, &sum);
		pgseal_ledger_record_sum(trigger->ledger, pgseal_catalog_key_hash(signs->tgargs[1]), &none);
	}
	table_close(root, NoLock);
}

static void
ledger_object_access(ObjectAccessType access, Oid class, Oid object, int sub_id, void *arg)
{
	RecordTrigger trigger;
	RecordTrigger original;

	if (prev_object_access)
		prev_object_access(access, class, object, sub_id, arg);
	if (access != OAT_DROP || class != TriggerRelationId || IsBinaryUpgrade ||
		!OidIsValid(pgseal_extension_oid()) || !find_trigger(object, false, &trigger))
		return;
	if (!OidIsValid(trigger.parent))
		pgseal_ledger_end(trigger.ledger);
	else if (!is_ending(trigger.ledger) && is_plain_table(trigger.relid) &&
			 find_trigger(object, true, &original))
		partition_leaves(&trigger, &original);
}

void
pgseal_signed_ledger_init(void)
{
	prev_object_access = object_access_hook;
	object_access_hook = ledger_object_access;
}
