/*-------------------------------------------------------------------------
 *
 * node.c
 *	  Opened nodes of a sealed index: bytes to entries and back.
 *
 * The bytes are authentic, but they may have been written by another version:
 * whoever reads them checks that he stays within the node.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "sealed/node_bytes.h"

#define HAS_LOW		0x01
#define HAS_HIGH	0x02

#define HEAD_BYTES	10			/* level, flags, neighbours */

/* Room for so many entries is made at first */
#define FEW_ENTRIES	64

/*
 * Writing
 */

static int
varint_bytes(uint64 number)
{
	int			len = 1;

	for (; number >= 0x80; number >>= 7)
		len++;
	return len;
}

static void
write_place(Writer *out, const PgsealSealedEntry *entry)
{
	write_bytes(out, entry->key, entry->key_len);
	write_int(out, entry->tid, TID_BYTES);
}

/* Entries from i on that have the key of the one at i, byte by byte */
static int
same_key(const PgsealSealedNode *node, int i)
{
	const PgsealSealedEntry *first = &node->entries[i];
	int			n = 1;

	while (i + n < node->num_entries && first[n].key_len == first->key_len &&
		   (first[n].key == first->key || memcmp(first[n].key, first->key, first->key_len) == 0))
		n++;
	return n;
}

static void
write_leaf(Writer *out, const PgsealSealedNode *node)
{
	int			n;

	for (int i = 0; i < node->num_entries && !out->full; i += n)
	{
		uint64		before = 0;

		n = same_key(node, i);
		write_bytes(out, node->entries[i].key, node->entries[i].key_len);
		write_varint(out, n);
		for (int k = i; k < i + n; k++)
		{
			write_varint(out, node->entries[k].tid - before);
			before = node->entries[k].tid;
		}
	}
}

static void
write_inner(Writer *out, const PgsealSealedNode *node)
{
	for (int i = 0; i < node->num_entries && !out->full; i++)
	{
		if (i > 0)
			write_place(out, &node->entries[i]);
		write_int(out, node->entries[i].child, 4);
		write_varint(out, node->entries[i].below);
	}
}

bool
pgseal_sealed_encode_node(uint8 *out_plain, const PgsealSealedIndex *index,
						  const PgsealSealedNode *node)
{
	Writer		out = {out_plain, out_plain + index->node_bytes, false};

	/* Read without entries, it has no others than its bytes say */
	if (node->entries == NULL)
	{
		memcpy(out_plain, node->plain, index->node_bytes);
		return true;
	}
	memset(out_plain, 0, index->node_bytes);
	write_int(&out, node->level, 1);
	write_int(&out, (node->low.key != NULL ? HAS_LOW : 0) | (node->high.key != NULL ? HAS_HIGH : 0), 1);
	write_int(&out, node->left, 4);
	write_int(&out, node->right, 4);
	if (node->low.key != NULL)
		write_place(&out, &node->low);
	if (node->high.key != NULL)
		write_place(&out, &node->high);
	write_int(&out, node->num_entries, NUM_ENTRIES_BYTES);
	if (node->level == 0)
		write_leaf(&out, node);
	else
		write_inner(&out, node);
	return !out.full;
}

int
pgseal_sealed_head_bytes(const PgsealSealedNode *node)
{
	return HEAD_BYTES + NUM_ENTRIES_BYTES +
		(node->low.key != NULL ? node->low.key_len + TID_BYTES : 0) +
		(node->high.key != NULL ? node->high.key_len + TID_BYTES : 0);
}

int
pgseal_sealed_entry_bytes(const PgsealSealedNode *node, int position)
{
	const PgsealSealedEntry *entry = &node->entries[position];
	const PgsealSealedEntry *before = position > 0 ? entry - 1 : NULL;

	if (node->level > 0)
		return entry->key_len + TID_BYTES + 4 + varint_bytes(entry->below);
	if (before != NULL && before->key_len == entry->key_len &&
		memcmp(before->key, entry->key, entry->key_len) == 0)
		return varint_bytes(entry->tid - before->tid);
	/* the number of rows of a key is rarely more than a byte or two */
	return entry->key_len + 2 + varint_bytes(entry->tid);
}

/*
 * Reading
 */

void
pgseal_sealed_report_malformed(const Reader *in)
{
	ereport(ERROR,
			(errcode(ERRCODE_INDEX_CORRUPTED),
			 errmsg("node in block %u of sealed index \"%s\" is malformed",
					pgseal_sealed_block(in->index, in->id), NameStr(in->index->name))));
}

