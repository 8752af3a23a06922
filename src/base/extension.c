/*-------------------------------------------------------------------------
 *
 * extension.c
 *	  Where the extension's objects are.
 *
 * What users' expressions need (types, casts, operators, blind_index(), the
 * overloads of built-in functions) is in pg_catalog, where it is found whatever
 * the search path.  What people call by name is in schema pgseal.  The rest is
 * in schema pgseal_internal, on which nobody has USAGE: PostgreSQL reaches it by
 * OID, through an operator or a cast, and so does C code, through this file.
 *
 * A schema counts only if it belongs to the extension.  What was found is kept
 * until a schema is created, changed or dropped: creating and dropping the
 * extension does that.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/stratnum.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/inval.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"

static Oid	extension = InvalidOid;
static Oid	schema = InvalidOid;
static Oid	internal_schema = InvalidOid;
static bool valid = false;

static void
forget(Datum arg, int cacheid, uint32 hashvalue)
{
	valid = false;
}

void
pgseal_extension_init(void)
{
	CacheRegisterSyscacheCallback(NAMESPACEOID, forget, (Datum) 0);
}

static Oid
own_schema(const char *name)
{
	Oid			oid = get_namespace_oid(name, true);

	return OidIsValid(oid) && getExtensionOfObject(NamespaceRelationId, oid) == extension ?
		oid : InvalidOid;
}

static void
find(void)
{
	/* First, so that an invalidation that arrives meanwhile isn't lost */
	valid = true;
	schema = internal_schema = InvalidOid;
	extension = get_extension_oid("pgseal", true);
	if (!OidIsValid(extension))
		return;
	schema = own_schema(PGSEAL_SCHEMA);
	internal_schema = own_schema(PGSEAL_INTERNAL_SCHEMA);

	/* pg_upgrade makes a schema first and then the extension's member */
	valid = valid && OidIsValid(schema) && OidIsValid(internal_schema);
}

Oid
pgseal_extension_oid(void)
{
	if (!valid)
		find();
	return extension;
}

Oid
pgseal_schema(void)
{
	if (!valid)
		find();
	return schema;
}

Oid
pgseal_internal_schema(void)
{
	if (!valid)
		find();
	return internal_schema;
}

Oid
pgseal_internal_function(const char *name, int num_args, const Oid *arg_types)
{
	oidvector  *types = buildoidvector(arg_types, num_args);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(types), ObjectIdGetDatum(pgseal_internal_schema()));
}
