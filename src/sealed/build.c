/*-------------------------------------------------------------------------
 *
 * build.c
 *	  CREATE INDEX ... USING sealed.
 *
 * Entries are collected and sorted in maintenance_work_mem; what exceeds it goes
 * as sorted runs into a sealed temporary file.  In their order they are packed
 * into nodes, level above level, numbered as they come.  Only when their number is
 * known do the nodes get their places, by a random permutation: in the order of
 * the keys, a copy of the file would tell the order of the rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/tableam.h"
#include "access/xloginsert.h"
#include "lib/binaryheap.h"
#include "miscadmin.h"
#include "nodes/execnodes.h"
#include "port/pg_bswap.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/random.h"
#include "sealed/sealed.h"

#define ARENA_BLOCK_BYTES	(64 * 1024)
#define RUN_RECORD_BYTES	(32 * 1024)
#define MAX_LEVELS			32

/* Nodes are filled so far */
#define FILL_PERCENT		90

typedef struct Row
{
	uint64		prefix;			/* of its first column, to sort by */
	const uint8 *key;
	uint64		tid;
	int32		key_len;
} Row;

/* Keys lie in blocks, which are wiped */
typedef struct Arena
{
	List	   *blocks;
	uint8	   *next;
	size_t		left;
	size_t		used;
} Arena;

/* A sorted run in the temporary file, and where reading it has come to */
typedef struct Run
{
	int64		next;
	int64		end;
	uint8	   *record;
	size_t		record_len;
	size_t		offset;
	Row			item;
} Run;

/* A node, encoded, in memory or in the temporary file */
typedef struct StoredNode
{
	uint8	   *plain;
	int64		position;
} StoredNode;

/* The node of a level that is being filled */
typedef struct Level
{
	PgsealSealedNode *node;
	Arena		keys;
	int			bytes;
	bool		has_siblings;
} Level;

typedef struct Build
{
	Relation	relation;
	PgsealSealedIndex index;
	MemoryContext row_context;
	StringInfoData key;
	double		num_tuples;

	Arena		arena;
	bool		has_prefix;		/* rows have one, else it is 0 */
	bool		prefix_is_key;	/* it says all that the key does */
	Row		   *items;
	int64		num_items;
	int64		max_items;
	PgsealSpill *spill;
	List	   *runs;

	Level		levels[MAX_LEVELS];
	int			num_levels;
	StoredNode *nodes;
	uint32		num_nodes;
	uint32		max_nodes;
	size_t		nodes_bytes;
	PgsealSpill *node_spill;
} Build;

/*
 * Memory
 */

static uint8 *
arena_copy(Arena *arena, const uint8 *bytes, size_t len)
{
	uint8	   *copy;

	if (len > arena->left)
	{
		arena->next = palloc(ARENA_BLOCK_BYTES);
		arena->left = ARENA_BLOCK_BYTES;
		arena->blocks = lappend(arena->blocks, arena->next);
	}
	copy = arena->next;
	memcpy(copy, bytes, len);
	arena->next += len;
	arena->left -= len;
	arena->used += len;
	return copy;
}

static void
arena_reset(Arena *arena)
{
	ListCell   *lc;

	foreach(lc, arena->blocks)
	{
		pgseal_wipe(lfirst(lc), ARENA_BLOCK_BYTES);
		pfree(lfirst(lc));
	}
	list_free(arena->blocks);
	memset(arena, 0, sizeof(*arena));
}

/*
 * Collecting and sorting
 */

static int
compare_items(const void *a, const void *b, void *index)
{
	const Row  *left = a;
	const Row  *right = b;

	return pgseal_sealed_compare(index, left->key, left->tid, right->key, right->tid);
}

/*
 * The first eight bytes of a row's first column, as a number in the order of the
 * index.  Where they are all of it, a last bit tells them from NULL.
 */
static uint64
prefix_of(const Build *build, const uint8 *key)
{
	const PgsealSealedColumn *column = &build->index.columns[0];
	int			len = pgseal_sealed_next_column(&key);
	uint64		prefix = 0;

	if (!build->has_prefix)
		return 0;
	if (len < 0)
		return column->nulls_first ? 0 : PG_UINT64_MAX;
	memcpy(&prefix, key, Min(len, sizeof(prefix)));
	prefix = pg_ntoh64(prefix);
	if (column->descending)
		prefix = ~prefix;
	if (build->prefix_is_key)
		prefix = (prefix & ~UINT64CONST(0xFF)) | 1;
	return prefix;
}

