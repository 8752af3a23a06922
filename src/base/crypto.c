/*-------------------------------------------------------------------------
 *
 * crypto.c
 *	  The cryptographic primitives of pgseal, on top of OpenSSL's EVP.
 *
 * The contracts are in crypto.h.  Of PostgreSQL only the types and
 * macros of c.h are used, nothing that must be linked: the fuzzer and the
 * benchmark run this file without a server.
 *
 * What the hot paths owe their speed to, measured on OpenSSL 3.0:
 *
 * - Algorithms are fetched once per process; a context keeps its key schedule
 *	 and gets a new IV per value.
 * - AES-256-GCM is called as the provider offers it (provider-cipher(7)), which
 *	 is what EVP does.  EVP itself takes 50 of 145 ns for a short value: it asks
 *	 the provider for the length of the IV each time, and for the tag in calls
 *	 of their own.
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
#include <sys/random.h>
#include <time.h>

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>

#include "base/crypto.h"

#define HMAC_BLOCK_BYTES	64	/* block size of SHA-256 */
#define HMAC_INNER_PAD		0x36
#define HMAC_OUTER_PAD		0x5c

#define HKDF_MAX_BYTES		(255 * PGSEAL_HASH_BYTES)

/* As many nonces as fit into 4 kB */
#define NONCE_POOL_BYTES	(4096 / PGSEAL_NONCE_BYTES * PGSEAL_NONCE_BYTES)

/* A provider's AES-256-GCM; its functions return 1 for success */
typedef struct Gcm
{
	OSSL_FUNC_cipher_newctx_fn *newctx;
	OSSL_FUNC_cipher_freectx_fn *freectx;
	OSSL_FUNC_cipher_encrypt_init_fn *encrypt_init;
	OSSL_FUNC_cipher_decrypt_init_fn *decrypt_init;
	OSSL_FUNC_cipher_update_fn *update;
	OSSL_FUNC_cipher_final_fn *final;
	OSSL_FUNC_cipher_get_ctx_params_fn *get_ctx_params;
	void	   *provider;		/* argument of newctx */
} Gcm;

/* Contexts of the provider */
struct PgsealAead
{
	void	   *seal;
	void	   *open;
};

struct PgsealHmac
{
	EVP_MD_CTX *inner;			/* has taken in key XOR inner pad */
	EVP_MD_CTX *outer;			/* has taken in key XOR outer pad */
	EVP_MD_CTX *work;			/* a copy of either, in use */
};

/* Fetched on first use, kept for the life of the process */
static Gcm	gcm;
static EVP_CIPHER *aes_256_gcm = NULL;	/* keeps the provider loaded */
static EVP_MD *sha256 = NULL;

/* The last nonce_pool_left bytes of the pool have not been handed out yet */
static uint8 nonce_pool[NONCE_POOL_BYTES];
static size_t nonce_pool_left = 0;
static bool nonce_pool_guarded = false;

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

/* Is the name one of these, which are separated by colons? */
static bool
IsNamed(const char *names, const char *name)
{
	size_t		len = strlen(name);

	for (;;)
	{
		size_t		this_len = strcspn(names, ":");

		if (this_len == len && strncasecmp(names, name, len) == 0)
			return true;
		if (names[this_len] == '\0')
			return false;
		names += this_len + 1;
	}
}

static void
CollectFunctions(Gcm *out, const OSSL_DISPATCH *function)
{
	for (; function->function_id != 0; function++)
	{
		switch (function->function_id)
		{
			case OSSL_FUNC_CIPHER_NEWCTX:
				out->newctx = OSSL_FUNC_cipher_newctx(function);
				break;
			case OSSL_FUNC_CIPHER_FREECTX:
				out->freectx = OSSL_FUNC_cipher_freectx(function);
				break;
			case OSSL_FUNC_CIPHER_ENCRYPT_INIT:
				out->encrypt_init = OSSL_FUNC_cipher_encrypt_init(function);
				break;
			case OSSL_FUNC_CIPHER_DECRYPT_INIT:
				out->decrypt_init = OSSL_FUNC_cipher_decrypt_init(function);
				break;
			case OSSL_FUNC_CIPHER_UPDATE:
				out->update = OSSL_FUNC_cipher_update(function);
				break;
			case OSSL_FUNC_CIPHER_FINAL:
				out->final = OSSL_FUNC_cipher_final(function);
				break;
			case OSSL_FUNC_CIPHER_GET_CTX_PARAMS:
				out->get_ctx_params = OSSL_FUNC_cipher_get_ctx_params(function);
				break;
		}
	}
}

/* Which provider it is, is the choice of OpenSSL's configuration (FIPS) */
static bool
FetchCipher(void)
{
	EVP_CIPHER *cipher;
	const OSSL_PROVIDER *provider;
	const OSSL_ALGORITHM *algorithm;
	int			no_cache;

	if (aes_256_gcm != NULL)
		return true;
	cipher = EVP_CIPHER_fetch(NULL, "AES-256-GCM", NULL);
	if (cipher == NULL)
		return false;

	provider = EVP_CIPHER_get0_provider(cipher);
	algorithm = OSSL_PROVIDER_query_operation(provider, OSSL_OP_CIPHER, &no_cache);
	while (algorithm != NULL && algorithm->algorithm_names != NULL &&
		   !IsNamed(algorithm->algorithm_names, "AES-256-GCM"))
		algorithm++;
	if (algorithm != NULL && algorithm->algorithm_names != NULL)
		CollectFunctions(&gcm, algorithm->implementation);
	gcm.provider = OSSL_PROVIDER_get0_provider_ctx(provider);
	if (gcm.newctx == NULL || gcm.freectx == NULL ||
		gcm.encrypt_init == NULL || gcm.decrypt_init == NULL ||
		gcm.update == NULL || gcm.final == NULL || gcm.get_ctx_params == NULL)
	{
		EVP_CIPHER_free(cipher);
		return false;
	}
	aes_256_gcm = cipher;
	return true;
}

