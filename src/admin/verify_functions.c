/*-------------------------------------------------------------------------
 *
 * verify_functions.c
 *	  SQL functions that go through tables: verify_table(), tampered_rows().
 *
 * They change nothing, but for ledger_digest(), which notes that a digest was given
 * away.
 *
 * Rows and their ledger are compared in one snapshot, the newest: that of a
 * transaction that began before the table was truncated would still see the records
 * that say of its rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/partition.h"
#include "catalog/pg_inherits.h"
#include "executor/executor.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/pg_lsn.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/scan_rows.h"
#include "keys/keyring.h"
#include "signed/ledger.h"
#include "signed/signed_holders.h"
#include "signed/verify.h"
#include "value/find_sealed.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_verify_table);
PG_FUNCTION_INFO_V1(pgseal_tampered_rows);
PG_FUNCTION_INFO_V1(pgseal_ledger_digest_of_table);

/*
 * Which tables
 */

static void
check_verifiable(Relation rel)
{
	if (pg_class_aclcheck(RelationGetRelid(rel), GetUserId(), ACL_SELECT) != ACLCHECK_OK)
		aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_TABLE, RelationGetRelationName(rel));
	if (pgseal_is_citus_table(RelationGetRelid(rel)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a table of Citus, whose rows are in its shards",
						RelationGetRelationName(rel)),
				 errhint("Verify the shards, with run_command_on_shards().")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP && !rel->rd_islocaltemp)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a temporary table of another session",
						RelationGetRelationName(rel))));
}

/* An OID that is no table's is a wrong argument, not an error within */
static Relation
open_table(Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid)));
	return rel;
}

/* The table, or its partitions, locked; a list of Relation */
static List *
open_tables(Relation rel)
{
	List	   *tables = NIL;
	ListCell   *lc;

	check_verifiable(rel);
	if (rel->rd_rel->relkind == RELKIND_RELATION || rel->rd_rel->relkind == RELKIND_MATVIEW)
		return list_make1(relation_open(RelationGetRelid(rel), NoLock));
	if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table or materialized view", RelationGetRelationName(rel))));
	foreach(lc, find_all_inheritors(RelationGetRelid(rel), AccessShareLock, NULL))
	{
		char		kind = get_rel_relkind(lfirst_oid(lc));

		if (kind == RELKIND_RELATION)
			tables = lappend(tables, relation_open(lfirst_oid(lc), NoLock));
		else if (kind != RELKIND_PARTITIONED_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("partition \"%s\" is not a table", get_rel_name(lfirst_oid(lc)))));
	}
	return tables;
}

static void
close_tables(List *tables)
{
	ListCell   *lc;

	foreach(lc, tables)
		relation_close(lfirst(lc), NoLock);
}

/*
 * verify_table()
 */

/* What is found in one column of the table */
typedef struct Tally
{
	int64		sealed;
	int64		stale;
	int64		broken;
	bool		is_told;		/* it has encrypted values, or signatures */
	bool		is_signature;
	int64		rows;
	int64		unsigned_rows;
	int64		bad;
	int64		old_definition; /* and good */
	PgsealLedgerSum sum;
} Tally;

/* PgsealValueVisitor */
static struct varlena *
verify_value(Datum sealed, const PgsealShape *shape, void *context)
{
	Tally	   *tally = context;
	PgsealEnvelope envelope;

	tally->sealed++;
	if (!pgseal_value_is_sound(shape->type, sealed))
		tally->broken++;
	else if (pgseal_value_try_header(&envelope, sealed) &&
			 pgseal_keyring_is_stale(envelope.key_version_id))
		tally->stale++;
	return NULL;
}

static PgsealSignatureStatus
status_of(const PgsealSigning *signing, TupleTableSlot *row)
{
	StringInfoData body;

	slot_getallattrs(row);
	initStringInfo(&body);
	return pgseal_signing_verify_row(signing, row->tts_values, row->tts_isnull, &body);
}