uint64
pgseal_sealed_read_long_varint(Reader *in)
{
	const uint8 *end = in->next + Min(in->end - in->next, VARINT_BYTES);
	uint64		number = 0;

	for (int shift = 0; in->next < end; shift += 7)
	{
		uint8		byte = *in->next++;

		number |= (uint64) (byte & 0x7F) << shift;
		if ((byte & 0x80) == 0)
			return number;
	}
	pgseal_sealed_report_malformed(in);
	return 0;
}

static inline uint64
read_int8(Reader *in)
{
	uint64		be;

	memcpy(&be, skip_bytes(in, sizeof(be)), sizeof(be));
	return pg_ntoh64(be);
}

static inline uint32
read_int4(Reader *in)
{
	uint32		be;

	memcpy(&be, skip_bytes(in, sizeof(be)), sizeof(be));
	return pg_ntoh32(be);
}

static inline int
read_int2(Reader *in)
{
	uint16		be;

	memcpy(&be, skip_bytes(in, sizeof(be)), sizeof(be));
	return pg_ntoh16(be);
}

static inline void
read_key(Reader *in, const PgsealSealedIndex *index, PgsealSealedEntry *out_entry)
{
	out_entry->key = in->next;
	skip_key(in, index->num_columns);
	out_entry->key_len = in->next - out_entry->key;
}

static inline void
read_place(Reader *in, const PgsealSealedIndex *index, PgsealSealedEntry *out_entry)
{
	read_key(in, index, out_entry);
	out_entry->tid = read_int8(in);
}

/* The rows of a key, whose number is known to be right; most of a search's time */
static void
read_rows(Reader *in, const PgsealSealedEntry *key, PgsealSealedEntry *out_entries, uint64 num)
{
	const uint8 *next = in->next;
	const uint8 *end = in->end;
	PgsealSealedEntry entry = *key;

	for (uint64 i = 0; i < num; i++)
	{
		if (likely(next < end && (*next & 0x80) == 0))
			entry.tid += *next++;
		else
		{
			in->next = next;
			entry.tid += pgseal_sealed_read_long_varint(in);
			next = in->next;
		}
		out_entries[i] = entry;
	}
	in->next = next;
}

static void
read_leaf(Reader *in, const PgsealSealedIndex *index, PgsealSealedNode *node, int num)
{
	while (node->num_entries < num)
	{
		PgsealSealedEntry key = {0};
		uint64		n;

		read_key(in, index, &key);
		n = read_varint(in);
		if (n == 0 || n > num - node->num_entries)
			pgseal_sealed_report_malformed(in);
		read_rows(in, &key, node->entries + node->num_entries, n);
		node->num_entries += n;
	}
}

/* With a reader of its own, which the compiler keeps in registers: most of the way down a tree */
static void
read_inner(const Reader *start, const PgsealSealedIndex *index, PgsealSealedNode *node, int num)
{
	Reader		in = *start;
	int			num_columns = index->num_columns;

	for (int i = 0; i < num; i++)
	{
		PgsealSealedEntry *entry = &node->entries[i];
		const uint8 *key = in.next;
		const uint8 *fixed;
		uint64		tid_be = 0;
		uint32		child_be;

		if (i > 0)
			skip_key(&in, num_columns);
		entry->key = i > 0 ? key : NULL;
		entry->key_len = in.next - key;
		fixed = skip_bytes(&in, (i > 0 ? TID_BYTES : 0) + sizeof(child_be));
		if (i > 0)
		{
			memcpy(&tid_be, fixed, TID_BYTES);
			fixed += TID_BYTES;
		}
		memcpy(&child_be, fixed, sizeof(child_be));
		entry->tid = pg_ntoh64(tid_be);
		entry->child = pg_ntoh32(child_be);
		entry->below = read_varint(&in);
	}
	node->num_entries = num;
}

PgsealSealedNode *
pgseal_sealed_decode(const PgsealSealedIndex *index, uint32 id, uint8 *plain)
{
	PgsealSealedNode *node = palloc0(sizeof(PgsealSealedNode));
	Reader		in = {plain, plain + index->node_bytes, index, id};
	int			flags;
	int			num;

	node->id = id;
	node->plain = plain;
	node->plain_len = index->node_bytes;
	node->level = *skip_bytes(&in, 1);
	flags = *skip_bytes(&in, 1);
	node->left = read_int4(&in);
	node->right = read_int4(&in);
	if (flags & HAS_LOW)
		read_place(&in, index, &node->low);
	if (flags & HAS_HIGH)
		read_place(&in, index, &node->high);
	num = read_int2(&in);
	node->first_key = in.next;
	if (node->level == 0 && index->without_entries)
	{
		node->num_entries = num;
		return node;
	}
	node->max_entries = num + 1;	/* one may come */
	node->entries = palloc(sizeof(PgsealSealedEntry) * node->max_entries);
	if (node->level == 0)
		read_leaf(&in, index, node, num);
	else
		read_inner(&in, index, node, num);
	return node;
}

