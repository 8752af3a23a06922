/*-------------------------------------------------------------------------
 *
 * rotate_index_key.c
 *	  Replacing an index key; which index serves equality.
 *
 * An index key is replaced in three steps:
 *
 *	 1. rotate_index_key(): from its commit on, tokens are made under the new
 *		version, and lookups search for tokens of both.
 *	 2. Old tokens go: indexes by REINDEX INDEX CONCURRENTLY, generated columns
 *		by updating the rows.  (Sealed indexes and BRIN hold none; step 3 seals their
 *		nodes and summaries anew.)
 *	 3. retire_index_key() sees that none is left, and destroys the old version.
 *
 * No lookup may miss: whoever has planned with one version in mind, or would
 * still write under the old one alone, holds a lock on the table; step 1 and 3
 * take the tables exclusively, for a moment (brief_lock.h), and PostgreSQL lets
 * nobody touch them again who hasn't heard of the change.  A lock on the
 * key keeps new tables from appearing meanwhile (ddl.c).
 *
 * Uniqueness may not be lost: a unique index with tokens of two versions would
 * take the same value twice.  So unique indexes are rebuilt within step 1, while
 * the table is locked (about a microsecond a row).  A unique generated column,
 * perhaps with foreign keys that point to it, can't be recomputed like that;
 * step 1 refuses and says so.
 *
 * Which indexes have old tokens is remembered by their file: pgseal_internal.old_index
 * holds each non-unique index of step 1, and an index is done when it is gone or
 * has got another file.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/relation.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "fmgr.h"
#include "nodes/nodeFuncs.h"
#include "rewrite/rewriteHandler.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/regproc.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

#include "base/brief_lock.h"
#include "base/compat.h"
#include "base/scan_rows.h"
#include "base/spi_query.h"
#include "keys/drop.h"
#include "keys/keyring.h"
#include "sealed/access.h"
#include "search/stored_expressions.h"
#include "search/token_constants.h"

PG_FUNCTION_INFO_V1(pgseal_rotate_index_key);
PG_FUNCTION_INFO_V1(pgseal_retire_index_key);
PG_FUNCTION_INFO_V1(pgseal_equality_index);

/*
 * Tables with a column under this key, or under any, in the order of their
 * OIDs.
 */
static List *
tables_of_key(int32 key_hash)
{
	MemoryContext caller = CurrentMemoryContext;
	PgsealQuerySession session;
	List	   *tables = NIL;
	uint64		num;

	pgseal_query_begin(&session);
	num = pgseal_query("SELECT DISTINCT a.attrelid FROM pg_attribute a"
					   " JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid"
					   " WHERE (a.atttypmod IN ($1, 0) OR t.typtypmod IN ($1, 0))"
					   " AND c.relkind IN ('r', 'p', 'm') AND a.attnum > 0"
					   " AND a.atttypid >= 16384 AND NOT a.attisdropped ORDER BY 1", 1,
					   INT4OID, Int32GetDatum(key_hash));
	MemoryContextSwitchTo(caller);
	for (uint64 i = 0; i < num; i++)
		tables = lappend_oid(tables, (Oid) pgseal_query_int64(i, 1));
	pgseal_query_end(&session);
	return tables;
}

/* Does it hold tokens of this key?  Those of a '*' column may be of any. */
static bool
has_tokens_of(Node *expr, int32 key_hash)
{
	return pgseal_stored_has_tokens(expr, key_hash) ||
		pgseal_stored_has_tokens(expr, PGSEAL_TYPMOD_ANY);
}

/* A generated column that holds tokens */
static bool
column_has_tokens(Relation table, AttrNumber attnum, int32 key_hash)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(table), attnum - 1);

	return !attribute->attisdropped && attribute->attgenerated != '\0' &&
		has_tokens_of(pgseal_stored_generation(table, attnum), key_hash);
}

