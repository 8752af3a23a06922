/*-------------------------------------------------------------------------
 *
 * drop.c
 *	  Destroyed key versions leave the shared cache when that is committed.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "miscadmin.h"
#include "utils/memutils.h"

#include "base/settings.h"
#include "keys/catalog.h"
#include "keys/drop.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"

/* Key versions that this transaction has destroyed; in TopTransactionContext */
static int64 *destroyed = NULL;
static int	num_destroyed = 0;
static int	max_destroyed = 0;

/*
 * By then others see the commit, so nobody fetches the key again.  A
 * subtransaction that was rolled back costs but another fetch.
 */
static void
drop_destroyed(XactEvent event, void *arg)
{
	if (event == XACT_EVENT_COMMIT && num_destroyed > 0)
	{
		for (int i = 0; i < num_destroyed; i++)
			pgseal_shared_cache_drop(MyDatabaseId, destroyed[i]);
		pgseal_wakeup_launcher();
	}
	if (event == XACT_EVENT_COMMIT || event == XACT_EVENT_ABORT || event == XACT_EVENT_PREPARE)
	{
		destroyed = NULL;
		num_destroyed = max_destroyed = 0;
	}
}

void
pgseal_drop_at_commit(int64 id)
{
	static bool registered = false;
	MemoryContext context = MemoryContextSwitchTo(TopTransactionContext);

	if (!registered)
		RegisterXactCallback(drop_destroyed, NULL);
	registered = true;
	if (num_destroyed == max_destroyed)
	{
		max_destroyed = Max(16, max_destroyed * 2);
		destroyed = destroyed == NULL ? palloc(max_destroyed * sizeof(int64)) :
			repalloc(destroyed, max_destroyed * sizeof(int64));
	}
	destroyed[num_destroyed++] = id;
	MemoryContextSwitchTo(context);
}

void
pgseal_drop_destroyed(void)
{
	int64	   *ids = MemoryContextAllocHuge(CurrentMemoryContext, pgseal_cache_size * sizeof(int64));
	int			num = pgseal_shared_cache_keys(ids, pgseal_cache_size);
	bool		any = false;

	for (int i = 0; i < num; i++)
	{
		PgsealVersionRow *version = pgseal_catalog_version(ids[i]);

		CHECK_FOR_INTERRUPTS();
		/* An unknown one may be of a transaction that hasn't committed yet */
		if (version == NULL || version->wrapped != NULL || version->written_here)
			continue;
		pgseal_shared_cache_drop(MyDatabaseId, ids[i]);
		any = true;
	}
	pfree(ids);
	if (any)
		pgseal_wakeup_launcher();
}
