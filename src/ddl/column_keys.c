/*-------------------------------------------------------------------------
 *
 * column_keys.c
 *	  The key of a column that is about to be made or changed.
 *
 * Every stored column (also of a domain or a composite type) of an encrypted type
 * gets the name of a key as its type modifier.  A column that names none gets
 * its table's own key (own_key.c), which is made in the same transaction; a name
 * that has no key yet is declared, and gets its material when it first seals.
 *
 * So no stored column is without a key, and nothing but values on their way is
 * sealed under the "default" key.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "nodes/makefuncs.h"
#include "parser/parse_type.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "ddl/column_keys.h"
#include "ddl/refuse.h"
#include "keys/catalog.h"
#include "keys/keyring.h"
#include "value/basetype.h"

static Node *
string_constant(const char *string)
{
	A_Const    *constant = makeNode(A_Const);

	constant->val.sval.type = T_String;
	constant->val.sval.sval = pstrdup(string);
	constant->location = -1;
	return (Node *) constant;
}

/* The name in encrypted_text('name'), as typmod_in gets it */
static const char *
named_key(TypeName *type_name)
{
	Node	   *first = linitial(type_name->typmods);

	if (IsA(first, A_Const))
	{
		Node	   *value = (Node *) &((A_Const *) first)->val;

		if (IsA(value, String))
			return strVal(value);
		if (IsA(value, Float))
			return castNode(Float, value)->fval;
		if (IsA(value, Integer))
			return psprintf("%d", intVal(value));
	}
	if (IsA(first, ColumnRef) && list_length(((ColumnRef *) first)->fields) == 1 &&
		IsA(linitial(((ColumnRef *) first)->fields), String))
		return strVal(linitial(((ColumnRef *) first)->fields));
	return "";					/* typmod_in or its caller will refuse it */
}

void
pgseal_column_keys_require_usage(Oid relation)
{
	Relation	rel = relation_open(relation, AccessShareLock);

	for (int i = 0; i < RelationGetNumberOfAttributes(rel); i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(rel), i);

		if (!attribute->attisdropped && attribute->atttypmod > 0 &&
			pgseal_type_by_oid(attribute->atttypid) != NULL)
			pgseal_refuse_without_usage(attribute->atttypmod);
	}
	relation_close(rel, NoLock);
}

/* encrypted_text(20), by who thinks of varchar(20) */
static void
warn_of_length(const char *name)
{
	if (name[0] == '\0' || strspn(name, "0123456789") != strlen(name) ||
		pgseal_catalog_name(pgseal_catalog_key_hash(name)) != NULL)
		return;
	ereport(WARNING,
			(errmsg("\"%s\" names a key, it limits no length", name),
			 errhint("Name no key for the table's own, and keep a length, or a precision, in a CHECK.")));
}

/*
 * A column may name a key that is there, or one that is not there yet.  To put
 * a key that others use on one's own table takes the privilege to read what it
 * seals: otherwise a unique index there would answer whether a guess is right.
 */
static void
check_named_key(const PgsealKeyOwner *owner, TypeName *type_name)
{
	const char *name = named_key(type_name);
	Oid			oid;
	int32		hash;

	/* Refuses what can't name a key; '#' stands for a name that isn't known */
	typenameTypeIdAndMod(owner->statement, type_name, &oid, &hash);
	if (hash == PGSEAL_TYPMOD_ANY)
		return;
	pgseal_catalog_lock_columns(hash, false);
	if (name[0] != '#')
	{
		pgseal_keyring_check_maker(name, pgseal_own_key_is_temporary(owner));
		warn_of_length(name);
		pgseal_catalog_declare(name, false);
	}
	pgseal_refuse_without_usage(hash);
}

/* Names that one may try, of types that are named for their base type in PostgreSQL's own way */
static const struct
{
	const char *tried;
	const char *meant;
}			other_names[] = {
	{"encrypted_varchar", "encrypted_text"},
	{"encrypted_char", "encrypted_text"},
	{"encrypted_bpchar", "encrypted_text"},
	{"encrypted_string", "encrypted_text"},
	{"encrypted_citext", "encrypted_text"},
	{"encrypted_int", "encrypted_int4"},
	{"encrypted_integer", "encrypted_int4"},
	{"encrypted_bigint", "encrypted_int8"},
	{"encrypted_smallint", "encrypted_int2"},
	{"encrypted_boolean", "encrypted_bool"},
	{"encrypted_real", "encrypted_float4"},
	{"encrypted_float", "encrypted_float8"},
	{"encrypted_double", "encrypted_float8"},
	{"encrypted_decimal", "encrypted_numeric"},
	{"encrypted_json", "encrypted_jsonb"},
	{"encrypted_cidr", "encrypted_inet"}
};

