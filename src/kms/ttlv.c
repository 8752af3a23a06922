/*-------------------------------------------------------------------------
 *
 * ttlv.c
 *	  Tag, type, length, value: how KMIP writes its messages.
 *
 * See ttlv.h for the bytes.  The reader doesn't recurse: whoever looks for
 * something deep goes there step by step, so a message can nest as deep as it
 * likes.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "kms/ttlv.h"

/* KMIP 1.4, section 9.1.1.2 */
#define TYPE_STRUCTURE		0x01
#define TYPE_INTEGER		0x02
#define TYPE_ENUMERATION	0x05
#define TYPE_BOOLEAN		0x06
#define TYPE_TEXT			0x07
#define TYPE_BYTES			0x08

#define PADDED(len)			(((len) + 7) & ~(size_t) 7)

/*
 * Writing
 */

static void
append(PgsealSecretString *out, uint32 tag, uint8 type, const void *value, size_t len)
{
	static const char zeros[8] = {0};
	uint32		first = pg_hton32(tag << 8 | type);
	uint32		length = pg_hton32((uint32) len);

	pgseal_secmem_append_bytes(out, (const char *) &first, sizeof(first));
	pgseal_secmem_append_bytes(out, (const char *) &length, sizeof(length));
	pgseal_secmem_append_bytes(out, value, len);
	pgseal_secmem_append_bytes(out, zeros, PADDED(len) - len);
}

size_t
pgseal_ttlv_begin(PgsealSecretString *out, uint32 tag)
{
	append(out, tag, TYPE_STRUCTURE, "", 0);
	return out->len;
}

void
pgseal_ttlv_end(PgsealSecretString *out, size_t begin)
{
	uint32		length = pg_hton32((uint32) (out->len - begin));

	memcpy(out->data + begin - sizeof(length), &length, sizeof(length));
}

void
pgseal_ttlv_integer(PgsealSecretString *out, uint32 tag, int32 value)
{
	uint32		bytes = pg_hton32((uint32) value);

	append(out, tag, TYPE_INTEGER, &bytes, sizeof(bytes));
}

void
pgseal_ttlv_enumeration(PgsealSecretString *out, uint32 tag, uint32 value)
{
	uint32		bytes = pg_hton32(value);

	append(out, tag, TYPE_ENUMERATION, &bytes, sizeof(bytes));
}

void
pgseal_ttlv_boolean(PgsealSecretString *out, uint32 tag, bool value)
{
	uint64		bytes = pg_hton64(value ? 1 : 0);

	append(out, tag, TYPE_BOOLEAN, &bytes, sizeof(bytes));
}

void
pgseal_ttlv_text(PgsealSecretString *out, uint32 tag, const char *value)
{
	append(out, tag, TYPE_TEXT, value, strlen(value));
}

void
pgseal_ttlv_bytes(PgsealSecretString *out, uint32 tag, const uint8 *value, size_t len)
{
	append(out, tag, TYPE_BYTES, value, len);
}

/*
 * Reading
 */

static uint32
read_uint32(const uint8 *bytes)
{
	uint32		value;

	memcpy(&value, bytes, sizeof(value));
	return pg_ntoh32(value);
}

/* The item at the start of bytes and, with its padding, how long it is; 0: none */
static size_t
read_item(PgsealTtlv *out_item, const uint8 *bytes, size_t len)
{
	size_t		value_len;

	if (len < PGSEAL_TTLV_HEADER_BYTES)
		return 0;
	value_len = read_uint32(bytes + 4);
	if (PADDED(value_len) > len - PGSEAL_TTLV_HEADER_BYTES)
		return 0;
	out_item->tag = read_uint32(bytes) >> 8;
	out_item->type = bytes[3];
	out_item->value = bytes + PGSEAL_TTLV_HEADER_BYTES;
	out_item->len = value_len;
	return PGSEAL_TTLV_HEADER_BYTES + PADDED(value_len);
}

bool
pgseal_ttlv_parse(PgsealTtlv *out_item, const uint8 *bytes, size_t len)
{
	return len > 0 && read_item(out_item, bytes, len) == len;
}

bool
pgseal_ttlv_next(PgsealTtlv *out_item, const PgsealTtlv *structure, size_t *position)
{
	size_t		len;

	if (structure->value == NULL || structure->type != TYPE_STRUCTURE)
		return false;
	len = read_item(out_item, structure->value + *position, structure->len - *position);
	*position += len;
	return len > 0;
}

PgsealTtlv
pgseal_ttlv_member(const PgsealTtlv *structure, uint32 tag)
{
	PgsealTtlv	item;
	size_t		position = 0;

	while (pgseal_ttlv_next(&item, structure, &position))
	{
		if (item.tag == tag)
			return item;
	}
	memset(&item, 0, sizeof(item));
	return item;
}

bool
pgseal_ttlv_get_enumeration(uint32 *out_value, PgsealTtlv item)
{
	if (item.value == NULL || item.type != TYPE_ENUMERATION || item.len != sizeof(uint32))
		return false;
	*out_value = read_uint32(item.value);
	return true;
}

const uint8 *
pgseal_ttlv_get_bytes(size_t *out_len, PgsealTtlv item, size_t max_len)
{
	if (item.value == NULL || item.type != TYPE_BYTES || item.len > max_len)
		return NULL;
	*out_len = item.len;
	return item.value;
}

char *
pgseal_ttlv_get_text(PgsealTtlv item)
{
	if (item.value == NULL || item.type != TYPE_TEXT ||
		memchr(item.value, '\0', item.len) != NULL)
		return NULL;
	return pgseal_secmem_copy((const char *) item.value, item.len);
}

size_t
pgseal_ttlv_message_len(const char *bytes, size_t len)
{
	if (len < PGSEAL_TTLV_HEADER_BYTES)
		return 0;
	return PGSEAL_TTLV_HEADER_BYTES + PADDED((size_t) read_uint32((const uint8 *) bytes + 4));
}
