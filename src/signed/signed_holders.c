/*-------------------------------------------------------------------------
 *
 * signed_holders.c
 *	  Which tables need a key: for their values, or for their signatures.
 *
 * A signature names a key version as a sealed value does, and is as useless
 * without it.  The key's name is read from the trigger's row, without a lock on
 * the table.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "keys/catalog.h"
#include "signed/signed_holders.h"
#include "signed/signing.h"

/* The second argument of the trigger; NULL when it has none */
static char *
key_argument(Relation catalog, HeapTuple tuple)
{
	bool		isnull;
	Datum		stored = heap_getattr(tuple, Anum_pg_trigger_tgargs, RelationGetDescr(catalog),
									  &isnull);
	bytea	   *arguments = isnull ? NULL : DatumGetByteaPP(stored);
	size_t		len = isnull ? 0 : VARSIZE_ANY_EXHDR(arguments);
	const char *first = isnull ? NULL : VARDATA_ANY(arguments);
	const char *end = isnull ? NULL : memchr(first, '\0', len);

	if (((Form_pg_trigger) GETSTRUCT(tuple))->tgnargs < 2 || end == NULL)
		return NULL;
	return pnstrdup(end + 1, len - (end + 1 - first));
}

List *
pgseal_signed_holders(void)
{
	List	   *holders = pgseal_shape_holders();
	Relation	catalog = table_open(TriggerRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	Oid			function = pgseal_signing_function();
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_trigger form = (Form_pg_trigger) GETSTRUCT(tuple);
		char	   *key = form->tgfoid == function ? key_argument(catalog, tuple) : NULL;
		PgsealHolder *holder = key != NULL ? pgseal_shape_holder(&holders, form->tgrelid) : NULL;

		if (holder != NULL)
			holder->key_hashes = list_append_unique_int(holder->key_hashes,
														pgseal_catalog_key_hash(key));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return holders;
}
