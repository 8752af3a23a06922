/*-------------------------------------------------------------------------
 *
 * node_cache.c
 *	  Opened inner nodes of sealed indexes, until the transaction ends.
 *
 * Each search, estimate and insert goes through the same few nodes at the top of the
 * tree, and opening them costs most of the way down.  Whether a node is still what was
 * opened is told by the header of its sealed bytes: whoever writes a node seals it
 * under a new nonce.
 *
 * What is kept is wiped at the end of the transaction.  A node counts its holders, the
 * cache among them: it may give way to another while somebody looks at it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "sealed/sealed.h"

/* Each has one place.  Some 100 entries: 5 kB */
#define NUM_PLACES	128

typedef struct Place
{
	uint8		salt[PGSEAL_SEALED_SALT_BYTES]; /* of the index */
	uint8		header[PGSEAL_SEALED_HEADER_BYTES];
	PgsealSealedNode *node;		/* NULL: free */
} Place;

static Place places[NUM_PLACES];
static MemoryContext nodes_context = NULL;

/* Those that were taken in this transaction */
static Place *taken[NUM_PLACES];
static int	num_taken = 0;

static Place *
place_of(const PgsealSealedIndex *index, uint32 id)
{
	uint32		salt;

	memcpy(&salt, index->salt, sizeof(salt));
	return &places[(salt + id) % NUM_PLACES];
}

static void
forget_nodes(XactEvent event, void *arg)
{
	if (num_taken == 0 || event == XACT_EVENT_PRE_COMMIT ||
		event == XACT_EVENT_PARALLEL_PRE_COMMIT || event == XACT_EVENT_PRE_PREPARE)
		return;
	for (int i = 0; i < num_taken; i++)
	{
		if (taken[i]->node != NULL)
			pgseal_wipe(taken[i]->node->plain, taken[i]->node->plain_len);
		taken[i]->node = NULL;
	}
	num_taken = 0;
	MemoryContextReset(nodes_context);
}

static void
make_context(void)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(forget_nodes, NULL);
	registered = true;
	nodes_context = AllocSetContextCreate(TopMemoryContext, "pgseal opened nodes",
										  ALLOCSET_DEFAULT_SIZES);
}

PgsealSealedNode *
pgseal_sealed_cached_node(const PgsealSealedIndex *index, uint32 id, const uint8 *header)
{
	Place	   *place = place_of(index, id);

	if (place->node == NULL || place->node->id != id ||
		memcmp(place->header, header, sizeof(place->header)) != 0 ||
		memcmp(place->salt, index->salt, sizeof(place->salt)) != 0)
		return NULL;
	place->node->holders++;
	return place->node;
}

PgsealSealedNode *
pgseal_sealed_cache_node(const PgsealSealedIndex *index, uint32 id, const uint8 *header,
						 uint8 *plain)
{
	Place	   *place = place_of(index, id);
	MemoryContext caller;
	PgsealSealedNode *node;
	uint8	   *copy;

	if (nodes_context == NULL)
		make_context();
	caller = MemoryContextSwitchTo(nodes_context);
	copy = memcpy(palloc(index->node_bytes), plain, index->node_bytes);
	node = pgseal_sealed_decode(index, id, copy);
	MemoryContextSwitchTo(caller);
	pgseal_wipe(plain, index->node_bytes);
	pfree(plain);

	if (place->node == NULL)
		taken[num_taken++] = place;
	pgseal_sealed_free_node(place->node);
	memcpy(place->salt, index->salt, sizeof(place->salt));
	memcpy(place->header, header, sizeof(place->header));
	place->node = node;
	node->holders = 2;
	return node;
}