static bool
index_stores_column_tokens(Relation table, Relation index, int32 key_hash)
{
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		AttrNumber	attnum = index->rd_index->indkey.values[i];

		if (attnum > 0 && column_has_tokens(table, attnum, key_hash))
			return true;
	}
	return false;
}

static char *
qualified_name(Oid relation)
{
	return quote_qualified_identifier(get_namespace_name(get_rel_namespace(relation)),
									  get_rel_name(relation));
}

/* What calls a function that may make tokens can't be said to have been replaced. */
static void
refuse_foreign_call(Node *expr, int32 key_hash, const char *what, const char *name)
{
	Oid			function = pgseal_stored_foreign_call(expr, key_hash);

	if (OidIsValid(function))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the index key while %s \"%s\" calls function %s of an encrypted column",
						what, name, format_procedure(function)),
				 errdetail("The function may make tokens, which would stay under the old index key."),
				 errhint("Call blind_index() itself there, or drop it first and make it again afterwards.")));
}

/* Rows would have to go to other partitions. */
static void
refuse_partition_key(Relation table, int32 key_hash)
{
	PgsealPartitionKey key = pgseal_stored_partition_key(table);
	bool		has_tokens;

	refuse_foreign_call((Node *) key.expressions, key_hash, "partitioned table",
						RelationGetRelationName(table));
	has_tokens = has_tokens_of((Node *) key.expressions, key_hash);
	for (int i = 0; i < key.num_columns && !has_tokens; i++)
		has_tokens = key.columns[i] > 0 && column_has_tokens(table, key.columns[i], key_hash);
	if (has_tokens)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the index key while table \"%s\" is partitioned by tokens",
						RelationGetRelationName(table)),
				 errdetail("Rows lie in the partitions that their tokens under the old index key belong to."),
				 errhint("Partition by another expression, or by hash of the encrypted column itself.")));
}

/* Anything but tokens: a column, a constant, what a function knows */
static bool
other_than_tokens_walker(Node *node, void *context)
{
	if (node == NULL || pgseal_stored_value_call(node) != NULL)
		return false;
	if (IsA(node, Var) || IsA(node, Param) || IsA(node, SQLValueFunction) ||
		(IsA(node, Const) && !((Const *) node)->constisnull))
		return true;
	return expression_tree_walker(node, other_than_tokens_walker, context);
}

/* A condition that compares tokens of this key with anything else */
static bool
compares_tokens(Node *expr, int32 key_hash)
{
	if (expr == NULL)
		return false;
	if (IsA(expr, BoolExpr) || IsA(expr, List))
	{
		List	   *args = IsA(expr, List) ? (List *) expr : ((BoolExpr *) expr)->args;
		ListCell   *lc;

		foreach(lc, args)
			if (compares_tokens(lfirst(lc), key_hash))
				return true;
		return false;
	}
	return has_tokens_of(expr, key_hash) && other_than_tokens_walker(expr, NULL);
}

/*
 * Conditions of the table's checks and triggers make tokens by the index key of the
 * moment.  What they compare them with stays as it is: they would be true or false
 * for other values than before.
 */
static void
refuse_conditions(Relation table, int32 key_hash)
{
	TupleConstr *constr = RelationGetDescr(table)->constr;
	const char *kind = NULL;
	const char *name = NULL;

	for (int i = 0; kind == NULL && constr != NULL && i < constr->num_check; i++)
		if (compares_tokens(stringToNode(constr->check[i].ccbin), key_hash))
		{
			kind = "check constraint";
			name = constr->check[i].ccname;
		}
	for (int i = 0; kind == NULL && table->trigdesc != NULL && i < table->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &table->trigdesc->triggers[i];

		if (trigger->tgqual != NULL && compares_tokens(stringToNode(trigger->tgqual), key_hash))
		{
			kind = "trigger";
			name = trigger->tgname;
		}
	}
	if (kind != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("cannot replace the index key while %s \"%s\" of table \"%s\" compares its tokens with something else",
						kind, name, RelationGetRelationName(table)),
				 errdetail("What it compares them with would still be made by the old index key."),
				 errhint("In one transaction, drop it, call pgseal.rotate_index_key(), and make it again with new tokens; or compare the column itself.")));
}

