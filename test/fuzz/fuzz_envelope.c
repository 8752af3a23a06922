/*-------------------------------------------------------------------------
 *
 * fuzz_envelope.c
 *	  Mutation fuzzing of parse, open and the text form of sealed values.
 *
 * Each round seals a random payload, mutates the envelope and its text form,
 * and checks what must hold of whatever comes out.  Inputs and outputs lie in
 * heap buffers of exactly their size, so that the sanitizers or Valgrind see
 * every byte read or written beyond.
 *
 *	 fuzz_envelope SECONDS [SEED]
 *
 * The seed is printed: the mutations (not nonces and keys) can be repeated.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#undef printf					/* PostgreSQL's own needs its library */
#undef fprintf
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "envelope.h"

#define MAX_PAYLOAD_BYTES	100
#define MAX_MUTATIONS		4
#define ROUNDS_PER_CHECK	256 /* between two looks at the clock */

#define CHECK(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

static uint64 state;

/* xorshift64*: repeatable, and none of the library's business */
static uint32
Random(uint32 below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32) ((state * UINT64CONST(2685821657736338717)) >> 33) % below;
}

/* An exact copy on the heap, as malloc(0) may be NULL at least one byte */
static uint8 *
Copy(const uint8 *bytes, size_t len)
{
	uint8	   *copy = malloc(len == 0 ? 1 : len);

	CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

/*
 * Some of: flip a bit, set a byte, insert one, remove one, cut off.  bytes has
 * room for MAX_MUTATIONS more.  A zero never gets into text.
 */
static size_t
Mutate(uint8 *bytes, size_t len, bool text)
{
	static const char likely[] = "=+/-_ \nAZaz09:\x80\xFF";

	for (int n = 1 + Random(MAX_MUTATIONS); n > 0; n--)
	{
		size_t		at = Random(len + 1);
		uint8		byte = text && Random(2) ? likely[Random(sizeof(likely) - 1)] : 1 + Random(255);

		switch (Random(5))
		{
			case 0:
				if (at < len && bytes[at] != (1 << (at % 8)))
					bytes[at] ^= 1 << (at % 8);
				break;
			case 1:
				if (at < len)
					bytes[at] = byte;
				break;
			case 2:
				memmove(bytes + at + 1, bytes + at, len - at);
				bytes[at] = byte;
				len++;
				break;
			case 3:
				if (at < len)
				{
					memmove(bytes + at, bytes + at + 1, len - at - 1);
					len--;
				}
				break;
			case 4:
				if (Random(8) == 0)
					len = at;
				break;
		}
	}
	return len;
}

/* Opens only if it is what was sealed; leaves no plaintext if not */
static void
CheckOpen(PgsealAead *aead, const uint8 *bytes, size_t len, bool genuine,
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

/* Returns whether the mutated text was accepted */
static bool
Round(PgsealAead *aead)
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
		.key_version_id = (int64) state
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
	CheckOpen(aead, sealed, len, true, payload, payload_len);

	memcpy(mutated, sealed, len);
	mutated_len = Mutate(mutated, len, false);
	CheckOpen(aead, mutated, mutated_len,
			  mutated_len == len && memcmp(mutated, sealed, len) == 0,
			  payload, payload_len);

	pgseal_envelope_to_text(text, sealed, len);
	CHECK(CheckText(text));
	memcpy(mutated_text, text, text_size - 1);
	mutated_len = Mutate((uint8 *) mutated_text, text_size - 1, true);
	mutated_text[mutated_len] = '\0';
	accepted = CheckText(mutated_text);

	free(sealed);
	free(mutated);
	free(text);
	free(mutated_text);
	return accepted;
}

int
main(int argc, char **argv)
{
	time_t		end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 30);
	uint64		seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64) time(NULL);
	uint8		key[PGSEAL_KEY_BYTES];
	PgsealAead *aead;
	long		rounds = 0;
	long		accepted = 0;

	printf("seed %llu\n", (unsigned long long) seed);
	state = seed | 1;
	CHECK(pgseal_random(key, sizeof(key)));
	aead = pgseal_aead_new(key);
	CHECK(aead != NULL);
	do
	{
		for (int i = 0; i < ROUNDS_PER_CHECK; i++)
			accepted += Round(aead);
		rounds += ROUNDS_PER_CHECK;
	} while (time(NULL) < end);
	pgseal_aead_free(aead);

	printf("%ld rounds, mutated text accepted in %ld\n", rounds, accepted);
	return 0;
}
