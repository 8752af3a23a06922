/*-------------------------------------------------------------------------
 *
 * as_owner.c
 *	  Running code that belongs to the owner of a table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"
#include "utils/guc.h"

#include "base/as_owner.h"

void
pgseal_as_owner_begin(PgsealCaller *out_caller, Oid owner)
{
	GetUserIdAndSecContext(&out_caller->user, &out_caller->context);
	SetUserIdAndSecContext(owner, out_caller->context | SECURITY_RESTRICTED_OPERATION);
	out_caller->guc_level = NewGUCNestLevel();
	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
}

void
pgseal_as_owner_end(const PgsealCaller *caller)
{
	AtEOXact_GUC(false, caller->guc_level);
	SetUserIdAndSecContext(caller->user, caller->context);
}
