/*-------------------------------------------------------------------------
 *
 * sign_rows.c
 *	  Signing the rows that a table has.
 *
 * A row is replaced by one that is the same but for its signature, below the
 * triggers, as re-encryption does it (life/reencrypt_table.c).  Expressions of
 * indexes are the code of the table's owner, and run as the owner.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/tableam.h"
#include "access/xact.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/as_owner.h"
#include "base/compat.h"
#include "base/scan_rows.h"
#include "sealed/access.h"
#include "signed/ledger.h"
#include "signed/sign_rows.h"

/* What is needed to replace rows of one table */
typedef struct Replacer
{
	Relation	rel;
	const PgsealSigning *old;
	const PgsealSigning *new;
	EState	   *estate;
	ResultRelInfo *result_rel;
	TupleTableSlot *renewed;
	StringInfoData body;
	int64		num_signed;
	int64		num_bad;
} Replacer;

static void
replace(Replacer *replacer, TupleTableSlot *row, PgsealSignature *signature)
{
	TupleDesc	desc = RelationGetDescr(replacer->rel);
	TupleTableSlot *renewed = replacer->renewed;
	int			column = replacer->new->signature - 1;
	PgsealUpdateIndexes update_indexes;

	ExecClearTuple(renewed);
	for (int i = 0; i < desc->natts; i++)
	{
		renewed->tts_values[i] = row->tts_values[i];
		renewed->tts_isnull[i] = row->tts_isnull[i] || TupleDescAttr(desc, i)->attisdropped;
	}
	renewed->tts_values[column] = PointerGetDatum(signature);
	renewed->tts_isnull[column] = false;
	ExecStoreVirtualTuple(renewed);
	simple_table_tuple_update(replacer->rel, &row->tts_tid, renewed, GetActiveSnapshot(),
							  &update_indexes);
	if (pgseal_needs_index_entries(update_indexes))
		pgseal_insert_index_entries(replacer->result_rel, renewed, replacer->estate,
									update_indexes);
}

static bool
is_good(Replacer *replacer, const PgsealSigning *signing, TupleTableSlot *row)
{
	return pgseal_signing_verify_row(signing, row->tts_values, row->tts_isnull,
									 &replacer->body) == PGSEAL_SIGNATURE_GOOD;
}

static void
sign_row(Replacer *replacer, TupleTableSlot *row)
{
	PgsealSignature signature;
	const PgsealSignature *present;
	int64		counter = 1;

	slot_getallattrs(row);
	present = pgseal_signing_signature(replacer->new, row->tts_values, row->tts_isnull);
	if (present != NULL && replacer->old != NULL)
	{
		if (!is_good(replacer, replacer->old, row))
		{
			replacer->num_bad++;
			return;
		}
		counter = pgseal_signature_counter(present) + 1;
	}
	replacer->num_signed++;
	if (present != NULL && is_good(replacer, replacer->new, row))
		return;
	resetStringInfo(&replacer->body);
	pgseal_definition_body(&replacer->body, replacer->new->newest, row->tts_values, row->tts_isnull);
	pgseal_signing_sign(replacer->new, &signature, counter, &replacer->body);
	replace(replacer, row, &signature);
	if (replacer->new->ledger != PGSEAL_NO_LEDGER)
		pgseal_ledger_record(replacer->new->ledger, replacer->new->key_hash, present, &signature);
}

/* PgsealRowVisitor */
static void
visit_row(TupleTableSlot *row, void *context)
{
	Replacer   *replacer = context;

	sign_row(replacer, row);
	ExecClearTuple(replacer->renewed);
	ResetPerTupleExprContext(replacer->estate);
}

int64
pgseal_sign_rows(Relation rel, const PgsealSigning *old, const PgsealSigning *new, int64 *out_bad)
{
	Replacer	replacer = {.rel = rel, .old = old, .new = new};
	PgsealCaller caller;

	CheckCmdReplicaIdentity(rel, CMD_UPDATE);
	PushActiveSnapshot(GetLatestSnapshot());
	pgseal_as_owner_begin(&caller, rel->rd_rel->relowner);
	replacer.estate = CreateExecutorState();
	replacer.result_rel = makeNode(ResultRelInfo);
	InitResultRelInfo(replacer.result_rel, rel, 0, NULL, 0);
	pgseal_brin_watch_table(RelationGetRelid(rel));
	ExecOpenIndices(replacer.result_rel, false);
	replacer.renewed = table_slot_create(rel, NULL);
	initStringInfo(&replacer.body);
	pgseal_scan_rows(rel, GetActiveSnapshot(), visit_row, &replacer);
	ExecDropSingleTupleTableSlot(replacer.renewed);
	ExecCloseIndices(replacer.result_rel);
	FreeExecutorState(replacer.estate);
	pgseal_as_owner_end(&caller);
	PopActiveSnapshot();
	*out_bad += replacer.num_bad;
	return replacer.num_signed;
}
