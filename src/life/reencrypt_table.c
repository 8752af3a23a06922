/*-------------------------------------------------------------------------
 *
 * reencrypt_table.c
 *	  Resealing the values in a range of a table's blocks.
 *
 * A row is replaced by one that is the same but for the bytes of its sealed
 * values, with the routines that the executor itself uses below UPDATE: the
 * table's access method writes the new row version (WAL, TOAST, logical
 * decoding), index entries are made for it.  Nothing above that takes part, as
 * the row doesn't change in the eyes of its users: no trigger fires, also no
 * ALWAYS or foreign key trigger; no rule and no row security applies; checks,
 * which may be NOT VALID, and stored generated columns stay as they are; no
 * partition is left; a materialized view can be written.
 *
 * Expressions of indexes are the code of the table's owner, and run with his
 * privileges, as VACUUM and ANALYZE do it.
 *
 * In a signed table, a row is verified before it is replaced, and signed again
 * with what replaces it; one that is signed by the former definition is replaced, too.  One that doesn't verify is left as it is: the values in
 * it are evidence, so they keep their key version from being retired.
 *
 * A row that others have locked, or have changed since the snapshot, is skipped
 * but counted, so that another round comes back for it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/sysattr.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_publication.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/relcache.h"
#include "utils/snapmgr.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "life/reencrypt_table.h"
#include "sealed/access.h"
#include "signed/ledger.h"
#include "signed/signing.h"
#include "value/seal.h"

/* Log lines about values that don't open, of one batch */
#define BROKEN_LOGGED_MAX		20

/* What is needed to replace rows of one table */
typedef struct Replacer
{
	Relation	rel;
	PgsealShape **shapes;		/* one per column */
	PgsealSigning *signing;		/* NULL: rows aren't signed */
	EState	   *estate;
	ResultRelInfo *result_rel;
	TupleTableSlot *locked;		/* the row as it is, locked */
	TupleTableSlot *renewed;	/* the row as it will be */
	MemoryContext context;		/* the caller's */
	MemoryContext row_context;
	PgsealBatchResult *result;
	int64		stale_in_row;
	StringInfoData body;		/* working space */
} Replacer;

/*
 * What can't be done
 */

const char *
pgseal_reencrypt_obstacle(const PgsealHolder *holder)
{
	if (holder->opaque)
		return "it has values in a type that cannot be taken apart";
	if (holder->sharded)
		return "its rows are in shards of Citus";
	if (holder->relkind == RELKIND_FOREIGN_TABLE)
		return "it is a foreign table";
	if (holder->persistence == RELPERSISTENCE_TEMP)
		return "it is a temporary table of another session";
	return NULL;
}

/*
 * Is the table, or is it the copy of one, whose changes are followed (convert.c)?
 * Ours would not be noticed.
 */
static bool
is_being_converted(Oid relid)
{
	return pgseal_query("SELECT FROM pgseal_internal.conversion c JOIN pg_class s ON s.oid = c.copy"
						" WHERE $1 IN (c.relid, c.copy) AND s.relrewrite = c.relid", 1,
						OIDOID, ObjectIdGetDatum(relid)) > 0;
}

const char *
pgseal_reencrypt_relation_obstacle(Relation rel)
{
	PublicationDesc publication;

	if (is_being_converted(RelationGetRelid(rel)))
		return "one of its columns is being encrypted or decrypted";

	if (rel->rd_tableam == NULL || rel->rd_tableam->scan_set_tidrange == NULL)
		return "its access method cannot scan a range of blocks";
	if (rel->rd_rel->relkind != RELKIND_RELATION)
		return NULL;
	RelationBuildPublicationDesc(rel, &publication);
	if (!publication.pubactions.pubupdate)
		return NULL;
	if (!publication.rf_valid_for_update || !publication.cols_valid_for_update)
		return "it is published for updates by columns that its replica identity lacks";
	if (rel->rd_rel->relreplident != REPLICA_IDENTITY_FULL &&
		!OidIsValid(RelationGetReplicaIndex(rel)))
		return "it is published for updates, but has no replica identity";
	return NULL;
}

