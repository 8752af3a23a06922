/*-------------------------------------------------------------------------
 *
 * plan.c
 *	  What keeps a column from being converted; has the table changed since?
 *
 * Everything that depends on the column stands in pg_depend.  What PostgreSQL
 * carries over when a column changes its type is let through: defaults, checks,
 * comments, privileges, sequences that belong to it.  So are indexes on nothing
 * but the column, for which switch.c makes others.  The rest would be
 * lost or would mean something else, and is named in one error, before any work
 * is done, and again right before the switch.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_opfamily.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/as_owner.h"
#include "base/citus.h"
#include "base/compat.h"
#include "base/spi_query.h"
#include "convert/convert.h"
#include "ddl/brin_networks.h"
#include "ddl/refuse.h"
#include "sealed/access.h"
#include "search/stored_expressions.h"
#include "value/owner_usage.h"

/*
 * Indexes on the column alone
 */

static bool
predicate_uses(Relation index, AttrNumber attnum)
{
	Bitmapset  *columns = NULL;

	pull_varattnos((Node *) pgseal_stored_index_predicate(index), 1, &columns);
	return bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, columns);
}

/* Is it blind_index(column), without a normalizer and without bits? */
static bool
is_plain_token(Node *expr, AttrNumber attnum)
{
	Var		   *column = pgseal_stored_column(expr);

	return column != NULL && column->varattno == attnum &&
		list_length(((FuncExpr *) expr)->args) == 1;
}

bool
pgseal_convert_is_for_patterns(Relation index)
{
	return pgseal_sealed_is_method(index->rd_rel->relam) ? pgseal_sealed_is_for_patterns(index) :
		index->rd_opfamily[0] == TEXT_PATTERN_BTREE_FAM_OID;
}

/* The family of a type's default class of BRIN; before version 1.1 ours have none */
static Oid
brin_family(Oid type)
{
	Oid			opclass = GetDefaultOpClass(type, BRIN_AM_OID);

	return OidIsValid(opclass) ? get_opclass_family(opclass) : InvalidOid;
}

/*
 * By the default class of its column, when the column's new type has one, too; or by that
 * of inet which is like ours
 */
static bool
stays_brin(const PgsealConversion *conversion, Relation index)
{
	return index->rd_rel->relam == BRIN_AM_OID &&
		(index->rd_opfamily[0] == brin_family(index->rd_opcintype[0]) ||
		 pgseal_brin_is_inet_minmax(index, 0)) &&
		OidIsValid(brin_family(conversion->encrypts ? conversion->type->oid :
							   conversion->type->base->oid));
}

/*
 * A btree that is not unique keeps its order, in a sealed index; a unique one becomes
 * a blind index.  Hash indexes and BRIN stay what they are, but for those of networks.
 */
static PgsealNewIndex
new_encrypted_index(const PgsealConversion *conversion, Relation index)
{
	if (index->rd_index->indkey.values[0] != conversion->attnum)
		return PGSEAL_NO_NEW_INDEX;
	if (index->rd_rel->relam == HASH_AM_OID || stays_brin(conversion, index))
		return PGSEAL_NEW_LIKE_INDEX;
	if (index->rd_rel->relam != BTREE_AM_OID)
		return PGSEAL_NO_NEW_INDEX;
	return index->rd_index->indisunique || index->rd_opcintype[0] == JSONBOID ?
		PGSEAL_NEW_BLIND_INDEX : PGSEAL_NEW_SEALED_INDEX;
}

static PgsealNewIndex
new_plain_index(const PgsealConversion *conversion, Relation index)
{
	AttrNumber	attnum = index->rd_index->indkey.values[0];

	if (attnum == 0)
		return index->rd_rel->relam == BTREE_AM_OID &&
			is_plain_token(linitial(pgseal_stored_index_expressions(index)), conversion->attnum) ?
			PGSEAL_NEW_BTREE_OF_TOKENS : PGSEAL_NO_NEW_INDEX;
	if (attnum != conversion->attnum)
		return PGSEAL_NO_NEW_INDEX;
	if (index->rd_rel->relam == HASH_AM_OID || stays_brin(conversion, index))
		return PGSEAL_NEW_LIKE_INDEX;
	return pgseal_sealed_is_method(index->rd_rel->relam) && pgseal_sealed_is_ordered(index) ?
		PGSEAL_NEW_BTREE : PGSEAL_NO_NEW_INDEX;
}

