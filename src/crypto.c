/*-------------------------------------------------------------------------
 *
 * crypto.c
 *	  The cryptographic primitives of pgseal, on top of OpenSSL's EVP.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "crypto.h"

/* ----------
 * For key management services: signatures and TLS
 * ----------
 */
bool
pgseal_hmac_once(uint8 out_mac[PGSEAL_HASH_BYTES], const uint8 *key, size_t key_len,
				 const uint8 *data, size_t data_len)
{
	size_t		mac_len = 0;

	if (EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key, key_len, data, data_len,
				  out_mac, PGSEAL_HASH_BYTES, &mac_len) == NULL ||
		mac_len != PGSEAL_HASH_BYTES)
	{
		pgseal_wipe(out_mac, PGSEAL_HASH_BYTES);
		return false;
	}
	return true;
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
		pgseal_wipe(out_signature, PGSEAL_RSA_SIGNATURE_MAX_BYTES);
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
