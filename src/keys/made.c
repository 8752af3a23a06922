/*-------------------------------------------------------------------------
 *
 * made.c
 *	  Key versions that sealed values before they were committed.
 *
 * A version that is made, and seals, in a (sub)transaction that is rolled back
 * is gone from the catalog; values under it may live on in the variables of a
 * function or procedure that goes on, and from there get into a table on paths
 * that call no function of ours: a variable of the column's own type, the new
 * row of a trigger.  So such a version isn't given up while code goes on: its
 * row is kept here.  The session can still open what it sealed, whatever passes
 * a cast is sealed anew, and when the transaction commits, or one that the same
 * procedure begins, the row is put back into the catalog, as an ordinary, older
 * version of its key, from which re-encryption takes the values.
 *
 * The wrapped bytes are kept, no key: they are unwrapped as any others.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "nodes/pg_list.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "keys/made.h"
#include "keys/wakeup.h"

typedef struct MadeVersion
{
	PgsealVersionRow *version;
	PgsealKeyRow *key;
	PgsealVersionRow *index_version;	/* the key's, should it be gone as
										 * well */
} MadeVersion;

static MemoryContext made_context = NULL;
static List *made = NIL;		/* of MadeVersion, parents before their
								 * children */

static MadeVersion *
find_made(int64 id)
{
	ListCell   *lc;

	foreach(lc, made)
		if (((MadeVersion *) lfirst(lc))->version->id == id)
			return lfirst(lc);
	return NULL;
}

void
pgseal_made_note(const PgsealVersionRow *version)
{
	MemoryContext context;
	MadeVersion *entry;

	if (version == NULL || !version->written_here || find_made(version->id) != NULL)
		return;
	if (version->parent_version != 0)
		pgseal_made_note(pgseal_catalog_version(version->parent_version));
	if (made_context == NULL)
		made_context = AllocSetContextCreate(TopMemoryContext, "pgseal made versions",
											 ALLOCSET_SMALL_SIZES);
	/* The catalog's rows are read once more, into memory that stays */
	context = MemoryContextSwitchTo(made_context);
	entry = palloc(sizeof(MadeVersion));
	entry->version = pgseal_catalog_version(version->id);
	entry->key = pgseal_catalog_key_by_name(version->key);
	entry->index_version = pgseal_catalog_current_version(version->key, PGSEAL_PURPOSE_INDEX);
	made = lappend(made, entry);
	MemoryContextSwitchTo(context);
}

bool
pgseal_made_any(void)
{
	return made != NIL;
}

/* Where the extension is dropped, nothing can be stored any more */
static bool
is_lost(const MadeVersion *entry)
{
	return OidIsValid(pgseal_catalog_version_relation()) &&
		pgseal_catalog_version(entry->version->id) == NULL;
}

bool
pgseal_made_any_lost(void)
{
	ListCell   *lc;

	foreach(lc, made)
		if (is_lost(lfirst(lc)))
			return true;
	return false;
}

PgsealVersionRow *
pgseal_made_lost(int64 id)
{
	MadeVersion *entry = find_made(id);

	return entry != NULL ? entry->version : NULL;
}

static void
keep(MadeVersion *entry)
{
	const char *name = entry->version->key;

	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	if (pgseal_catalog_key_by_name(name) == NULL)
	{
		if (entry->key == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("key \"%s\" was rolled back while values under it are in use", name)));
		pgseal_catalog_insert_key(entry->key);
		if (entry->index_version != NULL &&
			pgseal_catalog_version(entry->index_version->id) == NULL)
			pgseal_catalog_insert_version(entry->index_version);
	}
	pgseal_catalog_insert_version(entry->version);
	pgseal_catalog_event("version_kept", name, entry->version->id,
						 "reason=rolled_back_in_use");
	pgseal_wakeup_at_commit();
	ForceSyncCommit();
}

void
pgseal_made_keep(void)
{
	ListCell   *lc;

	foreach(lc, made)
		if (is_lost(lfirst(lc)))
			keep(lfirst(lc));
}

void
pgseal_made_forget(void)
{
	made = NIL;
	if (made_context != NULL)
		MemoryContextReset(made_context);
}
