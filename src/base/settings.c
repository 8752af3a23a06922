/*-------------------------------------------------------------------------
 *
 * settings.c
 *	  The settings of pgseal.
 *
 * A setting never holds a secret: settings are visible in pg_settings, in
 * logs and in pg_dumpall.  What weakens protection for others than the session
 * itself can only be set by a superuser or in postgresql.conf.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <limits.h>

#include "utils/guc.h"
#include "utils/plancache.h"

#include "base/settings.h"

#define CACHE_SIZE_DEFAULT		4096
#define CACHE_SIZE_MIN			16
#define CACHE_SIZE_MAX			1048576
#define CACHE_TTL_DEFAULT		3600
#define CACHE_TTL_MIN			1
#define CACHE_TTL_MAX			86400
#define CACHE_GRACE_DEFAULT		600
#define CACHE_GRACE_MAX			86400
#define KMS_TIMEOUT_DEFAULT		10000
#define KMS_TIMEOUT_MIN			100
#define KMS_TIMEOUT_MAX			300000
/* NIST SP 800-38D allows 2^32 random nonces a key; the default leaves half */
#define MAX_SEALS_DEFAULT		INT_MAX
#define MAX_SEALS_MIN			1024
#define WORKER_INTERVAL_DEFAULT 10
#define WORKER_INTERVAL_MAX		3600
#define REENCRYPT_BATCH_DEFAULT 64
#define REENCRYPT_BATCH_MAX		65536
#define REENCRYPT_DELAY_DEFAULT 20
#define REENCRYPT_DELAY_MAX		60000

bool		pgseal_transparent = true;
int			pgseal_sealed_input = PGSEAL_SEALED_INPUT_COPY;
bool		pgseal_allow_decryption = false;
int			pgseal_make_keys = PGSEAL_MAKE_KEYS_ANYONE;
int			pgseal_verify_rows = PGSEAL_VERIFY_ROWS_ON;
int			pgseal_on_denied = PGSEAL_ON_DENIED_ERROR;
int			pgseal_sort_spill = PGSEAL_SORT_SPILL_ALLOW;
char	   *pgseal_default_server = NULL;
char	   *pgseal_keyring_file = NULL;
int			pgseal_cache_size = CACHE_SIZE_DEFAULT;
int			pgseal_cache_ttl = CACHE_TTL_DEFAULT;
int			pgseal_cache_grace = CACHE_GRACE_DEFAULT;
int			pgseal_kms_timeout = KMS_TIMEOUT_DEFAULT;
int			pgseal_max_seals_per_key = MAX_SEALS_DEFAULT;
bool		pgseal_compression = true;
int			pgseal_worker_interval = WORKER_INTERVAL_DEFAULT;
int			pgseal_reencrypt_batch = REENCRYPT_BATCH_DEFAULT;
int			pgseal_reencrypt_delay = REENCRYPT_DELAY_DEFAULT;
bool		pgseal_core_dumps = false;

static const struct config_enum_entry on_denied_options[] = {
	{"error", PGSEAL_ON_DENIED_ERROR, false},
	{"null", PGSEAL_ON_DENIED_NULL, false},
	{NULL, 0, false}
};

static const struct config_enum_entry make_keys_options[] = {
	{"anyone", PGSEAL_MAKE_KEYS_ANYONE, false},
	{"owner", PGSEAL_MAKE_KEYS_OWNER, false},
	{NULL, 0, false}
};

static const struct config_enum_entry sort_spill_options[] = {
	{"allow", PGSEAL_SORT_SPILL_ALLOW, false},
	{"error", PGSEAL_SORT_SPILL_ERROR, false},
	{NULL, 0, false}
};

static const struct config_enum_entry sealed_input_options[] = {
	{"copy", PGSEAL_SEALED_INPUT_COPY, false},
	{"on", PGSEAL_SEALED_INPUT_ON, false},
	{"off", PGSEAL_SEALED_INPUT_OFF, false},
	{NULL, 0, false}
};

/* Prepared statements are analyzed again, and follow the setting (open_results.c) */
static void
assign_transparent(bool transparent, void *extra)
{
	if (transparent != pgseal_transparent)
		ResetPlanCache();
}

static const struct config_enum_entry verify_rows_options[] = {
	{"on", PGSEAL_VERIFY_ROWS_ON, false},
	{"warning", PGSEAL_VERIFY_ROWS_WARNING, false},
	{"off", PGSEAL_VERIFY_ROWS_OFF, false},
	{NULL, 0, false}
};

