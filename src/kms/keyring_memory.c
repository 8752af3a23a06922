/*-------------------------------------------------------------------------
 *
 * keyring_memory.c
 *	  Which keyring file the cluster has had.
 *
 * A keyring file that isn't there may be new, or lost.  A database knows by its
 * keys, but it doesn't know the others' of the cluster.  So the cluster
 * remembers: the file pgseal.keyrings in the data directory, which base backups
 * bring along, has a line for each keyring file that anything was wrapped by,
 *
 *		<fingerprint of a master key, hex> <name>
 *
 * where the name is the path, or "default" for that of pgseal.keyring_file,
 * which may be another one on another machine.  There is no secret in it.  A
 * keyring that is remembered is never made anew, and one without the master key
 * that is remembered is another one.
 *
 * Lines are only added, each by one write; the same line twice does no harm.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/file_perm.h"
#include "storage/fd.h"
#include "utils/builtins.h"

#include "base/compat.h"
#include "kms/local.h"

#define MEMORY_FILE			"pgseal.keyrings"
#define FINGERPRINT_CHARS	(2 * PGSEAL_FINGERPRINT_BYTES)

static PgsealKmsStatus
fail_memory(PgsealKmsError *out_error, const char *what)
{
	return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "keyring_memory",
						   psprintf("Could not %s file \"%s\" in the data directory: %m.", what,
									MEMORY_FILE), NULL);
}

/* The fingerprint in a line about this name; false for another line */
static bool
is_about(const char *line, const char *name)
{
	return strlen(line) > FINGERPRINT_CHARS && line[FINGERPRINT_CHARS] == ' ' &&
		strcmp(line + FINGERPRINT_CHARS + 1, name) == 0;
}

static bool
holds(const PgsealKeyring *keyring, const char *line)
{
	for (int i = 0; i < keyring->num_keys; i++)
	{
		char		fingerprint[FINGERPRINT_CHARS + 1];

		fingerprint[hex_encode((const char *) keyring->keys[i].fingerprint,
							   PGSEAL_FINGERPRINT_BYTES, fingerprint)] = '\0';
		if (strncmp(fingerprint, line, FINGERPRINT_CHARS) == 0)
			return true;
	}
	return false;
}

/* The first line about this name that a keyring (NULL: none) doesn't fulfil, or NULL */
static PgsealKmsStatus
read_memory(const PgsealKeyring *keyring, const char *name, bool *out_known, char **out_unmet,
			PgsealKmsError *out_error)
{
	char		line[FINGERPRINT_CHARS + MAXPGPATH + 8];
	FILE	   *file = AllocateFile(MEMORY_FILE, "r");

	*out_known = false;
	*out_unmet = NULL;
	if (file == NULL)
		return errno == ENOENT ? PGSEAL_KMS_OK : fail_memory(out_error, "open");
	while (fgets(line, sizeof(line), file) != NULL)
	{
		line[strcspn(line, "\n")] = '\0';
		if (!is_about(line, name))
			continue;
		*out_known = true;
		if (*out_unmet == NULL && (keyring == NULL || !holds(keyring, line)))
			*out_unmet = pnstrdup(line, FINGERPRINT_CHARS);
	}
	FreeFile(file);
	return PGSEAL_KMS_OK;
}

static PgsealKmsStatus
add_line(const PgsealKeyring *keyring, const char *name, PgsealKmsError *out_error)
{
	char		fingerprint[FINGERPRINT_CHARS + 1];
	char	   *line;
	int			fd = OpenTransientFilePerm(MEMORY_FILE, O_WRONLY | O_CREAT | O_APPEND,
										   pg_file_create_mode);
	bool		written;

	if (fd < 0)
		return fail_memory(out_error, "open");
	fingerprint[hex_encode((const char *) keyring->keys[0].fingerprint,
						   PGSEAL_FINGERPRINT_BYTES, fingerprint)] = '\0';
	line = psprintf("%s %s\n", fingerprint, name);
	written = write(fd, line, strlen(line)) == (ssize_t) strlen(line) && fsync(fd) == 0;
	CloseTransientFile(fd);
	if (!written)
		return fail_memory(out_error, "write");
	fsync_fname(".", true);
	return PGSEAL_KMS_OK;
}

PgsealKmsStatus
pgseal_keyring_memory_check(const PgsealKeyring *keyring, const PgsealKeyringSource *source,
							PgsealKmsError *out_error)
{
	bool		known;
	char	   *unmet;
	PgsealKmsStatus status = read_memory(keyring, source->name, &known, &unmet, out_error);

	if (status != PGSEAL_KMS_OK || unmet == NULL)
		return status;
	return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID,
						   keyring == NULL ? "keyring_missing" : "keyring_other",
						   keyring == NULL ?
						   psprintf("The keyring file \"%s\", which this cluster has used, is missing; it held master key %s.",
									source->file, unmet) :
						   psprintf("The keyring file \"%s\" does not hold master key %s, which this cluster has used.",
									source->file, unmet),
						   "Restore the keyring from its backup; if another one was used meanwhile, join the lines of both. Only when nothing under the lost one is needed, take its line out of the file pgseal.keyrings in the data directory.");
}

PgsealKmsStatus
pgseal_keyring_memory_remember(const PgsealKeyring *keyring, const PgsealKeyringSource *source,
							   PgsealKmsError *out_error)
{
	bool		known;
	char	   *unmet;
	PgsealKmsStatus status = read_memory(keyring, source->name, &known, &unmet, out_error);

	if (status == PGSEAL_KMS_OK && !known)
		status = add_line(keyring, source->name, out_error);
	return status;
}