/*
 * One row
 */

static void
count_found(Replacer *replacer, int64 key_version_id)
{
	PgsealBatchResult *result = replacer->result;
	MemoryContext old_context;
	PgsealFound *found;
	ListCell   *lc;

	foreach(lc, result->found)
	{
		found = lfirst(lc);
		if (found->key_version_id == key_version_id)
		{
			found->values++;
			return;
		}
	}
	old_context = MemoryContextSwitchTo(replacer->context);
	found = palloc(sizeof(PgsealFound));
	found->key_version_id = key_version_id;
	found->values = 1;
	result->found = lappend(result->found, found);
	MemoryContextSwitchTo(old_context);
}

/* PgsealValueVisitor: counts what is under an old version */
static struct varlena *
find_stale(Datum sealed, const PgsealShape *shape, void *context)
{
	Replacer   *replacer = context;
	PgsealEnvelope envelope;

	if (!pgseal_value_try_header(&envelope, sealed))
		replacer->result->broken++;
	else if (pgseal_keyring_is_stale(envelope.key_version_id))
	{
		count_found(replacer, envelope.key_version_id);
		replacer->stale_in_row++;
	}
	return NULL;
}

/*
 * A value that doesn't open, or a signature that isn't good, can't be moved, nor
 * is it a reason to keep its version: no key will open it.  Who looks for it is
 * told where it is.
 */
static void
count_broken(Replacer *replacer, bool is_row, int64 key_version_id)
{
	ItemPointer tid = &replacer->locked->tts_tid;
	ListCell   *lc;

	foreach(lc, replacer->result->found)
	{
		PgsealFound *found = lfirst(lc);

		if (found->key_version_id == key_version_id && found->values > 0)
			found->values--;
	}
	if (replacer->result->broken++ < BROKEN_LOGGED_MAX)
	{
		char	   *place = psprintf("table=\"%s\" ctid=(%u,%u) version=%016llx",
									 quote_qualified_identifier(get_namespace_name(RelationGetNamespace(replacer->rel)),
																RelationGetRelationName(replacer->rel)),
									 ItemPointerGetBlockNumber(tid), ItemPointerGetOffsetNumber(tid),
									 (unsigned long long) key_version_id);

		ereport(LOG,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 is_row ? errmsg("pgseal: event=row_broken %s", place) :
				 errmsg("pgseal: event=value_broken %s", place),
				 errhidestmt(true), errhidecontext(true)));
	}
}

/* PgsealValueVisitor: reseals what is under an old version */
static struct varlena *
renew_stale(Datum sealed, const PgsealShape *shape, void *context)
{
	Replacer   *replacer = context;
	PgsealEnvelope envelope;
	struct varlena *renewed;

	if (!pgseal_value_try_header(&envelope, sealed) ||
		!pgseal_keyring_is_stale(envelope.key_version_id))
		return NULL;
	renewed = pgseal_value_renew(sealed);
	if (renewed == NULL)
		count_broken(replacer, false, envelope.key_version_id);
	else
		replacer->result->resealed++;
	return renewed;
}

/* The row's signature; NULL when it has none, or isn't to have one */
static PgsealSignature *
signature_of(Replacer *replacer, TupleTableSlot *row)
{
	bool		isnull;
	Datum		value;

	if (replacer->signing == NULL)
		return NULL;
	value = slot_getattr(row, replacer->signing->signature, &isnull);
	return isnull ? NULL : DatumGetSignature(value);
}

static bool
is_by_former(Replacer *replacer, const PgsealSignature *signature)
{
	return signature != NULL && replacer->signing->former != NULL &&
		pgseal_signing_definition_of(replacer->signing, signature) == replacer->signing->former;
}

