/*-------------------------------------------------------------------------
 *
 * pending.c
 *	  Rows of an index of terms that have not yet come to their nodes.
 *
 * Each term of a row belongs into another node, and writing a node costs one.  So a
 * row is appended as it is, sealed, to one of the blocks behind the metapage, and
 * many rows are brought to their nodes at once: when these blocks are full, by
 * VACUUM, and before nodes are sealed anew.
 *
 * A search looks at the pending rows first, then in the tree; a row leaves the
 * blocks only when it is in the tree, so it is found in one of them at least, after
 * a crash and on a standby as well.  One backend at a time moves rows (the lock of
 * the metapage, of the lock manager), others append meanwhile.  VACUUM moves them
 * before it removes what is dead: what is appended later isn't.
 *
 * A record in a block, one behind the other up to pd_lower:
 *
 *	 2	length of all of it
 *	 sealed bytes (node_key.c) of
 *		1	flags: other records have more of the row's terms; the value is NULL
 *		8	row pointer
 *		2	number of terms
 *		4	each term
 *		zeroes up to a multiple of PADDING
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "sealed/terms.h"

#define META_BLOCK			0
#define LENGTH_BYTES		2
#define FIXED_BYTES			11
#define PADDING				64
#define TERMS_IN_RECORD		1000
#define RECORD_START		MAXALIGN(SizeOfPageHeaderData)

#define IS_PARTIAL			0x01
#define IS_NULL				0x02

/* Rows of so many blocks are moved at once */
#define BLOCKS_AT_ONCE		64

/* Not that of a node (store.c) */
static const uint8 aad[] = {1, 'p', 'e', 'n', 'd', 'i', 'n', 'g'};

static inline BlockNumber
block_of(uint32 page)
{
	return META_BLOCK + 1 + page;
}

/*
 * Reading
 */

static void
report_malformed(const PgsealSealedIndex *index, BlockNumber block)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("pending row in block %u of sealed index \"%s\" is malformed", block,
					NameStr(index->name))));
}

/* Opens a record; the terms lie in what is returned, in the order of this machine */
static uint8 *
open_record(const PgsealSealedIndex *index, BlockNumber block, const uint8 *record, size_t len,
			PgsealPendingRow *out_row)
{
	int64		key_version_id;
	uint32		generation;
	uint16		num_be;
	uint64		tid_be;
	uint8	   *plain;

	if (len < LENGTH_BYTES + PGSEAL_SEALED_HEADER_BYTES + FIXED_BYTES)
		report_malformed(index, block);
	len -= LENGTH_BYTES + PGSEAL_SEALED_HEADER_BYTES;
	pgseal_sealed_key_of_bytes(record + LENGTH_BYTES, &key_version_id, &generation);
	plain = pgseal_sealed_open_bytes(index, block,
									 pgseal_sealed_node_key(index, key_version_id, generation),
									 record + LENGTH_BYTES, len, aad, sizeof(aad));
	out_row->is_partial = (plain[0] & IS_PARTIAL) != 0;
	out_row->is_null = (plain[0] & IS_NULL) != 0;
	memcpy(&tid_be, plain + 1, sizeof(tid_be));
	out_row->tid = pg_ntoh64(tid_be);
	memcpy(&num_be, plain + 9, sizeof(num_be));
	out_row->num = pg_ntoh16(num_be);
	if (FIXED_BYTES + out_row->num * sizeof(uint32) > len)
		report_malformed(index, block);

	/* Aligned, over the header that has been read */
	memmove(plain, plain + FIXED_BYTES, out_row->num * sizeof(uint32));
	out_row->terms = (uint32 *) plain;
	for (int i = 0; i < out_row->num; i++)
		out_row->terms[i] = pg_ntoh32(out_row->terms[i]);
	return plain;
}

/* Visits the rows of one block; returns where they ended */
static uint16
visit_page(const PgsealSealedIndex *index, Relation relation, uint32 page_number,
		   PgsealPendingVisitor visitor, void *arg)
{
	Buffer		buffer = ReadBuffer(relation, block_of(page_number));
	uint8	   *page = NULL;
	uint16		end;

	/* Opened when the lock is gone: a key may have to be asked for */
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	end = ((PageHeader) BufferGetPage(buffer))->pd_lower;
	if (end > RECORD_START)
		page = memcpy(palloc(BLCKSZ), BufferGetPage(buffer), BLCKSZ);
	UnlockReleaseBuffer(buffer);
	if (page == NULL)
		return end;
	if (end > BLCKSZ)
		report_malformed(index, block_of(page_number));
	for (uint16 offset = RECORD_START; offset < end;)
	{
		PgsealPendingRow row;
		uint16		len;
		uint8	   *plain;

		memcpy(&len, page + offset, sizeof(len));
		if (len > end - offset)
			report_malformed(index, block_of(page_number));
		plain = open_record(index, block_of(page_number), page + offset, len, &row);
		visitor(&row, arg);
		pgseal_wipe(plain, len - LENGTH_BYTES - PGSEAL_SEALED_HEADER_BYTES);
		pfree(plain);
		offset += len;
	}
	pfree(page);
	return end;
}

