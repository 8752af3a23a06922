/*-------------------------------------------------------------------------
 *
 * store.c
 *	  Nodes of a sealed index in blocks, and the keys that seal them.
 *
 * Block 0 is the metapage, in plain.  Blocks for pending rows may follow
 * (pending.c).  Every other block is slots of equal size; a node's number says
 * which one is its.  A slot is always written whole: what node_key.c makes of the
 * node.  Format, number of the node and slots in a block are the additional
 * authenticated data, so a node can't take another's place.
 *
 * Seals under a node key are counted: whoever seals reserves some in the metapage
 * before.  At 2^31 (random nonces allow 2^32, NIST SP 800-38D) the generation goes
 * up, and nodes get the new key as they are written.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/random.h"
#include "keys/shared_cache.h"
#include "sealed/access.h"
#include "sealed/sealed.h"

#define MAGIC				0x70675349	/* "pgSI" */
#define FORMAT				1
#define META_BLOCK			0
#define SLOT_HEADER_BYTES	PGSEAL_SEALED_HEADER_BYTES
#define AAD_BYTES			6

#define SLOTS_START			MAXALIGN(SizeOfPageHeaderData)

/* 256 kB: a search opens what is in them, some 2000 rows at most */
#define DEFAULT_PENDING_PAGES	32

#define MAX_SEALS			(UINT32_C(1) << 31)
#define RESERVE_SEALS		256

/*
 * By default: where values have no fixed size, so that long ones find room; where
 * they do, or are terms; where a small node has dozens of them
 */
#define NODE_SIZE_OF_VALUES	4096
#define NODE_SIZE			2048
#define NODE_SIZE_OF_SMALL	1024
#define SMALL_BYTES			18

/* Before a value of more than 126 bytes */
#define LENGTH_IN_KEY		2

/* A key may take a seventh of a node: a split must leave room in both halves */
#define KEYS_IN_NODE		7

typedef struct Meta
{
	uint32		magic;
	uint32		format;
	int32		key_hash;
	uint32		slots;
	uint8		salt[PGSEAL_SEALED_SALT_BYTES];
	uint32		root;
	uint32		root_level;
	uint32		num_nodes;
	uint32		generation;
	uint32		seals;			/* reserved under the generation */
	uint32		pending_pages;
	uint32		pending_head;	/* of them: where rows are appended, roughly */
} Meta;

#define page_meta(page)		((Meta *) PageGetContents(page))

bool
pgseal_sealed_check_access(const PgsealSealedIndex *index)
{
	return pgseal_keyring_index(index->key_hash, PGSEAL_ACCESS_CHECKED) != NULL;
}

bool
pgseal_sealed_is_destroyed(const PgsealSealedIndex *index)
{
	return pgseal_keyring_num_index_versions(index->key_hash) == 0;
}

/*
 * The metapage
 */

static void
init_meta(Page page, const PgsealSealedIndex *index)
{
	Meta	   *meta = page_meta(page);

	PageInit(page, BLCKSZ, 0);
	memset(meta, 0, sizeof(*meta));
	meta->magic = MAGIC;
	meta->format = FORMAT;
	meta->key_hash = index->key_hash;
	meta->slots = index->slots;
	meta->pending_pages = index->pending_pages;
	memcpy(meta->salt, index->salt, sizeof(meta->salt));
	meta->root = PGSEAL_SEALED_NO_NODE;
	((PageHeader) page)->pd_lower = ((char *) meta + sizeof(Meta)) - (char *) page;
}

static void
set_sizes(PgsealSealedIndex *index, int slots)
{
	index->slots = slots;
	index->node_bytes = (BLCKSZ - SLOTS_START) / slots - SLOT_HEADER_BYTES;
	index->max_key_bytes = index->node_bytes / KEYS_IN_NODE;
}

Buffer
pgseal_sealed_lock_meta(Relation relation, int mode)
{
	Buffer		buffer = ReadBuffer(relation, META_BLOCK);
	Meta	   *meta;

	LockBuffer(buffer, mode);
	meta = page_meta(BufferGetPage(buffer));
	if (meta->magic != MAGIC || meta->format != FORMAT ||
		meta->slots < 1 || meta->slots > 8)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("index \"%s\" is no sealed index of a known format",
						RelationGetRelationName(relation))));
	return buffer;
}

uint32
pgseal_sealed_num_nodes(Page meta)
{
	return page_meta(meta)->num_nodes;
}

