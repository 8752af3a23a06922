/*-------------------------------------------------------------------------
 *
 * signed_types.c
 *	  What DDL does to the types of signed columns.
 *
 * A signature covers the labels of enums, and all attributes of composite values.  So
 * ALTER TYPE ... RENAME VALUE, ADD or DROP ATTRIBUTE, and ADD or DROP COLUMN of a table
 * whose rows are values of a signed column elsewhere, would make rows bad that nobody
 * has tampered with.  They are refused, when PostgreSQL has allowed them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/signed_types.h"
#include "signed/signed_holders.h"
#include "signed/signing.h"

/* Does anything but its array type need it? */
static bool
is_needed(Oid type)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key[2];
	SysScanDesc scan;
	HeapTuple	tuple;
	bool		needed = false;

	ScanKeyInit(&key[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(TypeRelationId));
	ScanKeyInit(&key[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(type));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, 2, key);
	while (!needed && HeapTupleIsValid(tuple = systable_getnext(scan)))
		needed = ((Form_pg_depend) GETSTRUCT(tuple))->deptype != DEPENDENCY_INTERNAL;
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
	return needed;
}

static void
check_table(Oid relid, Oid type)
{
	Relation	rel = try_table_open(relid, AccessShareLock);
	PgsealSigning *signing = rel != NULL ? pgseal_signing_of_relation(rel) : NULL;

	if (signing != NULL &&
		(pgseal_definition_uses(signing->newest, type) ||
		 (signing->former != NULL && pgseal_definition_uses(signing->former, type))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type %s cannot be changed: rows of table \"%s\" are signed with it",
						format_type_be(type), RelationGetRelationName(rel)),
				 errhint("Take its columns out of the signed columns with pgseal.sign_table() first.")));
	if (rel != NULL)
		table_close(rel, NoLock);
}

static void
check_type(Oid type)
{
	Oid			array = get_array_type(type);
	ListCell   *lc;

	if (!is_needed(type) && !(OidIsValid(array) && is_needed(array)))
		return;
	foreach(lc, pgseal_signed_tables())
		check_table(lfirst_oid(lc), type);
}

void
pgseal_signed_types_enum_changed(AlterEnumStmt *stmt)
{
	if (stmt->oldVal != NULL)
		check_type(typenameTypeId(NULL, makeTypeNameFromNameList(stmt->typeName)));
}

void
pgseal_signed_types_row_changed(AlterTableStmt *stmt)
{
	Oid			relid = RangeVarGetRelid(stmt->relation, NoLock, true);
	ListCell   *lc;

	foreach(lc, stmt->cmds)
	{
		AlterTableCmd *cmd = lfirst_node(AlterTableCmd, lc);
		Oid			type = OidIsValid(relid) ? get_rel_type_id(relid) : InvalidOid;

		if ((cmd->subtype == AT_AddColumn || cmd->subtype == AT_DropColumn) && OidIsValid(type))
			check_type(type);
	}
}