static inline int
compare_rows(const Row *a, const Row *b, const Build *build)
{
	if (a->prefix != b->prefix)
		return a->prefix < b->prefix ? -1 : 1;
	if (build->prefix_is_key)
		return (a->tid > b->tid) - (a->tid < b->tid);
	return compare_items(a, b, (void *) &build->index);
}

#define ST_SORT sort_rows
#define ST_ELEMENT_TYPE Row
#define ST_COMPARE(a, b, build) compare_rows(a, b, build)
#define ST_COMPARE_ARG_TYPE const Build
#define ST_CHECK_FOR_INTERRUPTS
#define ST_SCOPE static
#define ST_DEFINE
#include "lib/sort_template.h"

static void
sort_items(Build *build)
{
	sort_rows(build->items, build->num_items, build);
}

/* What is less than eight bytes and of one length is its prefix */
static void
choose_prefix(Build *build)
{
	const PgsealSealedColumn *column = &build->index.columns[0];

	build->has_prefix = column->order == PGSEAL_SEALED_BY_BYTES;
	build->prefix_is_key = build->has_prefix && build->index.num_columns == 1 &&
		(column->terms != PGSEAL_SEALED_WHOLE ||
		 (column->type->base->payload == PGSEAL_PAYLOAD_FIXED &&
		  column->type->base->width < sizeof(uint64)));
}

static void
append_item(StringInfo out, const Row *item)
{
	appendBinaryStringInfo(out, (char *) &item->key_len, sizeof(item->key_len));
	appendBinaryStringInfo(out, (char *) &item->tid, sizeof(item->tid));
	appendBinaryStringInfo(out, (char *) item->key, item->key_len);
}

static void
write_run(Build *build)
{
	Run		   *run = palloc0(sizeof(Run));
	StringInfoData record;
	int64		last = 0;

	if (build->spill == NULL)
		build->spill = pgseal_spill_new();
	sort_items(build);
	initStringInfo(&record);
	for (int64 i = 0; i < build->num_items; i++)
	{
		append_item(&record, &build->items[i]);
		if (record.len < RUN_RECORD_BYTES && i < build->num_items - 1)
			continue;
		last = pgseal_spill_write(build->spill, (uint8 *) record.data, record.len);
		if (run->end == 0)
			run->next = last;
		run->end = last + 1;
		pgseal_wipe(record.data, record.len);
		resetStringInfo(&record);
		CHECK_FOR_INTERRUPTS();
	}
	pfree(record.data);
	build->runs = lappend(build->runs, run);
	build->num_items = 0;
	arena_reset(&build->arena);
}

static void
add_row(Build *build, const uint8 *key, int key_len, uint64 tid)
{
	Row		   *item;

	if (build->num_items > 0 &&
		build->arena.used + build->num_items * sizeof(Row) > (size_t) maintenance_work_mem * 1024)
		write_run(build);
	if (build->num_items == build->max_items)
	{
		build->max_items *= 2;
		build->items = repalloc_huge(build->items, sizeof(Row) * build->max_items);
	}
	item = &build->items[build->num_items++];
	item->prefix = prefix_of(build, key);
	item->key = arena_copy(&build->arena, key, key_len);
	item->key_len = key_len;
	item->tid = tid;
}

static void
collect(Relation relation, ItemPointer tid, Datum *values, bool *isnull, bool is_alive, void *state)
{
	Build	   *build = state;
	MemoryContext caller = MemoryContextSwitchTo(build->row_context);
	bool		indexed;

	resetStringInfo(&build->key);
	indexed = pgseal_sealed_encode(&build->key, &build->index, relation, values, isnull);
	MemoryContextSwitchTo(caller);
	MemoryContextReset(build->row_context);
	if (!indexed)
		return;
	for (int i = 0, len; i < build->key.len; i += len)
	{
		len = pgseal_sealed_key_len(&build->index, (uint8 *) build->key.data + i);
		add_row(build, (uint8 *) build->key.data + i, len, pgseal_sealed_tid(tid));
	}
	build->num_tuples++;
}