void
pgseal_sealed_read_root(PgsealSealedIndex *index, Page meta)
{
	index->root = page_meta(meta)->root;
	index->root_level = page_meta(meta)->root_level;
}

void
pgseal_sealed_set_root(Page meta, uint32 root, uint32 level)
{
	page_meta(meta)->root = root;
	page_meta(meta)->root_level = level;
}

void
pgseal_sealed_set_num_nodes(Page meta, uint32 num)
{
	page_meta(meta)->num_nodes = num;
}

uint32
pgseal_sealed_pending_head(Page meta)
{
	return page_meta(meta)->pending_head;
}

void
pgseal_sealed_set_pending_head(Page meta, uint32 head)
{
	page_meta(meta)->pending_head = head;
}

uint32
pgseal_sealed_count_nodes(Relation relation)
{
	Buffer		buffer = pgseal_sealed_lock_meta(relation, BUFFER_LOCK_SHARE);
	uint32		num = pgseal_sealed_num_nodes(BufferGetPage(buffer));

	UnlockReleaseBuffer(buffer);
	return num;
}

void
pgseal_sealed_refresh_root(PgsealSealedIndex *index, Relation relation)
{
	Buffer		buffer = pgseal_sealed_lock_meta(relation, BUFFER_LOCK_SHARE);

	pgseal_sealed_read_root(index, BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
	pgseal_sealed_remember(index, relation);
}

/*
 * What an operation knows of the index
 */

static void
describe_columns(PgsealSealedIndex *index, Relation relation)
{
	namestrcpy(&index->name, RelationGetRelationName(relation));
	index->num_columns = IndexRelationGetNumberOfKeyAttributes(relation);
	if (index->num_columns > PGSEAL_SEALED_MAX_COLUMNS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("a sealed index has at most %d columns", PGSEAL_SEALED_MAX_COLUMNS)));
	for (int i = 0; i < index->num_columns; i++)
	{
		pgseal_sealed_describe_column(&index->columns[i], relation, i);
		if (index->columns[i].terms != PGSEAL_SEALED_WHOLE && index->num_columns > 1)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a sealed index of trigrams or paths has one column")));
	}
}

static void
load(PgsealSealedIndex *index, Relation relation)
{
	Buffer		buffer;
	Meta	   *meta;

	memset(index, 0, sizeof(*index));
	describe_columns(index, relation);
	buffer = pgseal_sealed_lock_meta(relation, BUFFER_LOCK_SHARE);
	meta = page_meta(BufferGetPage(buffer));
	index->key_hash = meta->key_hash;
	memcpy(index->salt, meta->salt, sizeof(index->salt));
	set_sizes(index, meta->slots);
	index->generation = meta->generation;
	index->pending_pages = meta->pending_pages;
	index->pending_head = meta->pending_head;
	pgseal_sealed_read_root(index, BufferGetPage(buffer));
	UnlockReleaseBuffer(buffer);
}

void
pgseal_sealed_get(PgsealSealedIndex *out_index, Relation relation)
{
	if (relation->rd_amcache != NULL)
	{
		memcpy(out_index, relation->rd_amcache, sizeof(*out_index));
		return;
	}
	load(out_index, relation);
	relation->rd_amcache = MemoryContextAlloc(relation->rd_indexcxt, sizeof(*out_index));
	memcpy(relation->rd_amcache, out_index, sizeof(*out_index));
}

void
pgseal_sealed_remember(const PgsealSealedIndex *index, Relation relation)
{
	PgsealSealedIndex *known = relation->rd_amcache;

	if (known == NULL)
		return;
	memcpy(known, index, sizeof(*index));
	known->without_entries = false;
}

/* The key of the encrypted columns, which must be one */
static int32
key_of_columns(const PgsealSealedIndex *index, Relation relation, Relation heap)
{
	int32		key_hash = PGSEAL_TYPMOD_NONE;

	for (int i = 0; i < index->num_columns; i++)
	{
		AttrNumber	attnum = relation->rd_index->indkey.values[i];
		int32		typmod;

		if (!index->columns[i].encrypted)
			continue;
		if (attnum <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a sealed index is on columns, not on expressions")));
		typmod = TupleDescAttr(RelationGetDescr(heap), attnum - 1)->atttypmod;
		(void) getBaseTypeAndTypmod(TupleDescAttr(RelationGetDescr(heap), attnum - 1)->atttypid,
									&typmod);
		if (typmod <= 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a sealed index cannot be on a column of any key"),
					 errdetail("It would keep values after their key is destroyed.")));
		if (key_hash != PGSEAL_TYPMOD_NONE && key_hash != typmod)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("the encrypted columns of a sealed index must be under one key")));
		key_hash = typmod;
	}
	if (key_hash == PGSEAL_TYPMOD_NONE)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a sealed index needs an encrypted column"),
				 errhint("Use btree for other columns.")));
	return key_hash;
}

