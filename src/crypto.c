/*-------------------------------------------------------------------------
 *
 * crypto.c
 *	  The cryptographic primitives of pgseal, on top of OpenSSL's EVP.
 *
 * Layer 1.  The contracts are in crypto.h.  Of PostgreSQL only the types and
 * macros of c.h are used, nothing that must be linked: the fuzzer and the
 * benchmark run this file without a server.
 *
 * What the hot paths owe their speed to, measured on OpenSSL 3.0:
 *
 * - Algorithms are fetched once per process; a context keeps its key schedule
 *	 and gets a new IV per value.
 * - The tag is exchanged by OSSL_PARAM.  EVP_CIPHER_CTX_ctrl(), which builds
 *	 the same OSSL_PARAM behind a switch, costs 20 ns more.
 * - HMAC keeps two hash states, one having taken in the inner and the other
 *	 the outer padded key (RFC 2104, section 4), and copies them per value.
 *	 EVP_MAC takes 60 ns longer, and EVP_MAC_init() without a key, which ought
 *	 to start over under the old one, is a silent no-op before OpenSSL 3.0.3
 *	 (openssl#17811).
 *
 * A failing function leaves OpenSSL's error queue empty.  The queue is shared
 * with everything else in the process, such as the server's own TLS
 * connections, and a stray entry would be read as theirs.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <pthread.h>

#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "crypto.h"

/*
 * EVP counts the bytes of a call as int, so longer inputs go in pieces.  The
 * piece is far below INT_MAX for the tests' sake: they reach the second one.
 */
#define CHUNK_BYTES			(16 * 1024 * 1024)

#define HMAC_BLOCK_BYTES	64	/* block size of SHA-256 */
#define HMAC_INNER_PAD		0x36
#define HMAC_OUTER_PAD		0x5c

#define HKDF_MAX_BYTES		(255 * PGSEAL_HASH_BYTES)

/* As many nonces as fit into 4 kB */
#define NONCE_POOL_BYTES	(4096 / PGSEAL_NONCE_BYTES * PGSEAL_NONCE_BYTES)

struct PgsealAead
{
	EVP_CIPHER_CTX *seal;
	EVP_CIPHER_CTX *open;
};

struct PgsealHmac
{
	EVP_MD_CTX *inner;			/* has taken in key XOR inner pad */
	EVP_MD_CTX *outer;			/* has taken in key XOR outer pad */
	EVP_MD_CTX *work;			/* a copy of either, in use */
};

/* Fetched on first use, kept for the life of the process */
static EVP_CIPHER *aes_256_gcm = NULL;
static EVP_MD *sha256 = NULL;

/* The last nonce_pool_left bytes of the pool have not been handed out yet */
static uint8 nonce_pool[NONCE_POOL_BYTES];
static size_t nonce_pool_left = 0;
static bool nonce_pool_guarded = false;

static bool
FetchCipher(void)
{
	if (aes_256_gcm == NULL)
		aes_256_gcm = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	return aes_256_gcm != NULL;
}

static bool
FetchHash(void)
{
	if (sha256 == NULL)
		sha256 = EVP_MD_fetch(NULL, "SHA256", NULL);
	return sha256 != NULL;
}

/* Zeroes an output and the error queue; returns what a failure returns */
static bool
Fail(uint8 *out, size_t len)
{
	if (len > 0)
		pgseal_wipe(out, len);
	ERR_clear_error();
	return false;
}

/*
 * AES-256-GCM
 */

PgsealAead *
pgseal_aead_new(const uint8 key[PGSEAL_KEY_BYTES])
{
	PgsealAead *aead = OPENSSL_zalloc(sizeof(PgsealAead));

	if (aead != NULL &&
		FetchCipher() &&
		(aead->seal = EVP_CIPHER_CTX_new()) != NULL &&
		(aead->open = EVP_CIPHER_CTX_new()) != NULL &&
		EVP_EncryptInit_ex2(aead->seal, aes_256_gcm, key, NULL, NULL) == 1 &&
		EVP_DecryptInit_ex2(aead->open, aes_256_gcm, key, NULL, NULL) == 1)
		return aead;

	pgseal_aead_free(aead);
	Fail(NULL, 0);
	return NULL;
}

