/*-------------------------------------------------------------------------
 *
 * split.c
 *	  New nodes of a sealed index: where one is too full, and above the root.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "access/xloginsert.h"
#include "miscadmin.h"
#include "storage/lmgr.h"

#include "base/compat.h"
#include "base/random.h"
#include "sealed/sealed.h"

/* How generic WAL says in a record what has become of a page; the bytes follow */
typedef struct Change
{
	OffsetNumber offset;
	OffsetNumber length;
} Change;

/*
 * A record of generic WAL, made by hand: which bytes have changed is known, so there
 * is no copy of the page to be made, compared, and copied back.
 */
static void
log_change(Buffer buffer, Change *change, uint8 *bytes)
{
	XLogRecPtr	end;

	XLogBeginInsert();
	XLogRegisterBuffer(0, buffer, REGBUF_STANDARD);
	XLogRegisterBufData(0, (char *) change, sizeof(*change));
	XLogRegisterBufData(0, (char *) bytes, change->length);
	end = XLogInsert(RM_GENERIC_ID, 0);
	PageSetLSN(BufferGetPage(buffer), end); /* a macro that takes it twice */
}

bool
pgseal_sealed_write(const PgsealSealedIndex *index, Relation relation, Buffer buffer,
					const PgsealSealedSealer *sealer, const PgsealSealedNode *node)
{
	uint8		sealed[BLCKSZ];
	Change		change = {
		.offset = pgseal_sealed_slot_offset(index, node->id),
		.length = pgseal_sealed_slot_bytes(index)
	};

	if (!pgseal_sealed_seal_node(sealed, index, sealer, node))
		return false;
	START_CRIT_SECTION();
	memcpy((char *) BufferGetPage(buffer) + change.offset, sealed, change.length);
	MarkBufferDirty(buffer);
	if (RelationNeedsWAL(relation))
		log_change(buffer, &change, sealed);
	END_CRIT_SECTION();
	return true;
}

/*
 * The block for a new node, exclusively locked.  The caller has the metapage, so
 * nobody else extends the index.  It may be one that the caller has already:
 * then InvalidBuffer.
 */
static Buffer
lock_new_block(const PgsealSealedIndex *index, Relation relation, uint32 id, Buffer locked)
{
	BlockNumber block = pgseal_sealed_block(index, id);
	Buffer		buffer;

	if (BufferIsValid(locked) && BufferGetBlockNumber(locked) == block)
		return InvalidBuffer;
	if (block < RelationGetNumberOfBlocks(relation))
	{
		buffer = ReadBuffer(relation, block);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		return buffer;
	}
	LockRelationForExtension(relation, ExclusiveLock);
	buffer = ReadBuffer(relation, P_NEW);
	UnlockRelationForExtension(relation, ExclusiveLock);
	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	return buffer;
}

/* The page of a new node, in the log record that makes it */
static Page
register_new(GenericXLogState *state, Buffer buffer)
{
	bool		is_new = PageIsNew(BufferGetPage(buffer));
	Page		page = GenericXLogRegisterBuffer(state, buffer,
												 is_new ? GENERIC_XLOG_FULL_IMAGE : 0);

	if (is_new)
		pgseal_sealed_init_page(page);
	return page;
}

/* Of entries so small, nine tenths of a node leave room for its ends */
#define SMALL_ENTRY_BYTES	24

/*
 * Where to divide the entries: in the middle, by bytes.  Behind the last entry of
 * the whole index the old node stays fuller: what comes in ascending order
 * would leave half-empty nodes behind.
 */
static int
split_position(const PgsealSealedNode *node, int added)
{
	bool		ascending = node->high.key == NULL && added == node->num_entries - 1 &&
		pgseal_sealed_entry_bytes(node, added) < SMALL_ENTRY_BYTES;
	int			total = 0;
	int			sum = 0;

	for (int i = 0; i < node->num_entries; i++)
		total += pgseal_sealed_entry_bytes(node, i);
	for (int i = 0; i < node->num_entries - 1; i++)
	{
		sum += pgseal_sealed_entry_bytes(node, i);
		if (ascending ? sum * 10 >= total * 9 : sum * 2 >= total)
			return i + 1;
	}
	return node->num_entries - 1;
}

static bool
coin(void)
{
	uint8		byte;

	pgseal_random_bytes(&byte, 1);
	return (byte & 1) != 0;
}

