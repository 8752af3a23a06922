/*-------------------------------------------------------------------------
 *
 * tree.c
 *	  Finding leaves of a sealed index, inserting entries.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "sealed/sealed.h"

/* What one goes down the tree for: an entry, or a place between entries */
typedef struct Target
{
	const uint8 *key;
	uint64		tid;
	const PgsealSealedBound *bound; /* instead, if not NULL */
} Target;

/* More steps to neighbours than this, and the root is looked up again */
#define MANY_STEPS	2

/* How an entry, or an end of a node, lies to the target; for a bound never zero */
static int
compare_target(const PgsealSealedIndex *index, const PgsealSealedEntry *entry,
			   const Target *target)
{
	if (target->bound != NULL)
		return pgseal_sealed_compare_bound(index, entry->key, target->bound);
	return pgseal_sealed_compare(index, entry->key, entry->tid, target->key, target->tid);
}

/*
 * Is the node for the target?  If not, returns the neighbour to go on to, else
 * PGSEAL_SEALED_NO_NODE.
 */
static uint32
elsewhere(const PgsealSealedIndex *index, const PgsealSealedNode *node, const Target *target)
{
	if (node->high.key != NULL && compare_target(index, &node->high, target) <= 0)
		return node->right;
	if (node->low.key != NULL && compare_target(index, &node->low, target) > 0)
		return node->left;
	return PGSEAL_SEALED_NO_NODE;
}

