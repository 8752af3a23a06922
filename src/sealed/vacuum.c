/*-------------------------------------------------------------------------
 *
 * vacuum.c
 *	  Going through all nodes of a sealed index: removing entries, sealing what is
 *	  under an old key anew.
 *
 * Nodes are visited in the order of their places.  Entries move only to new
 * nodes, which get places behind all others, so none is missed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/generic_xlog.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "sealed/access.h"
#include "sealed/sealed.h"
#include "sealed/terms.h"

typedef struct Pass
{
	Relation	relation;
	PgsealSealedIndex index;
	PgsealSealedSealer sealer;
	IndexBulkDeleteCallback callback;	/* NULL: nothing is removed */
	void	   *callback_state;
	double		num_entries;
	double		num_removed;
	uint32		num_resealed;
} Pass;

/* Makes the keys of all nodes of a block ready */
static void
make_keys_ready(const Pass *pass, uint32 first, uint32 end)
{
	for (uint32 id = first; id < end; id++)
		pgseal_sealed_free_node(pgseal_sealed_read(&pass->index, pass->relation, id));
}

/* Takes away what the callback names; true when that was anything */
static bool
remove_entries(Pass *pass, PgsealSealedNode *leaf)
{
	int			kept = 0;
	int			num = leaf->num_entries;

	for (int i = 0; i < num; i++)
	{
		ItemPointerData tid;

		pgseal_sealed_set_tid(&tid, leaf->entries[i].tid);
		if (!pass->callback(&tid, pass->callback_state))
			leaf->entries[kept++] = leaf->entries[i];
	}
	leaf->num_entries = kept;
	pass->num_removed += num - kept;
	return kept < num;
}

/* The nodes of a block whose keys are at hand; false when one's is not */
static bool
visit_locked_block(Pass *pass, Buffer buffer, uint32 first, uint32 end)
{
	PgsealSealedNode *nodes[8];
	int			num = 0;
	bool		ready = true;
	GenericXLogState *state = NULL;
	Page		page = NULL;

	for (uint32 id = first; id < end && ready; id++)
	{
		nodes[num] = pgseal_sealed_open_locked(&pass->index, BufferGetPage(buffer), id);
		ready = nodes[num] != NULL;
		num += ready;
	}
	for (int i = 0; i < num && ready; i++)
	{
		PgsealSealedNode *node = nodes[i];
		bool		is_old = !pgseal_sealed_is_current(&pass->index, BufferGetPage(buffer),
													   node->id, &pass->sealer);
		bool		is_changed = node->level == 0 && pass->callback != NULL &&
			remove_entries(pass, node);

		if (node->level == 0)
			pass->num_entries += node->num_entries;
		if (!is_old && !is_changed)
			continue;
		if (state == NULL)
		{
			state = GenericXLogStart(pass->relation);
			page = GenericXLogRegisterBuffer(state, buffer, 0);
		}
		(void) pgseal_sealed_put(&pass->index, page, &pass->sealer, node);
		pass->num_resealed++;
	}
	if (state != NULL)
		GenericXLogFinish(state);
	while (num > 0)
		pgseal_sealed_free_node(nodes[--num]);
	return ready;
}

static void
visit_block(Pass *pass, uint32 first, uint32 end, BufferAccessStrategy strategy)
{
	for (;;)
	{
		Buffer		buffer;
		bool		done;

		pass->sealer = pgseal_sealed_sealer(&pass->index, pass->relation, end - first);
		buffer = ReadBufferExtended(pass->relation, MAIN_FORKNUM,
									pgseal_sealed_block(&pass->index, first), RBM_NORMAL, strategy);
		LockBuffer(buffer, BUFFER_LOCK_EXCLUSIVE);
		done = visit_locked_block(pass, buffer, first, end);
		UnlockReleaseBuffer(buffer);
		if (done)
			break;
		make_keys_ready(pass, first, end);
	}
}

/* Visits all nodes, also those that appear meanwhile */
static void
visit_all(Pass *pass, BufferAccessStrategy strategy)
{
	uint32		id = 0;
	uint32		num = pgseal_sealed_count_nodes(pass->relation);

	while (id < num)
	{
		/* Of one block, also where the one before ended in the midst of it */
		uint32		end = Min((id / pass->index.slots + 1) * pass->index.slots, num);

		pgseal_vacuum_delay_point();
		visit_block(pass, id, end, strategy);
		id = end;
		if (id == num)
			num = pgseal_sealed_count_nodes(pass->relation);
	}
}

static void
fill_stats(IndexBulkDeleteResult *stats, const Pass *pass)
{
	stats->num_pages = RelationGetNumberOfBlocks(pass->relation);
	stats->num_index_tuples = pass->num_entries;
	stats->tuples_removed += pass->num_removed;
	stats->estimated_count = false;
}

/* Of terms there are many to a row: what counts are the rows */
static void
count_rows(IndexBulkDeleteResult *stats, IndexVacuumInfo *info, const Pass *pass)
{
	if (pass->index.columns[0].terms == PGSEAL_SEALED_WHOLE)
		return;
	stats->num_index_tuples = Max(info->num_heap_tuples, 0);
	stats->estimated_count = info->estimated_count;
}

IndexBulkDeleteResult *
pgseal_sealed_bulkdelete(IndexVacuumInfo *info, IndexBulkDeleteResult *stats,
						 IndexBulkDeleteCallback callback, void *callback_state)
{
	Pass		pass = {.relation = info->index, .callback = callback,
	.callback_state = callback_state};

	if (stats == NULL)
		stats = palloc0(sizeof(IndexBulkDeleteResult));
	pgseal_sealed_get(&pass.index, info->index);

	/*
	 * Nobody can read it any more, and the rows' places may be given to
	 * others
	 */
	if (pgseal_sealed_is_destroyed(&pass.index))
		return stats;
	pgseal_pending_flush(&pass.index, info->index);
	visit_all(&pass, info->strategy);
	fill_stats(stats, &pass);
	count_rows(stats, info, &pass);
	return stats;
}

IndexBulkDeleteResult *
pgseal_sealed_vacuumcleanup(IndexVacuumInfo *info, IndexBulkDeleteResult *stats)
{
	Pass		pass = {.relation = info->index};

	/*
	 * A worker of autovacuum that only analyzes does this, too, as for GIN's
	 * pending list
	 */
	if (info->analyze_only && !pgseal_is_autovacuum_worker())
		return stats;
	pgseal_sealed_get(&pass.index, info->index);
	if (!pgseal_sealed_is_destroyed(&pass.index))
		pgseal_pending_flush(&pass.index, info->index);
	if (info->analyze_only)
		return stats;

	/*
	 * While an index key is replaced, VACUUM brings the nodes under the new
	 * one
	 */
	if (stats == NULL && pgseal_keyring_num_index_versions(pass.index.key_hash) > 1)
	{
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		visit_all(&pass, info->strategy);
		fill_stats(stats, &pass);
		count_rows(stats, info, &pass);
	}
	else if (stats == NULL)
	{
		stats = palloc0(sizeof(IndexBulkDeleteResult));
		stats->num_index_tuples = info->num_heap_tuples;
		stats->num_pages = RelationGetNumberOfBlocks(info->index);
		stats->estimated_count = true;
	}
	return stats;
}

uint32
pgseal_sealed_reseal(Relation relation)
{
	Pass		pass = {.relation = relation};

	pgseal_sealed_get(&pass.index, relation);
	if (pgseal_sealed_is_destroyed(&pass.index))
		return 0;
	pgseal_pending_flush(&pass.index, relation);
	visit_all(&pass, NULL);
	return pass.num_resealed;
}