/* Step 1 for one table: refuses what would keep old tokens where they aren't seen */
static void
refuse_hidden_tokens(Relation table, int32 key_hash)
{
	refuse_partition_key(table, key_hash);
	refuse_conditions(table, key_hash);
	for (int i = 1; i <= RelationGetNumberOfAttributes(table); i++)
		if (TupleDescAttr(RelationGetDescr(table), i - 1)->attgenerated != '\0')
			refuse_foreign_call(pgseal_stored_generation(table, i), key_hash, "column",
								NameStr(TupleDescAttr(RelationGetDescr(table), i - 1)->attname));
}

/* Does the index have tokens of this key, or choose its rows by them? */
static bool
index_has_tokens(Relation index, int32 key_hash)
{
	Node	   *exprs = (Node *) pgseal_stored_index_expressions(index);
	Node	   *predicate = (Node *) pgseal_stored_index_predicate(index);

	refuse_foreign_call(exprs, key_hash, "index", RelationGetRelationName(index));
	refuse_foreign_call(predicate, key_hash, "index", RelationGetRelationName(index));
	return has_tokens_of(exprs, key_hash) || has_tokens_of(predicate, key_hash);
}

/*
 * Step 1 for one table: refuses what can't be rebuilt; the others are added to
 * the lists.
 */
static void
sort_indexes(Relation table, int32 key_hash, List **rebuild, List **remember)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		bool		unique = index->rd_index->indisunique || index->rd_index->indisexclusion;

		if (unique && index_stores_column_tokens(table, index, key_hash))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("cannot replace the index key while index \"%s\" makes a generated column of tokens unique",
							RelationGetRelationName(index)),
					 errhint("In one transaction, drop the generated column of table \"%s\", call pgseal.rotate_index_key(), and add the column with its constraints again; or use a unique index on blind_index() instead.",
							 RelationGetRelationName(table))));
		if (index_has_tokens(index, key_hash) && index->rd_rel->relkind == RELKIND_INDEX)
		{
			if (unique)
				*rebuild = lappend_oid(*rebuild, RelationGetRelid(index));
			else
				*remember = lappend_oid(*remember, RelationGetRelid(index));
		}
		index_close(index, NoLock);
	}
}

static void
remember_index(Oid index, const char *key)
{
	Relation	rel = index_open(index, AccessShareLock);
	Oid			file = rel->rd_rel->relfilenode;
	PgsealQuerySession session;

	index_close(rel, NoLock);
	pgseal_query_begin(&session);
	(void) pgseal_query("INSERT INTO pgseal_internal.old_index (index, file, key) VALUES ($1, $2, $3)", 3,
						OIDOID, ObjectIdGetDatum(index),
						OIDOID, ObjectIdGetDatum(file),
						TEXTOID, CStringGetTextDatum(key));
	pgseal_query_end(&session);
}

/* The versions in use; 42704 unless there are some */
static List *
index_versions(const char *name, int32 hash)
{
	List	   *versions;

	(void) pgseal_keyring_require(name);
	versions = pgseal_keyring_index_versions(hash);
	if (versions == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key \"%s\" was destroyed", name)));
	return versions;
}

