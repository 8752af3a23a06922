/*-------------------------------------------------------------------------
 *
 * local.c
 *	  Provider local_keyring: master keys in a file or from a command.
 *
 * The embedded default, which needs no service.  It protects what leaves the
 * machine without the keyring: base backups, dumps, replicas' disks, WAL
 * archives.  It doesn't protect against who can read the files of the server's
 * user; for that a KMS is needed.
 *
 * A secret is wrapped with AES-256-GCM under the newest master key:
 *
 *	 offset	bytes
 *	 0		1	format, 1
 *	 1		8	fingerprint of the master key
 *	 9		12	nonce, random
 *	 21		32	ciphertext
 *	 53		16	GCM tag
 *
 * Additional authenticated data: the first nine bytes, the label, purpose and
 * key name with a NUL after each, key version id (8 bytes, big endian).  So a
 * wrapped key works only for the key version for which it was made.
 *
 * Master keys are read for each operation and wiped after it.  They are needed
 * once for each key version and pgseal.cache_ttl, so nothing is gained by
 * keeping them.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <unistd.h>

#include "catalog/pg_authid_d.h"
#include "commands/defrem.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/acl.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "base/no_core_dump.h"
#include "base/settings.h"
#include "kms/local.h"

#define FORMAT				1
#define HEADER_BYTES		(1 + PGSEAL_FINGERPRINT_BYTES)
#define WRAPPED_BYTES		(HEADER_BYTES + PGSEAL_NONCE_BYTES + PGSEAL_KEY_BYTES + PGSEAL_TAG_BYTES)

#define AAD_LABEL			"pgseal local_keyring"
#define FINGERPRINT_CHARS	(2 * PGSEAL_FINGERPRINT_BYTES)

#define HINT_SECRET \
	"Put the master key into a keyring file (option \"file\") or let a command print it (option \"command\")."

PG_FUNCTION_INFO_V1(pgseal_local_keyring_validator);

/*
 * Options
 */

static void
check_file_option(const char *name, const char *value)
{
	char		path[MAXPGPATH];

	if (!is_absolute_path(value) || strlen(value) >= MAXPGPATH)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errdetail("It must be an absolute path of less than %d bytes.", MAXPGPATH)));
	strlcpy(path, value, sizeof(path));
	canonicalize_path(path);
	if (pgseal_keyring_file_in_data_directory(path))
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errdetail("A keyring in the data directory would be in every base backup, next to what it protects.")));

	/* The server creates and replaces this file */
	if (!has_privs_of_role(GetUserId(), ROLE_PG_WRITE_SERVER_FILES))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", name),
				 errdetail("Only roles with privileges of role \"%s\" may set it.",
						   "pg_write_server_files")));
}

static void
check_command_option(const char *name, const char *value)
{
	if (value[strspn(value, " \t\r\n")] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_ATTRIBUTE_VALUE),
				 errmsg("invalid value for option \"%s\"", name),
				 errdetail("The command is empty.")));
	if (!has_privs_of_role(GetUserId(), ROLE_PG_EXECUTE_SERVER_PROGRAM))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("permission denied to set option \"%s\"", name),
				 errdetail("Only roles with privileges of role \"%s\" may set it.",
						   "pg_execute_server_program")));
}

/* Two options don't go together; each by itself has been checked */
static void
validate_options(List *options)
{
	if (list_length(options) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("options \"file\" and \"command\" exclude each other"),
				 errdetail("The keyring is in a file or printed by a command.")));
}

static const PgsealKmsOption options[] = {
	{"file", false, NULL, check_file_option},
	{"command", false, NULL, check_command_option},
	{"key", false, HINT_SECRET, NULL},
	{"master_key", false, HINT_SECRET, NULL},
	{"secret", false, HINT_SECRET, NULL},
	{"password", false, HINT_SECRET, NULL},
	{"passphrase", false, HINT_SECRET, NULL},
	{NULL, false, NULL, NULL}
};

Datum
pgseal_local_keyring_validator(PG_FUNCTION_ARGS)
{
	pgseal_kms_validate(&pgseal_kms_local, PG_GETARG_DATUM(0), PG_GETARG_OID(1));
	PG_RETURN_VOID();
}

/*
 * The keyring of a server
 */

/* The data directory's sibling, wherever symbolic links put the directory */
static char *
default_file(void)
{
	char	   *real_data = realpath(DataDir, NULL);
	char	   *file = psprintf("%s.keyring", real_data ? real_data : DataDir);

	free(real_data);
	return file;
}