void
pgseal_aead_free(PgsealAead *aead)
{
	if (aead == NULL)
		return;
	/* the provider wipes what it frees: it calls OPENSSL_clear_free() */
	EVP_CIPHER_CTX_free(aead->seal);
	EVP_CIPHER_CTX_free(aead->open);
	OPENSSL_free(aead);
}

/* Passes bytes through the cipher; out is NULL for authenticated data */
static inline bool
Update(EVP_CIPHER_CTX *ctx, uint8 *out, const uint8 *in, size_t len)
{
	while (len > 0)
	{
		int			piece = (int) Min(len, CHUNK_BYTES);
		int			written;

		if (EVP_CipherUpdate(ctx, out, &written, in, piece) != 1)
			return false;
		if (out != NULL)
			out += piece;
		in += piece;
		len -= piece;
	}
	return true;
}

bool
pgseal_aead_seal(PgsealAead *aead,
				 uint8 *out_ciphertext, uint8 out_tag[PGSEAL_TAG_BYTES],
				 const uint8 nonce[PGSEAL_NONCE_BYTES],
				 const uint8 *aad, size_t aad_len,
				 const uint8 *plaintext, size_t plaintext_len)
{
	EVP_CIPHER_CTX *ctx = aead->seal;
	OSSL_PARAM	params[2] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG,
										  out_tag, PGSEAL_TAG_BYTES),
		OSSL_PARAM_construct_end()
	};
	uint8		rest[EVP_MAX_BLOCK_LENGTH]; /* a stream mode leaves no rest */
	int			rest_len;

	if (EVP_EncryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
		Update(ctx, NULL, aad, aad_len) &&
		Update(ctx, out_ciphertext, plaintext, plaintext_len) &&
		EVP_EncryptFinal_ex(ctx, rest, &rest_len) == 1 &&
		EVP_CIPHER_CTX_get_params(ctx, params) == 1)
		return true;

	pgseal_wipe(out_tag, PGSEAL_TAG_BYTES);
	return Fail(out_ciphertext, plaintext_len);
}

bool
pgseal_aead_open(PgsealAead *aead,
				 uint8 *out_plaintext,
				 const uint8 nonce[PGSEAL_NONCE_BYTES],
				 const uint8 tag[PGSEAL_TAG_BYTES],
				 const uint8 *aad, size_t aad_len,
				 const uint8 *ciphertext, size_t ciphertext_len)
{
	EVP_CIPHER_CTX *ctx = aead->open;
	OSSL_PARAM	params[2] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG,
										  unconstify(uint8 *, tag), PGSEAL_TAG_BYTES),
		OSSL_PARAM_construct_end()
	};
	uint8		rest[EVP_MAX_BLOCK_LENGTH];
	int			rest_len;

	if (EVP_DecryptInit_ex2(ctx, NULL, NULL, nonce, NULL) == 1 &&
		EVP_CIPHER_CTX_set_params(ctx, params) == 1 &&
		Update(ctx, NULL, aad, aad_len) &&
		Update(ctx, out_plaintext, ciphertext, ciphertext_len) &&
		EVP_DecryptFinal_ex(ctx, rest, &rest_len) == 1)
		return true;

	return Fail(out_plaintext, ciphertext_len);
}

/*
 * Hashes
 */

/* Starts a hash state with the padded key of HMAC */
static EVP_MD_CTX *
NewHmacState(const uint8 padded_key[HMAC_BLOCK_BYTES], uint8 pad)
{
	EVP_MD_CTX *ctx = EVP_MD_CTX_new();
	uint8		block[HMAC_BLOCK_BYTES];

	for (int i = 0; i < HMAC_BLOCK_BYTES; i++)
		block[i] = padded_key[i] ^ pad;

	if (ctx != NULL &&
		(EVP_DigestInit_ex2(ctx, sha256, NULL) != 1 ||
		 EVP_DigestUpdate(ctx, block, sizeof(block)) != 1))
	{
		EVP_MD_CTX_free(ctx);
		ctx = NULL;
	}
	pgseal_wipe(block, sizeof(block));
	return ctx;
}