/* Signatures are counted as the values of their column */
static void
verify_signature(const PgsealSigning *signing, TupleTableSlot *row, bool with_ledger, Tally *tally)
{
	PgsealSignatureStatus status = status_of(signing, row);
	PgsealSignature *signature = pgseal_signing_signature(signing, row->tts_values, row->tts_isnull);

	if (signature != NULL)
		tally->sealed++;
	switch (status)
	{
		case PGSEAL_SIGNATURE_GOOD:
			if (pgseal_keyring_is_stale(pgseal_signature_key_version(signature)))
				tally->stale++;
			if (pgseal_signing_definition_of(signing, signature) != signing->newest)
				tally->old_definition++;
			break;
		case PGSEAL_SIGNATURE_MISSING:
			tally->unsigned_rows++;
			break;
		case PGSEAL_SIGNATURE_OLD:
		case PGSEAL_SIGNATURE_FORGED:
			tally->bad++;
			break;
	}
	if (with_ledger)
	{
		PgsealLedgerSum one = pgseal_ledger_sum_of(signature);

		pgseal_ledger_sum_add(&tally->sum, &one);
	}
}

/* One table of those whose columns are in tallies; shapes and tallies by its columns */
typedef struct Verification
{
	PgsealShape **shapes;		/* may be NULL */
	const PgsealSigning *signing;	/* may be NULL */
	bool		with_ledger;
	Tally	  **tallies;
	int			num_columns;
} Verification;

/* PgsealRowVisitor */
static void
verify_row(TupleTableSlot *row, void *context)
{
	Verification *table = context;

	for (int i = 0; i < table->num_columns; i++)
		if (table->tallies[i] != NULL)
			table->tallies[i]->rows++;
	pgseal_shape_visit_row(table->shapes, row, verify_value, (void **) table->tallies);
	if (table->signing != NULL)
		verify_signature(table->signing, row, table->with_ledger,
						 table->tallies[table->signing->signature - 1]);
}

/* tallies: by the columns of root, whose partition rel may be */
static void
verify_one(Relation root, Relation rel, Snapshot snapshot, bool with_ledger, Tally *tallies)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Verification table = {.shapes = pgseal_shape_of_row(desc),
		.signing = pgseal_signing_of_relation(rel), .with_ledger = with_ledger,
	.tallies = palloc0(Max(desc->natts, 1) * sizeof(Tally *)), .num_columns = desc->natts};

	for (int i = 0; i < desc->natts; i++)
	{
		bool		is_signature = table.signing != NULL && i == table.signing->signature - 1;
		AttrNumber	attnum;

		if (TupleDescAttr(desc, i)->attisdropped ||
			(!is_signature && (table.shapes == NULL || table.shapes[i] == NULL)))
			continue;
		attnum = get_attnum(RelationGetRelid(root), NameStr(TupleDescAttr(desc, i)->attname));
		table.tallies[i] = &tallies[attnum - 1];
		table.tallies[i]->is_told = true;
		table.tallies[i]->is_signature = is_signature;
	}
	pgseal_scan_rows(rel, snapshot, verify_row, &table);
}

/*
 * Its ledger
 */

static PgsealSigning *
require_signing(Relation rel)
{
	PgsealSigning *signing = pgseal_signing_of_relation(rel);

	if (signing == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("rows of table \"%s\" are not signed", RelationGetRelationName(rel))));
	return signing;
}

/* One of its own: that of a partitioned table is about all partitions */
static void
check_has_ledger(Relation rel, const PgsealSigning *signing)
{
	Oid			root = rel->rd_rel->relispartition ?
		llast_oid(get_partition_ancestors(RelationGetRelid(rel))) : InvalidOid;
	Relation	root_rel;

	if (signing->ledger == PGSEAL_NO_LEDGER)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table \"%s\" has no ledger", RelationGetRelationName(rel)),
				 errhint("Use pgseal.sign_table(ledger => true).")));
	if (!OidIsValid(root))
		return;
	root_rel = table_open(root, AccessShareLock);
	if (pgseal_ledger_of_relation(root_rel) == signing->ledger)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the ledger of \"%s\" is that of \"%s\", of which it is a partition",
						RelationGetRelationName(rel), RelationGetRelationName(root_rel))));
	table_close(root_rel, NoLock);
}