/* The type isn't there: PostgreSQL's own error, with a hint */
static void
suggest_type(TypeName *type_name, PgsealKeyOwner *owner)
{
	const char *tried = list_length(type_name->names) == 1 ? strVal(linitial(type_name->names)) : "";

	/* IF NOT EXISTS may have nothing to make */
	if (owner->name != NULL && !OidIsValid(owner->relation) &&
		OidIsValid(RangeVarGetRelid(owner->name, NoLock, true)))
		return;
	for (int i = 0; i < lengthof(other_names); i++)
		if (strcmp(tried, other_names[i].tried) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("type \"%s\" does not exist", tried),
					 errhint("Perhaps you meant \"%s\".", other_names[i].meant),
					 parser_errposition(owner->statement, type_name->location)));
}

void
pgseal_column_keys_complete_type(TypeName *type_name, PgsealKeyOwner *owner, int32 keep_typmod)
{
	Oid			oid;
	const char *name;

	if (type_name == NULL || type_name->pct_type || type_name->setof)
		return;
	oid = LookupTypeNameOid(owner->statement, type_name, true);
	if (!OidIsValid(oid))
		suggest_type(type_name, owner);
	if (!OidIsValid(oid) || !OidIsValid(pgseal_own_key_type(oid)))
		return;

	if (type_name->typmods != NIL)
	{
		check_named_key(owner, type_name);
		return;
	}
	if (keep_typmod == PGSEAL_TYPMOD_ANY)
		name = "*";
	else if (keep_typmod > 0)
		name = psprintf("#%08x", keep_typmod);
	else
		name = pgseal_own_key_name(owner);
	type_name->typmods = list_make1(string_constant(name));
}

int32
pgseal_column_keys_choose(Oid relation, Oid encrypted_type, const char *key)
{
	PgsealKeyOwner owner = {.relation = relation};
	TypeName   *type_name = makeTypeNameFromOid(encrypted_type, PGSEAL_TYPMOD_NONE);
	Oid			oid;
	int32		typmod;
	char	   *name;

	owner.name = makeRangeVar(get_namespace_name(get_rel_namespace(relation)),
							  get_rel_name(relation), -1);
	if (key != NULL)
		type_name->typmods = list_make1(string_constant(key));
	pgseal_column_keys_complete_type(type_name, &owner, PGSEAL_TYPMOD_NONE);
	typenameTypeIdAndMod(NULL, type_name, &oid, &typmod);
	name = typmod == PGSEAL_TYPMOD_ANY ? NULL : pgseal_catalog_name(typmod);
	if (name != NULL)
		pgseal_keyring_ensure(name);
	return typmod;
}

int32
pgseal_column_keys_present(Oid relation, const char *column)
{
	AttrNumber	attnum = get_attnum(relation, column);
	Oid			type;
	int32		typmod;
	Oid			collation;

	if (attnum == InvalidAttrNumber)
		return PGSEAL_TYPMOD_NONE;
	get_atttypetypmodcoll(relation, attnum, &type, &typmod, &collation);
	return OidIsValid(pgseal_own_key_type(type)) ? typmod : PGSEAL_TYPMOD_NONE;
}

int32
pgseal_column_keys_inherited(List *parents, const char *column)
{
	ListCell   *lc;
	int32		typmod = PGSEAL_TYPMOD_NONE;

	foreach(lc, parents)
	{
		Oid			parent = RangeVarGetRelid(lfirst_node(RangeVar, lc), NoLock, true);

		if (OidIsValid(parent) && typmod == PGSEAL_TYPMOD_NONE)
			typmod = pgseal_column_keys_present(parent, column);
	}
	return typmod;
}

void
pgseal_column_keys_complete(List *elements, PgsealKeyOwner *owner, List *parents)
{
	ListCell   *lc;

	foreach(lc, elements)
	{
		ColumnDef  *column = (ColumnDef *) lfirst(lc);

		if (IsA(column, ColumnDef))
			pgseal_column_keys_complete_type(column->typeName, owner, pgseal_column_keys_inherited(parents, column->colname));
	}
}
