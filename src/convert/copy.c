/*-------------------------------------------------------------------------
 *
 * copy.c
 *	  Moving the rows of a table into its copy, and comparing the two.
 *
 * Why the copy ends up right: every change of a row, from before the first row
 * was copied, is noted in the transaction that makes it (log.c).
 *
 *	- Copying puts the rows that its snapshot sees into the copy, unless the copy
 *	  has a row of that key.  A row in the copy that differs from what the snapshot
 *	  sees has been changed since, so its key is noted.
 *	- Applying takes notes that its snapshot sees off the list, and for each makes
 *	  the copy's row of that key what the same snapshot sees.  A change that the
 *	  snapshot doesn't see has a note that it doesn't see either, which stays.
 *
 * So at any time the copy has, of all keys that aren't noted, the rows that the
 * table has.  Verifying tests just that.  No two steps run at once: each holds a
 * lock on its row of pgseal_internal.conversion, and takes its snapshot then.
 *
 * Rows are read and written below the executor, as in reencrypt_table.c: no
 * trigger, rule, row security or check takes part.  The copy's indexes, but for
 * that of the primary key, aren't unique while it is made, for it may have rows
 * of different moments; the table's own ones are enforced all the time.
 *
 * Only the column is opened or sealed; other encrypted columns are copied as they
 * are.  The worker, whose changes nobody notes, leaves both tables alone meanwhile
 * (reencrypt.c), and no key version is retired that they may need.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/sysattr.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "common/hashfn.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/compat.h"
#include "convert/convert.h"
#include "sealed/access.h"
#include "value/seal.h"

/* Finding rows of a table by their primary key */
typedef struct Finder
{
	Relation	rel;
	Relation	index;
	IndexScanDesc scan;
	TupleTableSlot *row;		/* what was found */
	MemoryContext context;		/* that of the scan, which lasts */
	int			num;			/* columns of the key */
	AttrNumber	attnums[INDEX_MAX_KEYS];
	ScanKeyData keys[INDEX_MAX_KEYS];
} Finder;

typedef struct Mover
{
	const PgsealConversion *conversion;
	Finder		table;			/* sees what the active snapshot sees */
	Finder		copy;			/* to write: sees its own changes, too */
	EState	   *estate;
	ResultRelInfo *result_rel;
	TupleTableSlot *converted;
	PgsealResigner *resigner;	/* NULL: the column is not signed */
	MemoryContext row_context;
	int64		num_copied;
} Mover;

/*
 * Rows by their key
 */

static void
finder_begin(Finder *finder, Oid relid, Oid index, Snapshot snapshot, LOCKMODE lockmode)
{
	finder->rel = table_open(relid, lockmode);
	finder->index = index_open(index, lockmode);
	finder->num = finder->index->rd_index->indnkeyatts;
	for (int i = 0; i < finder->num; i++)
	{
		Oid			type = finder->index->rd_opcintype[i];
		Oid			equal = get_opfamily_member(finder->index->rd_opfamily[i], type, type,
												BTEqualStrategyNumber);

		finder->attnums[i] = finder->index->rd_index->indkey.values[i];
		ScanKeyInit(&finder->keys[i], i + 1, BTEqualStrategyNumber, get_opcode(equal), (Datum) 0);
		finder->keys[i].sk_collation = finder->index->rd_indcollation[i];
	}
	finder->row = table_slot_create(finder->rel, NULL);
	finder->context = CurrentMemoryContext;
	finder->scan = pgseal_index_beginscan(finder->rel, finder->index, snapshot, finder->num);
}

static void
finder_end(Finder *finder)
{
	index_endscan(finder->scan);
	ExecDropSingleTupleTableSlot(finder->row);
	index_close(finder->index, NoLock);
	table_close(finder->rel, NoLock);
}

static bool
find(Finder *finder, const Datum *values)
{
	MemoryContext old_context = MemoryContextSwitchTo(finder->context);
	bool		found;

	for (int i = 0; i < finder->num; i++)
		finder->keys[i].sk_argument = values[i];
	index_rescan(finder->scan, finder->keys, finder->num, NULL, 0);
	found = index_getnext_slot(finder->scan, ForwardScanDirection, finder->row);
	MemoryContextSwitchTo(old_context);
	return found;
}