/* rotate_index_key(name) → number of the new version */
Datum
pgseal_rotate_index_key(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32		hash = pgseal_catalog_name_hash(name);
	List	   *tables;
	List	   *rebuild = NIL;
	List	   *remember = NIL;
	ListCell   *lc;
	int32		number;

	if (strcmp(name, PGSEAL_DEFAULT_KEY) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the index key of key \"%s\" cannot be replaced", name),
				 errdetail("All hash indexes of encrypted columns are made with it.")));
	pgseal_catalog_lock_columns(hash, true);
	if (list_length(index_versions(name, hash)) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the index key of key \"%s\" is already being replaced", name),
				 errhint("Finish with pgseal.retire_index_key().")));
	tables = tables_of_key(hash);
	pgseal_lock_briefly(tables, AccessExclusiveLock);
	foreach(lc, tables)
	{
		Relation	table = table_open(lfirst_oid(lc), NoLock);

		refuse_hidden_tokens(table, hash);
		sort_indexes(table, hash, &rebuild, &remember);
		table_close(table, NoLock);
	}
	pgseal_refuse_token_constants(name, hash);

	number = pgseal_keyring_add_version(name, PGSEAL_PURPOSE_INDEX, NULL);
	CommandCounterIncrement();
	foreach(lc, rebuild)
		pgseal_command(psprintf("REINDEX INDEX %s", qualified_name(lfirst_oid(lc))));
	foreach(lc, remember)
		remember_index(lfirst_oid(lc), name);
	PG_RETURN_INT32(number);
}

/*
 * Step 3
 */

static void
check_indexes(const char *name)
{
	PgsealQuerySession session;
	Oid			index = InvalidOid;

	pgseal_query_begin(&session);
	if (pgseal_query("SELECT o.index FROM pgseal_internal.old_index o JOIN pg_class c"
					 " ON c.oid = o.index AND c.relfilenode = o.file"
					 " WHERE o.key = $1 ORDER BY o.index", 1, TEXTOID, CStringGetTextDatum(name)) > 0)
		index = (Oid) pgseal_query_int64(0, 1);
	pgseal_query_end(&session);
	if (OidIsValid(index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index \"%s\" still holds tokens of the old index key", get_rel_name(index)),
				 errhint("REINDEX INDEX CONCURRENTLY %s;", qualified_name(index))));
}

static void
forget_indexes(const char *name)
{
	PgsealQuerySession session;

	pgseal_query_begin(&session);
	(void) pgseal_query("DELETE FROM pgseal_internal.old_index WHERE key = $1", 1,
						TEXTOID, CStringGetTextDatum(name));
	pgseal_query_end(&session);
}

typedef struct GeneratedColumn
{
	Relation	table;
	AttrNumber	attnum;
	uint8		current;		/* first byte of tokens of the current index
								 * key */
} GeneratedColumn;

/* PgsealRowVisitor */
static void
check_token(TupleTableSlot *row, void *context)
{
	GeneratedColumn *generated = context;
	char	   *column = NameStr(TupleDescAttr(RelationGetDescr(generated->table),
											   generated->attnum - 1)->attname);
	bool		isnull;
	Datum		value = slot_getattr(row, generated->attnum, &isnull);
	struct varlena *token;

	if (isnull)
		return;
	token = PG_DETOAST_DATUM_PACKED(value);
	if (VARSIZE_ANY_EXHDR(token) > 0 && *(uint8 *) VARDATA_ANY(token) != generated->current)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("column \"%s\" of table \"%s\" still holds tokens of the old index key",
						column, RelationGetRelationName(generated->table)),
				 errhint("Update the encrypted column to itself WHERE get_byte(%s, 0) <> %d, in batches; then wait for the transactions that were running.",
						 quote_identifier(column), generated->current)));
}

/*
 * Looks at all row versions that a transaction may still see, so that no old
 * snapshot looks in vain.
 */
static void
check_generated_column(Relation table, AttrNumber attnum, int current)
{
	GeneratedColumn generated = {.table = table, .attnum = attnum, .current = (uint8) current};
	SnapshotData snapshot;

	InitNonVacuumableSnapshot(snapshot, GlobalVisTestFor(table));
	pgseal_scan_rows(table, &snapshot, check_token, &generated);
}

/*
 * Sealed indexes are rewritten node by node, BRIN summary by summary, beside those who
 * use them: since step 1 nobody seals under the old version any more.  One that isn't
 * ready, as CREATE INDEX CONCURRENTLY leaves it when it is broken off, is never read,
 * and is built anew before it is: there may be nothing in it yet.
 */