/* Not to be seen: keys are short enough for both halves (max_key_bytes) */
static void
report_no_room(void)
{
	ereport(ERROR,
			(errcode(ERRCODE_INTERNAL_ERROR),
			 errmsg("node of a sealed index has no room after a split")));
}

void
pgseal_sealed_split(const PgsealSealedIndex *index, Relation relation, Buffer meta_buffer,
					Buffer buffer, const PgsealSealedSealer *sealer, PgsealSealedNode *node,
					int added, PgsealSealedEntry *out_separator, uint32 *out_left,
					uint64 *out_left_below)
{
	uint32		new_id = pgseal_sealed_num_nodes(BufferGetPage(meta_buffer));
	bool		new_is_right = coin();
	int			position = split_position(node, added);
	PgsealSealedNode left = *node;
	PgsealSealedNode right = *node;
	Buffer		new_buffer = lock_new_block(index, relation, new_id, buffer);
	GenericXLogState *state = GenericXLogStart(relation);
	Page		meta = GenericXLogRegisterBuffer(state, meta_buffer, 0);
	Page		page = GenericXLogRegisterBuffer(state, buffer, 0);
	Page		new_page = BufferIsValid(new_buffer) ? register_new(state, new_buffer) : page;

	left.num_entries = position;
	left.high = node->entries[position];
	right.entries = node->entries + position;
	right.num_entries = node->num_entries - position;
	right.low = left.high;
	left.id = new_is_right ? node->id : new_id;
	right.id = new_is_right ? new_id : node->id;
	left.right = right.id;
	right.left = left.id;
	*out_separator = left.high;
	out_separator->child = right.id;
	out_separator->below = pgseal_sealed_below(&right);
	*out_left = left.id;
	*out_left_below = pgseal_sealed_below(&left);

	if (!pgseal_sealed_put(index, left.id == new_id ? new_page : page, sealer, &left) ||
		!pgseal_sealed_put(index, right.id == new_id ? new_page : page, sealer, &right))
		report_no_room();
	pgseal_sealed_set_num_nodes(meta, new_id + 1);
	GenericXLogFinish(state);
	if (BufferIsValid(new_buffer))
		UnlockReleaseBuffer(new_buffer);
}

/* A root above the two halves of the old one, or the first leaf; the metapage is locked */
static void
make_root(PgsealSealedIndex *index, Relation relation, Buffer meta_buffer,
		  const PgsealSealedSealer *sealer, PgsealSealedNode *root)
{
	Buffer		buffer = lock_new_block(index, relation, root->id, InvalidBuffer);
	GenericXLogState *state = GenericXLogStart(relation);
	Page		meta = GenericXLogRegisterBuffer(state, meta_buffer, 0);
	Page		page = register_new(state, buffer);

	if (!pgseal_sealed_put(index, page, sealer, root))
		report_no_room();
	pgseal_sealed_set_num_nodes(meta, root->id + 1);
	pgseal_sealed_set_root(meta, root->id, root->level);
	GenericXLogFinish(state);
	UnlockReleaseBuffer(buffer);
	index->root = root->id;
	index->root_level = root->level;
}

void
pgseal_sealed_grow(PgsealSealedIndex *index, Relation relation, Buffer meta_buffer,
				   const PgsealSealedSealer *sealer, const PgsealSealedEntry *separator,
				   uint32 left, uint64 left_below)
{
	PgsealSealedNode *root = pgseal_sealed_new_node(pgseal_sealed_num_nodes(BufferGetPage(meta_buffer)),
													index->root_level + 1);
	PgsealSealedEntry first = {.child = left, .below = left_below};

	pgseal_sealed_add_entry(root, 0, &first);
	pgseal_sealed_add_entry(root, 1, separator);
	make_root(index, relation, meta_buffer, sealer, root);
	pgseal_sealed_free_node(root);
}

void
pgseal_sealed_plant(PgsealSealedIndex *index, Relation relation, Buffer meta_buffer,
					const PgsealSealedSealer *sealer, const PgsealSealedEntry *entry)
{
	PgsealSealedNode *leaf = pgseal_sealed_new_node(pgseal_sealed_num_nodes(BufferGetPage(meta_buffer)), 0);

	pgseal_sealed_add_entry(leaf, 0, entry);
	make_root(index, relation, meta_buffer, sealer, leaf);
	pgseal_sealed_free_node(leaf);
}
