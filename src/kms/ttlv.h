/*-------------------------------------------------------------------------
 *
 * ttlv.h
 *	  Tag, type, length, value: how KMIP writes its messages.
 *
 * Key Management Interoperability Protocol Specification 1.4, section 9.1, and
 * 2.1, section 10: https://docs.oasis-open.org/kmip/spec/v1.4/
 *
 *	 offset	bytes
 *	 0		3	tag, big endian
 *	 3		1	type
 *	 4		4	length of the value, big endian, without the padding
 *	 8		n	value; zeros behind it up to a multiple of 8
 *
 * A structure's value is a sequence of items.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_TTLV_H
#define PGSEAL_TTLV_H

#include "postgres.h"

#include "base/secmem.h"

#define PGSEAL_TTLV_HEADER_BYTES	8

/*
 * Writing: appends to a string whose bytes become a message
 */

/* Everything until pgseal_ttlv_end(), which gets what this returns, is in it */
extern size_t pgseal_ttlv_begin(PgsealSecretString *out, uint32 tag);
extern void pgseal_ttlv_end(PgsealSecretString *out, size_t begin);

extern void pgseal_ttlv_integer(PgsealSecretString *out, uint32 tag, int32 value);
extern void pgseal_ttlv_enumeration(PgsealSecretString *out, uint32 tag, uint32 value);
extern void pgseal_ttlv_boolean(PgsealSecretString *out, uint32 tag, bool value);

/* In UTF-8 */
extern void pgseal_ttlv_text(PgsealSecretString *out, uint32 tag, const char *value);
extern void pgseal_ttlv_bytes(PgsealSecretString *out, uint32 tag, const uint8 *value, size_t len);

/*
 * Reading: nothing is copied, and nothing trusted
 */

typedef struct PgsealTtlv
{
	uint32		tag;
	uint8		type;
	const uint8 *value;			/* NULL: there is no such item */
	size_t		len;
} PgsealTtlv;

/* The whole of bytes as one item.  False: it isn't one. */
extern bool pgseal_ttlv_parse(PgsealTtlv *out_item, const uint8 *bytes, size_t len);

/*
 * The next item of a structure; *position is 0 at the start.  False at the end,
 * and where what follows isn't an item.
 */
extern bool pgseal_ttlv_next(PgsealTtlv *out_item, const PgsealTtlv *structure, size_t *position);

/* The first item with this tag in a structure; value is NULL when there is none */
extern PgsealTtlv pgseal_ttlv_member(const PgsealTtlv *structure, uint32 tag);

/* False: it is no enumeration */
extern bool pgseal_ttlv_get_enumeration(uint32 *out_value, PgsealTtlv item);

/* Bytes of a byte string of at most max_len; NULL: it is none */
extern const uint8 *pgseal_ttlv_get_bytes(size_t *out_len, PgsealTtlv item, size_t max_len);

/* A text, palloc'd in secret memory; NULL: it is none, or has a NUL in it */
extern char *pgseal_ttlv_get_text(PgsealTtlv item);

/*
 * How many bytes the message has of which len have come: 0 while that can't be
 * told.  A PgsealMessageLength.
 */
extern size_t pgseal_ttlv_message_len(const char *bytes, size_t len);

#endif							/* PGSEAL_TTLV_H */