static bool
row_verifies(Replacer *replacer)
{
	PgsealSignature *signature = signature_of(replacer, replacer->locked);

	if (replacer->signing == NULL)
		return true;
	slot_getallattrs(replacer->locked);
	if (pgseal_signing_verify_row(replacer->signing, replacer->locked->tts_values,
								  replacer->locked->tts_isnull, &replacer->body) == PGSEAL_SIGNATURE_GOOD)
		return true;
	count_broken(replacer, true,
				 signature != NULL ? pgseal_signature_key_version(signature) : 0);
	if (is_by_former(replacer, signature))
		replacer->result->by_former--;
	return false;
}

/* The row that is about to be stored gets a signature of its own */
static void
sign_again(Replacer *replacer, PgsealSignature *out_signature)
{
	const PgsealSigning *signing = replacer->signing;
	TupleTableSlot *renewed = replacer->renewed;
	PgsealSignature *present = signature_of(replacer, replacer->locked);

	slot_getallattrs(renewed);
	resetStringInfo(&replacer->body);
	pgseal_definition_body(&replacer->body, signing->newest, renewed->tts_values, renewed->tts_isnull);
	pgseal_signing_sign(signing, out_signature, pgseal_signature_counter(present) + 1,
						&replacer->body);
	renewed->tts_values[signing->signature - 1] = PointerGetDatum(out_signature);
	replacer->result->signed_anew++;
}

static bool
row_is_stale(Replacer *replacer, TupleTableSlot *row)
{
	PgsealSignature *signature = signature_of(replacer, row);

	replacer->stale_in_row = 0;
	if (signature != NULL && pgseal_keyring_is_stale(pgseal_signature_key_version(signature)))
	{
		count_found(replacer, pgseal_signature_key_version(signature));
		replacer->stale_in_row++;
	}
	if (is_by_former(replacer, signature))
	{
		replacer->result->by_former++;
		replacer->stale_in_row++;
	}
	for (int i = 0; i < RelationGetNumberOfAttributes(replacer->rel); i++)
	{
		bool		isnull;
		Datum		value;

		if (replacer->shapes[i] == NULL)
			continue;
		value = slot_getattr(row, i + 1, &isnull);
		if (!isnull)
			pgseal_shape_visit(replacer->shapes[i], value, find_stale, replacer);
	}
	return replacer->stale_in_row > 0;
}

/* The row as it will be; false when none of its values could be resealed */
static bool
renew_row(Replacer *replacer)
{
	TupleDesc	desc = RelationGetDescr(replacer->rel);
	TupleTableSlot *locked = replacer->locked;
	TupleTableSlot *renewed = replacer->renewed;
	int64		resealed = replacer->result->resealed;

	slot_getallattrs(locked);
	ExecClearTuple(renewed);
	for (int i = 0; i < desc->natts; i++)
	{
		renewed->tts_values[i] = locked->tts_values[i];
		renewed->tts_isnull[i] = locked->tts_isnull[i] || TupleDescAttr(desc, i)->attisdropped;
		if (replacer->shapes[i] != NULL && !renewed->tts_isnull[i])
			renewed->tts_values[i] = pgseal_shape_visit(replacer->shapes[i],
														locked->tts_values[i],
														renew_stale, replacer);
	}
	ExecStoreVirtualTuple(renewed);
	return replacer->result->resealed > resealed || replacer->signing != NULL;
}