static PgsealKmsStatus
find_source(const PgsealKmsServer *server, PgsealKeyringSource *out_source, PgsealKmsError *out_error)
{
	const char *file = pgseal_kms_option(server, "file");
	char	   *path;

	out_source->file = NULL;
	out_source->command = pgseal_kms_option(server, "command");
	if (out_source->command)
		return PGSEAL_KMS_OK;

	if (file == NULL)
		file = pgseal_keyring_file[0] != '\0' ? pgseal_keyring_file : default_file();

	/* The setting isn't checked when it is set, and directories may move */
	if (!is_absolute_path(file) || strlen(file) >= MAXPGPATH)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_REFUSED, "keyring_location",
							   psprintf("The keyring file needs an absolute path of less than %d bytes: \"%s\".",
										MAXPGPATH, file), NULL);
	path = pstrdup(file);
	canonicalize_path(path);
	if (pgseal_keyring_file_in_data_directory(path))
		return pgseal_kms_fail(out_error, PGSEAL_KMS_REFUSED, "keyring_location",
							   psprintf("The keyring file is in the data directory, so it would be in every base backup: \"%s\".",
										path),
							   "Move it out of the data directory and change pgseal.keyring_file or the server's option \"file\".");
	out_source->file = path;
	out_source->name = pgseal_kms_option(server, "file") ? path : "default";
	return PGSEAL_KMS_OK;
}

static PgsealKmsStatus
read_keyring(PgsealKeyring *out_keyring, PgsealKmsError *out_error, const PgsealKeyringSource *source)
{
	if (source->command)
		return pgseal_local_command_run(out_keyring, out_error, source->command);
	return pgseal_keyring_file_read(out_keyring, out_error, source->file);
}

static const PgsealMasterKey *
newest_key(const PgsealKeyring *keyring)
{
	return &keyring->keys[keyring->num_keys - 1];
}

/* "v2:3f9c8a7b6d5e4f30" */
static char *
master_key_name(const PgsealMasterKey *key)
{
	char		fingerprint[FINGERPRINT_CHARS + 1];

	fingerprint[hex_encode((const char *) key->fingerprint, PGSEAL_FINGERPRINT_BYTES, fingerprint)] = '\0';
	return psprintf("v%d:%s", key->version, fingerprint);
}

/*
 * Wrapping
 */

static uint8 *
make_aad(size_t *out_len, const uint8 header[HEADER_BYTES], const PgsealKmsContext *context)
{
	size_t		purpose_len = strlen(context->purpose) + 1;
	size_t		name_len = strlen(context->key_name) + 1;
	uint64		id = pg_hton64((uint64) context->key_version_id);
	uint8	   *aad = palloc(HEADER_BYTES + sizeof(AAD_LABEL) + purpose_len + name_len + sizeof(id));
	uint8	   *p = aad;

	memcpy(p, header, HEADER_BYTES);
	p += HEADER_BYTES;
	memcpy(p, AAD_LABEL, sizeof(AAD_LABEL));
	p += sizeof(AAD_LABEL);
	memcpy(p, context->purpose, purpose_len);
	p += purpose_len;
	memcpy(p, context->key_name, name_len);
	p += name_len;
	memcpy(p, &id, sizeof(id));
	p += sizeof(id);
	*out_len = p - aad;
	return aad;
}

static PgsealKmsStatus
wrap_by(const PgsealMasterKey *key, PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
		const PgsealKmsContext *context, const uint8 secret[PGSEAL_KEY_BYTES])
{
	uint8	   *bytes = palloc(WRAPPED_BYTES);
	uint8	   *nonce = bytes + HEADER_BYTES;
	uint8	   *ciphertext = nonce + PGSEAL_NONCE_BYTES;
	char	   *name = master_key_name(key);
	PgsealAead *aead;
	uint8	   *aad;
	size_t		aad_len;
	bool		ok;

	bytes[0] = FORMAT;
	memcpy(bytes + 1, key->fingerprint, PGSEAL_FINGERPRINT_BYTES);
	aad = make_aad(&aad_len, bytes, context);

	/* Nothing from here to the free may throw an error */
	aead = pgseal_aead_new(key->key);
	ok = aead && pgseal_random_nonce(nonce) &&
		pgseal_aead_seal(aead, ciphertext, ciphertext + PGSEAL_KEY_BYTES, nonce,
						 aad, aad_len, secret, PGSEAL_KEY_BYTES);
	pgseal_aead_free(aead);

	if (!ok)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "crypto",
							   "The cryptographic library failed.", NULL);
	out_wrapped->bytes = bytes;
	out_wrapped->len = WRAPPED_BYTES;
	out_wrapped->master_key = name;
	return PGSEAL_KMS_OK;
}

