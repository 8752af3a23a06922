/*-------------------------------------------------------------------------
 *
 * node_cache.c
 *	  Opened inner nodes of sealed indexes.
 *
 * Each search, estimate and insert goes through the same few nodes at the top of the
 * tree, and opening them costs most of the way down.  Whether a node is still what was
 * opened is told by the header of its sealed bytes: whoever writes a node seals it
 * under a new nonce.
 *
 * What is kept stays as long as the keys that open it do, in the next transactions,
 * too: node_key.c forgets both.  So this memory never tells what the keys beside it
 * wouldn't.  But it is little, and no transaction that has aborted leaves any of it.
 *
 * A node counts its holders, the cache among them: it may give way to another, or be
 * forgotten, while somebody looks at it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "sealed/sealed.h"

/* Each has one place.  Some 100 entries: 3 kB where they are small, 12 kB at most */
#define NUM_PLACES	256

/* What outlives a transaction at most; a tree of a million rows has 150 such nodes */
#define MAX_KEPT_BYTES	(512 * 1024)

typedef struct Place
{
	uint8		salt[PGSEAL_SEALED_SALT_BYTES]; /* of the index */
	uint8		header[PGSEAL_SEALED_HEADER_BYTES];
	PgsealSealedNode *node;		/* NULL: free */
} Place;

static Place places[NUM_PLACES];
static MemoryContext nodes_context = NULL;

static Place *
place_of(const PgsealSealedIndex *index, uint32 id)
{
	uint32		salt;

	memcpy(&salt, index->salt, sizeof(salt));
	return &places[(salt + id) % NUM_PLACES];
}

void
pgseal_sealed_forget_nodes(void)
{
	for (int i = 0; i < NUM_PLACES; i++)
	{
		pgseal_sealed_free_node(places[i].node);
		places[i].node = NULL;
	}
}

/* Nobody holds any of them; whom an error has taken away from it, says it no more */
static void
forget_held_nodes(void)
{
	for (int i = 0; i < NUM_PLACES; i++)
	{
		if (places[i].node != NULL)
			pgseal_wipe(places[i].node->plain, places[i].node->plain_len);
		places[i].node = NULL;
	}
	MemoryContextReset(nodes_context);
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	switch (event)
	{
		case XACT_EVENT_ABORT:
		case XACT_EVENT_PARALLEL_ABORT:
			forget_held_nodes();
			break;
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PARALLEL_COMMIT:
		case XACT_EVENT_PREPARE:
			if (MemoryContextMemAllocated(nodes_context, false) > MAX_KEPT_BYTES)
				forget_held_nodes();
			break;
		default:
			break;
	}
}

static void
make_context(void)
{
	nodes_context = AllocSetContextCreate(TopMemoryContext, "pgseal opened nodes", 0,
										  8 * 1024, 32 * 1024);
	RegisterXactCallback(end_of_transaction, NULL);
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

	pgseal_sealed_free_node(place->node);
	memcpy(place->salt, index->salt, sizeof(place->salt));
	memcpy(place->header, header, sizeof(place->header));
	place->node = node;
	node->holders = 2;
	return node;
}
