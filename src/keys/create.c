/*-------------------------------------------------------------------------
 *
 * create.c
 *	  Making keys, and new versions of them.
 *
 * A version is stored, wrapped, by the transaction that makes it, and used only
 * as it was stored.  Making a key and making a version of it take the key's
 * lock; a child key takes its parent's in shared mode, so that the parent isn't
 * rotated, moved or destroyed meanwhile.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/xact.h"
#include "catalog/pg_authid.h"
#include "foreign/foreign.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/resowner.h"

#include "base/compat.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "keys/keyring.h"
#include "keys/wakeup.h"
#include "keys/wrapping.h"
#include "kms/kms.h"

/* 42704 when the key was destroyed */
static PgsealVersionRow *
current_version(const char *name, PgsealPurpose purpose)
{
	PgsealVersionRow *version = pgseal_catalog_current_version(name, purpose);

	if (version == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("key \"%s\" was destroyed", name)));
	return version;
}

/*
 * Lets the version's server or parent wrap a new secret and stores it.  The
 * secret itself is wiped: the first use unwraps the stored one.  It is on disk
 * when the commit returns, whatever synchronous_commit says, as values under it
 * may be on their way elsewhere by then.
 */
static void
make_version(PgsealVersionRow *version)
{
	pgseal_wrapping_make(version);
	pgseal_catalog_insert_version(version);
	ForceSyncCommit();
}

static void
report_duplicate(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("key \"%s\" already exists", name)));
}

/* 42710 when there is such a key */
static void
check_new_name(const char *name)
{
	pgseal_catalog_check_name(name);
	if (pgseal_catalog_key_by_name(name) != NULL)
		report_duplicate(name);
}

static void
create_key(PgsealKeyRow *key, int64 parent_version)
{
	PgsealVersionRow version = {
		.key = key->name,
		.number = 1,
		.server = key->server,
		.parent_version = parent_version
	};

	version.purpose = PGSEAL_PURPOSE_DATA;
	make_version(&version);
	pgseal_catalog_event("key_created", key->name, version.id, NULL);
	version.purpose = PGSEAL_PURPOSE_INDEX;
	make_version(&version);
	/* Last: until here, the server may be one that no key uses yet */
	pgseal_catalog_insert_key(key);
}

/* The setting may be the cluster's, and the server in another database */
static const char *
default_server(void)
{
	if (!OidIsValid(get_foreign_server_oid(pgseal_default_server, true)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("server \"%s\" does not exist", pgseal_default_server),
				 errdetail("The setting pgseal.default_server names it."),
				 errhint("Make it in this database as well, or use ALTER DATABASE ... SET pgseal.default_server.")));
	return pgseal_default_server;
}

void
pgseal_keyring_create(const char *name, const char *server, const Interval *rotate_every,
					  const Interval *rewrap_every)
{
	int32		hash = pgseal_catalog_name_hash(name);
	PgsealKeyRow key = {
		.hash = hash,
		.name = pstrdup(name),
		.server = pstrdup(server ? server : default_server()),
		.rotate_every = rotate_every,
		.rewrap_every = rewrap_every
	};

	pgseal_catalog_check_name(name);
	pgseal_catalog_declare(name, false);
	pgseal_catalog_lock_key(hash);
	check_new_name(name);
	key.own = pgseal_catalog_is_own(hash);
	create_key(&key, 0);
}

void
pgseal_keyring_create_child(const char *name, const char *parent, const Interval *rotate_every)
{
	PgsealKeyRow key = {.name = pstrdup(name), .rotate_every = rotate_every};
	PgsealKeyRow *parent_key;
	int64		parent_version;

	pgseal_catalog_lock_parent(pgseal_catalog_name_hash(parent));
	parent_key = pgseal_keyring_require(parent);
	key.server = parent_key->server;
	key.parent = parent_key->name;
	if (parent_key->parent != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("key \"%s\" cannot be a parent: it has one itself", parent)));
	check_new_name(name);
	key.hash = pgseal_catalog_free_hash(name);
	parent_version = current_version(parent, PGSEAL_PURPOSE_DATA)->id;
	PG_TRY();
	{
		create_key(&key, parent_version);
	}
	PG_CATCH();
	{
		/* Another session has just made it */
		if (geterrcode() != ERRCODE_UNIQUE_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		report_duplicate(name);
	}
	PG_END_TRY();
}

