/*-------------------------------------------------------------------------
 *
 * census.c
 *	  Where values are that key versions have sealed.
 *
 * Tables are read from end to end, but of each value only its header, which
 * names the key version.  Nothing is opened, so this works without the KMS.
 *
 * A constant in a stored expression (the default of a column, a view) holds a
 * sealed value, too.  It lies there as the text of a node tree, where the bytes
 * of the id can be searched for; in the body of a function, as base64.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "port/pg_bswap.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/brief_lock.h"
#include "base/compat.h"
#include "base/scan_rows.h"
#include "base/spi_query.h"
#include "life/census.h"
#include "signed/signed_holders.h"
#include "signed/signing.h"
#include "value/find_sealed.h"
#include "value/seal.h"

typedef struct Census
{
	PgsealCensus *out;
	StringInfoData places;
	const int64 *ids;
	int			num_ids;
} Census;

static void
add_place(Census *census, const char *place)
{
	appendStringInfo(&census->places, "%s%s", census->places.len > 0 ? "\n" : "", place);
}

/*
 * Tables
 */

static bool
is_counted(const Census *census, int64 key_version_id)
{
	for (int i = 0; i < census->num_ids; i++)
		if (key_version_id == census->ids[i])
			return true;
	return false;
}

typedef struct ColumnCount
{
	const Census *census;
	int64		values;
} ColumnCount;

/* PgsealValueVisitor */
static struct varlena *
count_value(Datum sealed, const PgsealShape *shape, void *context)
{
	ColumnCount *column = context;
	PgsealEnvelope envelope;

	if (pgseal_value_try_header(&envelope, sealed) &&
		is_counted(column->census, envelope.key_version_id))
		column->values++;
	return NULL;
}

typedef struct TableCount
{
	PgsealShape **shapes;		/* may be NULL */
	AttrNumber	signature;		/* the column that has one, or
								 * InvalidAttrNumber */
	ColumnCount **columns;
} TableCount;

/* PgsealRowVisitor */
static void
count_row(TupleTableSlot *row, void *context)
{
	TableCount *table = context;
	ColumnCount *column;
	Datum		signature;
	bool		isnull;

	pgseal_shape_visit_row(table->shapes, row, count_value, (void **) table->columns);
	if (table->signature == InvalidAttrNumber)
		return;
	column = table->columns[table->signature - 1];
	signature = slot_getattr(row, table->signature, &isnull);
	if (!isnull &&
		is_counted(column->census, pgseal_signature_key_version(DatumGetSignature(signature))))
		column->values++;
}

static void
count_table(Census *census, Relation rel)
{
	TupleDesc	desc = RelationGetDescr(rel);
	TableCount	table = {.shapes = pgseal_shape_of_row(desc)};
	Snapshot	snapshot;

	if (pgseal_signing_trigger(rel) != NULL)
		table.signature = pgseal_signing_column(desc);
	if (table.shapes == NULL && table.signature == InvalidAttrNumber)
		return;
	table.columns = palloc(desc->natts * sizeof(ColumnCount *));
	for (int i = 0; i < desc->natts; i++)
	{
		table.columns[i] = palloc0(sizeof(ColumnCount));
		table.columns[i]->census = census;
	}
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	pgseal_scan_rows(rel, snapshot, count_row, &table);
	UnregisterSnapshot(snapshot);
	for (int i = 0; i < desc->natts; i++)
	{
		if (table.columns[i]->values == 0)
			continue;
		census->out->values += table.columns[i]->values;
		census->out->columns++;
		add_place(census, psprintf("column %s of table %s: " INT64_FORMAT " values",
								   quote_identifier(NameStr(TupleDescAttr(desc, i)->attname)),
								   quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
															  RelationGetRelationName(rel)),
								   table.columns[i]->values));
	}
}

static bool
is_readable(const PgsealHolder *holder)
{
	return !holder->opaque && !holder->sharded && holder->relkind != RELKIND_FOREIGN_TABLE &&
		!(holder->persistence == RELPERSISTENCE_TEMP && isOtherTempNamespace(holder->schema));
}

/*
 * The tables that may hold values of the key, locked; nobody queues for long behind
 * that.  Meanwhile, who had one locked may have put values into a table that is new,
 * so this goes on until there is none.
 */
static List *
lock_holders(int32 key_hash, LOCKMODE lockmode)
{
	List	   *locked = NIL;
	List	   *holders;
	List	   *new;
	ListCell   *lc;

	do
	{
		AcceptInvalidationMessages();
		holders = new = NIL;
		foreach(lc, pgseal_signed_holders())
		{
			PgsealHolder *holder = lfirst(lc);

			if (!pgseal_shape_may_hold(holder, key_hash))
				continue;
			holders = lappend(holders, holder);
			if (is_readable(holder) && !list_member_oid(locked, holder->relid))
				new = lappend_oid(new, holder->relid);
		}
		if (new != NIL)
			pgseal_lock_briefly(new, lockmode);
		locked = list_concat(locked, new);
	} while (new != NIL);
	return holders;
}

static void
look_into(Census *census, const PgsealHolder *holder)
{
	bool		readable = is_readable(holder);
	Relation	rel = readable ? try_relation_open(holder->relid, NoLock) : NULL;

	if (rel != NULL)
	{
		count_table(census, rel);
		relation_close(rel, NoLock);
	}
	else if (!readable)
	{
		if (holder->sharded)
			census->out->sharded++;
		else
			census->out->unseen++;
		add_place(census, psprintf(holder->sharded ? "table %s is a table of Citus, whose shards other nodes have" :
								   "table %s cannot be looked into",
								   quote_qualified_identifier(get_namespace_name(holder->schema),
															  get_rel_name(holder->relid))));
	}
}

