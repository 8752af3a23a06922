/*-------------------------------------------------------------------------
 *
 * init.c
 *	  Loading the library.
 *
 * Layer 5.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "basetype.h"
#include "compat.h"
#include "ddl.h"
#include "guc.h"
#include "hashindex.h"
#include "keycache.h"
#include "keyring.h"
#include "kms/shared.h"
#include "kms/stat.h"
#include "lookup.h"
#include "redact.h"
#include "refuse.h"
#include "stored.h"
#include "transparent.h"
#include "value.h"
#include "wakeup.h"
#include "worker.h"

PG_MODULE_MAGIC;

PGDLLEXPORT void _PG_init(void);

void
_PG_init(void)
{
	/*
	 * Without shared memory there is no place for keys, and without the hooks
	 * a column could be made without a key.
	 */
	if (!process_shared_preload_libraries_in_progress)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("pgseal must be loaded via \"shared_preload_libraries\""),
				 errhint("Add the line  shared_preload_libraries = 'pgseal'  to postgresql.conf and restart the server.")));

	pgseal_guc_init();
	pgseal_basetype_init();
	pgseal_keycache_init();
	pgseal_wakeup_init();
	pgseal_kms_shared_init();
	pgseal_kms_stat_init();
	pgseal_keyring_init();
	pgseal_value_init();
	pgseal_lookup_init();
	pgseal_stored_init();
	pgseal_transparent_init();
	pgseal_ddl_init();
	pgseal_refuse_init();
	pgseal_hashindex_init();
	pgseal_redact_init();
	pgseal_worker_init();
}