void
pgseal_keyring_no_key(const char *name)
{
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_OBJECT),
			 errmsg("key \"%s\" does not exist", name),
			 errhint("View pgseal.keys lists those that do; a table's own key is named schema.table. pgseal.create_key() makes one.")));
}

PgsealKeyRow *
pgseal_keyring_require(const char *name)
{
	PgsealKeyRow *key = pgseal_catalog_key_by_name(name);

	if (key == NULL)
		pgseal_keyring_no_key(name);
	return key;
}

void
pgseal_keyring_check_maker(const char *name, bool temporary)
{
	if ((pgseal_make_keys == PGSEAL_MAKE_KEYS_ANYONE && !temporary) || superuser() ||
		has_privs_of_role(GetUserId(), ROLE_PG_DATABASE_OWNER) ||
		pgseal_catalog_name(pgseal_catalog_name_hash(name)) != NULL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("permission denied to make key \"%s\"", name),
			 temporary ?
			 errdetail("Only superusers and the owner of the database make keys by declaring columns of temporary tables.") :
			 errdetail("With pgseal.make_keys = owner, only superusers and the owner of the database make keys by declaring columns."),
			 errhint("Have the key made by pgseal.create_key(), or name one that exists.")));
}

void
pgseal_keyring_ensure(const char *name)
{
	int32		hash = pgseal_catalog_name_hash(name);

	if (pgseal_catalog_key(hash) != NULL)
		return;
	pgseal_catalog_lock_key(hash);
	if (pgseal_catalog_key(hash) == NULL)
		pgseal_keyring_create(name, NULL, NULL, NULL);
}

void
pgseal_keyring_prepare_literals(void)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;

	if (pgseal_catalog_key_by_name(PGSEAL_DEFAULT_KEY) != NULL)
		return;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		pgseal_keyring_ensure(PGSEAL_DEFAULT_KEY);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		int			category = ERRCODE_TO_CATEGORY(geterrcode());

		/* Whatever its server says; not that the statement should end */
		if (category == ERRCODE_OPERATOR_INTERVENTION ||
			category == ERRCODE_INSUFFICIENT_RESOURCES ||
			category == ERRCODE_TRANSACTION_ROLLBACK)
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
}

void
pgseal_keyring_make_default(void)
{
	PgsealQuerySession session;
	const PgsealKmsServer *server;
	bool		wanted;

	pgseal_query_begin(&session);
	wanted = pgseal_query("SELECT FROM pgseal.key LIMIT 1", 0) > 0 &&
		pgseal_catalog_key_by_name(PGSEAL_DEFAULT_KEY) == NULL;
	pgseal_query_end(&session);
	if (!wanted)
		return;

	/*
	 * Nobody waits for it, and the keyring that belongs to the keys may be on
	 * its way
	 */
	server = pgseal_kms_server(pgseal_default_server, true);
	if (server != NULL && !pgseal_kms_is_uninitialized(server))
		pgseal_keyring_prepare_literals();
}

int32
pgseal_keyring_add_version(const char *name, PgsealPurpose purpose, const char *reason)
{
	PgsealVersionRow version = {.purpose = purpose};
	PgsealKeyRow *key;

	pgseal_catalog_lock_key(pgseal_catalog_name_hash(name));
	key = pgseal_keyring_require(name);
	version.key = key->name;
	version.server = key->server;
	version.number = current_version(name, purpose)->number + 1;
	if (key->parent != NULL)
	{
		int32		parent_hash = pgseal_catalog_name_hash(key->parent);

		pgseal_catalog_lock_parent(parent_hash);
		version.server = pgseal_keyring_require(key->parent)->server;
		version.parent_version = current_version(key->parent, PGSEAL_PURPOSE_DATA)->id;
	}
	make_version(&version);
	pgseal_catalog_event(purpose == PGSEAL_PURPOSE_DATA ? "key_rotated" : "index_key_rotated",
						 name, version.id, reason);
	pgseal_wakeup_at_commit();
	return version.number;
}