/*
 * Stored expressions
 */

/* The bytes of an id as outfuncs.c writes those of a constant */
static char *
id_in_node_tree(int64 id)
{
	uint64		id_be = pg_hton64((uint64) id);
	const char *bytes = (const char *) &id_be;
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < sizeof(id_be); i++)
		appendStringInfo(&text, " %d", (int) bytes[i]);
	appendStringInfoChar(&text, ' ');
	return text.data;
}

/*
 * What sealed text forms of a version have in common at a fixed place: the
 * base64 of bytes 3 to 8 of the envelope, which are bytes 1 to 6 of the id.
 */
static char *
id_in_text(int64 id)
{
	uint8		bytes[PGSEAL_ENVELOPE_OVERHEAD] = {0};
	uint64		id_be = pg_hton64((uint64) id);
	char		text[128];

	memcpy(bytes + 2, &id_be, sizeof(id_be));
	Assert(pgseal_envelope_text_size(sizeof(bytes)) <= sizeof(text));
	pgseal_envelope_to_text(text, bytes, sizeof(bytes));
	return pnstrdup(text + strlen(PGSEAL_TEXT_PREFIX) + 4, 8);
}

static void
find_constants(Census *census, int64 id)
{
	static const char *const sql =
		"WITH tree (class, id, sub, expression) AS ("
		" SELECT 'pg_attrdef'::regclass, oid, 0, adbin::text FROM pg_attrdef"
		" UNION ALL SELECT 'pg_rewrite'::regclass, oid, 0, ev_action::text || ev_qual::text FROM pg_rewrite"
		" UNION ALL SELECT 'pg_constraint'::regclass, oid, 0, conbin::text FROM pg_constraint"
		" UNION ALL SELECT 'pg_proc'::regclass, oid, 0, concat(proargdefaults, prosqlbody) FROM pg_proc"
		" UNION ALL SELECT 'pg_trigger'::regclass, oid, 0, tgqual::text FROM pg_trigger"
		" UNION ALL SELECT 'pg_policy'::regclass, oid, 0, concat(polqual, polwithcheck) FROM pg_policy"
		" UNION ALL SELECT 'pg_type'::regclass, oid, 0, typdefaultbin::text FROM pg_type"
		" UNION ALL SELECT 'pg_class'::regclass, indexrelid, 0, concat(indexprs, indpred) FROM pg_index"
		" UNION ALL SELECT 'pg_class'::regclass, oid, 0, relpartbound::text FROM pg_class"
		" UNION ALL SELECT 'pg_class'::regclass, partrelid, 0, partexprs::text FROM pg_partitioned_table"
		" UNION ALL SELECT 'pg_statistic_ext'::regclass, oid, 0, stxexprs::text FROM pg_statistic_ext"
		" UNION ALL SELECT 'pg_publication_rel'::regclass, oid, 0, prqual::text FROM pg_publication_rel"
		"), source (class, id, sub, text) AS ("
		" SELECT 'pg_proc'::regclass, oid, 0, prosrc FROM pg_proc"
		" UNION ALL SELECT 'pg_type'::regclass, oid, 0, typdefault FROM pg_type"
		" UNION ALL SELECT 'pg_class'::regclass, attrelid, attnum, attmissingval::text FROM pg_attribute"
		"  WHERE attmissingval IS NOT NULL)"
		" SELECT pg_describe_object(class, id, sub) FROM tree WHERE strpos(expression, $1) > 0"
		" UNION SELECT pg_describe_object(class, id, sub) FROM source WHERE strpos(text, $2) > 0"
		" ORDER BY 1";
	uint64		num;

	num = pgseal_query(sql, 2,
					   TEXTOID, CStringGetTextDatum(id_in_node_tree(id)),
					   TEXTOID, CStringGetTextDatum(id_in_text(id)));
	for (uint64 i = 0; i < num; i++)
	{
		census->out->constants++;
		add_place(census, psprintf("a constant in %s", pgseal_query_text(i, 1)));
	}
}

/* Records of ledgers are lost with a version, too */
static void
count_records(Census *census, int64 id)
{
	int64		num;

	(void) pgseal_query("SELECT pg_catalog.count(*) FROM pgseal.ledger WHERE key_version_id = $1", 1,
						INT8OID, Int64GetDatum(id));
	num = pgseal_query_int64(0, 1);
	if (num == 0)
		return;
	census->out->values += num;
	add_place(census, psprintf("ledgers of signed tables: " INT64_FORMAT " records", num));
}

void
pgseal_census_take(PgsealCensus *out_census, int32 key_hash, const int64 *ids, int num,
				   LOCKMODE lockmode)
{
	PgsealQuerySession session;
	Census		census = {.out = out_census, .ids = ids, .num_ids = num};
	ListCell   *lc;

	memset(out_census, 0, sizeof(*out_census));
	initStringInfo(&census.places);
	foreach(lc, lock_holders(key_hash, lockmode))
		look_into(&census, lfirst(lc));
	pgseal_query_begin(&session);
	for (int i = 0; i < num; i++)
	{
		count_records(&census, ids[i]);
		find_constants(&census, ids[i]);
	}
	pgseal_query_end(&session);
	out_census->places = census.places.data;
}
