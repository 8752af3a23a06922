/*-------------------------------------------------------------------------
 *
 * shmem.c
 *	  Shared memory of pgseal: one place that PostgreSQL asks.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#include "base/shmem.h"

#define MAX_USERS		8

static struct
{
	void		(*request) (void);
	void		(*startup) (void);
}			users[MAX_USERS];
static int	num_users = 0;

static shmem_request_hook_type prev_request = NULL;
static shmem_startup_hook_type prev_startup = NULL;

static void
request_all(void)
{
	if (prev_request)
		prev_request();
	for (int i = 0; i < num_users; i++)
		users[i].request();
}

static void
startup_all(void)
{
	if (prev_startup)
		prev_startup();
	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < num_users; i++)
		users[i].startup();
	LWLockRelease(AddinShmemInitLock);
}

void
pgseal_shmem_register(void (*request) (void), void (*startup) (void))
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (num_users == MAX_USERS)
		elog(FATAL, "pgseal: too many users of shared memory");
	if (num_users == 0)
	{
		prev_request = shmem_request_hook;
		shmem_request_hook = request_all;
		prev_startup = shmem_startup_hook;
		shmem_startup_hook = startup_all;
	}
	users[num_users].request = request;
	users[num_users].startup = startup;
	num_users++;
}
