/*-------------------------------------------------------------------------
 *
 * init.c
 *	  Loading the library.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "miscadmin.h"

#include "base/citus.h"
#include "base/compat.h"
#include "base/extension.h"
#include "base/settings.h"
#include "citus/calls.h"
#include "citus/scan.h"
#include "ddl/ddl.h"
#include "ddl/functions.h"
#include "ddl/prepared.h"
#include "ddl/refuse.h"
#include "ddl/signed_tables.h"
#include "keys/keyring.h"
#include "keys/shared_cache.h"
#include "keys/wakeup.h"
#include "kms/counters.h"
#include "kms/credentials.h"
#include "life/launcher.h"
#include "log/hidden_parameters.h"
#include "log/redact.h"
#include "log/redact_tokens.h"
#include "sealed/access.h"
#include "search/denied.h"
#include "search/hashindex.h"
#include "search/lookup.h"
#include "search/stored_tokens.h"
#include "signed/ledger.h"
#include "signed/signing.h"
#include "signed/verify.h"
#include "statement/late_opening.h"
#include "statement/open_results.h"
#include "statement/parallel.h"
#include "statement/plain_callers.h"
#include "statement/sort_spill.h"
#include "type/constraint_caller.h"
#include "value/basetype.h"
#include "value/seal.h"

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

	pgseal_settings_init();
	pgseal_citus_init();
	pgseal_extension_init();
	pgseal_basetype_init();
	pgseal_shared_cache_init();
	pgseal_wakeup_init();
	pgseal_credentials_init();
	pgseal_kms_counters_init();
	pgseal_keyring_init();
	pgseal_value_init();
	pgseal_constraint_caller_init();
	pgseal_lookup_init();
	pgseal_denied_init();
	pgseal_stored_init();
	pgseal_signing_init();
	pgseal_verify_init();
	pgseal_verify_conflict_init();
	pgseal_ledger_record_init();
	pgseal_citus_restore_init();
	pgseal_open_results_init();
	pgseal_parallel_init();
	pgseal_hidden_parameters_init();
	pgseal_plain_callers_init();
	pgseal_prepared_init();
	pgseal_ddl_init();
	pgseal_functions_init();
	pgseal_signed_tables_init();
	pgseal_refuse_init();
	pgseal_hashindex_init();
	pgseal_sealed_init();
	pgseal_brin_init();
	pgseal_redact_init();
	pgseal_redact_tokens_init();
	pgseal_sort_spill_init();
	pgseal_late_opening_init();
	pgseal_citus_scan_init();
	pgseal_citus_calls_init();
	pgseal_launcher_init();
}
