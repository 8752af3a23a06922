/*-------------------------------------------------------------------------
 *
 * splice.c
 *	  Putting an entry into the bytes of a leaf.
 *
 * Where its key is, or would be, is found among the keys, which are passed over and
 * not read; then the bytes behind it move on.  What comes out is what reading all
 * entries and writing them again would make, byte by byte.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bitutils.h"

#include "sealed/node_bytes.h"

/* A group has at least a byte of key, the number of its rows, and one row */
#define MAX_GROUPS		(BLCKSZ / 3)

/* Which of eight bytes end a varint, as their highest bits; the first byte is the lowest */
static inline uint64
varint_ends(const uint8 *bytes)
{
	uint64		word;

	memcpy(&word, bytes, sizeof(word));
#ifdef WORDS_BIGENDIAN
	word = pg_bswap64(word);
#endif
	return ~word & UINT64CONST(0x8080808080808080);
}

/* Behind so many varints, or the end */
static inline const uint8 *
skip_varints(const uint8 *next, const uint8 *end, uint64 *num)
{
	while (*num > 0 && end - next >= sizeof(uint64))
	{
		uint64		ends = varint_ends(next);
		uint64		found = ((ends >> 7) * UINT64CONST(0x0101010101010101)) >> 56;

		if (found < *num)
		{
			*num -= found;
			next += sizeof(uint64);
			continue;
		}
		for (; *num > 1; (*num)--)
			ends &= ends - 1;
		next += pg_rightmost_one_pos64(ends) / 8 + 1;
		*num = 0;
	}
	for (; *num > 0 && next < end; next++)
		*num -= *next < 0x80;
	return next;
}

/*
 * Where the groups of rows of a key begin, and where the last one ends; how many there
 * are.  Most of what an insertion does in a leaf: a byte that is a number is read here.
 */
static int
find_groups(Reader *in, const PgsealSealedIndex *index, const PgsealSealedNode *leaf,
			uint16 out_starts[MAX_GROUPS + 1])
{
	const uint8 *plain = leaf->plain;
	const uint8 *next = in->next;
	const uint8 *end = in->end;
	uint64		left = leaf->num_entries;
	int			num_columns = index->num_columns;
	int			num = 0;

	while (left > 0)
	{
		uint64		rows;

		out_starts[num++] = next - plain;
		if (num_columns == 1 && next < end && *next < 0x80 && *next < end - next)
			next += Max(*next, 1);
		else
		{
			in->next = next;
			skip_key(in, num_columns);
			next = in->next;
		}
		if (next < end && *next < 0x80)
			rows = *next++;
		else
		{
			in->next = next;
			rows = read_varint(in);
			next = in->next;
		}
		if (rows == 0 || rows > left)
			pgseal_sealed_report_malformed(in);
		left -= rows;
		next = skip_varints(next, end, &rows);
		if (rows > 0)
			pgseal_sealed_report_malformed(in);
	}
	out_starts[num] = next - plain;
	return num;
}

/* The first group whose key is not less than the entry's; *out_order: 0, it is equal */
static int
group_for(const PgsealSealedIndex *index, const PgsealSealedNode *leaf, const uint16 *starts,
		  int num, const PgsealSealedEntry *entry, int *out_order)
{
	int			low = 0;
	int			high = num;

	*out_order = 1;
	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = pgseal_sealed_compare(index, leaf->plain + starts[middle], 0,
												  entry->key, 0);

		if (order < 0)
			low = middle + 1;
		else
		{
			high = middle;
			*out_order = order;
		}
	}
	return low;
}

/* Puts bytes in the place of others, of as many or fewer; what follows moves on */
static void
replace(PgsealSealedNode *leaf, int at, int old_len, const Writer *bytes, const uint8 *start, int *end)
{
	int			len = bytes->next - start;

	memmove(leaf->plain + at + len, leaf->plain + at + old_len, *end - at - old_len);
	memcpy(leaf->plain + at, start, len);
	*end += len - old_len;
}

/* Room for a key is the caller's; this is for what stands beside it */
#define SPLICE_BYTES	(3 * VARINT_BYTES)