/* A node is logged whole when a row comes: smaller ones cost less WAL, and less time */
static int
default_node_size(const PgsealSealedIndex *index)
{
	int			bytes = 0;

	if (index->columns[0].terms != PGSEAL_SEALED_WHOLE)
		return NODE_SIZE;
	for (int i = 0; i < index->num_columns; i++)
	{
		if (index->columns[i].type->len < 0)
			return NODE_SIZE_OF_VALUES;
		bytes += index->columns[i].type->len + 1;
	}
	return bytes <= SMALL_BYTES ? NODE_SIZE_OF_SMALL : NODE_SIZE;
}

int
pgseal_sealed_value_limit(void)
{
	PgsealSealedIndex index;

	set_sizes(&index, BLCKSZ / NODE_SIZE_OF_VALUES);
	return index.max_key_bytes - LENGTH_IN_KEY;
}

/* Indexes of terms have room for pending rows, others none */
static uint32
default_pending_pages(const PgsealSealedIndex *index, Relation relation)
{
	int			pages = pgseal_sealed_pending_pages(relation);

	if (index->columns[0].terms != PGSEAL_SEALED_WHOLE)
		return pages < 0 ? DEFAULT_PENDING_PAGES : pages;

	/*
	 * No error: ALTER INDEX can't know, and the index must be made anew with
	 * its table, or when a dump is restored
	 */
	if (pages > 0)
		ereport(WARNING,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"pending_pages\" of index \"%s\" is ignored: only a sealed index of trigrams or paths has pending pages",
						RelationGetRelationName(relation))));
	return 0;
}

/* Blocks for them, behind the metapage */
static void
create_pending_pages(const PgsealSealedIndex *index, Relation relation, ForkNumber fork)
{
	for (uint32 i = 0; i < index->pending_pages; i++)
	{
		Buffer		buffer = ReadBufferExtended(relation, fork, P_NEW, RBM_NORMAL, NULL);

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		START_CRIT_SECTION();
		PageInit(BufferGetPage(buffer), BLCKSZ, 0);
		MarkBufferDirty(buffer);
		if (RelationNeedsWAL(relation) || fork == INIT_FORKNUM)
			log_newpage_buffer(buffer, true);
		END_CRIT_SECTION();
		UnlockReleaseBuffer(buffer);
	}
}

static void
describe_new(PgsealSealedIndex *out_index, Relation relation, Relation heap)
{
	int			node_size = pgseal_sealed_node_size(relation);

	memset(out_index, 0, sizeof(*out_index));
	describe_columns(out_index, relation);
	out_index->key_hash = key_of_columns(out_index, relation, heap);
	set_sizes(out_index, BLCKSZ / (node_size > 0 ? node_size : default_node_size(out_index)));
	out_index->root = PGSEAL_SEALED_NO_NODE;
	out_index->pending_pages = default_pending_pages(out_index, relation);
	pgseal_random_bytes(out_index->salt, sizeof(out_index->salt));
}

void
pgseal_sealed_create(PgsealSealedIndex *out_index, Relation relation, Relation heap)
{
	Buffer		buffer;

	describe_new(out_index, relation, heap);
	/* The key is made sure of before anything is sealed under it */
	(void) pgseal_keyring_index(out_index->key_hash, PGSEAL_ACCESS_INTERNAL);
	buffer = ReadBuffer(relation, P_NEW);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	START_CRIT_SECTION();
	init_meta(BufferGetPage(buffer), out_index);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(relation))
		log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	create_pending_pages(out_index, relation, MAIN_FORKNUM);
}