PgsealHmac *
pgseal_hmac_new(const uint8 *key, size_t key_len)
{
	PgsealHmac *hmac = OPENSSL_zalloc(sizeof(PgsealHmac));
	uint8		padded_key[HMAC_BLOCK_BYTES] = {0};
	bool		ok;

	/* RFC 2104: a key longer than a block is replaced by its hash */
	if (key_len > HMAC_BLOCK_BYTES)
		ok = pgseal_sha256(padded_key, key, key_len);
	else
	{
		if (key_len > 0)
			memcpy(padded_key, key, key_len);
		ok = FetchHash();
	}

	ok = ok && hmac != NULL &&
		(hmac->inner = NewHmacState(padded_key, HMAC_INNER_PAD)) != NULL &&
		(hmac->outer = NewHmacState(padded_key, HMAC_OUTER_PAD)) != NULL &&
		(hmac->work = EVP_MD_CTX_new()) != NULL;
	pgseal_wipe(padded_key, sizeof(padded_key));
	if (ok)
		return hmac;

	pgseal_hmac_free(hmac);
	Fail(NULL, 0);
	return NULL;
}

void
pgseal_hmac_free(PgsealHmac *hmac)
{
	if (hmac == NULL)
		return;
	/* as with the ciphers, the provider wipes the states */
	EVP_MD_CTX_free(hmac->inner);
	EVP_MD_CTX_free(hmac->outer);
	EVP_MD_CTX_free(hmac->work);
	OPENSSL_free(hmac);
}

bool
pgseal_hmac(PgsealHmac *hmac, uint8 out_mac[PGSEAL_HASH_BYTES],
			const uint8 *prefix, size_t prefix_len,
			const uint8 *data, size_t data_len)
{
	EVP_MD_CTX *work = hmac->work;

	/* the inner hash lies in out_mac for the time being */
	if (EVP_MD_CTX_copy_ex(work, hmac->inner) == 1 &&
		EVP_DigestUpdate(work, prefix, prefix_len) == 1 &&
		EVP_DigestUpdate(work, data, data_len) == 1 &&
		EVP_DigestFinal_ex(work, out_mac, NULL) == 1 &&
		EVP_MD_CTX_copy_ex(work, hmac->outer) == 1 &&
		EVP_DigestUpdate(work, out_mac, PGSEAL_HASH_BYTES) == 1 &&
		EVP_DigestFinal_ex(work, out_mac, NULL) == 1)
		return true;

	return Fail(out_mac, PGSEAL_HASH_BYTES);
}

/* An input of HKDF; OpenSSL refuses a NULL pointer even for zero bytes */
static OSSL_PARAM
HkdfInput(const char *name, const uint8 *bytes, size_t len)
{
	static uint8 nothing[1];

	return OSSL_PARAM_construct_octet_string(name,
											 len > 0 ? unconstify(uint8 *, bytes) : nothing,
											 len);
}

/* Called once per key version, so it keeps nothing */
bool
pgseal_hkdf_sha256(uint8 *out, size_t out_len,
				   const uint8 *ikm, size_t ikm_len,
				   const uint8 *salt, size_t salt_len,
				   const uint8 *info, size_t info_len)
{
	OSSL_PARAM	params[] = {
		OSSL_PARAM_construct_utf8_string(OSSL_KDF_PARAM_DIGEST,
										 (char *) OSSL_DIGEST_NAME_SHA2_256, 0),
		HkdfInput(OSSL_KDF_PARAM_KEY, ikm, ikm_len),
		HkdfInput(OSSL_KDF_PARAM_SALT, salt, salt_len),
		HkdfInput(OSSL_KDF_PARAM_INFO, info, info_len),
		OSSL_PARAM_construct_end()
	};
	EVP_KDF    *kdf = EVP_KDF_fetch(NULL, "HKDF", NULL);
	EVP_KDF_CTX *ctx = kdf == NULL ? NULL : EVP_KDF_CTX_new(kdf);
	bool		ok;

	ok = out_len <= HKDF_MAX_BYTES &&
		ctx != NULL &&
		EVP_KDF_derive(ctx, out, out_len, params) == 1;
	EVP_KDF_CTX_free(ctx);
	EVP_KDF_free(kdf);
	return ok || Fail(out, out_len);
}

