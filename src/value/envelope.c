/*-------------------------------------------------------------------------
 *
 * envelope.c
 *	  The sealed value: how one encrypted datum lies on disk and on the wire.
 *
 * The layout and the contracts are in envelope.h.  Like crypto.c
 * this needs the types of c.h only and can be run without a server.
 *
 * The text form has a base64 codec of its own.  One sealed value must have one
 * text form, or text comparison of two dumps would be no comparison of what is
 * in them, and an altered character could go unnoticed.  common/base64.h of
 * PostgreSQL accepts bits in the last character that encode nothing, so "QQ=="
 * and "QR==" are the same to it; its signatures also change in version 18.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "port/pg_bswap.h"

#include "value/envelope.h"

#define TYPE_OFFSET				1
#define KEY_VERSION_OFFSET		2
#define NONCE_OFFSET			PGSEAL_ENVELOPE_AAD_BYTES
#define CIPHERTEXT_OFFSET		PGSEAL_ENVELOPE_HEADER_BYTES

#define TEXT_NAME				"pgseal:"	/* the prefix without a format */
#define TEXT_NAME_LEN			(sizeof(TEXT_NAME) - 1)
#define TEXT_PREFIX_LEN			(sizeof(PGSEAL_TEXT_PREFIX) - 1)

static const char base64_chars[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/* The six bits that an ASCII character stands for, -1 for none */
static const int8 base64_values[128] = {
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1,
	-1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, 62, -1, -1, -1, 63,
	52, 53, 54, 55, 56, 57, 58, 59, 60, 61, -1, -1, -1, -1, -1, -1,
	-1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14,
	15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, -1, -1, -1, -1, -1,
	-1, 26, 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40,
	41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, -1, -1, -1, -1, -1
};

PgsealEnvelopeStatus
pgseal_envelope_parse(PgsealEnvelope *out_envelope, const uint8 *bytes, size_t len)
{
	uint8		type_code;
	uint64		id;

	memset(out_envelope, 0, sizeof(*out_envelope));

	/*
	 * A later format may be shorter than ours, so ask for the format first:
	 * the user is helped by "unknown format", not by "truncated".
	 */
	if (len == 0)
		return PGSEAL_ENVELOPE_TRUNCATED;
	if (bytes[0] != PGSEAL_ENVELOPE_FORMAT)
		return PGSEAL_ENVELOPE_UNKNOWN_FORMAT;
	if (len < PGSEAL_ENVELOPE_OVERHEAD)
		return PGSEAL_ENVELOPE_TRUNCATED;

	type_code = bytes[TYPE_OFFSET] & PGSEAL_ENVELOPE_TYPE_MASK;
	if (type_code == 0 ||
		(bytes[TYPE_OFFSET] & ~(PGSEAL_ENVELOPE_TYPE_MASK | PGSEAL_ENVELOPE_COMPRESSED)) != 0)
		return PGSEAL_ENVELOPE_UNKNOWN_FLAG;

	memcpy(&id, bytes + KEY_VERSION_OFFSET, sizeof(id));
	out_envelope->type_code = type_code;
	out_envelope->compressed = (bytes[TYPE_OFFSET] & PGSEAL_ENVELOPE_COMPRESSED) != 0;
	out_envelope->key_version_id = (int64) pg_ntoh64(id);
	return PGSEAL_ENVELOPE_OK;
}

bool
pgseal_envelope_seal(PgsealAead *aead, uint8 *out_bytes,
					 const PgsealEnvelope *envelope,
					 const uint8 *payload, size_t payload_len)
{
	uint8	   *nonce = out_bytes + NONCE_OFFSET;
	uint8	   *ciphertext = out_bytes + CIPHERTEXT_OFFSET;
	uint64		id = pg_hton64((uint64) envelope->key_version_id);

	/* what parse would refuse is not written either */
	if (envelope->type_code != 0 &&
		envelope->type_code <= PGSEAL_ENVELOPE_TYPE_MASK &&
		pgseal_random_nonce(nonce))
	{
		out_bytes[0] = PGSEAL_ENVELOPE_FORMAT;
		out_bytes[TYPE_OFFSET] = envelope->type_code |
			(envelope->compressed ? PGSEAL_ENVELOPE_COMPRESSED : 0);
		memcpy(out_bytes + KEY_VERSION_OFFSET, &id, sizeof(id));

		if (pgseal_aead_seal(aead, ciphertext, ciphertext + payload_len, nonce,
							 out_bytes, PGSEAL_ENVELOPE_AAD_BYTES,
							 payload, payload_len))
			return true;
	}

	memset(out_bytes, 0, payload_len + PGSEAL_ENVELOPE_OVERHEAD);
	return false;
}

PgsealEnvelopeStatus
pgseal_envelope_open(PgsealAead *aead, uint8 *out_payload,
					 const uint8 *bytes, size_t len)
{
	PgsealEnvelope envelope;
	PgsealEnvelopeStatus status = pgseal_envelope_parse(&envelope, bytes, len);
	const uint8 *ciphertext = bytes + CIPHERTEXT_OFFSET;
	size_t		payload_len;

	if (len < PGSEAL_ENVELOPE_OVERHEAD)
		return status;

	payload_len = len - PGSEAL_ENVELOPE_OVERHEAD;
	if (status != PGSEAL_ENVELOPE_OK)
		memset(out_payload, 0, payload_len);
	else if (!pgseal_aead_open(aead, out_payload, bytes + NONCE_OFFSET,
							   ciphertext + payload_len,
							   bytes, PGSEAL_ENVELOPE_AAD_BYTES,
							   ciphertext, payload_len))
		status = PGSEAL_ENVELOPE_NOT_AUTHENTIC;
	return status;
}

/*
 * True for the text form of any format, not only ours: text of a later
 * pgseal is then refused, where it would else be sealed as if it were plain.
 */
bool
pgseal_envelope_is_text(const char *text)
{
	const char *format = text + TEXT_NAME_LEN;
	size_t		digits;

	if (strncmp(text, TEXT_NAME, TEXT_NAME_LEN) != 0)
		return false;
	digits = strspn(format, "0123456789");
	return digits > 0 && format[digits] == ':';
}

/*
 * Reads four characters, of which the last num_padding are known to be '='.
 * Returns their 24 bits, or -1 if there is another character among them or
 * a bit is set that no byte has room for.
 */
static inline int32
DecodeQuad(const char *text, int num_padding)
{
	int32		bits = 0;

	for (int i = 0; i < 4; i++)
	{
		uint8		c = (uint8) text[i];
		int			value = i >= 4 - num_padding ? 0 :
			c < lengthof(base64_values) ? base64_values[c] : -1;

		if (value < 0)
			return -1;
		bits = bits << 6 | value;
	}
	if ((bits & ((1 << (8 * num_padding)) - 1)) != 0)
		return -1;
	return bits;
}

int
pgseal_envelope_from_text(uint8 *out_bytes, const char *text)
{
	uint8	   *out = out_bytes;
	size_t		left;

	if (strncmp(text, PGSEAL_TEXT_PREFIX, TEXT_PREFIX_LEN) != 0)
		return -1;
	text += TEXT_PREFIX_LEN;
	left = strlen(text);
	if (left % 4 != 0 || left > INT_MAX)
		return -1;

	for (; left > 0; left -= 4, text += 4)
	{
		int			num_padding = 0;
		int32		bits;

		/* only the last four characters may be padded */
		if (left == 4 && text[3] == '=')
			num_padding = text[2] == '=' ? 2 : 1;

		bits = DecodeQuad(text, num_padding);
		if (bits < 0)
			return -1;

		*out++ = bits >> 16;
		if (num_padding < 2)
			*out++ = bits >> 8;
		if (num_padding < 1)
			*out++ = bits;
	}
	return (int) (out - out_bytes);
}

size_t
pgseal_envelope_text_size(size_t len)
{
	return TEXT_PREFIX_LEN + (len + 2) / 3 * 4 + 1;
}

void
pgseal_envelope_to_text(char *out_text, const uint8 *bytes, size_t len)
{
	memcpy(out_text, PGSEAL_TEXT_PREFIX, TEXT_PREFIX_LEN);
	out_text += TEXT_PREFIX_LEN;

	for (; len >= 3; len -= 3, bytes += 3)
	{
		*out_text++ = base64_chars[bytes[0] >> 2];
		*out_text++ = base64_chars[(bytes[0] & 0x03) << 4 | bytes[1] >> 4];
		*out_text++ = base64_chars[(bytes[1] & 0x0F) << 2 | bytes[2] >> 6];
		*out_text++ = base64_chars[bytes[2] & 0x3F];
	}
	if (len > 0)
	{
		uint8		second = len == 2 ? bytes[1] : 0;

		*out_text++ = base64_chars[bytes[0] >> 2];
		*out_text++ = base64_chars[(bytes[0] & 0x03) << 4 | second >> 4];
		*out_text++ = len == 2 ? base64_chars[(second & 0x0F) << 2] : '=';
		*out_text++ = '=';
	}
	*out_text = '\0';
}