/* The next item of a run; false at its end */
static bool
advance(Build *build, Run *run)
{
	if (run->record == NULL || run->offset == run->record_len)
	{
		if (run->record != NULL)
		{
			pgseal_wipe(run->record, run->record_len);
			pfree(run->record);
			run->record = NULL;
		}
		if (run->next >= run->end)
			return false;
		run->record = pgseal_spill_read(build->spill, run->next, &run->record_len, &run->next);
		run->offset = 0;
	}
	memcpy(&run->item.key_len, run->record + run->offset, sizeof(run->item.key_len));
	run->offset += sizeof(run->item.key_len);
	memcpy(&run->item.tid, run->record + run->offset, sizeof(run->item.tid));
	run->offset += sizeof(run->item.tid);
	run->item.key = run->record + run->offset;
	run->offset += run->item.key_len;
	return true;
}

/* binaryheap has the greatest on top */
static int
compare_runs(Datum a, Datum b, void *index)
{
	return compare_items(&((Run *) DatumGetPointer(b))->item,
						 &((Run *) DatumGetPointer(a))->item, index);
}

/*
 * Packing into nodes
 */

static uint32
new_number(Build *build)
{
	if (build->num_nodes == build->max_nodes)
	{
		build->max_nodes *= 2;
		build->nodes = repalloc_huge(build->nodes, sizeof(StoredNode) * build->max_nodes);
	}
	build->nodes[build->num_nodes].plain = NULL;
	return build->num_nodes++;
}

static void
start_node(Build *build, Level *level, int number, uint32 left)
{
	level->node = pgseal_sealed_new_node(new_number(build), number);
	level->node->left = left;
	level->bytes = 0;
}

static void
store_node(Build *build, const PgsealSealedNode *node)
{
	StoredNode *stored = &build->nodes[node->id];
	uint8	   *plain = palloc(build->index.node_bytes);

	if (!pgseal_sealed_encode_node(plain, &build->index, node))
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("node of a sealed index has no room for its entries")));
	if (build->nodes_bytes < (size_t) maintenance_work_mem * 1024 / 2)
	{
		build->nodes_bytes += build->index.node_bytes;
		stored->plain = plain;
		return;
	}
	if (build->node_spill == NULL)
		build->node_spill = pgseal_spill_new();
	stored->position = pgseal_spill_write(build->node_spill, plain, build->index.node_bytes);
	pgseal_wipe(plain, build->index.node_bytes);
	pfree(plain);
}

static void add(Build *build, int number, const PgsealSealedEntry *entry);

/* Done with a node: the parent hears of it */
static void
finish_node(Build *build, int number)
{
	Level	   *level = &build->levels[number];
	PgsealSealedNode *node = level->node;
	PgsealSealedEntry entry = node->low;

	entry.child = node->id;
	entry.below = pgseal_sealed_below(node);
	store_node(build, node);
	if (level->has_siblings)
		add(build, number + 1, &entry);
	pgseal_sealed_free_node(node);
	level->node = NULL;
}

static PgsealSealedEntry
copy_entry(Arena *arena, const PgsealSealedEntry *entry)
{
	PgsealSealedEntry copy = *entry;

	if (entry->key != NULL)
		copy.key = arena_copy(arena, entry->key, entry->key_len);
	return copy;
}

/* The node is full: the next begins with the entry */
static void
next_node(Build *build, int number, const PgsealSealedEntry *entry)
{
	Level	   *level = &build->levels[number];
	PgsealSealedNode *full = level->node;
	Arena		full_keys = level->keys;
	uint32		full_id = full->id;

	memset(&level->keys, 0, sizeof(level->keys));
	start_node(build, level, number, full_id);
	level->node->low = copy_entry(&level->keys, entry);
	full->high = level->node->low;
	full->right = level->node->id;
	level->has_siblings = true;
	{
		PgsealSealedNode *next = level->node;

		level->node = full;
		finish_node(build, number);
		level->node = next;
	}
	arena_reset(&full_keys);
}