bool
pgseal_sha256(uint8 out_digest[PGSEAL_HASH_BYTES],
			  const uint8 *data, size_t data_len)
{
	if (FetchHash() &&
		EVP_Digest(data, data_len, out_digest, NULL, sha256, NULL) == 1)
		return true;

	return Fail(out_digest, PGSEAL_HASH_BYTES);
}

/*
 * Randomness
 */

bool
pgseal_random(uint8 *out, size_t len)
{
	/* OpenSSL keeps a generator of its own for what must stay private */
	if (RAND_priv_bytes_ex(NULL, out, len, 0) == 1)
		return true;

	return Fail(out, len);
}

/* In the child of every fork: its parent hands out these same nonces */
static void
DiscardNoncePool(void)
{
	nonce_pool_left = 0;
}

/*
 * pthread_atfork() rather than a comparison with MyProcPid: it costs the hot
 * path nothing, and it also sees a fork that PostgreSQL did not make.
 */
static bool
RefillNoncePool(void)
{
	if (!nonce_pool_guarded)
	{
		if (pthread_atfork(NULL, NULL, DiscardNoncePool) != 0)
			return false;
		nonce_pool_guarded = true;
	}
	if (RAND_bytes(nonce_pool, sizeof(nonce_pool)) != 1)
		return false;
	nonce_pool_left = sizeof(nonce_pool);
	return true;
}

bool
pgseal_random_nonce(uint8 out_nonce[PGSEAL_NONCE_BYTES])
{
	if (nonce_pool_left == 0 && !RefillNoncePool())
		return Fail(out_nonce, PGSEAL_NONCE_BYTES);

	memcpy(out_nonce, nonce_pool + sizeof(nonce_pool) - nonce_pool_left,
		   PGSEAL_NONCE_BYTES);
	nonce_pool_left -= PGSEAL_NONCE_BYTES;
	return true;
}

bool
pgseal_equal(const uint8 *a, const uint8 *b, size_t len)
{
	return CRYPTO_memcmp(a, b, len) == 0;
}

/* ----------
 * For key management services: signatures and TLS
 * ----------
 */
bool
pgseal_hmac_once(uint8 out_mac[PGSEAL_HASH_BYTES], const uint8 *key, size_t key_len,
				 const uint8 *data, size_t data_len)
{
	PgsealHmac *hmac = pgseal_hmac_new(key, key_len);
	bool		ok;

	if (hmac == NULL)
		return Fail(out_mac, PGSEAL_HASH_BYTES);
	ok = pgseal_hmac(hmac, out_mac, NULL, 0, data, data_len);
	pgseal_hmac_free(hmac);
	return ok;
}

size_t
pgseal_rs256_sign(uint8 out_signature[PGSEAL_RSA_SIGNATURE_MAX_BYTES],
				  const char *pem, size_t pem_len, const uint8 *data, size_t data_len)
{
	BIO		   *bio = BIO_new_mem_buf(pem, (int) pem_len);
	EVP_PKEY   *key = NULL;
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	size_t		signature_len = PGSEAL_RSA_SIGNATURE_MAX_BYTES;

	/* the empty password: an encrypted key must fail, not ask the terminal */
	if (bio != NULL)
		key = PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *) "");
	if (key == NULL || context == NULL ||
		EVP_PKEY_base_id(key) != EVP_PKEY_RSA ||
		EVP_PKEY_size(key) > PGSEAL_RSA_SIGNATURE_MAX_BYTES ||
		EVP_DigestSignInit(context, NULL, EVP_sha256(), NULL, key) != 1 ||
		EVP_DigestSign(context, out_signature, &signature_len, data, data_len) != 1)
	{
		Fail(out_signature, PGSEAL_RSA_SIGNATURE_MAX_BYTES);
		signature_len = 0;
	}
	EVP_MD_CTX_free(context);
	EVP_PKEY_free(key);
	BIO_free(bio);
	return signature_len;
}

void
pgseal_tls_cleanse(void *tls_context)
{
	SSL_CTX_set_options((SSL_CTX *) tls_context, SSL_OP_CLEANSE_PLAINTEXT);
}