static void
key_of_row(const Finder *finder, TupleTableSlot *row, Datum *out_values)
{
	for (int i = 0; i < finder->num; i++)
	{
		bool		isnull;

		out_values[i] = slot_getattr(row, finder->attnums[i], &isnull);
	}
}

static Oid
key_index(Oid relid, const List *indexes, const List *wanted)
{
	Relation	rel = table_open(relid, NoLock);
	ListCell   *lc;
	ListCell   *other;
	Oid			result = InvalidOid;

	(void) RelationGetIndexList(rel);
	forboth(lc, indexes, other, wanted)
		if (lfirst_oid(lc) == rel->rd_pkindex)
			result = lfirst_oid(other);
	table_close(rel, NoLock);
	return result;
}

/*
 * Converting
 */

Datum
pgseal_convert_open(const PgsealConversion *conversion, Datum sealed, PgsealAccess access)
{
	Oid			user;
	int			context;
	bool		isnull;
	Datum		value;

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(conversion->caller, context | SECURITY_LOCAL_USERID_CHANGE);
	value = pgseal_value_open(conversion->type, sealed, access, &isnull);
	SetUserIdAndSecContext(user, context);
	if (isnull)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for the key of a value")));
	return value;
}

static Datum
convert_value(const PgsealConversion *conversion, Datum value)
{
	if (conversion->encrypts)
		return PointerGetDatum(pgseal_value_seal(conversion->type, value,
												 conversion->new_typmod));
	return pgseal_convert_open(conversion, value, PGSEAL_ACCESS_CHECKED);
}

static void
insert_converted(Mover *mover, TupleTableSlot *row)
{
	TupleDesc	desc = RelationGetDescr(mover->table.rel);
	TupleTableSlot *converted = mover->converted;
	int			c = mover->conversion->attnum - 1;

	slot_getallattrs(row);
	ExecClearTuple(converted);
	for (int i = 0; i < desc->natts; i++)
	{
		converted->tts_values[i] = row->tts_values[i];
		converted->tts_isnull[i] = row->tts_isnull[i] || TupleDescAttr(desc, i)->attisdropped;
	}
	if (!converted->tts_isnull[c])
		converted->tts_values[c] = convert_value(mover->conversion, row->tts_values[c]);
	if (mover->resigner != NULL)
		pgseal_convert_resign(mover->resigner, row, converted);
	ExecStoreVirtualTuple(converted);
	table_tuple_insert(mover->copy.rel, converted, GetCurrentCommandId(true), 0, NULL);
	pgseal_insert_new_index_entries(mover->result_rel, converted, mover->estate);
	ExecClearTuple(converted);
	ResetPerTupleExprContext(mover->estate);
	mover->num_copied++;
}

/*
 * Writing the copy
 */

static void
mover_begin(Mover *mover, const PgsealConversion *conversion)
{
	memset(mover, 0, sizeof(*mover));
	mover->conversion = conversion;
	finder_begin(&mover->table, conversion->relid,
				 key_index(conversion->relid, conversion->indexes, conversion->indexes),
				 GetActiveSnapshot(), AccessShareLock);
	finder_begin(&mover->copy, conversion->copy,
				 key_index(conversion->relid, conversion->indexes, conversion->copy_indexes),
				 SnapshotSelf, RowExclusiveLock);
	mover->estate = CreateExecutorState();
	mover->result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(mover->result_rel, mover->copy.rel, 0, NULL, 0);
	pgseal_brin_watch_table(RelationGetRelid(mover->copy.rel));
	ExecOpenIndices(mover->result_rel, false);
	mover->resigner = pgseal_convert_resigner(conversion, mover->table.rel, mover->copy.rel);
	mover->converted = MakeSingleTupleTableSlot(RelationGetDescr(mover->copy.rel),
												&TTSOpsVirtual);
	mover->row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal row",
											   ALLOCSET_DEFAULT_SIZES);
}

static void
mover_end(Mover *mover)
{
	ExecDropSingleTupleTableSlot(mover->converted);
	ExecCloseIndices(mover->result_rel);
	FreeExecutorState(mover->estate);
	finder_end(&mover->table);
	finder_end(&mover->copy);
	MemoryContextDelete(mover->row_context);
}

