/*-------------------------------------------------------------------------
 *
 * steps.c
 *	  What each step of a conversion needs: transactions, locks, rights.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/table.h"
#include "access/xact.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/latch.h"
#include "utils/acl.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/brief_lock.h"
#include "base/compat.h"
#include "convert/steps.h"

void
pgseal_convert_next_transaction(void)
{
	SPI_commit();
	XactIsoLevel = XACT_READ_COMMITTED;
}

void
pgseal_convert_pause(int milliseconds)
{
	static uint32 wait_event = 0;

	if (wait_event == 0)
		wait_event = pgseal_wait_event("PgsealConvert");
	CHECK_FOR_INTERRUPTS();
	if (milliseconds > 0)
	{
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 milliseconds, wait_event);
		ResetLatch(MyLatch);
	}
	CHECK_FOR_INTERRUPTS();
}

void
pgseal_convert_lock(Oid relid)
{
	while (!pgseal_try_lock(list_make1_oid(relid), AccessExclusiveLock, NULL))
		pgseal_convert_pause(PGSEAL_LOCK_PAUSE);
	AcceptInvalidationMessages();
}

void
pgseal_convert_become_owner(PgsealCaller *out_caller, Oid relid)
{
	Relation	rel = table_open(relid, NoLock);

	pgseal_as_owner_begin(out_caller, rel->rd_rel->relowner);
	table_close(rel, NoLock);
}

void
pgseal_convert_check_owner(Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID %u does not exist", relid)));
	if (!pgseal_owns_table(relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER, OBJECT_TABLE, get_rel_name(relid));
}

void
pgseal_convert_check_column(Oid relid, AttrNumber attnum)
{
	if (!OidIsValid(get_atttype(relid, attnum)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("the column of table \"%s\" has been dropped", get_rel_name(relid)),
				 errhint("Give the conversion up with CALL pgseal.cancel_conversion().")));
}

BlockNumber
pgseal_convert_blocks(Oid relid)
{
	Relation	rel = table_open(relid, NoLock);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);

	table_close(rel, NoLock);
	return blocks;
}