static void
add(Build *build, int number, const PgsealSealedEntry *entry)
{
	Level	   *level = &build->levels[number];
	int			key_len = entry->key != NULL ? entry->key_len : 0;
	PgsealSealedNode *node;
	const PgsealSealedEntry *last;
	PgsealSealedEntry added = *entry;
	int			room;

	if (number >= MAX_LEVELS)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sealed index has too many levels")));
	if (number >= build->num_levels)
		build->num_levels = number + 1;
	if (level->node == NULL)
		start_node(build, level, number, PGSEAL_SEALED_NO_NODE);

	/* Its end, and the entry at its largest, must fit, too */
	room = build->index.node_bytes * FILL_PERCENT / 100 -
		pgseal_sealed_head_bytes(level->node) - level->bytes - (key_len + sizeof(uint64));
	if (level->node->num_entries > 0 && room < key_len + (int) sizeof(uint64) + 8)
		next_node(build, number, entry);

	node = level->node;
	last = node->num_entries > 0 ? &node->entries[node->num_entries - 1] : NULL;
	if (last != NULL && last->key != NULL && last->key_len == key_len &&
		memcmp(last->key, entry->key, key_len) == 0)
		added.key = last->key;
	else
		added = copy_entry(&level->keys, entry);
	pgseal_sealed_add_entry(node, node->num_entries, &added);
	level->bytes += pgseal_sealed_entry_bytes(node, node->num_entries - 1);
}

static void
add_item(Build *build, const Row *item)
{
	PgsealSealedEntry entry = {.key = item->key, .key_len = item->key_len, .tid = item->tid};

	add(build, 0, &entry);
}

static void
pack(Build *build)
{
	if (build->runs == NIL)
	{
		sort_items(build);
		for (int64 i = 0; i < build->num_items; i++)
			add_item(build, &build->items[i]);
	}
	else
	{
		binaryheap *heap = binaryheap_allocate(list_length(build->runs) + 1, compare_runs,
											   &build->index);
		ListCell   *lc;

		if (build->num_items > 0)
			write_run(build);
		foreach(lc, build->runs)
			if (advance(build, lfirst(lc)))
				binaryheap_add_unordered(heap, PointerGetDatum(lfirst(lc)));
		binaryheap_build(heap);
		while (!binaryheap_empty(heap))
		{
			Run		   *run = (Run *) DatumGetPointer(binaryheap_first(heap));

			add_item(build, &run->item);
			if (advance(build, run))
				binaryheap_replace_first(heap, PointerGetDatum(run));
			else
				(void) binaryheap_remove_first(heap);
			CHECK_FOR_INTERRUPTS();
		}
		pgseal_spill_free(build->spill);
	}
	arena_reset(&build->arena);

	/* What is left at the end of each level; the last one's is the root */
	for (int i = 0; i < build->num_levels; i++)
	{
		build->index.root = build->levels[i].node->id;
		build->index.root_level = i;
		finish_node(build, i);
		arena_reset(&build->levels[i].keys);
	}
}

/*
 * Placing
 */

/* A number below n, uniformly but for a part in 2^32 */
static uint32
random_below(uint32 n)
{
	static uint64 pool[512];
	static int	left = 0;

	if (left == 0)
	{
		pgseal_random_bytes(pool, sizeof(pool));
		left = lengthof(pool);
	}
	return pool[--left] % n;
}

/* places[i] is where node i goes, nodes[j] which goes to place j */
static void
permute(uint32 num, uint32 **out_places, uint32 **out_nodes)
{
	uint32	   *nodes = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * (num + 1));
	uint32	   *places = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint32) * (num + 1));

	for (uint32 i = 0; i < num; i++)
		nodes[i] = i;
	for (uint32 i = num; i > 1; i--)
	{
		uint32		k = random_below(i);
		uint32		node = nodes[k];

		nodes[k] = nodes[i - 1];
		nodes[i - 1] = node;
	}
	for (uint32 i = 0; i < num; i++)
		places[nodes[i]] = i;
	*out_places = places;
	*out_nodes = nodes;
}

static inline uint32
place_of(const uint32 *places, uint32 number)
{
	return number == PGSEAL_SEALED_NO_NODE ? number : places[number];
}

