/*-------------------------------------------------------------------------
 *
 * used.c
 *	  Key versions under which this transaction has sealed.
 *
 * Who destroys a key looks for values first, and sees what is in tables.  A value
 * may also be on its way there: in a variable, in the new row of a trigger, in a
 * table that others don't see yet.  So nobody commits who has sealed under a
 * version that another has destroyed meanwhile: what he may have stored could
 * never be opened.
 *
 * What a procedure has sealed it may keep in its variables over its COMMITs and
 * ROLLBACKs, so what is noted lasts until code ends.  What parallel workers have
 * sealed their leader commits.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/parallel.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "tcop/pquery.h"
#include "utils/inval.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "keys/facts.h"
#include "keys/used.h"
#include "keys/used_by_workers.h"

/* Room that is kept for the next transaction */
#define KEPT_ROOM	64

/* Keys that a prepared transaction locks one by one */
#define LOCKED_MAX	64

uint64		pgseal_used_era = 1;

static int64 *used = NULL;		/* in TopMemoryContext */
static int	num_used = 0;
static int	max_used = 0;
static bool used_others = false;	/* more than these */
static uint64 checked_in = 0;	/* the epoch in which none of them was
								 * destroyed; 0: nothing was sealed */

static void
add(int64 version)
{
	if (num_used == max_used)
	{
		int			room = Max(KEPT_ROOM, max_used * 2);

		used = used == NULL ? MemoryContextAlloc(TopMemoryContext, room * sizeof(int64)) :
			repalloc_huge(used, room * sizeof(int64));
		max_used = room;
	}
	used[num_used++] = version;
}

void
pgseal_used_add(PgsealKey *key)
{
	if (key->ephemeral)
		return;
	if (IsParallelWorker())
		pgseal_used_by_worker(key->id);
	else
	{
		if (checked_in == 0)
			checked_in = pgseal_facts_epoch();
		add(key->id);
	}
	key->used_in = pgseal_used_era;
}

void
pgseal_used_before_workers(void)
{
	if (checked_in == 0)
		checked_in = pgseal_facts_epoch();
}

static void
add_those_of_workers(void)
{
	int64		versions[PGSEAL_WORKERS_PLACES];
	uint32		reports = pgseal_used_by_workers(versions);

	for (uint32 i = 0; i < Min(reports, PGSEAL_WORKERS_PLACES); i++)
		add(versions[i]);
	if (reports > PGSEAL_WORKERS_PLACES)
		used_others = true;
}

/* While a transaction aborts, where no memory may be asked for */
static void
drop_those_of_workers(void)
{
	int64		versions[PGSEAL_WORKERS_PLACES];

	if (pgseal_used_by_workers(versions) > 0)
		used_others = true;
}

static void
forget(void)
{
	num_used = 0;
	used_others = false;
	checked_in = 0;
	pgseal_used_era++;
	if (max_used > KEPT_ROOM)
	{
		pfree(used);
		used = NULL;
		max_used = 0;
	}
}

/* What this transaction has destroyed itself is meant to be lost */
static void
check_used(void)
{
	int			num = 0;

	AcceptInvalidationMessages();
	if (pgseal_facts_hold(checked_in))
		return;
	if (used_others)
		ereport(ERROR,
				(errcode(ERRCODE_T_R_SERIALIZATION_FAILURE),
				 errmsg("keys were changed while parallel workers sealed values under many of them"),
				 errhint("Run it again.")));
	for (int i = 0; i < num_used; i++)
	{
		PgsealVersionRow *version = pgseal_catalog_version(used[i]);

		if (version != NULL && version->wrapped == NULL)
		{
			if (version->written_here)
				continue;
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("version %d of key \"%s\" was destroyed", version->number, version->key),
					 errdetail("This transaction, or the procedure that it is part of, has sealed values under it before."),
					 errhint("Run it again.")));
		}
		used[num++] = used[i];
	}
	num_used = num;
	checked_in = pgseal_facts_epoch();
}

/*
 * A prepared transaction commits without being asked again: until then, the keys
 * stay, unless they are to be lost anyway (destroy.c).
 */
static void
lock_used(void)
{
	if (num_used > LOCKED_MAX || used_others)
		pgseal_catalog_lock_columns(PGSEAL_TYPMOD_ANY, false);
	else
		for (int i = 0; i < num_used; i++)
		{
			const PgsealKeyInfo *info = pgseal_keyring_info(used[i]);

			if (info->known)
				pgseal_catalog_lock_columns(info->key_hash, false);
		}
}

/* Does a procedure go on in another transaction? */
static bool
code_goes_on(void)
{
	return MyBackendType == B_BACKEND ? ActivePortal != NULL : SPI_inside_nonatomic_context();
}

static void
end_of_transaction(XactEvent event, void *arg)
{
	if (checked_in == 0)
		return;
	switch (event)
	{
		case XACT_EVENT_PRE_COMMIT:
		case XACT_EVENT_PRE_PREPARE:
			add_those_of_workers();

			/*
			 * Without a transaction id nothing was stored; nor is it without
			 * types
			 */
			if (!TransactionIdIsValid(GetTopTransactionIdIfAny()) ||
				!OidIsValid(pgseal_catalog_version_relation()))
				break;
			if (event == XACT_EVENT_PRE_PREPARE)
				lock_used();
			check_used();
			break;
		case XACT_EVENT_ABORT:
			drop_those_of_workers();
			/* FALLTHROUGH */
		case XACT_EVENT_COMMIT:
		case XACT_EVENT_PREPARE:
			if (!code_goes_on())
				forget();
			break;
		default:
			break;
	}
}

void
pgseal_used_init(void)
{
	pgseal_used_by_workers_init();
	RegisterXactCallback(end_of_transaction, NULL);
}
