/*-------------------------------------------------------------------------
 *
 * node_key.c
 *	  The keys that seal what a sealed index consists of, and sealing with them.
 *
 * The node key is HMAC-SHA-256, under the index key, of a label, the index's salt
 * and the generation (store.c).  Sealed bytes are:
 *
 *	 offset	bytes
 *	 0		8	key version id of the index key
 *	 8		4	generation
 *	 12		12	nonce
 *	 24		16	GCM tag
 *	 40		n	ciphertext
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "port/pg_bswap.h"

#include "base/compat.h"
#include "keys/shared_cache.h"
#include "sealed/sealed.h"

#define NODE_KEY_LABEL	"pgseal sealed index 1"

#define GENERATION		8
#define NONCE			12
#define TAG				24

#define NUM_NODE_KEYS	16

typedef struct NodeKey
{
	int64		key_version_id;
	uint32		generation;
	uint8		salt[PGSEAL_SEALED_SALT_BYTES];
	PgsealAead *aead;			/* NULL: free */
} NodeKey;

/* Of this backend; the oldest makes room */
static NodeKey node_keys[NUM_NODE_KEYS];
static int	next_node_key = 0;
static uint64 cache_generation = 0;

/* And what was opened by them */
static void
forget_node_keys(void)
{
	pgseal_sealed_forget_nodes();
	for (int i = 0; i < NUM_NODE_KEYS; i++)
	{
		pgseal_aead_free(node_keys[i].aead);
		node_keys[i].aead = NULL;
	}
}

PgsealAead *
pgseal_sealed_node_key_at_hand(const PgsealSealedIndex *index, int64 key_version_id, uint32 generation)
{
	for (int i = 0; i < NUM_NODE_KEYS; i++)
		if (node_keys[i].aead != NULL && node_keys[i].key_version_id == key_version_id &&
			node_keys[i].generation == generation &&
			memcmp(node_keys[i].salt, index->salt, sizeof(index->salt)) == 0)
			return node_keys[i].aead;
	return NULL;
}

static PgsealAead *
derive_node_key(const PgsealSealedIndex *index, PgsealHmac *index_key, uint32 generation)
{
	uint8		info[sizeof(index->salt) + sizeof(uint32)];
	uint32		generation_be = pg_hton32(generation);
	uint8		key[PGSEAL_HASH_BYTES];
	PgsealAead *aead = NULL;

	memcpy(info, index->salt, sizeof(index->salt));
	memcpy(info + sizeof(index->salt), &generation_be, sizeof(generation_be));
	if (pgseal_hmac(index_key, key, (const uint8 *) NODE_KEY_LABEL, strlen(NODE_KEY_LABEL),
					info, sizeof(info)))
		aead = pgseal_aead_new(key);
	pgseal_wipe(key, sizeof(key));
	if (aead == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not derive a node key")));
	return aead;
}

/*
 * The node key, after the keyring has said that the index key may still be used.
 * May ask a KMS: no lock may be held.
 */
PgsealAead *
pgseal_sealed_node_key(const PgsealSealedIndex *index, int64 key_version_id, uint32 generation)
{
	PgsealKey  *key = pgseal_keyring_index_version(key_version_id, PGSEAL_ACCESS_INTERNAL);
	NodeKey    *entry;
	PgsealAead *aead;

	/* A key was destroyed somewhere: what came from it must go */
	if (cache_generation != pgseal_shared_cache_generation())
	{
		forget_node_keys();
		cache_generation = pgseal_shared_cache_generation();
	}
	aead = pgseal_sealed_node_key_at_hand(index, key_version_id, generation);
	if (aead != NULL)
		return aead;
	pgseal_keyring_when_unloading(forget_node_keys);
	aead = derive_node_key(index, key->hmac, generation);
	entry = &node_keys[next_node_key];
	next_node_key = (next_node_key + 1) % NUM_NODE_KEYS;
	pgseal_aead_free(entry->aead);
	entry->key_version_id = key_version_id;
	entry->generation = generation;
	memcpy(entry->salt, index->salt, sizeof(entry->salt));
	entry->aead = aead;
	return aead;
}

void
pgseal_sealed_key_of_bytes(const uint8 *sealed, int64 *out_key_version_id,
						   uint32 *out_generation)
{
	memcpy(out_key_version_id, sealed, sizeof(*out_key_version_id));
	memcpy(out_generation, sealed + GENERATION, sizeof(*out_generation));
}

bool
pgseal_sealed_try_open_bytes(PgsealAead *aead, uint8 *out_plain, const uint8 *sealed, size_t len,
							 const uint8 *aad, size_t aad_len)
{
	return pgseal_aead_open(aead, out_plain, sealed + NONCE, sealed + TAG, aad, aad_len,
							sealed + PGSEAL_SEALED_HEADER_BYTES, len);
}

uint8 *
pgseal_sealed_open_bytes(const PgsealSealedIndex *index, BlockNumber block, PgsealAead *aead,
						 const uint8 *sealed, size_t len, const uint8 *aad, size_t aad_len)
{
	uint8	   *plain = palloc(len);

	if (!pgseal_sealed_try_open_bytes(aead, plain, sealed, len, aad, aad_len))
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("block %u of sealed index \"%s\" failed authentication", block,
						NameStr(index->name)),
				 errhint("REINDEX makes the index anew.")));
	return plain;
}

void
pgseal_sealed_seal_bytes(uint8 *out_sealed, const PgsealSealedSealer *sealer, const uint8 *plain,
						 size_t len, const uint8 *aad, size_t aad_len)
{
	uint8		nonce[PGSEAL_NONCE_BYTES];

	if (!pgseal_random_nonce(nonce) ||
		!pgseal_aead_seal(sealer->aead, out_sealed + PGSEAL_SEALED_HEADER_BYTES, out_sealed + TAG,
						  nonce, aad, aad_len, plain, len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not seal a node")));
	memcpy(out_sealed, &sealer->key_version_id, sizeof(sealer->key_version_id));
	memcpy(out_sealed + GENERATION, &sealer->generation, sizeof(sealer->generation));
	memcpy(out_sealed + NONCE, nonce, sizeof(nonce));
}
