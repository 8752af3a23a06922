/*-------------------------------------------------------------------------
 *
 * own_key.c
 *	  The key of columns that name none: their table's own.
 *
 * It is named schema.table, as the table is called when the first column asks for
 * it, and made before the statement runs, but only for who may make or change the
 * table: nobody else has a KMS called.  The key catalog notes that a key is somebody's own: a table that was renamed keeps it,
 * and where two tables become partition and parent it says that a column's key was
 * nobody's choice.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/table.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/own_key.h"
#include "keys/catalog.h"
#include "keys/keyring.h"
#include "value/basetype.h"

Oid
pgseal_own_key_type(Oid column_type)
{
	Oid			element;

	if (column_type < FirstNormalObjectId)
		return InvalidOid;
	element = get_element_type(column_type);
	if (!OidIsValid(element))
		element = column_type;
	return pgseal_type_by_oid(element) != NULL ? element : InvalidOid;
}

/* Is the key the type modifier of a stored column of another relation? */
static bool
used_by_other_relation(int32 key_hash, Oid relation)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(attributes, InvalidOid, false, NULL, 0, NULL);
	HeapTuple	tuple;
	bool		used = false;

	while (!used && HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);

		used = attribute->atttypmod == key_hash && !attribute->attisdropped &&
			attribute->attrelid != relation &&
			OidIsValid(pgseal_own_key_type(attribute->atttypid));
	}
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return used;
}

/* The keys of a relation's columns, as type modifiers; without doubles */
static List *
keys_of_columns(Oid relation)
{
	List	   *hashes = NIL;
	Relation	rel;

	if (!OidIsValid(relation))
		return NIL;
	rel = relation_open(relation, AccessShareLock);
	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

		if (!attribute->attisdropped && attribute->atttypmod > 0 &&
			OidIsValid(pgseal_own_key_type(attribute->atttypid)))
			hashes = list_append_unique_int(hashes, attribute->atttypmod);
	}
	relation_close(rel, AccessShareLock);
	return hashes;
}

/* schema.name; one name for all temporary tables */
static char *
name_for(Oid schema, const char *name)
{
	if (isAnyTempNamespace(schema))
		return PGSEAL_TEMPORARY_KEY;
	return psprintf("%s.%s", quote_identifier(get_namespace_name(schema)),
					quote_identifier(name));
}

static Oid
schema_of(const PgsealKeyOwner *owner)
{
	return OidIsValid(owner->relation) ?
		get_rel_namespace(owner->relation) : RangeVarGetCreationNamespace(owner->name);
}

bool
pgseal_own_key_is_temporary(const PgsealKeyOwner *owner)
{
	return isAnyTempNamespace(schema_of(owner));
}

/* Nothing can be sealed by it any more */
static bool
is_destroyed(const char *name)
{
	return pgseal_catalog_key_by_name(name) != NULL &&
		pgseal_catalog_current_version(name, PGSEAL_PURPOSE_DATA) == NULL;
}

static char *
choose_name(const PgsealKeyOwner *owner)
{
	List	   *present = keys_of_columns(owner->relation);
	Oid			schema = schema_of(owner);
	char	   *base = name_for(schema, owner->name->relname);
	char	   *name = base;
	ListCell   *lc;

	if (isAnyTempNamespace(schema))
		return name;

	/* That of a table which has been renamed since */
	foreach(lc, present)
	{
		char	   *known = pgseal_catalog_name(lfirst_int(lc));

		if (pgseal_catalog_is_own(lfirst_int(lc)) && !is_destroyed(known) &&
			!used_by_other_relation(lfirst_int(lc), owner->relation))
			return known;
	}

	/*
	 * Its own already, though copies and partitions may share it.  Else a key
	 * of this name is that of an earlier table, dropped (then it serves the
	 * new one, whose rows may come from its dump, unless it was destroyed) or
	 * renamed.  Or a name that has nothing to do with it has the same hash.
	 */
	for (int i = 2;; i++)
	{
		int32		hash = pgseal_catalog_name_hash(name);
		char	   *known = pgseal_catalog_name(hash);

		if (known == NULL ||
			(strcmp(known, name) == 0 && !is_destroyed(name) &&
			 (list_member_int(present, hash) || !used_by_other_relation(hash, owner->relation))))
			return name;
		name = psprintf("%s_%d", base, i);
	}
}

/* PostgreSQL would report it too, but after we have called a KMS */
static void
check_right_to_create(const PgsealKeyOwner *owner)
{
	if (!OidIsValid(owner->relation))
		(void) RangeVarGetAndCheckCreationNamespace(copyObject(owner->name), NoLock, NULL);
}

const char *
pgseal_own_key_name(PgsealKeyOwner *owner)
{
	if (owner->key == NULL)
	{
		check_right_to_create(owner);
		owner->key = choose_name(owner);

		/*
		 * That of temporary tables is one for all: making it is nobody's
		 * doing
		 */
		pgseal_keyring_check_maker(owner->key, false);
		pgseal_catalog_lock_columns(pgseal_catalog_name_hash(owner->key), false);
		pgseal_catalog_declare(owner->key, true);
		pgseal_keyring_ensure(owner->key);
		/* Literals will need it, perhaps where it can't be made any more */
		pgseal_keyring_ensure(PGSEAL_DEFAULT_KEY);
	}
	return owner->key;
}

bool
pgseal_own_key_is(int32 key_hash, Oid relation)
{
	char	   *name = key_hash > 0 ? pgseal_catalog_name(key_hash) : NULL;

	if (name == NULL)
		return false;
	/* In a restored schema the key may not have come yet */
	return pgseal_catalog_is_own(key_hash) ||
		strcmp(name, name_for(get_rel_namespace(relation), get_rel_name(relation))) == 0;
}
