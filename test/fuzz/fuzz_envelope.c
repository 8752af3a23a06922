/*-------------------------------------------------------------------------
 *
 * fuzz_envelope.c
 *	  Mutation fuzzing of parse, open and the text form of sealed values.
 *
 * Each round seals a random payload, mutates the envelope and its text form,
 * and checks what must hold of whatever comes out.  See fuzz.h.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "value/envelope.h"

#define MAX_PAYLOAD_BYTES	100

/* What the text form is likely to be mistaken for */
#define LIKELY				"=+/-_ \nAZaz09:\x80\xFF"

static PgsealAead *aead;

/* Opens only if it is what was sealed; leaves no plaintext if not */
static void
CheckOpen(const uint8 *bytes, size_t len, bool genuine,
		  const uint8 *payload, size_t payload_len)
{
	uint8	   *exact = Copy(bytes, len);
	size_t		out_len = Max(len, PGSEAL_ENVELOPE_OVERHEAD) - PGSEAL_ENVELOPE_OVERHEAD;
	uint8	   *out = Copy(bytes, out_len);
	PgsealEnvelope envelope;
	PgsealEnvelopeStatus parsed = pgseal_envelope_parse(&envelope, exact, len);
	PgsealEnvelopeStatus opened = pgseal_envelope_open(aead, out, exact, len);

	CHECK((opened == PGSEAL_ENVELOPE_OK) == genuine);
	if (genuine)
		CHECK(out_len == payload_len && memcmp(out, payload, out_len) == 0);
	else
	{
		CHECK(opened == (parsed == PGSEAL_ENVELOPE_OK ? PGSEAL_ENVELOPE_NOT_AUTHENTIC : parsed));
		for (size_t i = 0; i < out_len; i++)
			CHECK(out[i] == 0);
	}
	free(exact);
	free(out);
}

/* Refused, or the one text form of what it decodes to; true if accepted */
static bool
CheckText(const char *text)
{
	uint8	   *exact = Copy((const uint8 *) text, strlen(text) + 1);
	uint8	   *bytes = Copy((const uint8 *) text, strlen(text));
	int			len = pgseal_envelope_from_text(bytes, (char *) exact);

	if (len >= 0)
	{
		char	   *again = malloc(pgseal_envelope_text_size(len));

		CHECK(again != NULL);
		CHECK(pgseal_envelope_is_text((char *) exact));
		CHECK((size_t) len <= strlen(text));
		pgseal_envelope_to_text(again, bytes, len);
		CHECK(strlen(again) + 1 == pgseal_envelope_text_size(len));
		CHECK(strcmp(again, text) == 0);
		free(again);
	}
	else
		(void) pgseal_envelope_is_text((char *) exact);
	free(bytes);
	free(exact);
	return len >= 0;
}

bool
FuzzRound(void)
{
	uint8		payload[MAX_PAYLOAD_BYTES];
	size_t		payload_len = Random(MAX_PAYLOAD_BYTES + 1);
	size_t		len = payload_len + PGSEAL_ENVELOPE_OVERHEAD;
	uint8	   *sealed = malloc(len);
	uint8	   *mutated = malloc(len + MAX_MUTATIONS);
	size_t		text_size = pgseal_envelope_text_size(len);
	char	   *text = malloc(text_size);
	char	   *mutated_text = malloc(text_size + MAX_MUTATIONS);
	size_t		mutated_len;
	bool		accepted;
	PgsealEnvelope envelope = {
		.type_code = 1 + Random(PGSEAL_ENVELOPE_TYPE_MASK),
		.compressed = Random(2),
		.key_version_id = (int64) Random(PG_INT32_MAX) << 32 | Random(PG_INT32_MAX)
	};
	PgsealEnvelope parsed;

	CHECK(sealed != NULL && mutated != NULL && text != NULL && mutated_text != NULL);
	for (size_t i = 0; i < payload_len; i++)
		payload[i] = Random(256);

	CHECK(pgseal_envelope_seal(aead, sealed, &envelope, payload, payload_len));
	CHECK(pgseal_envelope_parse(&parsed, sealed, len) == PGSEAL_ENVELOPE_OK);
	CHECK(parsed.type_code == envelope.type_code &&
		  parsed.compressed == envelope.compressed &&
		  parsed.key_version_id == envelope.key_version_id);
	CheckOpen(sealed, len, true, payload, payload_len);

	memcpy(mutated, sealed, len);
	mutated_len = Mutate(mutated, len, NULL);
	CheckOpen(mutated, mutated_len,
			  mutated_len == len && memcmp(mutated, sealed, len) == 0,
			  payload, payload_len);

	pgseal_envelope_to_text(text, sealed, len);
	CHECK(CheckText(text));
	memcpy(mutated_text, text, text_size - 1);
	mutated_len = Mutate((uint8 *) mutated_text, text_size - 1, LIKELY);
	mutated_text[mutated_len] = '\0';
	accepted = CheckText(mutated_text);

	free(sealed);
	free(mutated);
	free(text);
	free(mutated_text);
	return accepted;
}

void
FuzzStart(void)
{
	uint8		key[PGSEAL_KEY_BYTES];

	CHECK(pgseal_random(key, sizeof(key)));
	aead = pgseal_aead_new(key);
	CHECK(aead != NULL);
}

void
FuzzEnd(void)
{
	pgseal_aead_free(aead);
}
