/*-------------------------------------------------------------------------
 *
 * no_statistics.c
 *	  Columns that ANALYZE leaves alone.
 *
 * PostgreSQL's own ANALYZE of arrays and composite types would keep values and
 * their order.  It leaves a column alone whose statistics target is 0.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/pg_attribute.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "ddl/no_statistics.h"
#include "value/basetype.h"
#include "value/find_sealed.h"

static bool
has_no_statistics(Oid relation, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relation), Int16GetDatum(attnum));
	bool		isnull = true;
	Datum		target = (Datum) 0;

	if (HeapTupleIsValid(tuple))
	{
		target = SysCacheGetAttr(ATTNUM, tuple, Anum_pg_attribute_attstattarget, &isnull);
		ReleaseSysCache(tuple);
	}
	/* An int4 that fits into the int2 that it is since 17 */
	return !isnull && DatumGetInt16(target) == 0;
}

void
pgseal_no_statistics_of(Relation rel)
{
	List	   *commands = NIL;

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);
		AlterTableCmd *command;

		if (attribute->attisdropped || !pgseal_holds_encrypted(attribute->atttypid) ||
			pgseal_type_by_oid(getBaseType(attribute->atttypid)) != NULL ||
			has_no_statistics(RelationGetRelid(rel), attribute->attnum))
			continue;
		command = makeNode(AlterTableCmd);
		command->subtype = AT_SetStatistics;
		command->name = pstrdup(NameStr(attribute->attname));
		command->def = (Node *) makeInteger(0);
		commands = lappend(commands, command);
	}
	if (commands != NIL)
		AlterTableInternal(RelationGetRelid(rel), commands, true);
}

void
pgseal_no_statistics_anywhere(void)
{
	ListCell   *lc;

	foreach(lc, pgseal_shape_holders())
	{
		PgsealHolder *holder = lfirst(lc);
		Relation	rel = try_relation_open(holder->relid, AccessShareLock);

		if (rel == NULL)
			continue;
		pgseal_no_statistics_of(rel);
		relation_close(rel, AccessShareLock);
	}
}