void
pgseal_sealed_create_empty(Relation relation, Relation heap)
{
	PgsealSealedIndex index;
	Buffer		buffer;

	describe_new(&index, relation, heap);
	buffer = ReadBufferExtended(relation, INIT_FORKNUM, P_NEW, RBM_NORMAL, NULL);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	START_CRIT_SECTION();
	init_meta(BufferGetPage(buffer), &index);
	MarkBufferDirty(buffer);
	log_newpage_buffer(buffer, true);
	END_CRIT_SECTION();
	UnlockReleaseBuffer(buffer);
	create_pending_pages(&index, relation, INIT_FORKNUM);
}

/*
 * Slots
 */

BlockNumber
pgseal_sealed_block(const PgsealSealedIndex *index, uint32 id)
{
	return META_BLOCK + 1 + index->pending_pages + id / index->slots;
}

int
pgseal_sealed_slot_bytes(const PgsealSealedIndex *index)
{
	return SLOT_HEADER_BYTES + index->node_bytes;
}

int
pgseal_sealed_slot_offset(const PgsealSealedIndex *index, uint32 id)
{
	return SLOTS_START + (id % index->slots) * pgseal_sealed_slot_bytes(index);
}

static uint8 *
slot_of(const PgsealSealedIndex *index, Page page, uint32 id)
{
	return (uint8 *) page + pgseal_sealed_slot_offset(index, id);
}

/* All of it counts as used: the slots lie where other pages have a hole */
void
pgseal_sealed_init_page(Page page)
{
	PageHeader	header = (PageHeader) page;

	PageInit(page, BLCKSZ, 0);
	header->pd_lower = header->pd_upper = header->pd_special = BLCKSZ;
}

static void
make_aad(uint8 aad[AAD_BYTES], const PgsealSealedIndex *index, uint32 id)
{
	uint32		id_be = pg_hton32(id);

	aad[0] = FORMAT;
	aad[1] = (uint8) index->slots;
	memcpy(aad + 2, &id_be, sizeof(id_be));
}

static uint8 *
open_slot(const PgsealSealedIndex *index, const uint8 *slot, uint32 id, PgsealAead *aead)
{
	uint8		aad[AAD_BYTES];

	make_aad(aad, index, id);
	return pgseal_sealed_open_bytes(index, pgseal_sealed_block(index, id), aead, slot,
									index->node_bytes, aad, sizeof(aad));
}

/*
 * A copy of the node's slot, which costs less time under the lock than opening it.
 * Only its header where the node is opened already: *out_cached.
 */
static uint8 *
copy_slot(const PgsealSealedIndex *index, Relation relation, uint32 id,
		  PgsealSealedNode **out_cached)
{
	int			len = SLOT_HEADER_BYTES;
	Buffer		buffer = ReadBuffer(relation, pgseal_sealed_block(index, id));
	const uint8 *slot;
	uint8	   *copy;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	slot = slot_of(index, BufferGetPage(buffer), id);
	*out_cached = pgseal_sealed_cached_node(index, id, slot);
	if (*out_cached == NULL)
		len += index->node_bytes;
	copy = memcpy(palloc(len), slot, len);
	UnlockReleaseBuffer(buffer);
	return copy;
}

/* What has been copied as a node; the copy is freed */
static PgsealSealedNode *
node_of_copy(const PgsealSealedIndex *index, uint8 *copy, uint32 id, PgsealAead *aead,
			 PgsealSealedNode *cached)
{
	PgsealSealedNode *node = cached;

	if (node == NULL)
	{
		uint8	   *plain = open_slot(index, copy, id, aead);

		node = pgseal_sealed_is_inner(plain) ? pgseal_sealed_cache_node(index, id, copy, plain) :
			pgseal_sealed_decode(index, id, plain);
	}
	pfree(copy);
	return node;
}

PgsealSealedNode *
pgseal_sealed_read(const PgsealSealedIndex *index, Relation relation, uint32 id)
{
	int64		key_version_id;
	uint32		generation;
	PgsealSealedNode *cached;
	uint8	   *copy = copy_slot(index, relation, id, &cached);

	pgseal_sealed_key_of_bytes(copy, &key_version_id, &generation);
	return node_of_copy(index, copy, id,
						pgseal_sealed_node_key(index, key_version_id, generation), cached);
}

PgsealSealedNode *
pgseal_sealed_peek(const PgsealSealedIndex *index, Relation relation, uint32 id)
{
	int64		key_version_id;
	uint32		generation;
	PgsealSealedNode *cached;
	uint8	   *copy = copy_slot(index, relation, id, &cached);
	PgsealAead *aead;

	pgseal_sealed_key_of_bytes(copy, &key_version_id, &generation);
	aead = pgseal_sealed_node_key_at_hand(index, key_version_id, generation);
	if (aead != NULL)
		return node_of_copy(index, copy, id, aead, cached);
	pgseal_sealed_free_node(cached);
	pfree(copy);
	return NULL;
}

