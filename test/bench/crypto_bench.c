/*-------------------------------------------------------------------------
 *
 * crypto_bench.c
 *	  What crypto.c and envelope.c cost beyond the bare OpenSSL calls.
 *
 * All contestants take turns in every round, so that a slow spell of the
 * machine hits all of them; printed is the median of the rounds in ns a value.
 * No server is needed:
 *
 *	 cc -O2 -D_GNU_SOURCE -Isrc -I$(pg_config --includedir-server) \
 *		-o test/bench/crypto_bench test/bench/crypto_bench.c \
 *		src/base/crypto.c src/value/envelope.c -lcrypto -lssl
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#undef printf					/* PostgreSQL's own needs its library */
#undef qsort
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <openssl/evp.h>

#include "value/envelope.h"

/* Many rounds, each far shorter than a time slice of a busy machine */
#define ROUNDS			301
#define CALLS			1000	/* of one contestant in one round */
#define MAX_VALUE_BYTES 1024

static uint8 key[PGSEAL_KEY_BYTES];
static uint8 nonce[PGSEAL_NONCE_BYTES];
static uint8 tag[PGSEAL_TAG_BYTES];
static uint8 aad[PGSEAL_ENVELOPE_AAD_BYTES];
static uint8 plain[MAX_VALUE_BYTES];
static uint8 cipher[MAX_VALUE_BYTES];
static uint8 sealed[MAX_VALUE_BYTES + PGSEAL_ENVELOPE_OVERHEAD];
static uint8 mac[PGSEAL_HASH_BYTES];
static char form[2 * sizeof(sealed)];
static size_t len;

static EVP_CIPHER_CTX *bare_seal_ctx;
static EVP_CIPHER_CTX *bare_open_ctx;
static PgsealAead *aead;
static PgsealHmac *hmac;

/* OpenSSL as its manual shows it (EVP_EncryptInit(3)), with a ready context */
static bool
BareSeal(void)
{
	int			n;

	return EVP_EncryptInit_ex(bare_seal_ctx, NULL, NULL, NULL, nonce) == 1 &&
		EVP_EncryptUpdate(bare_seal_ctx, NULL, &n, aad, sizeof(aad)) == 1 &&
		EVP_EncryptUpdate(bare_seal_ctx, cipher, &n, plain, len) == 1 &&
		EVP_EncryptFinal_ex(bare_seal_ctx, cipher + n, &n) == 1 &&
		EVP_CIPHER_CTX_ctrl(bare_seal_ctx, EVP_CTRL_AEAD_GET_TAG, sizeof(tag), tag) == 1;
}

static bool
BareOpen(void)
{
	int			n;

	return EVP_DecryptInit_ex(bare_open_ctx, NULL, NULL, NULL, nonce) == 1 &&
		EVP_CIPHER_CTX_ctrl(bare_open_ctx, EVP_CTRL_AEAD_SET_TAG, sizeof(tag), tag) == 1 &&
		EVP_DecryptUpdate(bare_open_ctx, NULL, &n, aad, sizeof(aad)) == 1 &&
		EVP_DecryptUpdate(bare_open_ctx, plain, &n, cipher, len) == 1 &&
		EVP_DecryptFinal_ex(bare_open_ctx, plain + n, &n) == 1;
}

static bool
AeadSeal(void)
{
	return pgseal_aead_seal(aead, cipher, tag, nonce, aad, sizeof(aad), plain, len);
}

static bool
AeadOpen(void)
{
	return pgseal_aead_open(aead, plain, nonce, tag, aad, sizeof(aad), cipher, len);
}

static bool
EnvelopeSeal(void)
{
	PgsealEnvelope envelope = {.type_code = 1, .key_version_id = 42};

	return pgseal_envelope_seal(aead, sealed, &envelope, plain, len);
}

static bool
EnvelopeOpen(void)
{
	return pgseal_envelope_open(aead, plain, sealed,
								len + PGSEAL_ENVELOPE_OVERHEAD) == PGSEAL_ENVELOPE_OK;
}

static bool
Nonce(void)
{
	return pgseal_random_nonce(nonce);
}

static bool
Hmac(void)
{
	return pgseal_hmac(hmac, mac, aad, sizeof(aad), plain, len);
}

static bool
ToText(void)
{
	pgseal_envelope_to_text(form, sealed, len + PGSEAL_ENVELOPE_OVERHEAD);
	return true;
}

/* sealed has had its text form made by ToText() */
static bool
FromText(void)
{
	static uint8 decoded[sizeof(form)];

	return pgseal_envelope_from_text(decoded, form) > 0;
}

/* In an order in which each finds what it needs left behind by an earlier one */
static const struct
{
	const char *name;
	bool		(*call) (void);
}			contestants[] = {
	{"OpenSSL seal", BareSeal},
	{"OpenSSL open", BareOpen},
	{"pgseal_aead_seal", AeadSeal},
	{"pgseal_aead_open", AeadOpen},
	{"pgseal_envelope_seal", EnvelopeSeal},
	{"pgseal_envelope_open", EnvelopeOpen},
	{"pgseal_hmac", Hmac},
	{"pgseal_envelope_to_text", ToText},
	{"pgseal_envelope_from_text", FromText},
	{"pgseal_random_nonce", Nonce},
};

static double
Measure(bool (*call) (void))
{
	struct timespec start;
	struct timespec end;

	clock_gettime(CLOCK_MONOTONIC, &start);
	for (int i = 0; i < CALLS; i++)
	{
		if (!call())
			abort();
	}
	clock_gettime(CLOCK_MONOTONIC, &end);
	return ((end.tv_sec - start.tv_sec) * 1e9 + (end.tv_nsec - start.tv_nsec)) / CALLS;
}

static int
CompareDoubles(const void *a, const void *b)
{
	double		x = *(const double *) a;
	double		y = *(const double *) b;

	return (x > y) - (x < y);
}

int
main(void)
{
	static const size_t sizes[] = {16, 64, MAX_VALUE_BYTES};
	static double ns[lengthof(sizes)][lengthof(contestants)][ROUNDS];

	bare_seal_ctx = EVP_CIPHER_CTX_new();
	bare_open_ctx = EVP_CIPHER_CTX_new();
	aead = pgseal_aead_new(key);
	hmac = pgseal_hmac_new(key, sizeof(key));
	if (aead == NULL || hmac == NULL ||
		EVP_EncryptInit_ex(bare_seal_ctx, EVP_aes_256_gcm(), NULL, key, NULL) != 1 ||
		EVP_DecryptInit_ex(bare_open_ctx, EVP_aes_256_gcm(), NULL, key, NULL) != 1)
		abort();

	for (int round = 0; round < ROUNDS; round++)
		for (int size = 0; size < lengthof(sizes); size++)
			for (int i = 0; i < lengthof(contestants); i++)
			{
				len = sizes[size];
				ns[size][i][round] = Measure(contestants[i].call);
			}

	printf("%-26s", "ns a value, of bytes:");
	for (int size = 0; size < lengthof(sizes); size++)
		printf("%8zu", sizes[size]);
	for (int i = 0; i < lengthof(contestants); i++)
	{
		printf("\n%-26s", contestants[i].name);
		for (int size = 0; size < lengthof(sizes); size++)
		{
			qsort(ns[size][i], ROUNDS, sizeof(double), CompareDoubles);
			printf("%8.0f", ns[size][i][ROUNDS / 2]);
		}
	}
	printf("\n");
	return 0;
}
