/*-------------------------------------------------------------------------
 *
 * hashindex.c
 *	  Who may use a hash index, a sealed index or BRIN on encrypted values.
 *
 * The upkeep of a hash index asks its owner for the privilege (type/compare.c), and a scan calls
 * the same support function: it would answer "no such row" where the value is
 * not there, and fail with "permission denied" only where it is.  So the
 * planner does not get to see the index when the current user may not open
 * what the column's key seals.  Such a plan is made anew for another role, and
 * for the same one when the server's privileges change.  A sealed index asks
 * before it looks for anything, and so does BRIN; but they need not be asked.  Nor are hash partitions
 * pruned for such a user.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_foreign_server.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/pathnodes.h"
#include "optimizer/plancat.h"
#include "partitioning/partdefs.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "keys/catalog.h"
#include "keys/keyring.h"
#include "sealed/access.h"
#include "search/hashindex.h"
#include "search/stored_expressions.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

static get_relation_info_hook_type prev_get_relation_info = NULL;

static bool
has_usage(Oid server)
{
	return OidIsValid(server) &&
		pgseal_server_aclcheck(server, GetUserId(), ACL_USAGE) == ACLCHECK_OK;
}

/* What a column of any key holds may be of any server */
static bool
may_use_all_servers(void)
{
	Relation	servers = table_open(ForeignServerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(servers, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		may = true;

	while (may && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_foreign_server server = (Form_pg_foreign_server) GETSTRUCT(tuple);

		may = has_usage(server->oid) || !pgseal_catalog_server_in_use(NameStr(server->srvname));
	}
	systable_endscan(scan);
	table_close(servers, AccessShareLock);
	return may;
}

/* Keys that aren't named, like that of an expression, count as the default key */
bool
pgseal_may_use_key(int32 hash)
{
	Oid			server;

	if (hash == PGSEAL_TYPMOD_ANY)
		return may_use_all_servers();
	if (hash == PGSEAL_TYPMOD_NONE)
		hash = pgseal_catalog_name_hash(PGSEAL_DEFAULT_KEY);
	/* Nothing is sealed under a key that doesn't exist */
	return !pgseal_keyring_find_server(hash, &server) || has_usage(server);
}

static bool
may_use(Oid relation, AttrNumber attnum)
{
	int32		hash = PGSEAL_TYPMOD_NONE;
	Oid			type;
	Oid			collation;

	if (attnum > 0)
		get_atttypetypmodcoll(relation, attnum, &type, &hash, &collation);
	return pgseal_may_use_key(hash);
}

/*
 * Tokens that lie in an index would answer conditions on blind_index(column)
 * without its being called, and an index only scan would return them.
 */
static bool
hidden_tokens_walker(Node *node, void *context)
{
	bool	   *has_tokens = context;

	if (node == NULL)
		return false;
	if (pgseal_stored_column(node) != NULL)
	{
		*has_tokens = true;
		if (!pgseal_may_use_key(pgseal_stored_column_typmod(node)))
			return true;
	}
	return expression_tree_walker(node, hidden_tokens_walker, context);
}

/*
 * Is a column of the index encrypted, and may the current user not open it?  An index
 * of arrays hashes their elements with the check.
 */
static bool
has_denied_column(PlannerInfo *root, Oid relation, const IndexOptInfo *index)
{
	for (int i = 0; i < index->nkeycolumns; i++)
	{
		if (pgseal_type_by_oid(index->opcintype[i]) == NULL)
			continue;
		root->glob->dependsOnRole = true;
		if (!may_use(relation, index->indexkeys[i]))
			return true;
	}
	return false;
}

static bool
has_encrypted_column(const IndexOptInfo *index)
{
	for (int i = 0; i < index->nkeycolumns; i++)
		if (pgseal_type_by_oid(index->opcintype[i]) != NULL)
			return true;
	return false;
}

/*
 * Pruning hashes what a column is compared with, which anybody may do with a value
 * of his own; but which partition remains tells the hash, so it takes the privilege
 * for what is in the table.  A key that equals no expression isn't pruned by.
 */
static void
hide_partition_keys(PlannerInfo *root, Oid relation, RelOptInfo *rel)
{
	PartitionKey key;
	Relation	table;

	if (rel->part_scheme == NULL || rel->part_scheme->strategy != PARTITION_STRATEGY_HASH)
		return;
	table = table_open(relation, NoLock);
	key = RelationGetPartitionKey(table);
	for (int i = 0; i < key->partnatts; i++)
	{
		if (pgseal_shape_of_type(key->parttypid[i], key->parttypmod[i]) == NULL)
			continue;
		root->glob->dependsOnRole = true;
		if (!may_use(relation, key->partattrs[i]))
			rel->partexprs[i] = list_make1(makeNullConst(key->parttypid[i], key->parttypmod[i],
														 key->parttypcoll[i]));
	}
	table_close(table, NoLock);
}

static void
hashindex_get_relation_info(PlannerInfo *root, Oid relation, bool inhparent, RelOptInfo *rel)
{
	ListCell   *lc;

	if (prev_get_relation_info)
		prev_get_relation_info(root, relation, inhparent, rel);

	hide_partition_keys(root, relation, rel);
	foreach(lc, rel->indexlist)
	{
		IndexOptInfo *index = lfirst_node(IndexOptInfo, lc);
		bool		is_brin = index->relam == BRIN_AM_OID && has_encrypted_column(index);
		bool		has_tokens = false;
		bool		hidden = hidden_tokens_walker((Node *) index->indexprs, &has_tokens) ||
			hidden_tokens_walker((Node *) index->indpred, &has_tokens);

		if (is_brin)
			pgseal_brin_watch_planned(index->indexoid);
		if (has_tokens)
			root->glob->dependsOnRole = true;
		if (hidden)
		{
			rel->indexlist = foreach_delete_current(rel->indexlist, lc);
			continue;
		}
		if (index->relam != HASH_AM_OID && !is_brin && !pgseal_sealed_is_planned(index))
			continue;
		if (has_denied_column(root, relation, index))
			rel->indexlist = foreach_delete_current(rel->indexlist, lc);
		else if (is_brin)
			index->amcostestimate = pgseal_brin_cost_estimate;
	}
}

void
pgseal_hashindex_init(void)
{
	prev_get_relation_info = get_relation_info_hook;
	get_relation_info_hook = hashindex_get_relation_info;
}
