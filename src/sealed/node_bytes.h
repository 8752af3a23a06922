/*-------------------------------------------------------------------------
 *
 * node_bytes.h
 *	  Bytes of an opened node, read and written one after the other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_NODE_BYTES_H
#define PGSEAL_NODE_BYTES_H

#include "port/pg_bswap.h"

#include "sealed/sealed.h"

#define NUM_ENTRIES_BYTES	2
#define TID_BYTES			8

typedef struct Writer
{
	uint8	   *next;
	uint8	   *end;
	bool		full;
} Writer;

static inline void
write_bytes(Writer *out, const void *bytes, size_t len)
{
	if (len > out->end - out->next)
	{
		out->full = true;
		return;
	}
	memcpy(out->next, bytes, len);
	out->next += len;
}

static inline void
write_varint(Writer *out, uint64 number)
{
	uint8		bytes[10];
	int			len = 0;

	for (; number >= 0x80; number >>= 7)
		bytes[len++] = 0x80 | (number & 0x7F);
	bytes[len++] = (uint8) number;
	write_bytes(out, bytes, len);
}

static inline void
write_int(Writer *out, uint64 number, int width)
{
	uint64		be = pg_hton64(number);

	write_bytes(out, (uint8 *) &be + sizeof(be) - width, width);
}

typedef struct Reader
{
	const uint8 *next;
	const uint8 *end;
	const PgsealSealedIndex *index;
	uint32		id;
} Reader;

/* So many bytes has a varint at most */
#define VARINT_BYTES	10

/* Out of line, as they are rarely needed: XX002, and numbers of more than a byte */
extern void pgseal_sealed_report_malformed(const Reader *in);
extern uint64 pgseal_sealed_read_long_varint(Reader *in);

static inline uint64
read_varint(Reader *in)
{
	if (likely(in->next < in->end && (*in->next & 0x80) == 0))
		return *in->next++;
	return pgseal_sealed_read_long_varint(in);
}

static inline const uint8 *
skip_bytes(Reader *in, size_t num)
{
	const uint8 *bytes = in->next;

	if (unlikely(num > (size_t) (in->end - in->next)))
		pgseal_sealed_report_malformed(in);
	in->next += num;
	return bytes;
}

/* Over the key that starts there */
static inline void
skip_key(Reader *in, int num_columns)
{
	const uint8 *next = in->next;

	/* One short column, as most are */
	if (num_columns == 1 && next < in->end && *next < 0x80 && *next <= in->end - next)
	{
		in->next = next + Max(*next, 1);
		return;
	}
	for (int i = 0; i < num_columns; i++)
	{
		uint64		len = read_varint(in);

		if (len > 0)
			(void) skip_bytes(in, len - 1);
	}
}

#endif							/* PGSEAL_NODE_BYTES_H */