static PgsealSpliced
add_group(PgsealSealedNode *leaf, int at, int end, const PgsealSealedEntry *entry)
{
	uint8		bytes[SPLICE_BYTES];
	Writer		out = {bytes, bytes + sizeof(bytes), false};
	int			behind = at + entry->key_len;

	write_varint(&out, 1);
	write_varint(&out, entry->tid);
	if (end + entry->key_len + (out.next - bytes) > leaf->plain_len)
		return PGSEAL_SPLICE_FULL;
	memmove(leaf->plain + behind, leaf->plain + at, end - at);
	memcpy(leaf->plain + at, entry->key, entry->key_len);
	end += entry->key_len;
	replace(leaf, behind, 0, &out, bytes, &end);
	return PGSEAL_SPLICED;
}

/* Among the rows of its key, which begin with their number at in */
static PgsealSpliced
add_row(Reader *in, PgsealSealedNode *leaf, int end, uint64 tid)
{
	uint8		count[VARINT_BYTES];
	uint8		rows[SPLICE_BYTES];
	Writer		new_count = {count, count + sizeof(count), false};
	Writer		new_rows = {rows, rows + sizeof(rows), false};
	int			count_at = in->next - leaf->plain;
	uint64		num = read_varint(in);
	int			count_len = in->next - leaf->plain - count_at;
	uint64		before = 0;
	int			at = in->next - leaf->plain;
	int			old_len = 0;

	for (uint64 i = 0; i < num && old_len == 0; i++)
	{
		uint64		next = before + read_varint(in);

		if (next == tid)
			return PGSEAL_SPLICE_THERE;
		if (next < tid)
			at = in->next - leaf->plain;
		else
		{
			old_len = in->next - leaf->plain - at;
			write_varint(&new_rows, tid - before);
			write_varint(&new_rows, next - tid);
		}
		if (next < tid)
			before = next;
	}
	if (old_len == 0)
		write_varint(&new_rows, tid - before);
	write_varint(&new_count, num + 1);
	if (end + (new_rows.next - rows) - old_len + (new_count.next - count) - count_len > leaf->plain_len)
		return PGSEAL_SPLICE_FULL;
	replace(leaf, at, old_len, &new_rows, rows, &end);
	replace(leaf, count_at, count_len, &new_count, count, &end);
	return PGSEAL_SPLICED;
}

PgsealSpliced
pgseal_sealed_splice(const PgsealSealedIndex *index, PgsealSealedNode *leaf,
					 const PgsealSealedEntry *entry)
{
	Reader		in = {leaf->first_key, leaf->plain + leaf->plain_len, index, leaf->id};
	Writer		out;
	uint16		starts[MAX_GROUPS + 1];
	int			num = find_groups(&in, index, leaf, starts);
	int			order;
	int			group = group_for(index, leaf, starts, num, entry, &order);
	int			end = starts[num];
	PgsealSpliced result;

	if (order != 0)
		result = add_group(leaf, group < num ? starts[group] : end, end, entry);
	else
	{
		const uint8 *key = leaf->plain + starts[group];

		/*
		 * Equal values of other bytes, as 1.0 and 1.00, may lie among its
		 * rows
		 */
		if ((group + 1 < num && pgseal_sealed_compare(index, leaf->plain + starts[group + 1], 0,
													  entry->key, 0) == 0) ||
			pgseal_sealed_key_len(index, key) != entry->key_len ||
			memcmp(key, entry->key, entry->key_len) != 0)
			return PGSEAL_SPLICE_BY_ENTRIES;
		in.next = key + entry->key_len;
		result = add_row(&in, leaf, end, entry->tid);
	}
	if (result == PGSEAL_SPLICED)
	{
		leaf->num_entries++;
		out = (Writer)
		{
			(uint8 *) leaf->first_key - NUM_ENTRIES_BYTES, (uint8 *) leaf->first_key, false
		};
		write_int(&out, leaf->num_entries, NUM_ENTRIES_BYTES);
	}
	return result;
}