static void
reseal_indexes(Relation table)
{
	ListCell   *lc;

	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), RowExclusiveLock);

		if (index->rd_rel->relkind != RELKIND_INDEX || !index->rd_index->indisready)
			 /* nothing to do */ ;
		else if (pgseal_sealed_is_method(index->rd_rel->relam))
			(void) pgseal_sealed_reseal(index);
		else if (pgseal_brin_is_ours(index))
			(void) pgseal_brin_reseal(index);
		index_close(index, NoLock);
	}
}

/* retire_index_key(name) → how many versions were retired */
Datum
pgseal_retire_index_key(PG_FUNCTION_ARGS)
{
	char	   *name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	int32		hash = pgseal_catalog_name_hash(name);
	List	   *versions;
	List	   *tables;
	ListCell   *lc;
	int			current;

	pgseal_catalog_lock_columns(hash, true);
	versions = index_versions(name, hash);
	if (list_length(versions) < 2)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the index key of key \"%s\" is not being replaced", name),
				 errhint("Begin with pgseal.rotate_index_key().")));

	/*
	 * Nodes are sealed by what is there whether this transaction commits or
	 * not
	 */
	if (((PgsealVersionRow *) linitial(versions))->written_here)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the index key of key \"%s\" was changed in this transaction", name),
				 errhint("Commit, and call pgseal.retire_index_key() in the next one.")));
	current = ((PgsealVersionRow *) linitial(versions))->number;

	check_indexes(name);
	tables = tables_of_key(hash);
	foreach(lc, tables)
	{
		Relation	table = table_open(lfirst_oid(lc), AccessShareLock);

		reseal_indexes(table);
		if (RELKIND_HAS_TABLE_AM(table->rd_rel->relkind))
			for (int i = 1; i <= RelationGetNumberOfAttributes(table); i++)
				if (column_has_tokens(table, i, hash))
					check_generated_column(table, i, current);
		table_close(table, NoLock);
	}
	pgseal_lock_briefly(tables, AccessExclusiveLock);

	forget_indexes(name);
	for_each_from(lc, versions, 1)
	{
		int64		id = ((PgsealVersionRow *) lfirst(lc))->id;

		pgseal_catalog_retire_version(id);
		pgseal_catalog_destroy_version(id);
		pgseal_drop_at_commit(id);
		pgseal_catalog_event("index_key_retired", name, id, NULL);
	}
	PG_RETURN_INT32(list_length(versions) - 1);
}

/*
 * equality_index(table, column number) → name of the index that serves =
 * whatever else a query says: valid, on all rows, the column first
 */
Datum
pgseal_equality_index(PG_FUNCTION_ARGS)
{
	Relation	table = try_relation_open(PG_GETARG_OID(0), AccessShareLock);
	AttrNumber	attnum = PG_GETARG_INT16(1);
	char	   *name = NULL;
	ListCell   *lc;

	if (table == NULL)
		PG_RETURN_NULL();
	foreach(lc, RelationGetIndexList(table))
	{
		Relation	index = index_open(lfirst_oid(lc), AccessShareLock);
		AttrNumber	first = index->rd_index->indkey.values[0];
		Var		   *column = NULL;
		bool		serves;

		if (first == 0)
			column = pgseal_stored_column(linitial(pgseal_stored_index_expressions(index)));
		else if (first > 0 && TupleDescAttr(RelationGetDescr(table), first - 1)->attgenerated)
			column = pgseal_stored_column(pgseal_stored_generation(table, first));
		serves = column != NULL ? column->varattno == attnum :
			first == attnum && index->rd_rel->relam == HASH_AM_OID;
		if (serves && index->rd_index->indisvalid && pgseal_stored_index_predicate(index) == NIL &&
			name == NULL)
			name = pstrdup(RelationGetRelationName(index));
		index_close(index, NoLock);
	}
	relation_close(table, AccessShareLock);
	if (name == NULL)
		PG_RETURN_NULL();
	PG_RETURN_TEXT_P(cstring_to_text(name));
}