PgsealSealedNode *
pgseal_sealed_open_locked(const PgsealSealedIndex *index, Page page, uint32 id)
{
	const uint8 *slot = slot_of(index, page, id);
	int64		key_version_id;
	uint32		generation;
	PgsealAead *aead;

	pgseal_sealed_key_of_bytes(slot, &key_version_id, &generation);
	aead = pgseal_sealed_node_key_at_hand(index, key_version_id, generation);
	return aead == NULL ? NULL :
		pgseal_sealed_decode(index, id, open_slot(index, slot, id, aead));
}

bool
pgseal_sealed_is_current(const PgsealSealedIndex *index, Page page, uint32 id,
						 const PgsealSealedSealer *sealer)
{
	int64		key_version_id;
	uint32		generation;

	pgseal_sealed_key_of_bytes(slot_of(index, page, id), &key_version_id, &generation);
	return key_version_id == sealer->key_version_id && generation == sealer->generation;
}

bool
pgseal_sealed_seal_node(uint8 *out_slot, const PgsealSealedIndex *index,
						const PgsealSealedSealer *sealer, const PgsealSealedNode *node)
{
	uint8		plain[BLCKSZ];
	uint8		aad[AAD_BYTES];
	bool		fits = pgseal_sealed_encode_node(plain, index, node);

	if (fits)
	{
		make_aad(aad, index, node->id);
		pgseal_sealed_seal_bytes(out_slot, sealer, plain, index->node_bytes, aad, sizeof(aad));
	}
	pgseal_wipe(plain, index->node_bytes);
	return fits;
}

bool
pgseal_sealed_put(const PgsealSealedIndex *index, Page page, const PgsealSealedSealer *sealer,
				  const PgsealSealedNode *node)
{
	return pgseal_sealed_seal_node(slot_of(index, page, node->id), index, sealer, node);
}

/*
 * Sealing
 */

static void
reserve_seals(PgsealSealedIndex *index, Relation relation, uint32 num)
{
	Buffer		buffer = pgseal_sealed_lock_meta(relation, BUFFER_LOCK_EXCLUSIVE);
	GenericXLogState *state = GenericXLogStart(relation);
	Meta	   *meta = page_meta(GenericXLogRegisterBuffer(state, buffer, 0));

	num = Max(num, RESERVE_SEALS);
	if (meta->seals > MAX_SEALS - num)
	{
		meta->generation++;
		meta->seals = 0;
	}
	meta->seals += num;
	if (index->generation != meta->generation)
		index->seals_left = 0;
	index->generation = meta->generation;
	index->seals_left += num;
	GenericXLogFinish(state);
	UnlockReleaseBuffer(buffer);
}

/*
 * The newest index key version, but for one that this transaction has made: what
 * is sealed stays when it rolls back.  One whose row it has only changed (rewrapped,
 * moved) looks alike; of those the oldest was there before, as one that is made
 * doesn't retire the others in the same transaction (rotate_index_key.c).
 */
int64
pgseal_sealed_sealing_version(int32 key_hash)
{
	int64		newest = pgseal_keyring_index(key_hash, PGSEAL_ACCESS_INTERNAL)->id;
	int64		oldest = newest;
	ListCell   *lc;

	if (pgseal_keyring_num_index_versions(key_hash) < 2)
		return newest;
	foreach(lc, pgseal_keyring_index_versions(key_hash))
	{
		PgsealVersionRow *version = lfirst(lc);

		oldest = version->id;
		if (!version->written_here)
			break;
	}
	return oldest;
}

PgsealSealedSealer
pgseal_sealed_sealer(PgsealSealedIndex *index, Relation relation, uint32 num)
{
	PgsealSealedSealer sealer;

	if (index->seals_left < num)
		reserve_seals(index, relation, num);
	index->seals_left -= num;
	pgseal_sealed_remember(index, relation);
	sealer.key_version_id = pgseal_sealed_sealing_version(index->key_hash);
	sealer.generation = index->generation;
	sealer.aead = pgseal_sealed_node_key(index, sealer.key_version_id, sealer.generation);
	return sealer;
}