PgsealAead *
pgseal_aead_new(const uint8 key[PGSEAL_KEY_BYTES])
{
	PgsealAead *aead = OPENSSL_zalloc(sizeof(PgsealAead));

	if (aead != NULL &&
		FetchCipher() &&
		(aead->seal = gcm.newctx(gcm.provider)) != NULL &&
		(aead->open = gcm.newctx(gcm.provider)) != NULL &&
		gcm.encrypt_init(aead->seal, key, PGSEAL_KEY_BYTES, NULL, 0, NULL) == 1 &&
		gcm.decrypt_init(aead->open, key, PGSEAL_KEY_BYTES, NULL, 0, NULL) == 1)
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
	if (aead->seal != NULL)
		gcm.freectx(aead->seal);
	if (aead->open != NULL)
		gcm.freectx(aead->open);
	OPENSSL_free(aead);
}

/* Passes bytes through the cipher; out is NULL for authenticated data */
static inline bool
Update(void *ctx, uint8 *out, const uint8 *in, size_t len)
{
	size_t		written;

	/* Without input it would be the final call */
	return len == 0 || gcm.update(ctx, out, &written, len, in, len) == 1;
}

/* A stream mode leaves no rest to write: this makes or verifies the tag */
static inline bool
Final(void *ctx)
{
	uint8		rest[EVP_MAX_BLOCK_LENGTH];
	size_t		rest_len;

	return gcm.final(ctx, rest, &rest_len, sizeof(rest)) == 1;
}

bool
pgseal_aead_seal(PgsealAead *aead,
				 uint8 *out_ciphertext, uint8 out_tag[PGSEAL_TAG_BYTES],
				 const uint8 nonce[PGSEAL_NONCE_BYTES],
				 const uint8 *aad, size_t aad_len,
				 const uint8 *plaintext, size_t plaintext_len)
{
	OSSL_PARAM	params[2] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG,
										  out_tag, PGSEAL_TAG_BYTES),
		OSSL_PARAM_construct_end()
	};

	if (gcm.encrypt_init(aead->seal, NULL, 0, nonce, PGSEAL_NONCE_BYTES, NULL) == 1 &&
		Update(aead->seal, NULL, aad, aad_len) &&
		Update(aead->seal, out_ciphertext, plaintext, plaintext_len) &&
		Final(aead->seal) &&
		gcm.get_ctx_params(aead->seal, params) == 1)
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
	OSSL_PARAM	params[2] = {
		OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG,
										  unconstify(uint8 *, tag), PGSEAL_TAG_BYTES),
		OSSL_PARAM_construct_end()
	};

	if (gcm.decrypt_init(aead->open, NULL, 0, nonce, PGSEAL_NONCE_BYTES, params) == 1 &&
		Update(aead->open, NULL, aad, aad_len) &&
		Update(aead->open, out_plaintext, ciphertext, ciphertext_len) &&
		Final(aead->open))
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

/*
 * Random bytes into which the operating system's go as well: of two virtual
 * machines resumed from one snapshot, OpenSSL's generators have the same state.
 */
static bool
FillFresh(uint8 *out, size_t len)
{
	uint8		fresh[32];
	EVP_RAND_CTX *generator = RAND_get0_public(NULL);
	bool		done;

	if (getentropy(fresh, sizeof(fresh)) != 0)
		return false;
	done = generator != NULL ?
		EVP_RAND_generate(generator, out, len, 0, 0, fresh, sizeof(fresh)) == 1 :
		RAND_bytes(out, (int) len) == 1;
	OPENSSL_cleanse(fresh, sizeof(fresh));
	return done;
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
	if (!FillFresh(nonce_pool, sizeof(nonce_pool)))
		return false;
	nonce_pool_left = sizeof(nonce_pool);
	return true;
}

/*
 * A pool is used within the second in which it was filled: a virtual machine that
 * is resumed twice from one snapshot has it twice, and its clock has moved on.
 */
static bool
NoncePoolIsOld(void)
{
	static time_t filled_in = 0;
	struct timespec now;

#ifdef CLOCK_REALTIME_COARSE
	if (clock_gettime(CLOCK_REALTIME_COARSE, &now) != 0)
		return true;
#else
	if (clock_gettime(CLOCK_REALTIME, &now) != 0)
		return true;
#endif
	if (now.tv_sec == filled_in)
		return false;
	filled_in = now.tv_sec;
	return true;
}

bool
pgseal_random_nonce(uint8 out_nonce[PGSEAL_NONCE_BYTES])
{
	if ((NoncePoolIsOld() || nonce_pool_left == 0) && !RefillNoncePool())
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

/*
 * For key management services: signatures and TLS
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
