/*-------------------------------------------------------------------------
 *
 * envelope.h
 *	  The sealed value: how one encrypted datum lies on disk and on the wire.
 *
 * Bytes only: no Datum, no catalog, the key is an argument.
 *
 *	 offset	bytes
 *	 0		1	format and algorithm suite (1 = AES-256-GCM, random nonce)
 *	 1		1	bits 0-5 base type code, bit 6 zero, bit 7 payload compressed
 *	 2		8	key version id, big endian
 *	 10		12	nonce
 *	 22		n	ciphertext
 *	 22+n	16	GCM tag
 *
 * The first ten bytes are the additional authenticated data.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_ENVELOPE_H
#define PGSEAL_ENVELOPE_H

#include "base/crypto.h"

#define PGSEAL_ENVELOPE_FORMAT		1
#define PGSEAL_ENVELOPE_AAD_BYTES	10
#define PGSEAL_ENVELOPE_HEADER_BYTES (PGSEAL_ENVELOPE_AAD_BYTES + PGSEAL_NONCE_BYTES)
#define PGSEAL_ENVELOPE_OVERHEAD	(PGSEAL_ENVELOPE_HEADER_BYTES + PGSEAL_TAG_BYTES)

#define PGSEAL_ENVELOPE_TYPE_MASK	0x3F
#define PGSEAL_ENVELOPE_COMPRESSED	0x80

/* The text form: this prefix, then base64 (RFC 4648 section 4, padded) */
#define PGSEAL_TEXT_PREFIX			"pgseal:1:"

typedef struct PgsealEnvelope
{
	uint8		type_code;		/* which base type, see basetype.c */
	bool		compressed;		/* payload was compressed before sealing */
	int64		key_version_id;
} PgsealEnvelope;

typedef enum PgsealEnvelopeStatus
{
	PGSEAL_ENVELOPE_OK,
	PGSEAL_ENVELOPE_TRUNCATED,	/* shorter than an empty sealed value */
	PGSEAL_ENVELOPE_UNKNOWN_FORMAT, /* first byte: a later version's */
	PGSEAL_ENVELOPE_UNKNOWN_FLAG,	/* reserved bit set, or type code 0 */
	PGSEAL_ENVELOPE_NOT_AUTHENTIC	/* tag does not verify */
} PgsealEnvelopeStatus;

/* Reads the header; the payload's length is len - PGSEAL_ENVELOPE_OVERHEAD. */
extern PgsealEnvelopeStatus pgseal_envelope_parse(PgsealEnvelope *out_envelope,
												  const uint8 *bytes, size_t len);

/*
 * Writes payload_len + PGSEAL_ENVELOPE_OVERHEAD bytes to out_bytes, under a
 * fresh random nonce.  False, and all zeroes written, when the CSPRNG or
 * OpenSSL fails, or the type code is none that parse accepts.
 */
extern bool pgseal_envelope_seal(PgsealAead *aead, uint8 *out_bytes,
								 const PgsealEnvelope *envelope,
								 const uint8 *payload, size_t payload_len);

/*
 * Writes len - PGSEAL_ENVELOPE_OVERHEAD bytes to out_payload, zeroes unless OK.
 * Writes nothing if len is less than the overhead.
 */
extern PgsealEnvelopeStatus pgseal_envelope_open(PgsealAead *aead, uint8 *out_payload,
												 const uint8 *bytes, size_t len);

/*
 * Does this text claim to be the text form of a sealed value, of this format
 * or of any other ("pgseal:", digits, ":")?
 */
extern bool pgseal_envelope_is_text(const char *text);

/*
 * Decodes the text form.  out_bytes must have room for strlen(text) bytes.
 * Returns how many bytes it wrote, or -1 when the text is malformed (bad or
 * non-canonical base64, bad prefix).
 */
extern int	pgseal_envelope_from_text(uint8 *out_bytes, const char *text);

/* Bytes of the text form of a sealed value of len bytes, with the final NUL. */
extern size_t pgseal_envelope_text_size(size_t len);
extern void pgseal_envelope_to_text(char *out_text, const uint8 *bytes, size_t len);

#endif							/* PGSEAL_ENVELOPE_H */