/* A stored node, with places instead of numbers */
static PgsealSealedNode *
placed_node(Build *build, uint32 number, const uint32 *places)
{
	StoredNode *stored = &build->nodes[number];
	uint8	   *plain = stored->plain;
	PgsealSealedNode *node;

	if (plain == NULL)
	{
		size_t		len;
		int64		next;

		plain = pgseal_spill_read(build->node_spill, stored->position, &len, &next);
	}
	node = pgseal_sealed_decode(&build->index, places[number], plain);
	node->left = place_of(places, node->left);
	node->right = place_of(places, node->right);
	if (node->level > 0)
		for (int i = 0; i < node->num_entries; i++)
			node->entries[i].child = places[node->entries[i].child];
	return node;
}

static void
write_blocks(Build *build, const PgsealSealedSealer *sealer, const uint32 *places,
			 const uint32 *nodes)
{
	const PgsealSealedIndex *index = &build->index;

	for (uint32 id = 0; id < build->num_nodes;)
	{
		Buffer		buffer = ReadBuffer(build->relation, P_NEW);
		uint32		end = Min(id + index->slots, build->num_nodes);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		pgseal_sealed_init_page(BufferGetPage(buffer));
		for (; id < end; id++)
		{
			PgsealSealedNode *node = placed_node(build, nodes[id], places);

			(void) pgseal_sealed_put(index, BufferGetPage(buffer), sealer, node);
			pgseal_sealed_free_node(node);
		}
		MarkBufferDirty(buffer);
		UnlockReleaseBuffer(buffer);
		CHECK_FOR_INTERRUPTS();
	}
	if (RelationNeedsWAL(build->relation))
		log_newpage_range(build->relation, MAIN_FORKNUM, pgseal_sealed_block(index, 0),
						  RelationGetNumberOfBlocks(build->relation), true);
	if (build->node_spill != NULL)
		pgseal_spill_free(build->node_spill);
}

static void
write_index(Build *build)
{
	PgsealSealedSealer sealer = pgseal_sealed_sealer(&build->index, build->relation,
													 build->num_nodes);
	uint32	   *places;
	uint32	   *nodes;
	Buffer		meta;
	GenericXLogState *state;
	Page		page;

	permute(build->num_nodes, &places, &nodes);
	write_blocks(build, &sealer, places, nodes);

	meta = pgseal_sealed_lock_meta(build->relation, BUFFER_LOCK_EXCLUSIVE);
	state = GenericXLogStart(build->relation);
	page = GenericXLogRegisterBuffer(state, meta, 0);
	pgseal_sealed_set_num_nodes(page, build->num_nodes);
	pgseal_sealed_set_root(page, places[build->index.root], build->index.root_level);
	GenericXLogFinish(state);
	UnlockReleaseBuffer(meta);
}

IndexBuildResult *
pgseal_sealed_build(Relation heap, Relation relation, struct IndexInfo *info)
{
	IndexBuildResult *result = palloc0(sizeof(IndexBuildResult));
	MemoryContext context;
	MemoryContext caller;
	Build	   *build;

	/*
	 * There are no keys yet, and the old index's file takes the place of this
	 * one
	 */
	if (IsBinaryUpgrade)
		return result;

	context = AllocSetContextCreate(CurrentMemoryContext, "pgseal sealed build",
									ALLOCSET_DEFAULT_SIZES);
	caller = MemoryContextSwitchTo(context);
	build = palloc0(sizeof(Build));
	build->relation = relation;
	build->row_context = AllocSetContextCreate(context, "pgseal sealed build row",
											   ALLOCSET_DEFAULT_SIZES);
	initStringInfo(&build->key);
	build->max_items = 1024;
	build->items = palloc(sizeof(Row) * build->max_items);
	build->max_nodes = 64;
	build->nodes = palloc(sizeof(StoredNode) * build->max_nodes);

	pgseal_sealed_create(&build->index, relation, heap);
	choose_prefix(build);
	result->heap_tuples = table_index_build_scan(heap, relation, info, true, true, collect, build,
												 NULL);
	pgseal_wipe(build->key.data, build->key.maxlen);
	if (build->num_tuples > 0)
	{
		pack(build);
		write_index(build);
	}
	result->index_tuples = build->num_tuples;
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
	return result;
}