/* A value of type pgseal.digest */
static void
read_digest(Datum value, PgsealLedgerDigest *out_digest)
{
	HeapTupleHeader row = DatumGetHeapTupleHeader(value);
	bool		nulls[6];
	Datum		values[6];
	bytea	   *hash;
	bytea	   *hmac;
	uint64		id_be;

	for (int i = 0; i < lengthof(values); i++)
	{
		values[i] = GetAttributeByNum(row, i + 1, &nulls[i]);
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("a digest has no columns that are null")));
	}
	hash = DatumGetByteaP(values[4]);
	hmac = DatumGetByteaP(values[5]);
	if (VARSIZE(hash) - VARHDRSZ != PGSEAL_HASH_BYTES ||
		VARSIZE(hmac) - VARHDRSZ != sizeof(id_be) + PGSEAL_HASH_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("not a digest that pgseal.ledger_digest() has given")));
	out_digest->ledger = DatumGetInt64(values[0]);
	out_digest->number = DatumGetInt64(values[1]);
	out_digest->lsn = DatumGetLSN(values[2]);
	out_digest->rows = DatumGetInt64(values[3]);
	memcpy(out_digest->hash, VARDATA(hash), PGSEAL_HASH_BYTES);
	memcpy(&id_be, VARDATA(hmac), sizeof(id_be));
	out_digest->key_version_id = (int64) pg_ntoh64(id_be);
	memcpy(out_digest->mac, VARDATA(hmac) + sizeof(id_be), PGSEAL_HASH_BYTES);
}

static const char *
ledger_verdict(Relation rel, const PgsealSigning *signing, const Tally *tally,
			   const PgsealLedgerDigest *digest, Snapshot snapshot)
{
	PgsealLedgerState state;
	PgsealDigestStatus status = PGSEAL_DIGEST_GOOD;

	pgseal_ledger_read(&state, signing->ledger, signing->key_hash, snapshot);
	if (digest != NULL)
		status = pgseal_ledger_check_digest(&state, signing->ledger, signing->key_hash, digest,
											snapshot);
	if (status == PGSEAL_DIGEST_FORGED)
		return "the digest is not one of this ledger";
	if (!state.begun)
		return "it is missing";
	if (state.tampered)
		return "its records do not verify";
	if (status == PGSEAL_DIGEST_UNKNOWN)
		return "it is older than the digest";
	if (!pgseal_ledger_sum_equal(&state.sum, &tally->sum))
		return psprintf("it has " INT64_FORMAT " rows, not these", state.sum.rows);
	return "good";
}