/* What statements do */
static void
define_statements(void)
{
	DefineCustomBoolVariable("pgseal.transparent",
							 "Opens encrypted columns in the results of statements that the client sends itself.",
							 "When off, the sealed form is returned. What is stored is sealed either way.",
							 &pgseal_transparent, true,
							 PGC_USERSET, 0, NULL, assign_transparent, NULL);
	DefineCustomEnumVariable("pgseal.on_denied",
							 "What a role gets that may not open a value: an error or NULL.",
							 NULL,
							 &pgseal_on_denied, PGSEAL_ON_DENIED_ERROR, on_denied_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pgseal.sort_spill",
							 "Whether rows in the order of an encrypted column may go to temporary files.",
							 "Their order tells that of the values.",
							 &pgseal_sort_spill, PGSEAL_SORT_SPILL_ALLOW, sort_spill_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pgseal.sealed_input",
							 "Where the sealed form of a value is taken as input: in COPY FROM and replication, in statements, too, or nowhere.",
							 "Elsewhere it is an error.",
							 &pgseal_sealed_input, PGSEAL_SEALED_INPUT_COPY, sealed_input_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pgseal.verify_rows",
							 "What reading a row gives that was changed after it was signed: an error, a warning, or nothing.",
							 "Off is heeded for superusers and for the owner of the key's server.",
							 &pgseal_verify_rows, PGSEAL_VERIFY_ROWS_ON, verify_rows_options,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgseal.allow_decryption",
							 "Allows ALTER TABLE to store the opened values of an encrypted column.",
							 "When off, only pgseal.decrypt_column() does.",
							 &pgseal_allow_decryption, false,
							 PGC_USERSET, 0, NULL, NULL, NULL);
	DefineCustomEnumVariable("pgseal.make_keys",
							 "Who makes keys by declaring encrypted columns.",
							 "Others declare columns of keys that exist. pgseal.create_key() has a privilege of its own.",
							 &pgseal_make_keys, PGSEAL_MAKE_KEYS_ANYONE, make_keys_options,
							 PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgseal.default_server",
							   "Foreign server whose master key wraps keys that are made without naming one.",
							   NULL,
							   &pgseal_default_server, "local_keyring",
							   PGC_SUSET, 0, NULL, NULL, NULL);
	DefineCustomStringVariable("pgseal.keyring_file",
							   "File of the embedded keyring.",
							   "An empty string means the data directory's path with \".keyring\" appended.",
							   &pgseal_keyring_file, "",
							   PGC_SIGHUP, GUC_SUPERUSER_ONLY, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgseal.compression",
							 "Compresses values over about 2 kB before they are sealed.",
							 NULL,
							 &pgseal_compression, true,
							 PGC_USERSET, 0, NULL, NULL, NULL);
}

/* Keys in memory, and the KMS */
static void
define_keys(void)
{
	DefineCustomIntVariable("pgseal.cache_size",
							"Key versions that the shared memory cache holds.",
							NULL,
							&pgseal_cache_size, CACHE_SIZE_DEFAULT, CACHE_SIZE_MIN, CACHE_SIZE_MAX,
							PGC_POSTMASTER, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgseal.cache_ttl",
							"How long an unwrapped key is used before the KMS is asked again.",
							NULL,
							&pgseal_cache_ttl, CACHE_TTL_DEFAULT, CACHE_TTL_MIN, CACHE_TTL_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgseal.cache_grace",
							"How long an expired key is still used while the KMS cannot be reached.",
							"A KMS that refuses ends the use of a key at once.",
							&pgseal_cache_grace, CACHE_GRACE_DEFAULT, 0, CACHE_GRACE_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgseal.kms_timeout",
							"Longest time that one KMS operation may take, all retries included.",
							NULL,
							&pgseal_kms_timeout, KMS_TIMEOUT_DEFAULT, KMS_TIMEOUT_MIN, KMS_TIMEOUT_MAX,
							PGC_SUSET, GUC_UNIT_MS, NULL, NULL, NULL);
	DefineCustomIntVariable("pgseal.max_seals_per_key",
							"Seals after which a key version is replaced by a new one.",
							NULL,
							&pgseal_max_seals_per_key, MAX_SEALS_DEFAULT, MAX_SEALS_MIN, INT_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomBoolVariable("pgseal.core_dumps",
							 "Allows core dumps of processes that hold keys.",
							 "A core file would hold keys and plaintext; turn on only to debug with test data.",
							 &pgseal_core_dumps, false,
							 PGC_SUSET, 0, NULL, NULL, NULL);
}

static void
define_worker(void)
{
	DefineCustomIntVariable("pgseal.worker_interval",
							"Time between two rounds of the background worker.",
							NULL,
							&pgseal_worker_interval, WORKER_INTERVAL_DEFAULT, 1, WORKER_INTERVAL_MAX,
							PGC_SIGHUP, GUC_UNIT_S, NULL, NULL, NULL);
	DefineCustomIntVariable("pgseal.reencrypt_batch",
							"Table blocks that re-encryption goes through in one transaction.",
							NULL,
							&pgseal_reencrypt_batch, REENCRYPT_BATCH_DEFAULT, 1, REENCRYPT_BATCH_MAX,
							PGC_SIGHUP, 0, NULL, NULL, NULL);
	DefineCustomIntVariable("pgseal.reencrypt_delay",
							"Pause between two transactions of re-encryption.",
							NULL,
							&pgseal_reencrypt_delay, REENCRYPT_DELAY_DEFAULT, 0, REENCRYPT_DELAY_MAX,
							PGC_SIGHUP, GUC_UNIT_MS, NULL, NULL, NULL);
}

void
pgseal_settings_init(void)
{
	define_statements();
	define_keys();
	define_worker();
	MarkGUCPrefixReserved("pgseal");
}
