/*-------------------------------------------------------------------------
 *
 * reseals.c
 *	  How many of a key version's seals are those of re-encryption.
 *
 * A limit of seals is there to have a version replaced that has sealed much.  But
 * to replace it means to seal all values of the key under the next one: where there
 * are more of them than the limit, each version would be due as soon as it has been
 * filled, and the worker would re-encrypt without end.  So what re-encryption seals
 * isn't held against a version, until it comes near to what NIST SP 800-38D allows
 * at all; that limit, which counts every seal, nobody passes (sealing_key.c).
 *
 * They are counted as they are reserved, as seals are, and saved apart from the work
 * that they were reserved for, as they are used up also if that is rolled back.  What
 * is lost with a process makes a rotation come early.  The worker saves them before
 * the next one saves the counts of seals, so that it isn't misled.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/extension.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/catalog_table.h"
#include "keys/reseals.h"

#define TABLE					"reencryption_seals"

/*
 * Whoever has sealed them: five eighths of the 2^32 that a version may seal.  The rest
 * is for crashes, and for what sessions seal until the next version is made.
 */
#define SEALS_AT_MOST			(UINT64CONST(5) << 29)

/* Columns of the table, as sql/install/65_lifecycle.sql makes it */
enum
{
	RESEALS_ID = 1, RESEALS_SEALS
};

typedef struct Reseals
{
	int64		key_version_id;
	int64		seals;
} Reseals;

static bool counting = false;
static List *unsaved = NIL;		/* of Reseals, of as many keys as there are */

void
pgseal_reseals_begin(void)
{
	counting = true;
}

void
pgseal_reseals_end(void)
{
	counting = false;
}

void
pgseal_reseals_reserved(int64 key_version_id, uint32 count)
{
	MemoryContext context;
	Reseals    *reseals;
	ListCell   *lc;

	if (!counting)
		return;
	foreach(lc, unsaved)
	{
		reseals = lfirst(lc);
		if (reseals->key_version_id == key_version_id)
		{
			reseals->seals += count;
			return;
		}
	}
	context = MemoryContextSwitchTo(TopMemoryContext);
	reseals = palloc(sizeof(Reseals));
	reseals->key_version_id = key_version_id;
	reseals->seals = count;
	unsaved = lappend(unsaved, reseals);
	MemoryContextSwitchTo(context);
}

bool
pgseal_reseals_are_kept(void)
{
	return OidIsValid(get_relname_relid(TABLE, pgseal_internal_schema()));
}

/* Should it fail, they are left out: a rotation may come early */
void
pgseal_reseals_save(void)
{
	List	   *saved = unsaved;
	ListCell   *lc;

	unsaved = NIL;
	if (saved == NIL || !pgseal_reseals_are_kept())
		return;
	foreach(lc, saved)
	{
		Reseals    *reseals = lfirst(lc);

		(void) pgseal_query("INSERT INTO pgseal_internal." TABLE " AS s VALUES ($1, $2)"
							" ON CONFLICT (key_version_id) DO UPDATE SET seals = s.seals + excluded.seals", 2,
							INT8OID, Int64GetDatum(reseals->key_version_id),
							INT8OID, Int64GetDatum(reseals->seals));
	}
	(void) pgseal_query("DELETE FROM pgseal_internal." TABLE " s WHERE NOT EXISTS"
						" (SELECT FROM pgseal.key_version v"
						"  WHERE v.id = s.key_version_id AND v.wrapped IS NOT NULL)", 0);
	list_free_deep(saved);
}

int64
pgseal_reseals_of(int64 key_version_id)
{
	PgsealTableLookup lookup;
	HeapTuple	tuple;
	int64		seals;

	if (!pgseal_reseals_are_kept())
		return 0;
	pgseal_table_begin(&lookup, TABLE, TABLE "_pkey", AccessShareLock,
					   RESEALS_ID, F_INT8EQ, Int64GetDatum(key_version_id));
	tuple = systable_getnext(lookup.scan);
	seals = HeapTupleIsValid(tuple) ? pgseal_table_int64(&lookup, tuple, RESEALS_SEALS) : 0;
	pgseal_table_end(&lookup);
	return seals;
}

bool
pgseal_reseals_exhausted(int64 key_version_id, uint64 seals)
{
	uint64		limit = (uint64) pgseal_max_seals_per_key;

	/* The table is asked only of versions that have sealed much */
	return seals >= limit &&
		(seals >= SEALS_AT_MOST || seals >= limit + (uint64) pgseal_reseals_of(key_version_id));
}
