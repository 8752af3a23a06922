/*-------------------------------------------------------------------------
 *
 * crypto.h
 *	  The cryptographic primitives of pgseal, on top of OpenSSL's EVP.
 *
 * crypto.c is the only file that includes OpenSSL.  Nothing here
 * calls ereport() or palloc(): every function returns a status, its one caller
 * reports.  Outputs are zeroed on failure.  Argument order: context, outputs,
 * inputs.  All lengths are bytes.
 *
 * Limits: one AES-256-GCM key seals at most 2^32 values under random 96-bit
 * nonces (NIST SP 800-38D, 8.3); the caller counts.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CRYPTO_H
#define PGSEAL_CRYPTO_H

#include "base/secret.h"

#define PGSEAL_NONCE_BYTES		12
#define PGSEAL_TAG_BYTES		16
#define PGSEAL_HASH_BYTES		32	/* SHA-256, HMAC-SHA-256 */

/* AES-256-GCM with a kept key schedule.  Belongs to one process. */
typedef struct PgsealAead PgsealAead;

/* NULL on failure (out of memory, OpenSSL without AES-256-GCM). */
extern PgsealAead *pgseal_aead_new(const uint8 key[PGSEAL_KEY_BYTES]);

/* Wipes the key schedule.  NULL is allowed. */
extern void pgseal_aead_free(PgsealAead *aead);

/* out_ciphertext has plaintext_len bytes; may not overlap the plaintext. */
extern bool pgseal_aead_seal(PgsealAead *aead,
							 uint8 *out_ciphertext, uint8 out_tag[PGSEAL_TAG_BYTES],
							 const uint8 nonce[PGSEAL_NONCE_BYTES],
							 const uint8 *aad, size_t aad_len,
							 const uint8 *plaintext, size_t plaintext_len);

/* False when the tag does not verify; then out_plaintext is all zeroes. */
extern bool pgseal_aead_open(PgsealAead *aead,
							 uint8 *out_plaintext,
							 const uint8 nonce[PGSEAL_NONCE_BYTES],
							 const uint8 tag[PGSEAL_TAG_BYTES],
							 const uint8 *aad, size_t aad_len,
							 const uint8 *ciphertext, size_t ciphertext_len);

/* HMAC-SHA-256 with a kept key.  Belongs to one process. */
typedef struct PgsealHmac PgsealHmac;

extern PgsealHmac *pgseal_hmac_new(const uint8 *key, size_t key_len);
extern void pgseal_hmac_free(PgsealHmac *hmac);

/* MAC over prefix followed by data; either may be empty. */
extern bool pgseal_hmac(PgsealHmac *hmac, uint8 out_mac[PGSEAL_HASH_BYTES],
						const uint8 *prefix, size_t prefix_len,
						const uint8 *data, size_t data_len);

/* RFC 5869.  out_len from 1 to 255 * 32; salt and info may be empty. */
extern bool pgseal_hkdf_sha256(uint8 *out, size_t out_len,
							   const uint8 *ikm, size_t ikm_len,
							   const uint8 *salt, size_t salt_len,
							   const uint8 *info, size_t info_len);

extern bool pgseal_sha256(uint8 out_digest[PGSEAL_HASH_BYTES],
						  const uint8 *data, size_t data_len);

/* Bytes from OpenSSL's CSPRNG, for keys and ids. */
extern bool pgseal_random(uint8 *out, size_t len);

/*
 * A fresh 96-bit nonce, from a pool that is refilled from the CSPRNG, belongs
 * to one process and is thrown away after a fork.
 */
extern bool pgseal_random_nonce(uint8 out_nonce[PGSEAL_NONCE_BYTES]);

/* Constant-time equality. */
extern bool pgseal_equal(const uint8 *a, const uint8 *b, size_t len);

/*
 * For key management services: signatures and TLS
 */

/* HMAC-SHA-256 with a key that is used once.  RFC 2104. */
extern bool pgseal_hmac_once(uint8 out_mac[PGSEAL_HASH_BYTES],
							 const uint8 *key, size_t key_len,
							 const uint8 *data, size_t data_len);

/* Bytes of the longest RSA signature (RSA-4096) */
#define PGSEAL_RSA_SIGNATURE_MAX_BYTES	512

/*
 * RSASSA-PKCS1-v1_5 with SHA-256 (RS256 of RFC 7518) under a private key in
 * PEM (unencrypted PKCS #8 or PKCS #1).  Returns the bytes of the signature,
 * or 0 when the key can't be read, isn't RSA, or is longer than 4096 bits.
 */
extern size_t pgseal_rs256_sign(uint8 out_signature[PGSEAL_RSA_SIGNATURE_MAX_BYTES],
								const char *pem, size_t pem_len,
								const uint8 *data, size_t data_len);

/* tls_context is libcurl's SSL_CTX: decrypted records are wiped after use. */
extern void pgseal_tls_cleanse(void *tls_context);

#endif							/* PGSEAL_CRYPTO_H */