/* Scans blocks of a table, as the active snapshot sees them. */
static void
scan_blocks(Relation rel, BlockNumber from, BlockNumber end, MemoryContext row_context,
			void (*visit) (TupleTableSlot *row, void *context), void *context)
{
	TupleTableSlot *row = table_slot_create(rel, NULL);
	ItemPointerData first;
	ItemPointerData last;
	TableScanDesc scan;

	ItemPointerSet(&first, from, FirstOffsetNumber);
	ItemPointerSet(&last, end - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(rel, GetActiveSnapshot(), &first, &last);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		visit(row, context);
		MemoryContextReset(row_context);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
}

static void
copy_row(TupleTableSlot *row, void *context)
{
	Mover	   *mover = context;
	Datum		key[INDEX_MAX_KEYS];
	MemoryContext old_context;

	key_of_row(&mover->table, row, key);
	if (find(&mover->copy, key))
		return;
	old_context = MemoryContextSwitchTo(mover->row_context);
	insert_converted(mover, row);
	MemoryContextSwitchTo(old_context);
}

int64
pgseal_convert_copy_blocks(const PgsealConversion *conversion, BlockNumber from, BlockNumber end)
{
	Mover		mover;

	if (from >= end)
		return 0;
	mover_begin(&mover, conversion);
	scan_blocks(mover.table.rel, from, end, mover.row_context, copy_row, &mover);
	mover_end(&mover);
	return mover.num_copied;
}

/* PgsealChangeVisitor */
static void
apply_change(bytea *bytes, void *context)
{
	Mover	   *mover = context;
	Datum		key[INDEX_MAX_KEYS];

	pgseal_convert_key_values(bytes, mover->copy.num, key);
	if (find(&mover->copy, key))
	{
		bool		isnull;
		Datum		xmin = slot_getsysattr(mover->copy.row, MinTransactionIdAttributeNumber,
										   &isnull);

		/* Noted more than once: this snapshot's row is there already */
		if (TransactionIdIsCurrentTransactionId(DatumGetTransactionId(xmin)))
			return;
		simple_table_tuple_delete(mover->copy.rel, &mover->copy.row->tts_tid, SnapshotSelf);
	}
	if (find(&mover->table, key))
		insert_converted(mover, mover->table.row);
}

int64
pgseal_convert_apply_changes(const PgsealConversion *conversion, int64 limit)
{
	Mover		mover;
	int64		num;

	mover_begin(&mover, conversion);
	num = pgseal_convert_changes(conversion->relid, limit, true, apply_change, &mover);
	mover_end(&mover);
	return num;
}

/*
 * Comparing
 */

typedef struct Verifier
{
	const PgsealConversion *conversion;
	Finder		ours;			/* whose rows are gone through */
	Finder		theirs;
	bool		of_copy;		/* ours is the copy */
	PgsealResigner *resigner;	/* NULL: signatures stay as they are */
	MemoryContext row_context;
	HTAB	   *noted;			/* hashes of the keys that are noted, or NULL */
	int64		num_equal;
} Verifier;

/* Changes are few here: they are read when the first difference is met. */

static uint64
hash_key(bytea *key)
{
	return hash_bytes_extended((unsigned char *) VARDATA(key), VARSIZE(key) - VARHDRSZ, 0);
}

/* PgsealChangeVisitor */
static void
remember_noted(bytea *key, void *context)
{
	Verifier   *verifier = context;
	uint64		hash = hash_key(key);

	(void) hash_search(verifier->noted, &hash, HASH_ENTER, NULL);
}

static bool
is_noted(Verifier *verifier, const Datum *values)
{
	bool		isnull[INDEX_MAX_KEYS] = {false};
	bytea	   *key = pgseal_convert_key_bytes(RelationGetDescr(verifier->ours.rel),
											   verifier->ours.num, verifier->ours.attnums,
											   values, isnull);
	uint64		hash = hash_key(key);

	if (verifier->noted == NULL)
	{
		HASHCTL		info = {.keysize = sizeof(uint64), .entrysize = sizeof(uint64),
		.hcxt = verifier->ours.context};

		verifier->noted = hash_create("pgseal noted keys", 1024, &info,
									  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
		(void) pgseal_convert_changes(verifier->conversion->relid, 0, false, remember_noted,
									  verifier);
	}
	return hash_search(verifier->noted, &hash, HASH_FIND, NULL) != NULL;
}

/* The same bytes, wherever and however they are stored */
static bool
same_image(Form_pg_attribute attribute, Datum a, Datum b)
{
	return datum_image_eq(a, b, attribute->attbyval, attribute->attlen);
}

/* To encrypt takes no privilege to open. */
static bool
same_converted(const PgsealConversion *conversion, Form_pg_attribute plain, Datum value,
			   Datum sealed)
{
	return same_image(plain, value,
					  pgseal_convert_open(conversion, sealed, conversion->encrypts ?
										  PGSEAL_ACCESS_INTERNAL : PGSEAL_ACCESS_CHECKED));
}

static bool
same_row(Verifier *verifier, TupleTableSlot *row, TupleTableSlot *copied)
{
	TupleDesc	desc = row->tts_tupleDescriptor;
	int			c = verifier->conversion->attnum - 1;

	slot_getallattrs(row);
	slot_getallattrs(copied);
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);
		bool		same;

		if (attribute->attisdropped)
			continue;
		if (row->tts_isnull[i] || copied->tts_isnull[i])
			same = row->tts_isnull[i] == copied->tts_isnull[i];
		else if (pgseal_convert_is_signature(verifier->resigner, i + 1))
			same = pgseal_convert_same_signature(verifier->resigner, row, copied);
		else if (i != c)
			same = same_image(attribute, row->tts_values[i], copied->tts_values[i]);
		else if (verifier->conversion->encrypts)
			same = same_converted(verifier->conversion, attribute,
								  row->tts_values[i], copied->tts_values[i]);
		else
			same = same_converted(verifier->conversion,
								  TupleDescAttr(copied->tts_tupleDescriptor, i),
								  copied->tts_values[i], row->tts_values[i]);
		if (!same)
			return false;
	}
	return true;
}