PgsealNewIndex
pgseal_convert_new_index(const PgsealConversion *conversion, Relation index)
{
	Form_pg_index form = index->rd_index;

	if (form->indnatts != 1 || form->indisexclusion || predicate_uses(index, conversion->attnum))
		return PGSEAL_NO_NEW_INDEX;
	return conversion->encrypts ? new_encrypted_index(conversion, index) :
		new_plain_index(conversion, index);
}

bool
pgseal_convert_replaces_index(const PgsealConversion *conversion, Oid relid)
{
	Relation	index = index_open(relid, AccessShareLock);
	bool		result = pgseal_convert_new_index(conversion, index) != PGSEAL_NO_NEW_INDEX;

	index_close(index, NoLock);
	return result;
}

static Datum
replaced_indexes(const PgsealConversion *conversion)
{
	Relation	rel = table_open(conversion->relid, NoLock);
	List	   *indexes = RelationGetIndexList(rel);
	Datum	   *oids = palloc(Max(list_length(indexes), 1) * sizeof(Datum));
	int			num = 0;
	ListCell   *lc;

	foreach(lc, indexes)
		if (pgseal_convert_replaces_index(conversion, lfirst_oid(lc)))
			oids[num++] = ObjectIdGetDatum(lfirst_oid(lc));
	table_close(rel, NoLock);
	return PointerGetDatum(construct_array(oids, num, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/*
 * Obstacles
 */

/* Of the table; $1 is the table */
#define TABLE_OBSTACLES \
	"SELECT 'it is a partitioned table' FROM pg_class WHERE oid = $1 AND relkind <> 'r'" \
	" UNION ALL SELECT 'it is a temporary table' FROM pg_class WHERE oid = $1 AND relpersistence = 't'" \
	" UNION ALL SELECT 'its access method is not heap' FROM pg_class c JOIN pg_am a ON a.oid = c.relam" \
	"  WHERE c.oid = $1 AND c.relkind = 'r' AND amname <> 'heap'" \
	" UNION ALL SELECT 'it is a system table' FROM pg_class" \
	"  WHERE oid = $1 AND (oid < 16384 OR relnamespace = 'pgseal'::regnamespace)" \
	" UNION ALL SELECT 'it has a composite type of its own' FROM pg_class WHERE oid = $1 AND reloftype <> 0" \
	" UNION ALL SELECT DISTINCT 'it has parents, children or partitions' FROM pg_inherits" \
	"  WHERE inhrelid = $1 OR inhparent = $1" \
	" UNION ALL SELECT 'it has no primary key, by which its rows are followed: give it one' WHERE NOT EXISTS" \
	"  (SELECT FROM pg_index JOIN pg_class c ON c.oid = indexrelid JOIN pg_am a ON a.oid = c.relam" \
	"   WHERE indrelid = $1 AND indisprimary AND amname = 'btree')" \
	" UNION ALL SELECT 'its primary key is deferrable' FROM pg_index" \
	"  WHERE indrelid = $1 AND indisprimary AND NOT indimmediate" \
	" UNION ALL SELECT format('index %s is not valid', indexrelid::regclass) FROM pg_index" \
	"  WHERE indrelid = $1 AND NOT indisvalid" \
	" UNION ALL SELECT format('column %I of table %s has the table''s row type', attname, attrelid::regclass)" \
	"  FROM pg_attribute JOIN pg_class t ON t.oid = $1 JOIN pg_type r ON r.oid = t.reltype" \
	"  JOIN pg_class c ON c.oid = attrelid" \
	"  WHERE atttypid IN (r.oid, r.typarray) AND NOT attisdropped AND c.relkind IN ('r', 'p', 'm', 'f')"

/* Of the column; $2 is its number, and $3 has the indexes that are replaced */
#define COLUMN_OBSTACLES \
	" UNION ALL SELECT 'the column is an identity column' FROM pg_attribute" \
	"  WHERE attrelid = $1 AND attnum = $2 AND attidentity <> ''" \
	" UNION ALL SELECT 'the column is generated' FROM pg_attribute" \
	"  WHERE attrelid = $1 AND attnum = $2 AND attgenerated <> ''" \
	" UNION ALL SELECT format('index %s is the replica identity', indexrelid::regclass) FROM pg_index" \
	"  WHERE indrelid = $1 AND indexrelid = ANY ($3) AND indisreplident" \
	" UNION ALL SELECT DISTINCT pg_describe_object(classid, objid, objsubid) || ' uses the column'" \
	"  FROM pg_depend WHERE refclassid = 'pg_class'::regclass AND refobjid = $1 AND refobjsubid = $2" \
	"   AND NOT (classid = 'pg_attrdef'::regclass AND EXISTS" \
	"    (SELECT FROM pg_attrdef d WHERE d.oid = objid AND d.adrelid = $1 AND d.adnum = $2))" \
	"   AND NOT (classid = 'pg_constraint'::regclass AND EXISTS" \
	"    (SELECT FROM pg_constraint c WHERE c.oid = objid AND c.conrelid = $1 AND c.contype IN ('c', 'n')))" \
	"   AND NOT (classid = 'pg_class'::regclass AND (objid = ANY ($3) OR EXISTS" \
	"    (SELECT FROM pg_class s WHERE s.oid = objid AND s.relkind = 'S')))" \
	"   AND NOT (classid = 'pg_class'::regclass AND objid = $1)"

/* A type that can't be sealed as it is, and what to do about it */
static char *
type_obstacle(Oid relid, AttrNumber attnum)
{
	char	   *table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
												   get_rel_name(relid));
	const char *column = quote_identifier(get_attname(relid, attnum, false));
	Oid			type;
	int32		typmod;
	Oid			collation;
	const char *plain = NULL;

	get_atttypetypmodcoll(relid, attnum, &type, &typmod, &collation);
	if (type == BPCHAROID || (type == VARCHAROID && typmod != -1))
		plain = "text";
	else if (type == JSONOID)
		plain = "jsonb";
	else if (typmod != -1)
		plain = format_type_be(type);
	if (plain != NULL)
		return psprintf("an encrypted column cannot be %s: first ALTER TABLE %s ALTER COLUMN %s TYPE %s%s",
						format_type_with_typemod(type, typmod), table, column, plain,
						typmod != -1 ? ", and keep the rule in a CHECK" : "");
	if (pgseal_type_by_base(type == VARCHAROID ? TEXTOID : type) == NULL)
		return psprintf("there is no encrypted type for %s", format_type_be(type));
	return NULL;
}

/* Its files would be exchanged, and each row stay as it is. */
static void
check_not_sharded(const PgsealConversion *conversion)
{
	if (pgseal_is_citus_table(conversion->relid))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s column \"%s\" of table \"%s\" while the table is in use",
						conversion->encrypts ? "encrypt" : "decrypt",
						get_attname(conversion->relid, conversion->attnum, false),
						get_rel_name(conversion->relid)),
				 errdetail("It is a table of Citus, whose rows are in its shards."),
				 errhint("Take it back with undistribute_table(), convert the column, and distribute it again.")));
}