static void
put_tally(ReturnSetInfo *result, Form_pg_attribute attribute, const Tally *tally, const char *ledger)
{
	Datum		values[9] = {0};
	bool		nulls[9] = {false};

	values[0] = NameGetDatum(&attribute->attname);
	values[1] = Int64GetDatum(tally->sealed);
	values[2] = Int64GetDatum(tally->stale);
	values[3] = Int64GetDatum(tally->broken + tally->unsigned_rows + tally->bad);
	values[4] = Int64GetDatum(tally->rows);
	values[5] = Int64GetDatum(tally->unsigned_rows);
	values[6] = Int64GetDatum(tally->bad);
	values[7] = Int64GetDatum(tally->old_definition);
	nulls[5] = nulls[6] = nulls[7] = !tally->is_signature;
	nulls[8] = ledger == NULL;
	if (ledger != NULL)
		values[8] = CStringGetTextDatum(ledger);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

/*
 * verify_table("table" regclass, ledger bool, digest pgseal.digest) → column, sealed,
 * stale, broken, rows, unsigned, bad, old_definition, ledger
 */
Datum
pgseal_verify_table(PG_FUNCTION_ARGS)
{
	Relation	rel;
	bool		with_digest = !PG_ARGISNULL(2);
	bool		with_ledger = with_digest || (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	PgsealLedgerDigest digest;
	PgsealSigning *signing;
	Snapshot	snapshot;
	List	   *tables;
	ListCell   *lc;
	Tally	   *tallies;

	InitMaterializedSRF(fcinfo, 0);
	if (PG_ARGISNULL(0))
		return (Datum) 0;
	rel = open_table(PG_GETARG_OID(0));
	tables = open_tables(rel);
	signing = with_ledger ? require_signing(rel) : pgseal_signing_of_relation(rel);
	if (with_ledger)
		check_has_ledger(rel, signing);
	if (with_digest)
		read_digest(PG_GETARG_DATUM(2), &digest);
	tallies = palloc0(Max(RelationGetNumberOfAttributes(rel), 1) * sizeof(Tally));
	snapshot = RegisterSnapshot(with_ledger ? GetLatestSnapshot() : GetActiveSnapshot());
	foreach(lc, tables)
		verify_one(rel, lfirst(lc), snapshot, with_ledger, tallies);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		bool		is_signature = signing != NULL && i == signing->signature - 1;

		if (tallies[i].is_told || is_signature)
			put_tally((ReturnSetInfo *) fcinfo->resultinfo,
					  TupleDescAttr(RelationGetDescr(rel), i), &tallies[i],
					  is_signature && with_ledger ?
					  ledger_verdict(rel, signing, &tallies[i], with_digest ? &digest : NULL,
									 snapshot) : NULL);
	}
	UnregisterSnapshot(snapshot);
	close_tables(tables);
	relation_close(rel, NoLock);
	return (Datum) 0;
}

/* ledger_digest("table" regclass) → pgseal.digest */
Datum
pgseal_ledger_digest_of_table(PG_FUNCTION_ARGS)
{
	Relation	rel = open_table(PG_GETARG_OID(0));
	PgsealSigning *signing;
	PgsealLedgerDigest digest;
	TupleDesc	desc;
	Datum		values[6];
	bool		nulls[6] = {false};
	bytea	   *hash = palloc(VARHDRSZ + PGSEAL_HASH_BYTES);
	bytea	   *hmac = palloc(VARHDRSZ + sizeof(uint64) + PGSEAL_HASH_BYTES);
	uint64		id_be;

	check_verifiable(rel);
	PreventCommandIfReadOnly("pgseal.ledger_digest()");
	PreventCommandDuringRecovery("pgseal.ledger_digest()");
	signing = require_signing(rel);
	check_has_ledger(rel, signing);
	digest = pgseal_ledger_digest(signing->ledger, signing->key_hash);
	relation_close(rel, NoLock);

	SET_VARSIZE(hash, VARHDRSZ + PGSEAL_HASH_BYTES);
	memcpy(VARDATA(hash), digest.hash, PGSEAL_HASH_BYTES);
	id_be = pg_hton64((uint64) digest.key_version_id);
	SET_VARSIZE(hmac, VARHDRSZ + sizeof(id_be) + PGSEAL_HASH_BYTES);
	memcpy(VARDATA(hmac), &id_be, sizeof(id_be));
	memcpy(VARDATA(hmac) + sizeof(id_be), digest.mac, PGSEAL_HASH_BYTES);
	values[0] = Int64GetDatum(digest.ledger);
	values[1] = Int64GetDatum(digest.number);
	values[2] = LSNGetDatum(digest.lsn);
	values[3] = Int64GetDatum(digest.rows);
	values[4] = PointerGetDatum(hash);
	values[5] = PointerGetDatum(hmac);
	if (get_call_result_type(fcinfo, NULL, &desc) != TYPEFUNC_COMPOSITE)
		elog(ERROR, "return type must be a row type");
	PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(BlessTupleDesc(desc), values, nulls)));
}

/*
 * tampered_rows()
 */