static void
verify_row(TupleTableSlot *row, void *context)
{
	Verifier   *verifier = context;
	TupleTableSlot *other = verifier->theirs.row;
	MemoryContext old_context = MemoryContextSwitchTo(verifier->row_context);
	Datum		key[INDEX_MAX_KEYS];

	key_of_row(&verifier->ours, row, key);
	if (find(&verifier->theirs, key) &&
		(verifier->of_copy ? same_row(verifier, other, row) : same_row(verifier, row, other)))
		verifier->num_equal++;
	else if (!is_noted(verifier, key))
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("a row of table \"%s\" differs from its copy",
						get_rel_name(verifier->conversion->relid)),
				 errdetail("The table is unchanged; its column was not converted."),
				 errhint("Give the conversion up with CALL pgseal.cancel_conversion().")));
	MemoryContextSwitchTo(old_context);
}

int64
pgseal_convert_verify_blocks(const PgsealConversion *conversion, bool of_copy,
							 BlockNumber from, BlockNumber end)
{
	Verifier	verifier = {.conversion = conversion, .of_copy = of_copy};
	Finder	   *table = of_copy ? &verifier.theirs : &verifier.ours;
	Finder	   *copy = of_copy ? &verifier.ours : &verifier.theirs;

	if (from >= end)
		return 0;
	finder_begin(table, conversion->relid,
				 key_index(conversion->relid, conversion->indexes, conversion->indexes),
				 GetActiveSnapshot(), AccessShareLock);
	finder_begin(copy, conversion->copy,
				 key_index(conversion->relid, conversion->indexes, conversion->copy_indexes),
				 GetActiveSnapshot(), AccessShareLock);
	verifier.row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal row",
												 ALLOCSET_DEFAULT_SIZES);
	verifier.resigner = pgseal_convert_resigner(conversion, table->rel, copy->rel);
	scan_blocks(verifier.ours.rel, from, end, verifier.row_context, verify_row, &verifier);
	finder_end(table);
	finder_end(copy);
	if (verifier.noted != NULL)
		hash_destroy(verifier.noted);
	MemoryContextDelete(verifier.row_context);
	return verifier.num_equal;
}