static void
replace_row(Replacer *replacer, TupleTableSlot *row)
{
	ItemPointerData tid = row->tts_tid;
	TM_FailureData failure;
	TM_Result	locked;
	PgsealUpdateIndexes update_indexes;
	PgsealSignature signature;

	locked = table_tuple_lock(replacer->rel, &tid, GetActiveSnapshot(), replacer->locked,
							  GetCurrentCommandId(true), LockTupleNoKeyExclusive,
							  LockWaitSkip, 0, &failure);
	if (locked == TM_Deleted)
		return;
	if (locked != TM_Ok)
	{
		replacer->result->skipped++;
		return;
	}
	if (!row_verifies(replacer) || !renew_row(replacer))
		return;
	if (replacer->signing != NULL)
		sign_again(replacer, &signature);
	simple_table_tuple_update(replacer->rel, &tid, replacer->renewed, GetActiveSnapshot(),
							  &update_indexes);
	if (pgseal_needs_index_entries(update_indexes))
		pgseal_insert_index_entries(replacer->result_rel, replacer->renewed, replacer->estate,
									update_indexes);
	if (replacer->signing != NULL && replacer->signing->ledger != PGSEAL_NO_LEDGER)
		pgseal_ledger_record(replacer->signing->ledger, replacer->signing->key_hash,
							 signature_of(replacer, replacer->locked), &signature);
}

/*
 * Blocks
 */

static void
begin_replacing(Replacer *replacer, Relation rel, PgsealBatchResult *result)
{
	memset(replacer, 0, sizeof(*replacer));
	replacer->rel = rel;
	replacer->result = result;
	replacer->context = CurrentMemoryContext;
	replacer->shapes = pgseal_shape_of_row(RelationGetDescr(rel));
	replacer->signing = pgseal_signing_of_relation(rel);
	if (replacer->shapes == NULL)
		replacer->shapes = palloc0(RelationGetNumberOfAttributes(rel) * sizeof(PgsealShape *));
	replacer->estate = CreateExecutorState();
	replacer->result_rel = makeNode(ResultRelInfo);
	/* No range table entry: nothing here asks which columns the user may see */
	InitResultRelInfo(replacer->result_rel, rel, 0, NULL, 0);
	pgseal_brin_watch_table(RelationGetRelid(rel));
	ExecOpenIndices(replacer->result_rel, false);
	replacer->locked = table_slot_create(rel, NULL);
	replacer->renewed = table_slot_create(rel, NULL);
	initStringInfo(&replacer->body);
	replacer->row_context = AllocSetContextCreate(CurrentMemoryContext, "pgseal row",
												  ALLOCSET_DEFAULT_SIZES);
}

static void
end_replacing(Replacer *replacer)
{
	ExecDropSingleTupleTableSlot(replacer->locked);
	ExecDropSingleTupleTableSlot(replacer->renewed);
	ExecCloseIndices(replacer->result_rel);
	FreeExecutorState(replacer->estate);
	MemoryContextDelete(replacer->row_context);
}

static void
scan_blocks(Replacer *replacer, BlockNumber from, BlockNumber end)
{
	TupleTableSlot *row = table_slot_create(replacer->rel, NULL);
	MemoryContext context = CurrentMemoryContext;
	ItemPointerData first;
	ItemPointerData last;
	TableScanDesc scan;

	ItemPointerSet(&first, from, FirstOffsetNumber);
	ItemPointerSet(&last, end - 1, MaxOffsetNumber);
	scan = table_beginscan_tidrange(replacer->rel, GetActiveSnapshot(), &first, &last);
	while (table_scan_getnextslot_tidrange(scan, ForwardScanDirection, row))
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(replacer->row_context);
		if (row_is_stale(replacer, row))
			replace_row(replacer, row);
		ExecClearTuple(replacer->locked);
		ExecClearTuple(replacer->renewed);
		MemoryContextSwitchTo(context);
		MemoryContextReset(replacer->row_context);
		ResetPerTupleExprContext(replacer->estate);
	}
	table_endscan(scan);
	ExecDropSingleTupleTableSlot(row);
}

void
pgseal_reencrypt_blocks(Relation rel, BlockNumber from, BlockNumber end,
						PgsealBatchResult *out_result)
{
	Replacer	replacer;
	PgsealCaller caller;

	memset(out_result, 0, sizeof(*out_result));
	pgseal_as_owner_begin(&caller, rel->rd_rel->relowner);
	begin_replacing(&replacer, rel, out_result);
	scan_blocks(&replacer, from, end);
	end_replacing(&replacer);
	pgseal_as_owner_end(&caller);
}
