/*-------------------------------------------------------------------------
 *
 * storage.c
 *	  SET STORAGE and SET COMPRESSION of a converted column.
 *
 * ALTER TABLE ... TYPE gives a column what its new type has by default.  What
 * somebody has chosen stays through encrypt_column() and back.  The default of an
 * encrypted type is EXTERNAL, which a text column may have been given on purpose,
 * so that is noted while the column is encrypted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "convert/convert.h"

PgsealStorage
pgseal_convert_storage(Oid relid, AttrNumber attnum)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);
	PgsealStorage storage = {form->atttypid, form->attstorage, form->attcompression};

	ReleaseSysCache(tuple);
	return storage;
}

static void
note(const PgsealConversion *conversion, char storage)
{
	char		text[] = {storage, '\0'};
	PgsealQuerySession session;

	pgseal_query_begin(&session);
	(void) pgseal_query("INSERT INTO pgseal_internal.plain_storage VALUES ($1, $2, $3)"
						" ON CONFLICT (relid, attnum) DO UPDATE SET storage = excluded.storage", 3,
						OIDOID, ObjectIdGetDatum(conversion->relid),
						INT2OID, Int16GetDatum(conversion->attnum),
						TEXTOID, CStringGetTextDatum(text));
	pgseal_query_end(&session);
}

/* What was noted, or otherwise */
static char
noted(const PgsealConversion *conversion, char otherwise)
{
	PgsealQuerySession session;
	char		storage = otherwise;

	pgseal_query_begin(&session);
	if (pgseal_query("SELECT storage FROM pgseal_internal.plain_storage WHERE relid = $1 AND attnum = $2", 2,
					 OIDOID, ObjectIdGetDatum(conversion->relid),
					 INT2OID, Int16GetDatum(conversion->attnum)) > 0)
		storage = pgseal_query_text(0, 1)[0];
	pgseal_query_end(&session);
	return storage;
}

static void
set_storage(Oid relid, AttrNumber attnum, char storage, char compression)
{
	Relation	attributes = table_open(AttributeRelationId, RowExclusiveLock);
	HeapTuple	tuple = SearchSysCacheCopy2(ATTNUM, ObjectIdGetDatum(relid), Int16GetDatum(attnum));
	Form_pg_attribute form = (Form_pg_attribute) GETSTRUCT(tuple);

	/* Values of fixed length are stored in one way only */
	if (form->attlen == -1)
	{
		form->attstorage = storage;
		form->attcompression = compression;
		CatalogTupleUpdate(attributes, &tuple->t_self, tuple);
	}
	heap_freetuple(tuple);
	table_close(attributes, RowExclusiveLock);
	CommandCounterIncrement();
}

void
pgseal_convert_keep_storage(const PgsealConversion *conversion, Oid relid,
							const PgsealStorage *before)
{
	char		by_default = get_typstorage(conversion->new_type);
	bool		chosen = before->storage != get_typstorage(before->type);
	char		storage = by_default;

	if (chosen && before->storage != TYPSTORAGE_EXTENDED)
		storage = before->storage;
	else if (!chosen && !conversion->encrypts)
		storage = noted(conversion, by_default);
	if (conversion->encrypts && relid == conversion->relid)
		note(conversion, chosen ? before->storage : get_typstorage(before->type));
	set_storage(relid, conversion->attnum, storage, before->compression);
}