static PgsealKmsStatus
unwrap_by(const PgsealMasterKey *key, uint8 out_secret[PGSEAL_KEY_BYTES], PgsealKmsError *out_error,
		  const PgsealKmsContext *context, const uint8 *wrapped)
{
	const uint8 *nonce = wrapped + HEADER_BYTES;
	const uint8 *ciphertext = nonce + PGSEAL_NONCE_BYTES;
	size_t		aad_len;
	uint8	   *aad = make_aad(&aad_len, wrapped, context);
	PgsealAead *aead = pgseal_aead_new(key->key);
	bool		ok = false;

	if (aead == NULL)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "crypto",
							   "The cryptographic library failed.", NULL);
	ok = pgseal_aead_open(aead, out_secret, nonce, ciphertext + PGSEAL_KEY_BYTES,
						  aad, aad_len, ciphertext, PGSEAL_KEY_BYTES);
	pgseal_aead_free(aead);
	if (!ok)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "wrapped_key_damaged",
							   "The wrapped key is damaged, or was made for another key version.",
							   "Restore the key's row from a backup of the database.");
	return PGSEAL_KMS_OK;
}

/* The master key that the wrapped key names; NULL if the keyring hasn't it */
static const PgsealMasterKey *
find_key(const PgsealKeyring *keyring, const uint8 *wrapped)
{
	for (int i = 0; i < keyring->num_keys; i++)
	{
		if (memcmp(keyring->keys[i].fingerprint, wrapped + 1, PGSEAL_FINGERPRINT_BYTES) == 0)
			return &keyring->keys[i];
	}
	return NULL;
}

static PgsealKmsStatus
fail_unknown(PgsealKmsError *out_error, const PgsealKeyringSource *source, const uint8 *wrapped)
{
	char		fingerprint[FINGERPRINT_CHARS + 1];

	fingerprint[hex_encode((const char *) wrapped + 1, PGSEAL_FINGERPRINT_BYTES, fingerprint)] = '\0';
	return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "master_key_unknown",
						   source->file ?
						   psprintf("Master key %s, which wrapped this key, is not in the keyring file \"%s\".",
									fingerprint, source->file) :
						   psprintf("Master key %s, which wrapped this key, is not in what the keyring command prints.",
									fingerprint),
						   "This is another keyring, or an old copy. Restore the right one; if this one was used meanwhile, join the lines of both.");
}

/*
 * The provider
 */

/* The keyring by which something is about to be wrapped */
static PgsealKmsStatus
read_for_wrapping(PgsealKeyring *keyring, const PgsealKeyringSource *source, bool may_initialize,
				  PgsealKmsError *out_error)
{
	PgsealKmsStatus status = PGSEAL_KMS_OK;

	if (source->command)
		return read_keyring(keyring, out_error, source);
	if (access(source->file, F_OK) != 0 && errno == ENOENT)
		status = pgseal_keyring_memory_check(NULL, source, out_error);
	if (status != PGSEAL_KMS_OK)
		return status;
	status = may_initialize ? pgseal_keyring_file_initialize(keyring, out_error, source->file) :
		read_keyring(keyring, out_error, source);
	if (status == PGSEAL_KMS_OK)
		status = pgseal_keyring_memory_check(keyring, source, out_error);
	if (status == PGSEAL_KMS_OK)
		status = pgseal_keyring_memory_remember(keyring, source, out_error);
	/* Whoever wrote the newest master key may have died before its fsync */
	if (status == PGSEAL_KMS_OK)
		status = pgseal_keyring_file_sync(out_error, source->file);
	return status;
}

static PgsealKmsStatus
local_wrap(const PgsealKmsServer *server, PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
		   const PgsealKmsContext *context, const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize)
{
	PgsealKeyringSource source;
	PgsealKeyring *keyring;
	PgsealKmsStatus status = find_source(server, &source, out_error);

	if (status != PGSEAL_KMS_OK)
		return status;

	keyring = pgseal_keyring_file_new();
	PG_TRY();
	{
		status = read_for_wrapping(keyring, &source, may_initialize, out_error);
		if (status == PGSEAL_KMS_OK)
			status = wrap_by(newest_key(keyring), out_wrapped, out_error, context, secret);
	}
	PG_FINALLY();
	{
		pgseal_keyring_file_free(keyring);
	}
	PG_END_TRY();
	return status;
}

