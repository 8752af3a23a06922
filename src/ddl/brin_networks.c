/*-------------------------------------------------------------------------
 *
 * brin_networks.c
 *	  BRIN on networks, of columns that become encrypted.
 *
 * The default class of inet keeps a network that holds all of a range of blocks, that of
 * encrypted_inet minimum and maximum.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_am.h"
#include "catalog/pg_type.h"
#include "commands/defrem.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/brin_networks.h"

List *
pgseal_brin_inet_minmax(void)
{
	return list_make2(makeString("pg_catalog"), makeString("inet_minmax_ops"));
}

bool
pgseal_brin_is_inet_minmax(Relation index, int column)
{
	return index->rd_opcintype[column] == INETOID &&
		index->rd_opfamily[column] == get_opclass_family(get_opclass_oid(BRIN_AM_OID,
																		 pgseal_brin_inet_minmax(),
																		 false));
}

void
pgseal_brin_announce_minmax(Relation index, AttrNumber attnum)
{
	if (index->rd_rel->relam != BRIN_AM_OID)
		return;
	for (int i = 0; i < index->rd_index->indnkeyatts; i++)
	{
		if (index->rd_index->indkey.values[i] != attnum || index->rd_opcintype[i] != INETOID ||
			pgseal_brin_is_inet_minmax(index, i))
			continue;
		ereport(NOTICE,
				(errmsg("index \"%s\" will keep minimum and maximum of %s",
						RelationGetRelationName(index),
						quote_identifier(get_attname(index->rd_index->indrelid, attnum, false))),
				 errdetail("It will serve <, <=, =, >= and >, and no longer <<, <<=, >>, >>= and &&.")));
	}
}