/* The number of entries that lie before the target */
static int
position_of(const PgsealSealedIndex *index, const PgsealSealedNode *node, const Target *target)
{
	int			low = node->level > 0 ? 1 : 0;	/* the first child's begins
												 * before everything */
	int			high = node->num_entries;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (compare_target(index, &node->entries[middle], target) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The child that is for the target: the last that begins at it or before it */
static int
child_for(const PgsealSealedIndex *index, const PgsealSealedNode *node, const Target *target)
{
	int			position = position_of(index, node, target);

	if (position < node->num_entries && target->bound == NULL &&
		compare_target(index, &node->entries[position], target) == 0)
		return position;
	return position - 1;
}

/*
 * Reads the node, or the neighbour that is for the target by now; counts the
 * steps.  Under the metapage's lock (is_split) nobody may ask for a node's key:
 * NULL when one isn't at hand.
 */
static PgsealSealedNode *
read_for(const PgsealSealedIndex *index, Relation relation, uint32 id, const Target *target,
		 bool is_split, int *steps)
{
	for (;;)
	{
		PgsealSealedNode *node = is_split ? pgseal_sealed_peek(index, relation, id) :
			pgseal_sealed_read(index, relation, id);
		uint32		neighbour;

		if (node == NULL)
			return NULL;
		neighbour = elsewhere(index, node, target);
		if (neighbour == PGSEAL_SEALED_NO_NODE)
			return node;
		pgseal_sealed_free_node(node);
		id = neighbour;
		(*steps)++;
		CHECK_FOR_INTERRUPTS();
	}
}

/* From the root, or what was it, to the node of a level that is for the target */
static PgsealSealedNode *
descend_from_root(const PgsealSealedIndex *index, Relation relation, const Target *target,
				  int level, bool is_split, int *steps)
{
	PgsealSealedNode *node = read_for(index, relation, index->root, target, is_split, steps);

	while (node != NULL && node->level > level)
	{
		uint32		child = node->entries[child_for(index, node, target)].child;

		pgseal_sealed_free_node(node);
		node = read_for(index, relation, child, target, is_split, steps);
	}
	return node;
}

/* The node of a level, or the root below it, that is for the target; NULL: the tree is empty */
static PgsealSealedNode *
descend(PgsealSealedIndex *index, Relation relation, const Target *target, int level)
{
	PgsealSealedNode *node;
	int			steps = 0;

	if (index->root == PGSEAL_SEALED_NO_NODE)
		pgseal_sealed_refresh_root(index, relation);
	if (index->root == PGSEAL_SEALED_NO_NODE)
		return NULL;
	node = descend_from_root(index, relation, target, level, false, &steps);
	if (steps > MANY_STEPS)
		pgseal_sealed_refresh_root(index, relation);	/* for the next time */
	return node;
}

PgsealSealedNode *
pgseal_sealed_find_bound(PgsealSealedIndex *index, Relation relation,
						 const PgsealSealedBound *bound)
{
	Target		target = {.bound = bound};

	/* Before or behind everything: a bound without columns says so as well */
	return descend(index, relation, &target, 0);
}

PgsealSealedNode *
pgseal_sealed_leftmost(PgsealSealedIndex *index, Relation relation, int level)
{
	PgsealSealedBound start = {.side = -1};
	Target		target = {.bound = &start};
	int			steps = 0;

	return descend_from_root(index, relation, &target, level, false, &steps);
}

/*
 * Inserting
 */

/*
 * The node that is for the target, from this one on, and its block exclusively
 * locked; counts the steps.  is_split: as read_for() says.
 */
static PgsealSealedNode *
lock_for(const PgsealSealedIndex *index, Relation relation, uint32 id, const Target *target,
		 bool is_split, int *steps, Buffer *out_buffer)
{
	for (;;)
	{
		Buffer		buffer = ReadBuffer(relation, pgseal_sealed_block(index, id));
		PgsealSealedNode *node;
		uint32		neighbour;

		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		node = pgseal_sealed_open_locked(index, BufferGetPage(buffer), id);
		if (node == NULL)
		{
			UnlockReleaseBuffer(buffer);
			if (is_split)
				return NULL;
			pgseal_sealed_free_node(pgseal_sealed_read(index, relation, id));
			continue;
		}
		neighbour = elsewhere(index, node, target);
		if (neighbour == PGSEAL_SEALED_NO_NODE)
		{
			*out_buffer = buffer;
			return node;
		}
		UnlockReleaseBuffer(buffer);
		pgseal_sealed_free_node(node);
		id = neighbour;
		(*steps)++;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Tells the parent, which is locked, of a split: from the separator on it is the
 * right half.  The left half may have moved.  Where an earlier split was never
 * told, another child leads to both.
 */
static int
add_child(const PgsealSealedIndex *index, PgsealSealedNode *parent, const Target *target,
		  const PgsealSealedEntry *separator, uint32 left, uint64 left_below)
{
	int			before = child_for(index, parent, target);
	PgsealSealedEntry *child = &parent->entries[before];

	if (child->child == left || child->child == separator->child)
	{
		child->child = left;
		child->below = left_below;
	}
	pgseal_sealed_add_entry(parent, before + 1, separator);
	return before + 1;
}

typedef enum Outcome
{
	DONE,
	SPLIT,
	KEY_MISSING					/* nothing has happened: a node's key isn't at
								 * hand */
} Outcome;

typedef struct Splitting
{
	PgsealSealedEntry added;	/* entry, or separator and right half */
	uint32		left;			/* left half */
	uint64		left_below;
	List	   *nodes;			/* what the separators point into */
} Splitting;

/*
 * Puts an entry into the leaf, or a separator into the node of a level.  After a
 * split, splitting says what is to be told one level higher.
 */
static Outcome
insert_at_level(PgsealSealedIndex *index, Relation relation, Buffer meta_buffer,
				const PgsealSealedSealer *sealer, int level, Splitting *splitting)
{
	Target		target = {.key = splitting->added.key, .tid = splitting->added.tid};
	int			steps = 0;
	PgsealSealedNode *node = descend_from_root(index, relation, &target, level, true, &steps);
	uint32		id;
	Buffer		buffer;
	int			position;
	Outcome		outcome = DONE;

	if (node == NULL)
		return KEY_MISSING;
	id = node->id;
	pgseal_sealed_free_node(node);
	node = lock_for(index, relation, id, &target, true, &steps, &buffer);
	if (node == NULL)
		return KEY_MISSING;
	splitting->nodes = lappend(splitting->nodes, node);
	if (level > 0)
		position = add_child(index, node, &target, &splitting->added, splitting->left,
							 splitting->left_below);
	else
	{
		position = position_of(index, node, &target);
		pgseal_sealed_add_entry(node, position, &splitting->added);
	}
	if (!pgseal_sealed_write(index, relation, buffer, sealer, node))
	{
		pgseal_sealed_split(index, relation, meta_buffer, buffer, sealer, node, position,
							&splitting->added, &splitting->left, &splitting->left_below);
		outcome = SPLIT;
	}
	UnlockReleaseBuffer(buffer);
	return outcome;
}

/*
 * Inserts where the leaf is full.  The metapage is locked by now: there is no
 * other split, and what the caller has found out before may be different.  False
 * when a node's key must be made ready first.
 */
static bool
insert_splitting(PgsealSealedIndex *index, Relation relation, Buffer meta_buffer,
				 const PgsealSealedSealer *sealer, const PgsealSealedEntry *entry)
{
	Splitting	splitting = {.added = *entry};
	Outcome		outcome = SPLIT;
	int			level;

	pgseal_sealed_read_root(index, BufferGetPage(meta_buffer));
	if (index->root == PGSEAL_SEALED_NO_NODE)
	{
		pgseal_sealed_plant(index, relation, meta_buffer, sealer, entry);
		return true;
	}
	for (level = 0; outcome == SPLIT && level <= index->root_level; level++)
		outcome = insert_at_level(index, relation, meta_buffer, sealer, level, &splitting);
	if (outcome == SPLIT)
		pgseal_sealed_grow(index, relation, meta_buffer, sealer, &splitting.added,
						   splitting.left, splitting.left_below);
	for (int i = 0; i < list_length(splitting.nodes); i++)
		pgseal_sealed_free_node(list_nth(splitting.nodes, i));
	list_free(splitting.nodes);

	/* A parent that was not told costs those a step who look for the new node */
	return outcome != KEY_MISSING || level > 1;
}

/* A split of each level, of both halves, and a new root */
#define SEALS_OF_SPLITS		32

/* What is left over for an estimate of bytes that is too low */
#define SPARE_BYTES				16

/*
 * Adds those entries, from the first on, that belong into the leaf and find room;
 * the first is added in any case.  Returns how many of them are there now.
 */
static int64
add_to_leaf(const PgsealSealedIndex *index, PgsealSealedNode *leaf,
			const PgsealSealedEntry *entries, int64 num, bool *out_changed)
{
	int			bytes = pgseal_sealed_head_bytes(leaf);
	int64		i;

	for (int k = 0; k < leaf->num_entries && num > 1; k++)
		bytes += pgseal_sealed_entry_bytes(leaf, k);
	for (i = 0; i < num; i++)
	{
		Target		target = {.key = entries[i].key, .tid = entries[i].tid};
		int			position;
		int			next_bytes;

		if (i > 0 && leaf->high.key != NULL && compare_target(index, &leaf->high, &target) <= 0)
			break;
		position = position_of(index, leaf, &target);

		/*
		 * It is there already when a row's place was given to it twice, as
		 * after a crash
		 */
		if (position < leaf->num_entries &&
			compare_target(index, &leaf->entries[position], &target) == 0)
			continue;
		next_bytes = position < leaf->num_entries ? pgseal_sealed_entry_bytes(leaf, position) : 0;
		pgseal_sealed_add_entry(leaf, position, &entries[i]);
		bytes += pgseal_sealed_entry_bytes(leaf, position) - next_bytes;
		if (position + 1 < leaf->num_entries)
			bytes += pgseal_sealed_entry_bytes(leaf, position + 1);
		if (i > 0 && bytes > index->node_bytes - SPARE_BYTES)
		{
			pgseal_sealed_remove_entry(leaf, position);
			break;
		}
		*out_changed = true;
	}
	return i;
}

/* The same of one entry, and a leaf that was read without entries; 0 when there is no room */
static int64
splice_into_leaf(const PgsealSealedIndex *index, PgsealSealedNode *leaf,
				 const PgsealSealedEntry *entry, bool *out_changed)
{
	switch (pgseal_sealed_splice(index, leaf, entry))
	{
		case PGSEAL_SPLICED:
			*out_changed = true;
			break;
		case PGSEAL_SPLICE_THERE:
			break;
		case PGSEAL_SPLICE_FULL:
			return 0;
		case PGSEAL_SPLICE_BY_ENTRIES:
			pgseal_sealed_read_entries(index, leaf);
			return add_to_leaf(index, leaf, entry, 1, out_changed);
	}
	return 1;
}

/* Into a leaf with room, as many entries as it may take; 0 when there is none */
static int64
insert_quickly(PgsealSealedIndex *index, Relation relation, const PgsealSealedEntry *entries,
			   int64 num)
{
	Target		target = {.key = entries->key, .tid = entries->tid};
	PgsealSealedSealer sealer;
	PgsealSealedNode *found = descend(index, relation, &target, 1);
	PgsealSealedNode *node;
	uint32		leaf;
	Buffer		buffer;
	bool		changed = false;
	int			steps = 0;
	int64		added;

	if (found == NULL)
		return 0;

	/* The leaf is opened once, when it is locked */
	leaf = found->level > 0 ? found->entries[child_for(index, found, &target)].child : found->id;
	pgseal_sealed_free_node(found);
	for (;;)
	{
		sealer = pgseal_sealed_sealer(index, relation, 1);
		index->without_entries = num == 1;
		node = lock_for(index, relation, leaf, &target, false, &steps, &buffer);
		index->without_entries = false;

		/*
		 * On the way there, node keys may have been forgotten as a key was
		 * destroyed
		 */
		sealer.aead = pgseal_sealed_node_key_at_hand(index, sealer.key_version_id,
													 sealer.generation);
		if (sealer.aead != NULL)
			break;
		UnlockReleaseBuffer(buffer);
		pgseal_sealed_free_node(node);
	}
	added = num == 1 ? splice_into_leaf(index, node, entries, &changed) :
		add_to_leaf(index, node, entries, num, &changed);
	if (changed && !pgseal_sealed_write(index, relation, buffer, &sealer, node))
		added = 0;
	UnlockReleaseBuffer(buffer);
	pgseal_sealed_free_node(node);
	if (steps > MANY_STEPS)
		pgseal_sealed_refresh_root(index, relation);	/* for the next time */
	return added;
}

static void
insert_with_room(PgsealSealedIndex *index, Relation relation, const PgsealSealedEntry *entry)
{
	bool		done = false;

	/* Trying reads the way down, which makes the keys of its nodes ready */
	while (!done && insert_quickly(index, relation, entry, 1) == 0)
	{
		PgsealSealedSealer sealer = pgseal_sealed_sealer(index, relation, SEALS_OF_SPLITS);
		Buffer		meta_buffer = pgseal_sealed_lock_meta(relation, BUFFER_LOCK_EXCLUSIVE);

		done = insert_splitting(index, relation, meta_buffer, &sealer, entry);
		UnlockReleaseBuffer(meta_buffer);
		pgseal_sealed_remember(index, relation);
	}
}

void
pgseal_sealed_insert(PgsealSealedIndex *index, Relation relation,
					 const PgsealSealedEntry *entries, int64 num)
{
	for (int64 i = 0; i < num;)
	{
		int64		added = num - i > 1 ? insert_quickly(index, relation, entries + i, num - i) : 0;

		if (added == 0)
			insert_with_room(index, relation, &entries[i++]);
		i += added;
		CHECK_FOR_INTERRUPTS();
	}
}

/*
 * Walking
 */

PgsealSealedNode *
pgseal_sealed_step(const PgsealSealedIndex *index, Relation relation, uint32 neighbour,
				   const uint8 *key, uint64 tid, bool forward)
{
	Target		target = {.key = key, .tid = tid};
	uint32		id = neighbour;

	while (id != PGSEAL_SEALED_NO_NODE)
	{
		PgsealSealedNode *node = pgseal_sealed_read(index, relation, id);

		if (forward)
			id = elsewhere(index, node, &target);
		else if (node->low.key != NULL && compare_target(index, &node->low, &target) >= 0)
			id = node->left;
		else if (node->high.key != NULL && compare_target(index, &node->high, &target) < 0)
			id = node->right;
		else
			id = PGSEAL_SEALED_NO_NODE;
		if (id == PGSEAL_SEALED_NO_NODE)
			return node;
		pgseal_sealed_free_node(node);
		CHECK_FOR_INTERRUPTS();
	}
	return NULL;
}

/* Entries of a leaf that lie before the bound */
static int64
entries_before(const PgsealSealedIndex *index, const PgsealSealedNode *leaf,
			   const PgsealSealedBound *bound)
{
	PgsealSealedCursor cursor = {0};
	const uint8 *key;
	int64		rows;

	while ((key = pgseal_sealed_next_key(&cursor, index, leaf, &rows)) != NULL &&
		   pgseal_sealed_compare_bound(index, key, bound) < 0)
		pgseal_sealed_take_rows(&cursor, index, leaf, rows, NULL);
	return cursor.entries;
}

/* The node as read_for() has it, or the leaf that is known already if it is that */
static PgsealSealedNode *
read_unless_known(const PgsealSealedIndex *index, Relation relation, uint32 id,
				  const Target *target, PgsealSealedNode **leaf)
{
	PgsealSealedNode *known = *leaf;
	int			steps = 0;

	if (known == NULL || known->id != id ||
		elsewhere(index, known, target) != PGSEAL_SEALED_NO_NODE)
		return read_for(index, relation, id, target, false, &steps);
	*leaf = NULL;
	return known;
}

double
pgseal_sealed_rank(PgsealSealedIndex *index, Relation relation, const PgsealSealedBound *bound,
				   PgsealSealedNode **leaf, double *out_total)
{
	Target		target = {.bound = bound};
	double		before = 0;
	double		width;			/* entries below the node that we are in */
	PgsealSealedNode *node;

	if (*leaf == NULL)
		pgseal_sealed_refresh_root(index, relation);
	*out_total = 0;
	if (index->root == PGSEAL_SEALED_NO_NODE)
		return 0;
	node = read_unless_known(index, relation, index->root, &target, leaf);
	width = pgseal_sealed_below(node);
	*out_total = width;
	while (node->level > 0)
	{
		int			child = child_for(index, node, &target);
		double		below = Max(pgseal_sealed_below(node), 1);
		uint32		next = node->entries[child].child;
		uint64		sum = 0;

		/* Counts are of the last split: only their proportions count */
		for (int i = 0; i < child; i++)
			sum += node->entries[i].below;
		before += width * sum / below;
		width *= node->entries[child].below / below;
		pgseal_sealed_free_node(node);
		node = read_unless_known(index, relation, next, &target, leaf);
	}
	if (node->num_entries > 0)
		before += width * entries_before(index, node, bound) / node->num_entries;
	pgseal_sealed_free_node(*leaf);
	*leaf = node;
	return before;
}