static PgsealKmsStatus
local_unwrap(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
			 PgsealKmsError *out_error, const PgsealKmsContext *context,
			 const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	PgsealKeyringSource source;
	PgsealKeyring *keyring;
	PgsealKmsStatus status = find_source(server, &source, out_error);

	if (status != PGSEAL_KMS_OK)
		return status;
	if (wrapped_len != WRAPPED_BYTES || wrapped[0] != FORMAT)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "wrapped_key_format",
							   "The wrapped key does not come from a local keyring.", NULL);

	keyring = pgseal_keyring_file_new();
	PG_TRY();
	{
		status = read_keyring(keyring, out_error, &source);
		if (status == PGSEAL_KMS_OK)
		{
			const PgsealMasterKey *key = find_key(keyring, wrapped);

			status = key ? unwrap_by(key, out_secret, out_error, context, wrapped)
				: fail_unknown(out_error, &source, wrapped);
		}
	}
	PG_FINALLY();
	{
		pgseal_keyring_file_free(keyring);
	}
	PG_END_TRY();
	return status;
}

static PgsealKmsStatus
local_describe(const PgsealKmsServer *server, PgsealKmsDescription *out_description,
			   PgsealKmsError *out_error)
{
	PgsealKeyringSource source;
	PgsealKeyring *keyring;
	PgsealKmsStatus status = find_source(server, &source, out_error);

	if (status != PGSEAL_KMS_OK)
		return status;

	keyring = pgseal_keyring_file_new();
	PG_TRY();
	{
		status = read_keyring(keyring, out_error, &source);
		if (status == PGSEAL_KMS_OK)
		{
			const PgsealMasterKey *key = newest_key(keyring);

			out_description->newest_master_key = master_key_name(key);
			out_description->detail = source.file ?
				psprintf("Keyring file \"%s\" holds %d master key(s); the newest is version %d of %s.",
						 source.file, keyring->num_keys, key->version, key->created) :
				psprintf("The keyring command printed %d master key(s); the newest is version %d.",
						 keyring->num_keys, key->version);
		}
	}
	PG_FINALLY();
	{
		pgseal_keyring_file_free(keyring);
	}
	PG_END_TRY();
	return status;
}

static bool
local_is_uninitialized(const PgsealKmsServer *server)
{
	PgsealKeyringSource source;
	PgsealKmsError error = {0};

	return find_source(server, &source, &error) == PGSEAL_KMS_OK && source.file &&
		access(source.file, F_OK) != 0 && errno == ENOENT;
}

static PgsealKmsStatus
rotate_file(int *out_version, PgsealKmsError *out_error, const char *file)
{
	volatile PgsealKmsStatus status = PGSEAL_KMS_UNREACHABLE;
	PgsealKeyring *keyring = pgseal_keyring_file_new();

	pgseal_no_core_dump();
	PG_TRY();
	{
		status = pgseal_keyring_file_rotate(keyring, out_error, file);
		if (status == PGSEAL_KMS_OK)
			*out_version = newest_key(keyring)->version;
	}
	PG_FINALLY();
	{
		pgseal_keyring_file_free(keyring);
	}
	PG_END_TRY();
	return status;
}

int
pgseal_kms_local_rotate(const PgsealKmsServer *server)
{
	PgsealKeyringSource source;
	PgsealKmsError error = {.operation = "rotate"};
	PgsealKmsStatus status;
	int			version = 0;

	if (server->provider != &pgseal_kms_local)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign server \"%s\" has no local keyring", server->name),
				 errhint("Rotate its master key in the KMS.")));

	status = find_source(server, &source, &error);
	if (status == PGSEAL_KMS_OK && source.command)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("the master key of foreign server \"%s\" comes from a command", server->name),
				 errhint("Let the command print a keyring with a new master key as its last line.")));
	if (status == PGSEAL_KMS_OK)
		status = rotate_file(&version, &error, source.file);
	if (status != PGSEAL_KMS_OK)
		pgseal_kms_report(ERROR, status, server->provider->name, server->name, &error);
	return version;
}

const PgsealKmsProvider pgseal_kms_local = {
	.name = "local_keyring",
	.options = options,
	.validate = validate_options,
	.wrap = local_wrap,
	.unwrap = local_unwrap,
	.describe = local_describe,
	.is_uninitialized = local_is_uninitialized
};