void
pgseal_pending_visit(const PgsealSealedIndex *index, Relation relation,
					 PgsealPendingVisitor visitor, void *arg)
{
	for (uint32 i = 0; i < index->pending_pages; i++)
	{
		(void) visit_page(index, relation, i, visitor, arg);
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Moving rows to their nodes
 */

typedef struct Moved
{
	PgsealSealedEntry *entries;
	int64		num;
	int64		max;
	StringInfoData keys;		/* entries have offsets into it at first */
} Moved;

static void
add_entry(Moved *moved, uint64 tid, const uint8 *key, int key_len)
{
	PgsealSealedEntry *entry;

	if (moved->num == moved->max)
	{
		moved->max *= 2;
		moved->entries = repalloc_huge(moved->entries, sizeof(PgsealSealedEntry) * moved->max);
	}
	entry = &moved->entries[moved->num++];
	memset(entry, 0, sizeof(*entry));
	entry->tid = tid;
	entry->below = moved->keys.len;
	entry->key_len = key_len;
	appendBinaryStringInfo(&moved->keys, (const char *) key, key_len);
}

static void
collect(const PgsealPendingRow *row, void *arg)
{
	Moved	   *moved = arg;
	StringInfoData key;

	if (row->is_null)
	{
		add_entry(moved, row->tid, (const uint8 *) "", 1);
		return;
	}
	initStringInfo(&key);
	for (int i = 0; i < row->num; i++)
	{
		resetStringInfo(&key);
		pgseal_term_key(&key, row->terms[i]);
		add_entry(moved, row->tid, (uint8 *) key.data, key.len);
	}
	pgseal_wipe(key.data, key.maxlen);
	pfree(key.data);
}

static int
compare_entries(const void *a, const void *b, void *index)
{
	const PgsealSealedEntry *left = a;
	const PgsealSealedEntry *right = b;

	return pgseal_sealed_compare(index, left->key, left->tid, right->key, right->tid);
}

/* Takes the rows up to a place away from a block; others may have come behind them */
static void
remove_rows(Relation relation, uint32 page_number, uint16 end)
{
	Buffer		buffer = ReadBuffer(relation, block_of(page_number));
	GenericXLogState *state;
	char	   *page;
	int			left;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	state = GenericXLogStart(relation);
	page = (char *) GenericXLogRegisterBuffer(state, buffer, 0);
	left = ((PageHeader) page)->pd_lower - end;
	memmove(page + RECORD_START, page + end, left);
	memset(page + RECORD_START + left, 0, end - RECORD_START);
	((PageHeader) page)->pd_lower = RECORD_START + left;
	GenericXLogFinish(state);
	UnlockReleaseBuffer(buffer);
}

static void
move_rows(PgsealSealedIndex *index, Relation relation, uint32 first, uint32 end)
{
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "pgseal pending rows",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Moved		moved = {.max = 1024};
	uint16		ends[BLOCKS_AT_ONCE];

	moved.entries = palloc(sizeof(PgsealSealedEntry) * moved.max);
	initStringInfo(&moved.keys);
	for (uint32 i = first; i < end; i++)
		ends[i - first] = visit_page(index, relation, i, collect, &moved);
	for (int64 i = 0; i < moved.num; i++)
	{
		moved.entries[i].key = (uint8 *) moved.keys.data + moved.entries[i].below;
		moved.entries[i].below = 0;
	}
	qsort_arg(moved.entries, moved.num, sizeof(PgsealSealedEntry), compare_entries, index);
	pgseal_sealed_insert(index, relation, moved.entries, moved.num);
	for (uint32 i = first; i < end; i++)
		if (ends[i - first] > RECORD_START)
			remove_rows(relation, i, ends[i - first]);
	pgseal_wipe(moved.keys.data, moved.keys.maxlen);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(context);
}

static void
flush_locked(PgsealSealedIndex *index, Relation relation)
{
	for (uint32 i = 0; i < index->pending_pages; i += BLOCKS_AT_ONCE)
		move_rows(index, relation, i, Min(i + BLOCKS_AT_ONCE, index->pending_pages));
}

void
pgseal_pending_flush(PgsealSealedIndex *index, Relation relation)
{
	if (index->pending_pages == 0)
		return;
	LockPage(relation, META_BLOCK, ExclusiveLock);
	flush_locked(index, relation);
	UnlockPage(relation, META_BLOCK, ExclusiveLock);
}

/*
 * Appending
 */

static bool
has_room(Page page, size_t len)
{
	return ((PageHeader) page)->pd_lower + len <= BLCKSZ;
}

/* Appends the record to a block; false when it doesn't fit */
static bool
append_to(Relation relation, uint32 page_number, const uint8 *record, size_t len)
{
	Buffer		buffer = ReadBuffer(relation, block_of(page_number));
	bool		fits;

	LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
	fits = has_room(BufferGetPage(buffer), len);
	if (fits)
	{
		GenericXLogState *state = GenericXLogStart(relation);
		char	   *page = (char *) GenericXLogRegisterBuffer(state, buffer, 0);

		memcpy(page + ((PageHeader) page)->pd_lower, record, len);
		((PageHeader) page)->pd_lower += len;
		GenericXLogFinish(state);
	}
	UnlockReleaseBuffer(buffer);
	return fits;
}

/* Goes on to the next block, for all who append; false when it is full, too */
static bool
advance(PgsealSealedIndex *index, Relation relation, size_t len)
{
	Buffer		meta_buffer = pgseal_sealed_lock_meta(relation, BUFFER_LOCK_EXCLUSIVE);
	uint32		head = pgseal_sealed_pending_head(BufferGetPage(meta_buffer));
	bool		advanced = head != index->pending_head;

	if (!advanced)
	{
		Buffer		buffer;

		head = (head + 1) % index->pending_pages;
		buffer = ReadBuffer(relation, block_of(head));
		LockBuffer(buffer, BUFFER_LOCK_SHARE);
		advanced = has_room(BufferGetPage(buffer), len);
		UnlockReleaseBuffer(buffer);
		if (advanced)
		{
			GenericXLogState *state = GenericXLogStart(relation);

			pgseal_sealed_set_pending_head(GenericXLogRegisterBuffer(state, meta_buffer, 0), head);
			GenericXLogFinish(state);
		}
	}
	UnlockReleaseBuffer(meta_buffer);
	if (advanced)
	{
		index->pending_head = head;
		pgseal_sealed_remember(index, relation);
	}
	return advanced;
}

static void
append_record(PgsealSealedIndex *index, Relation relation, const uint8 *record, size_t len)
{
	while (!append_to(relation, index->pending_head, record, len))
	{
		if (advance(index, relation, len))
			continue;
		LockPage(relation, META_BLOCK, ExclusiveLock);
		/* Somebody else may have made room while we waited */
		if (!advance(index, relation, len))
			flush_locked(index, relation);
		UnlockPage(relation, META_BLOCK, ExclusiveLock);
	}
}

/* The next terms of the keys of a row, as a record */
static const uint8 *
make_plain(StringInfo out_plain, uint64 tid, const uint8 *key, const uint8 *end, bool is_first)
{
	uint64		tid_be = pg_hton64(tid);
	uint16		num_be;
	uint8		flags = 0;
	int			num = 0;

	resetStringInfo(out_plain);
	enlargeStringInfo(out_plain, FIXED_BYTES + TERMS_IN_RECORD * sizeof(uint32) + PADDING);
	out_plain->len = FIXED_BYTES;
	for (; key < end && num < TERMS_IN_RECORD; num++)
	{
		int			len = pgseal_sealed_next_column(&key);

		if (len < 0)
		{
			flags |= IS_NULL;
			break;
		}
		appendBinaryStringInfo(out_plain, (const char *) key, len);
		key += len;
	}
	if (flags & IS_NULL)
		key = end;
	if (!is_first || key < end)
		flags |= IS_PARTIAL;
	num_be = pg_hton16(num);
	out_plain->data[0] = (char) flags;
	memcpy(out_plain->data + 1, &tid_be, sizeof(tid_be));
	memcpy(out_plain->data + 9, &num_be, sizeof(num_be));
	while (out_plain->len % PADDING != 0)
		appendStringInfoCharMacro(out_plain, 0);
	return key;
}

void
pgseal_pending_append(PgsealSealedIndex *index, Relation relation, uint64 tid,
					  const uint8 *keys, size_t keys_len)
{
	const uint8 *end = keys + keys_len;
	const uint8 *key = keys;
	StringInfoData plain;
	uint8	   *record = palloc(BLCKSZ);

	initStringInfo(&plain);
	while (key < end)
	{
		PgsealSealedSealer sealer = pgseal_sealed_sealer(index, relation, 1);
		uint16		len;

		key = make_plain(&plain, tid, key, end, key == keys);
		len = LENGTH_BYTES + PGSEAL_SEALED_HEADER_BYTES + plain.len;
		memcpy(record, &len, sizeof(len));
		pgseal_sealed_seal_bytes(record + LENGTH_BYTES, &sealer, (uint8 *) plain.data, plain.len,
								 aad, sizeof(aad));
		append_record(index, relation, record, len);
	}
	pgseal_wipe(plain.data, plain.maxlen);
	pfree(plain.data);
	pfree(record);
}