void
pgseal_convert_check(const PgsealConversion *conversion)
{
	PgsealQuerySession session;
	Datum		replaced = replaced_indexes(conversion);
	char	   *of_type = pgseal_convert_signed_obstacle(conversion);
	MemoryContext context = CurrentMemoryContext;
	StringInfoData list;
	uint64		num;

	check_not_sharded(conversion);
	if (conversion->encrypts)
		pgseal_refuse_triggers_of(conversion->relid,
								  get_attname(conversion->relid, conversion->attnum, false));
	if (of_type == NULL && conversion->encrypts)
		of_type = type_obstacle(conversion->relid, conversion->attnum);
	pgseal_query_begin(&session);
	num = pgseal_query(TABLE_OBSTACLES COLUMN_OBSTACLES, 3,
					   OIDOID, ObjectIdGetDatum(conversion->relid),
					   INT2OID, Int16GetDatum(conversion->attnum),
					   OIDARRAYOID, replaced);
	MemoryContextSwitchTo(context);
	initStringInfo(&list);
	if (of_type != NULL)
		appendStringInfoString(&list, of_type);
	for (uint64 i = 0; i < num; i++)
		appendStringInfo(&list, "%s%s", list.len > 0 ? "\n" : "", pgseal_query_text(i, 1));
	pgseal_query_end(&session);
	if (list.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot %s column \"%s\" of table \"%s\" while the table is in use",
						conversion->encrypts ? "encrypt" : "decrypt",
						get_attname(conversion->relid, conversion->attnum, false),
						get_rel_name(conversion->relid)),
				 errdetail("%s", list.data),
				 errhint("Drop what uses the column and make it again afterwards, or use ALTER TABLE ... ALTER COLUMN ... TYPE, which locks the table.")));
}

