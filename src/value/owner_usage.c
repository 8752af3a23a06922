/*-------------------------------------------------------------------------
 *
 * owner_usage.c
 *	  The privilege for what is stored of a value besides it.
 *
 * Tokens and hashes that are stored answer guesses of whoever owns the table, and
 * are computed for all who write to it.  So it is the owner who must have USAGE on
 * the server of the value's key, at the moment when one is computed: privileges,
 * owners and keys change.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "foreign/foreign.h"
#include "utils/acl.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "value/owner_usage.h"

Oid
pgseal_relation_owner(Oid relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation));
	Oid			owner = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
		ReleaseSysCache(tuple);
	}
	return owner;
}

void
pgseal_check_owner_usage(Oid relation, Oid owner, Oid server)
{
	if (pgseal_server_aclcheck(server, owner, ACL_USAGE) != ACLCHECK_OK)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied for foreign server %s",
						GetForeignServer(server)->servername),
				 errdetail("The owner of \"%s\" has no USAGE on it, which it takes to store what is computed of a value.",
						   get_rel_name(relation))));
}