static const char *
reason(PgsealSignatureStatus status)
{
	switch (status)
	{
		case PGSEAL_SIGNATURE_MISSING:
			return "unsigned";
		case PGSEAL_SIGNATURE_OLD:
			return "old definition";
		case PGSEAL_SIGNATURE_GOOD:
		case PGSEAL_SIGNATURE_FORGED:
			break;
	}
	return "forged";
}

typedef struct TamperedSearch
{
	ReturnSetInfo *result;
	Relation	rel;
	const PgsealSigning *signing;
	List	   *definitions;	/* of all tables, as PgsealToldDefinition */
} TamperedSearch;

static bool
signs_column(const PgsealSigning *signing, const char *name)
{
	for (int i = 0; i < signing->newest->num_columns; i++)
		if (strcmp(signing->newest->columns[i].name, name) == 0)
			return true;
	return false;
}

/* Would it be good if this were the table? */
static bool
is_good_by(TamperedSearch *search, TupleTableSlot *row, const PgsealToldDefinition *told)
{
	PgsealSigning other = *search->signing;
	StringInfoData body;

	if (strcmp(told->key, search->signing->key) != 0 || told->num_columns == 0)
		return false;
	for (int i = 0; i < told->num_columns; i++)
		if (!signs_column(search->signing,
						  told->columns[(i + 1) * PGSEAL_SIGN_ARGUMENTS_OF_COLUMN - 1]))
			return false;
	other.newest = pgseal_definition_read(search->rel, told->table_label, told->number,
										  told->columns, told->num_columns);
	other.former = NULL;
	initStringInfo(&body);
	return pgseal_signing_verify_row(&other, row->tts_values, row->tts_isnull,
									 &body) == PGSEAL_SIGNATURE_GOOD;
}

/* A row of a table with such columns, signed under the same key */
static bool
is_of_other_table(TamperedSearch *search, TupleTableSlot *row, PgsealSignatureStatus status)
{
	ListCell   *lc;

	if (status != PGSEAL_SIGNATURE_OLD && status != PGSEAL_SIGNATURE_FORGED)
		return false;
	foreach(lc, search->definitions)
		if (is_good_by(search, row, lfirst(lc)))
			return true;
	return false;
}

static void
put_tampered(TamperedSearch *search, TupleTableSlot *row, PgsealSignatureStatus status)
{
	char	   *key = pgseal_verify_describe_key(search->rel, row->tts_values, row->tts_isnull);
	Datum		values[4] = {0};
	bool		nulls[4] = {false};

	values[0] = ObjectIdGetDatum(RelationGetRelid(search->rel));
	values[1] = PointerGetDatum(&row->tts_tid);
	nulls[2] = (key == NULL);
	if (key != NULL)
		values[2] = CStringGetTextDatum(key);
	values[3] = CStringGetTextDatum(is_of_other_table(search, row, status) ? "other table" :
									reason(status));
	tuplestore_putvalues(search->result->setResult, search->result->setDesc, values, nulls);
}

/* PgsealRowVisitor */
static void
look_for_tampering(TupleTableSlot *row, void *context)
{
	TamperedSearch *search = context;
	PgsealSignatureStatus status = status_of(search->signing, row);

	if (status != PGSEAL_SIGNATURE_GOOD)
		put_tampered(search, row, status);
}

/* tampered_rows("table" regclass) → partition, row, key, reason */
Datum
pgseal_tampered_rows(PG_FUNCTION_ARGS)
{
	Relation	rel = open_table(PG_GETARG_OID(0));
	List	   *tables = open_tables(rel);
	List	   *definitions;
	ListCell   *lc;

	(void) require_signing(rel);
	definitions = pgseal_signed_definitions();
	InitMaterializedSRF(fcinfo, 0);
	foreach(lc, tables)
	{
		TamperedSearch search = {.result = (ReturnSetInfo *) fcinfo->resultinfo,
		.rel = lfirst(lc), .signing = require_signing(lfirst(lc)), .definitions = definitions};

		pgseal_scan_rows(lfirst(lc), GetActiveSnapshot(), look_for_tampering, &search);
	}
	close_tables(tables);
	relation_close(rel, AccessShareLock);
	return (Datum) 0;
}