/* The longest value, in bytes; only texts and bytea are long and have a btree */
static int64
longest_value(const PgsealConversion *conversion)
{
	Oid			base = conversion->type->base->oid;
	PgsealQuerySession session;
	PgsealCaller caller;
	int64		longest;

	if (base != TEXTOID && base != BYTEAOID)
		return 0;
	pgseal_query_begin(&session);
	/* To plan it evaluates parts of index expressions */
	pgseal_as_owner_begin(&caller, pgseal_relation_owner(conversion->relid));
	(void) pgseal_query(psprintf("SELECT max(octet_length(%s)) FROM %s",
								 quote_identifier(get_attname(conversion->relid,
															  conversion->attnum, false)),
								 quote_qualified_identifier(get_namespace_name(get_rel_namespace(conversion->relid)),
															get_rel_name(conversion->relid))), 0);
	pgseal_as_owner_end(&caller);
	longest = pgseal_query_int64(0, 1);
	pgseal_query_end(&session);
	return longest;
}

/* Before hours of copying: will the values go into the sealed indexes to be? */
void
pgseal_convert_check_lengths(const PgsealConversion *conversion)
{
	Relation	table = table_open(conversion->relid, AccessShareLock);
	int			limit = pgseal_sealed_value_limit();
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		char	   *name = pstrdup(RelationGetRelationName(index));
		bool		is_sealed = pgseal_convert_new_index(conversion, index) == PGSEAL_NEW_SEALED_INDEX;
		int64		longest;

		index_close(index, NoLock);
		if (!is_sealed || (longest = longest_value(conversion)) <= limit)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("value of " INT64_FORMAT " bytes is too long for the sealed index that would replace index \"%s\" (at most %d)",
						longest, name, limit),
				 errhint("Drop it first. Afterwards make a sealed index WITH (node_size = 8192), one of trigrams, or a blind index.")));
	}
	table_close(table, NoLock);
}

/*
 * The digest.  xmin tells of a trigger that was disabled and enabled again.
 */

#define SHAPE_OF(rel) \
	"(SELECT (relfilenode, reltablespace, relam, relowner, relpersistence, relnatts, relkind, reloptions)::text" \
	"  FROM pg_class WHERE oid = " rel ")," \
	"(SELECT string_agg((attnum, atttypid, atttypmod, attlen, attalign, attbyval, attcollation, attnotnull," \
	"   attisdropped, attidentity, attgenerated)::text, '' ORDER BY attnum)" \
	"  FROM pg_attribute WHERE attrelid = " rel " AND attnum > 0)," \
	"(SELECT string_agg((indexrelid, indisunique, indisprimary, indisvalid, indisready, relname," \
	"   reltablespace, reloptions, pg_get_indexdef(indexrelid))::text, '' ORDER BY indexrelid)" \
	"  FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = " rel ")"

char *
pgseal_convert_shape(const PgsealConversion *conversion)
{
	PgsealQuerySession session;
	MemoryContext context = CurrentMemoryContext;
	char	   *digest;

	/* old_index: tokens of an index key that is being replaced */
	pgseal_query_begin(&session);
	(void) pgseal_query("SELECT encode(sha256(convert_to(concat(" SHAPE_OF("$1") "," SHAPE_OF("$2") ","
						"(SELECT string_agg((oid, xmin, tgenabled)::text, '' ORDER BY oid) FROM pg_trigger"
						"  WHERE tgrelid IN ($1, $2) AND tgfoid IN"
						"   ('pgseal_internal.note_change'::regproc, 'pgseal_internal.refuse_change'::regproc,"
						"    'pgseal.sign_row'::regproc)),"
						"(SELECT count(*) FROM pgseal_internal.old_index o JOIN pg_class c"
						"  ON c.oid = o.index AND c.relfilenode = o.file"
						"  JOIN pg_index ON indexrelid = c.oid WHERE indrelid = $2)), 'UTF8')), 'hex')", 2,
						OIDOID, ObjectIdGetDatum(conversion->relid),
						OIDOID, ObjectIdGetDatum(conversion->copy));
	digest = MemoryContextStrdup(context, pgseal_query_text(0, 1));
	pgseal_query_end(&session);
	return digest;
}