void
pgseal_sealed_read_entries(const PgsealSealedIndex *index, PgsealSealedNode *leaf)
{
	Reader		in = {leaf->first_key, leaf->plain + leaf->plain_len, index, leaf->id};
	int			num = leaf->num_entries;

	leaf->num_entries = 0;
	leaf->max_entries = num + 1;
	leaf->entries = palloc(sizeof(PgsealSealedEntry) * leaf->max_entries);
	read_leaf(&in, index, leaf, num);
}

static Reader
reader_of(const PgsealSealedCursor *cursor, const PgsealSealedIndex *index,
		  const PgsealSealedNode *leaf)
{
	return (Reader)
	{
		cursor->next, leaf->plain + leaf->plain_len, index, leaf->id
	};
}

const uint8 *
pgseal_sealed_next_key(PgsealSealedCursor *cursor, const PgsealSealedIndex *index,
					   const PgsealSealedNode *leaf, int64 *out_rows)
{
	PgsealSealedEntry key = {0};
	Reader		in;
	uint64		rows;

	if (cursor->next == NULL)
		cursor->next = leaf->first_key;
	if (cursor->entries == leaf->num_entries)
		return NULL;
	in = reader_of(cursor, index, leaf);
	read_key(&in, index, &key);
	rows = read_varint(&in);
	if (rows == 0 || rows > leaf->num_entries - cursor->entries)
		pgseal_sealed_report_malformed(&in);
	*out_rows = (int64) rows;
	cursor->next = in.next;
	return key.key;
}

void
pgseal_sealed_take_rows(PgsealSealedCursor *cursor, const PgsealSealedIndex *index,
						const PgsealSealedNode *leaf, int64 num, uint64 *out_tids)
{
	Reader		in = reader_of(cursor, index, leaf);
	uint64		tid = 0;

	for (int64 i = 0; i < num; i++)
	{
		tid += read_varint(&in);
		if (out_tids != NULL)
			out_tids[i] = tid;
	}
	cursor->next = in.next;
	cursor->entries += num;
}

PgsealSealedNode *
pgseal_sealed_new_node(uint32 id, int level)
{
	PgsealSealedNode *node = palloc0(sizeof(PgsealSealedNode));

	node->id = id;
	node->level = level;
	node->left = node->right = PGSEAL_SEALED_NO_NODE;
	node->max_entries = FEW_ENTRIES;
	node->entries = palloc(sizeof(PgsealSealedEntry) * node->max_entries);
	return node;
}

void
pgseal_sealed_free_node(PgsealSealedNode *node)
{
	if (node == NULL)
		return;
	if (node->holders > 1)
	{
		node->holders--;
		return;
	}
	if (node->plain != NULL)
	{
		pgseal_wipe(node->plain, node->plain_len);
		pfree(node->plain);
	}
	if (node->entries != NULL)
		pfree(node->entries);
	pfree(node);
}

void
pgseal_sealed_add_entry(PgsealSealedNode *node, int position, const PgsealSealedEntry *entry)
{
	if (node->num_entries == node->max_entries)
	{
		node->max_entries *= 2;
		node->entries = repalloc(node->entries, sizeof(PgsealSealedEntry) * node->max_entries);
	}
	memmove(&node->entries[position + 1], &node->entries[position],
			sizeof(PgsealSealedEntry) * (node->num_entries - position));
	node->entries[position] = *entry;
	node->num_entries++;
}

void
pgseal_sealed_remove_entry(PgsealSealedNode *node, int position)
{
	node->num_entries--;
	memmove(&node->entries[position], &node->entries[position + 1],
			sizeof(PgsealSealedEntry) * (node->num_entries - position));
}

uint64
pgseal_sealed_below(const PgsealSealedNode *node)
{
	uint64		below = 0;

	if (node->level == 0)
		return node->num_entries;
	for (int i = 0; i < node->num_entries; i++)
		below += node->entries[i].below;
	return below;
}
