/*-------------------------------------------------------------------------
 *
 * state.c
 *	  The row of pgseal_internal.conversion: how far a conversion has come.
 *
 * Whoever takes a step has the row locked, and changes it in the transaction
 * that does the work.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "convert/convert.h"
#include "keys/catalog.h"

static List *
oid_list(uint64 row, int column)
{
	bool		isnull;
	Datum		array = SPI_getbinval(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column, &isnull);
	Datum	   *oids;
	int			num;
	List	   *list = NIL;

	deconstruct_array(DatumGetArrayTypeP(array), OIDOID, sizeof(Oid), true, TYPALIGN_INT,
					  &oids, NULL, &num);
	for (int i = 0; i < num; i++)
		list = lappend_oid(list, DatumGetObjectId(oids[i]));
	return list;
}

static Datum
oid_array(List *list)
{
	Datum	   *oids = palloc(Max(list_length(list), 1) * sizeof(Datum));
	int			num = 0;
	ListCell   *lc;

	foreach(lc, list)
		oids[num++] = ObjectIdGetDatum(lfirst_oid(lc));
	return PointerGetDatum(construct_array(oids, num, OIDOID, sizeof(Oid), true, TYPALIGN_INT));
}

/* False when no column of the table is being converted */
bool
pgseal_convert_load(PgsealConvertState *state, Oid relid, bool for_update)
{
	PgsealQuerySession session;
	MemoryContext context = CurrentMemoryContext;
	PgsealConversion *conversion = &state->conversion;
	bool		found;

	memset(state, 0, sizeof(*state));
	conversion->caller = GetUserId();
	pgseal_query_begin(&session);
	found = pgseal_query(psprintf("SELECT attnum::int4, encrypts, type, typmod, copy, indexes,"
								  " copy_indexes, shape, phase, next_block, blocks"
								  " FROM pgseal_internal.conversion WHERE relid = $1%s",
								  for_update ? " FOR UPDATE" : ""), 1,
						 OIDOID, ObjectIdGetDatum(relid)) > 0;
	if (found)
	{
		MemoryContext spi_context = MemoryContextSwitchTo(context);

		conversion->relid = relid;
		conversion->attnum = pgseal_query_int64(0, 1);
		conversion->encrypts = pgseal_query_int64(0, 2) != 0;
		conversion->new_type = pgseal_query_int64(0, 3);
		conversion->new_typmod = pgseal_query_int64(0, 4);
		conversion->copy = pgseal_query_int64(0, 5);
		conversion->indexes = oid_list(0, 6);
		conversion->copy_indexes = oid_list(0, 7);
		state->shape = pgseal_query_text(0, 8);
		state->phase = pgseal_query_text(0, 9);
		state->next_block = pgseal_query_int64(0, 10);
		state->blocks = pgseal_query_int64(0, 11);
		MemoryContextSwitchTo(spi_context);
	}
	pgseal_query_end(&session);
	if (found)
		conversion->type = pgseal_type_by_oid(conversion->encrypts ? conversion->new_type :
											  get_atttype(relid, conversion->attnum));
	return found;
}

void
pgseal_convert_save(const PgsealConvertState *state, int64 copied, int64 applied, int64 verified)
{
	PgsealQuerySession session;

	pgseal_query_begin(&session);
	(void) pgseal_query("UPDATE pgseal_internal.conversion SET phase = $2, next_block = $3, blocks = $4,"
						" rows_copied = rows_copied + $5, changes_applied = changes_applied + $6,"
						" rows_verified = rows_verified + $7 WHERE relid = $1", 7,
						OIDOID, ObjectIdGetDatum(state->conversion.relid),
						TEXTOID, CStringGetTextDatum(state->phase),
						INT8OID, Int64GetDatum(state->next_block),
						INT8OID, Int64GetDatum(state->blocks),
						INT8OID, Int64GetDatum(copied),
						INT8OID, Int64GetDatum(applied),
						INT8OID, Int64GetDatum(verified));
	pgseal_query_end(&session);
}

void
pgseal_convert_insert(const PgsealConversion *conversion, BlockNumber blocks)
{
	PgsealQuerySession session;
	char	   *shape = pgseal_convert_shape(conversion);

	pgseal_query_begin(&session);
	(void) pgseal_query("INSERT INTO pgseal_internal.conversion (relid, attnum, encrypts, type, typmod, copy,"
						"  indexes, copy_indexes, shape, phase, blocks)"
						" VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, 'copying', $10)", 10,
						OIDOID, ObjectIdGetDatum(conversion->relid),
						INT2OID, Int16GetDatum(conversion->attnum),
						BOOLOID, BoolGetDatum(conversion->encrypts),
						OIDOID, ObjectIdGetDatum(conversion->new_type),
						INT4OID, Int32GetDatum(conversion->new_typmod),
						OIDOID, ObjectIdGetDatum(conversion->copy),
						OIDARRAYOID, oid_array(conversion->indexes),
						OIDARRAYOID, oid_array(conversion->copy_indexes),
						TEXTOID, CStringGetTextDatum(shape),
						INT8OID, Int64GetDatum((int64) blocks));
	pgseal_query_end(&session);
}

/* An event and a log line; the key is that of the column, if it has one */
void
pgseal_convert_report(const PgsealConversion *conversion, const char *event)
{
	int32		typmod = conversion->new_typmod;
	Oid			type;
	Oid			collation;

	if (!conversion->encrypts)
		get_atttypetypmodcoll(conversion->relid, conversion->attnum, &type, &typmod, &collation);
	pgseal_catalog_event(event, typmod > 0 ? pgseal_catalog_name(typmod) : NULL, 0,
						 psprintf("table=%s column=%s",
								  quote_qualified_identifier(get_namespace_name(get_rel_namespace(conversion->relid)),
															 get_rel_name(conversion->relid)),
								  quote_identifier(get_attname(conversion->relid, conversion->attnum, false))));
}

/* Takes away all that a conversion has left; the table stays as it is. */
bool
pgseal_convert_drop_remains(Oid relid)
{
	PgsealQuerySession session;
	PgsealConvertState state;
	bool		found = pgseal_convert_load(&state, relid, true);

	if (found)
	{
		pgseal_convert_drop_trigger(relid);
		pgseal_convert_drop_copy(relid, state.conversion.copy);
	}
	pgseal_query_begin(&session);
	/* Those of tables that have been dropped, too */
	(void) pgseal_query("DELETE FROM pgseal_internal.conversion c WHERE relid = $1"
						" OR NOT EXISTS (SELECT FROM pg_class WHERE oid = c.relid)", 1,
						OIDOID, ObjectIdGetDatum(relid));
	(void) pgseal_query("DELETE FROM pgseal_internal.conversion_change h WHERE relid = $1"
						" OR NOT EXISTS (SELECT FROM pg_class WHERE oid = h.relid)", 1,
						OIDOID, ObjectIdGetDatum(relid));
	pgseal_query_end(&session);
	CommandCounterIncrement();
	return found;
}
