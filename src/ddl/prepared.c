/*-------------------------------------------------------------------------
 *
 * prepared.c
 *	  What COMMIT PREPARED has destroyed, or made for the worker to do.
 *
 * Who commits a prepared transaction isn't told what it did.  So the keys in the
 * shared cache are looked up then, and that a worker was asked for is noted in shared
 * memory (keys/wakeup.c).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "nodes/parsenodes.h"
#include "tcop/utility.h"

#include "base/compat.h"
#include "base/extension.h"
#include "ddl/prepared.h"
#include "keys/drop.h"
#include "keys/wakeup.h"

static ProcessUtility_hook_type prev_process_utility;

static void
prepared_process_utility(PlannedStmt *pstmt, const char *query_string, bool read_only_tree,
						 ProcessUtilityContext context, ParamListInfo params,
						 QueryEnvironment *env, DestReceiver *dest, QueryCompletion *qc)
{
	/* The tree may be freed by a statement that ends transactions */
	bool		commits = IsA(pstmt->utilityStmt, TransactionStmt) &&
		castNode(TransactionStmt, pstmt->utilityStmt)->kind == TRANS_STMT_COMMIT_PREPARED;

	prev_process_utility(pstmt, query_string, read_only_tree, context, params, env, dest, qc);
	if (commits && OidIsValid(pgseal_extension_oid()))
	{
		pgseal_drop_destroyed();
		pgseal_wakeup_prepared();
	}
}

void
pgseal_prepared_init(void)
{
	prev_process_utility = ProcessUtility_hook ? ProcessUtility_hook : standard_ProcessUtility;
	ProcessUtility_hook = prepared_process_utility;
}
