/*-------------------------------------------------------------------------
 *
 * keyring_file.c
 *	  The keyring file: its text form, and how it is read and replaced.
 *
 * A keyring is text, so that it can be printed, put into a safe, and mended:
 *
 *		pgseal keyring 1
 *		1 2026-01-31T12:00:00Z <key, base64> <fingerprint, hex>
 *		2 2027-01-31T12:00:00Z <key, base64> <fingerprint, hex>
 *		checksum <hex>
 *
 * One line a master key, the newest last.  A master key is known by its
 * fingerprint, the first 8 bytes of SHA-256("pgseal keyring fingerprint" ||
 * key); version numbers are for humans, and may repeat.  The checksum is the
 * SHA-256 of everything before its line.  It tells damage from absence; it
 * protects against nobody who can write to the file.
 *
 * The file and who may touch it
 *
 *	- A regular file, not in the data directory (a base backup would hold the
 *	  sealed values and their master key), and PostgreSQL's own rule for
 *	  ssl_key_file: of the server's user with mode 0600, or of root with mode
 *	  0640, or less.  Anything else is refused: not repaired, because who could
 *	  read the file may have read it.
 *	- It may be read through a symbolic link, as in a mounted Secret of
 *	  Kubernetes.  Such a keyring isn't written to: replacing the file would
 *	  replace the link, and lose the new key with the container.
 *	- Readers take no lock: a file is replaced only by rename(), so they see
 *	  the old one or the new one.
 *	- Writers hold flock() on "<file>.lock", which stays.  It makes creation and
 *	  rotation safe between backends and between servers that share the file,
 *	  and goes away with its holder, kill -9 included.
 *	- The new content goes to "<file>.tmp", is fsynced, renamed, and the
 *	  directory fsynced, also with fsync = off: a database can be restored from
 *	  a backup, a lost master key can't.  A left-over .tmp never came into use;
 *	  the next writer removes it.
 *	- A file that doesn't parse is never overwritten, and one is created only
 *	  where the caller knows that nothing was wrapped by it.
 *
 * Recovery: restore the file from its backup.  Where a wrong keyring took its
 * place and was used, join them: the key lines of both under one header, and
 * as checksum what `sha256sum` says of the lines before it.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "common/base64.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/crypto.h"
#include "base/http.h"
#include "base/settings.h"
#include "kms/local.h"

#define HEADER_WORDS		"pgseal keyring "
#define HEADER				HEADER_WORDS "1\n"
#define TRAILER_WORD		"checksum "
#define TRAILER_CHARS		(sizeof(TRAILER_WORD) - 1 + 2 * PGSEAL_HASH_BYTES + 1)
#define KEY_CHARS			44	/* base64 of 32 bytes */
#define FINGERPRINT_CHARS	(2 * PGSEAL_FINGERPRINT_BYTES)
/* What follows the version number in a key's line, without the newline */
#define LINE_REST_CHARS		(1 + PGSEAL_KEYRING_TIME_BYTES + 1 + KEY_CHARS + 1 + FINGERPRINT_CHARS)

#define FINGERPRINT_LABEL	"pgseal keyring fingerprint"

/* Pause between two attempts to take the lock, which is held for some fsyncs */
#define LOCK_RETRY_MS		10

#define HINT_RESTORE \
	"Restore the keyring from its backup. pgseal never overwrites or replaces a keyring that it cannot read."
#define HINT_WRITE \
	"Nothing was changed or lost. Let the server's user write to this directory, and make sure that the disk has room."

static PgsealKmsStatus fail(PgsealKmsError *out_error, PgsealKmsStatus status, const char *code,
							const char *hint, const char *format,...) pg_attribute_printf(5, 6);

static PgsealKmsStatus
fail(PgsealKmsError *out_error, PgsealKmsStatus status, const char *code,
	 const char *hint, const char *format,...)
{
	char		detail[MAXPGPATH + 256];
	va_list		args;

	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	return pgseal_kms_fail(out_error, status, code, detail, hint);
}

PgsealKeyring *
pgseal_keyring_file_new(void)
{
	return palloc0(sizeof(PgsealKeyring));
}

void
pgseal_keyring_file_free(PgsealKeyring *keyring)
{
	pgseal_wipe(keyring, sizeof(*keyring));
	pfree(keyring);
}

/*
 * Text form
 */

static bool
set_fingerprint(PgsealMasterKey *key)
{
	uint8		input[sizeof(FINGERPRINT_LABEL) - 1 + PGSEAL_KEY_BYTES];
	uint8		digest[PGSEAL_HASH_BYTES];
	bool		ok;

	memcpy(input, FINGERPRINT_LABEL, sizeof(FINGERPRINT_LABEL) - 1);
	memcpy(input + sizeof(FINGERPRINT_LABEL) - 1, key->key, PGSEAL_KEY_BYTES);
	ok = pgseal_sha256(digest, input, sizeof(input));
	pgseal_wipe(input, sizeof(input));
	memcpy(key->fingerprint, digest, PGSEAL_FINGERPRINT_BYTES);
	return ok;
}

/* The last line of a keyring of which the first len bytes are given */
static bool
format_trailer(char out_trailer[TRAILER_CHARS + 1], const char *text, size_t len)
{
	uint8		digest[PGSEAL_HASH_BYTES];

	memcpy(out_trailer, TRAILER_WORD, sizeof(TRAILER_WORD) - 1);
	if (!pgseal_sha256(digest, (const uint8 *) text, len))
		return false;
	hex_encode((const char *) digest, sizeof(digest), out_trailer + sizeof(TRAILER_WORD) - 1);
	out_trailer[TRAILER_CHARS - 1] = '\n';
	out_trailer[TRAILER_CHARS] = '\0';
	return true;
}

/* Is the first line that of a keyring, of whatever format? */
static bool
has_header(const char *text)
{
	const char *format = text + sizeof(HEADER_WORDS) - 1;

	if (strncmp(text, HEADER_WORDS, sizeof(HEADER_WORDS) - 1) != 0)
		return false;
	return *format != '\n' && format[strspn(format, "0123456789")] == '\n';
}

/* One key's line, of line_len characters without the newline */
static bool
parse_line(PgsealMasterKey *out_key, const char *line, size_t line_len)
{
	char		fingerprint[FINGERPRINT_CHARS];
	size_t		digits = strspn(line, "0123456789");
	const char *rest = line + digits;

	if (digits < 1 || digits > 9 || line_len != digits + LINE_REST_CHARS ||
		(out_key->version = atoi(line)) < 1)
		return false;

	if (*rest++ != ' ')
		return false;
	memcpy(out_key->created, rest, PGSEAL_KEYRING_TIME_BYTES);
	out_key->created[PGSEAL_KEYRING_TIME_BYTES] = '\0';
	if (strspn(out_key->created, "0123456789-:TZ") != PGSEAL_KEYRING_TIME_BYTES)
		return false;
	rest += PGSEAL_KEYRING_TIME_BYTES;

	/* The casts to void: 18 has uint8 where earlier versions have char */
	if (*rest++ != ' ' ||
		pg_b64_decode(rest, KEY_CHARS, (void *) out_key->key, PGSEAL_KEY_BYTES) != PGSEAL_KEY_BYTES ||
		!set_fingerprint(out_key))
		return false;
	rest += KEY_CHARS;

	hex_encode((const char *) out_key->fingerprint, PGSEAL_FINGERPRINT_BYTES, fingerprint);
	return *rest++ == ' ' && memcmp(rest, fingerprint, FINGERPRINT_CHARS) == 0;
}

PgsealKmsStatus
pgseal_keyring_file_parse(PgsealKeyring *keyring, PgsealKmsError *out_error, const char *source)
{
	const char *line = keyring->text + sizeof(HEADER) - 1;
	const char *trailer;
	char		expected_trailer[TRAILER_CHARS + 1];
	int			line_number = 2;

	keyring->text[keyring->text_len] = '\0';
	keyring->num_keys = 0;

	if (!has_header(keyring->text))
		return fail(out_error, PGSEAL_KMS_INVALID, "keyring_damaged", HINT_RESTORE,
					"The first line is not that of a keyring: %s.", source);
	if (strncmp(keyring->text, HEADER, sizeof(HEADER) - 1) != 0)
		return fail(out_error, PGSEAL_KMS_INVALID, "keyring_version",
					"Use the version of pgseal that wrote it, or a later one.",
					"The keyring has a format that this version of pgseal does not know: %s.", source);

	/* Too short for a last line: then the first one is looked at instead */
	trailer = line;
	if (keyring->text_len >= sizeof(HEADER) - 1 + TRAILER_CHARS)
		trailer = keyring->text + keyring->text_len - TRAILER_CHARS;
	if (trailer[-1] != '\n' ||
		strncmp(trailer, TRAILER_WORD, sizeof(TRAILER_WORD) - 1) != 0)
		return fail(out_error, PGSEAL_KMS_INVALID, "keyring_damaged", HINT_RESTORE,
					"The last line is missing, so the keyring is not complete: %s.", source);
	if (!format_trailer(expected_trailer, keyring->text, trailer - keyring->text) ||
		memcmp(trailer, expected_trailer, TRAILER_CHARS) != 0)
		return fail(out_error, PGSEAL_KMS_INVALID, "keyring_damaged", HINT_RESTORE,
					"The checksum does not match, so the keyring was damaged or changed: %s.", source);

	while (line < trailer)
	{
		const char *end = memchr(line, '\n', trailer - line);

		if (keyring->num_keys == PGSEAL_KEYRING_MAX_KEYS ||
			!parse_line(&keyring->keys[keyring->num_keys], line, end - line))
			return fail(out_error, PGSEAL_KMS_INVALID, "keyring_damaged", HINT_RESTORE,
						"Line %d is not that of a master key: %s.", line_number, source);
		keyring->num_keys++;
		line_number++;
		line = end + 1;
	}
	if (keyring->num_keys == 0)
		return fail(out_error, PGSEAL_KMS_INVALID, "keyring_damaged", HINT_RESTORE,
					"There is no master key in it: %s.", source);
	return PGSEAL_KMS_OK;
}

static bool
format_keyring(PgsealKeyring *keyring)
{
	char	   *text = keyring->text;
	size_t		len = strlcpy(text, HEADER, sizeof(keyring->text));

	for (int i = 0; i < keyring->num_keys; i++)
	{
		const PgsealMasterKey *key = &keyring->keys[i];

		len += snprintf(text + len, sizeof(keyring->text) - len, "%d %s ",
						key->version, key->created);
		if (pg_b64_encode((const void *) key->key, PGSEAL_KEY_BYTES, text + len, KEY_CHARS) != KEY_CHARS)
			return false;
		len += KEY_CHARS;
		text[len++] = ' ';
		len += hex_encode((const char *) key->fingerprint, PGSEAL_FINGERPRINT_BYTES, text + len);
		text[len++] = '\n';
	}
	if (!format_trailer(text + len, text, len))
		return false;
	keyring->text_len = len + TRAILER_CHARS;
	return true;
}

bool
pgseal_keyring_file_set_single(PgsealKeyring *keyring, const uint8 key[PGSEAL_KEY_BYTES])
{
	PgsealMasterKey *single = &keyring->keys[0];

	keyring->num_keys = 1;
	single->version = 1;
	single->created[0] = '\0';
	memcpy(single->key, key, PGSEAL_KEY_BYTES);
	return set_fingerprint(single);
}

/* Adds a new random master key with the next number */
static bool
add_key(PgsealKeyring *keyring)
{
	PgsealMasterKey *key = &keyring->keys[keyring->num_keys];
	time_t		now = time(NULL);
	struct tm	utc;

	key->version = 1;
	for (int i = 0; i < keyring->num_keys; i++)
		key->version = Max(key->version, keyring->keys[i].version + 1);
	if (gmtime_r(&now, &utc) == NULL ||
		strftime(key->created, sizeof(key->created), "%Y-%m-%dT%H:%M:%SZ", &utc) !=
		PGSEAL_KEYRING_TIME_BYTES)
		return false;
	keyring->num_keys++;
	return pgseal_random(key->key, PGSEAL_KEY_BYTES) && set_fingerprint(key);
}

/*
 * Reading
 */

bool
pgseal_keyring_file_in_data_directory(const char *path)
{
	char		directory[MAXPGPATH];
	char	   *real_directory;
	char	   *real_data = realpath(DataDir, NULL);
	bool		inside;

	strlcpy(directory, path, sizeof(directory));
	get_parent_directory(directory);
	real_directory = realpath(directory, NULL);

	inside = path_is_prefix_of_path(DataDir, directory) ||
		(real_data && path_is_prefix_of_path(real_data, real_directory ? real_directory : directory));
	free(real_directory);
	free(real_data);
	return inside;
}

/*
 * PostgreSQL's rule for private keys.  What root owns is another's to guard, who
 * lets the server read it by its group.
 */
bool
pgseal_keyring_file_owner_may_be(uid_t owner, uid_t server)
{
	return owner == server || owner == 0;
}

bool
pgseal_keyring_file_mode_is_safe(mode_t mode, uid_t owner, uid_t server)
{
	return !(mode & (owner == server ? S_IRWXG | S_IRWXO : S_IWGRP | S_IXGRP | S_IRWXO));
}

/* Is this a file that nobody but the server's user has had access to? */
static PgsealKmsStatus
check_file(PgsealKmsError *out_error, const struct stat *st, const char *file)
{
	if (!S_ISREG(st->st_mode))
		return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_permissions", NULL,
					"The keyring is not a regular file: \"%s\".", file);
	if (!pgseal_keyring_file_owner_may_be(st->st_uid, geteuid()))
		return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_permissions",
					"Change its owner with chown, and its mode to 0600.",
					"The keyring file belongs to another user than the server runs as: \"%s\".", file);
	if (!pgseal_keyring_file_mode_is_safe(st->st_mode, st->st_uid, geteuid()))
		return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_permissions",
					st->st_uid == geteuid() ?
					"Change its mode to 0600 with chmod. If somebody else may have read it, rotate the master key and then all keys." :
					"Change its mode to 0640 with chmod, or less. If somebody else may have read it, rotate the master key and then all keys.",
					"The keyring file has mode %04o, so that others have access to it: \"%s\".",
					(unsigned int) (st->st_mode & 07777), file);
	if (st->st_size > PGSEAL_KEYRING_MAX_BYTES)
		return fail(out_error, PGSEAL_KMS_INVALID, "keyring_damaged", HINT_RESTORE,
					"The file is too large for a keyring: \"%s\".", file);
	return PGSEAL_KMS_OK;
}

static PgsealKmsStatus
read_content(PgsealKeyring *out_keyring, PgsealKmsError *out_error, int fd, const char *file)
{
	out_keyring->text_len = 0;
	for (;;)
	{
		/* Never fills the last byte: that is for the final NUL */
		size_t		room = PGSEAL_KEYRING_MAX_BYTES - out_keyring->text_len;
		ssize_t		got = read(fd, out_keyring->text + out_keyring->text_len, room);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return fail(out_error, PGSEAL_KMS_UNREACHABLE, "keyring_unreadable", NULL,
						"The keyring file cannot be read: %m: \"%s\".", file);
		if (got == 0)
			return PGSEAL_KMS_OK;
		out_keyring->text_len += got;
	}
}

static bool
is_link(const char *file)
{
	struct stat st;

	return lstat(file, &st) == 0 && S_ISLNK(st.st_mode);
}

static bool
leads_into_data_directory(const char *file)
{
	char	   *real = is_link(file) ? realpath(file, NULL) : NULL;
	bool		inside = real != NULL && pgseal_keyring_file_in_data_directory(real);

	free(real);
	return inside;
}

/* out_missing tells the one failure after which a keyring may be created */
static PgsealKmsStatus
read_file(PgsealKeyring *out_keyring, bool *out_missing, PgsealKmsError *out_error, const char *file)
{
	PgsealKmsStatus status;
	struct stat st;
	char		source[MAXPGPATH + 2];
	int			fd;

	/* O_NONBLOCK: don't wait for the writer of a FIFO before refusing it */
	*out_missing = false;
	if (leads_into_data_directory(file))
		return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_permissions",
					"Base backups hold that directory: keep the keyring elsewhere.",
					"The keyring file is a symbolic link into the data directory: \"%s\".", file);
	fd = OpenTransientFile(file, O_RDONLY | O_NONBLOCK | PG_BINARY);
	if (fd < 0)
	{
		switch (errno)
		{
			case ENOENT:
				*out_missing = true;
				return fail(out_error, PGSEAL_KMS_UNREACHABLE, "keyring_missing",
							"What was wrapped by its master keys needs them: restore the file from its backup. A new one would not help.",
							"The keyring file is missing: \"%s\".", file);
			case EACCES:
			case EPERM:
				return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_permissions",
							"The server's user must own the file and be able to reach it.",
							"The keyring file cannot be opened: %m: \"%s\".", file);
			default:
				return fail(out_error, PGSEAL_KMS_UNREACHABLE, "keyring_unreadable", NULL,
							"The keyring file cannot be opened: %m: \"%s\".", file);
		}
	}

	if (fstat(fd, &st) != 0)
		status = fail(out_error, PGSEAL_KMS_UNREACHABLE, "keyring_unreadable", NULL,
					  "The keyring file cannot be read: %m: \"%s\".", file);
	else
		status = check_file(out_error, &st, file);
	if (status == PGSEAL_KMS_OK)
		status = read_content(out_keyring, out_error, fd, file);
	CloseTransientFile(fd);

	snprintf(source, sizeof(source), "\"%s\"", file);
	if (status == PGSEAL_KMS_OK)
		status = pgseal_keyring_file_parse(out_keyring, out_error, source);
	return status;
}

PgsealKmsStatus
pgseal_keyring_file_read(PgsealKeyring *out_keyring, PgsealKmsError *out_error, const char *file)
{
	bool		missing;

	return read_file(out_keyring, &missing, out_error, file);
}

/*
 * Writing
 */

static PgsealKmsStatus
fail_write(PgsealKmsError *out_error, const char *action, const char *path)
{
	/* What has to do with permissions stays until somebody acts */
	PgsealKmsStatus status = errno == EACCES || errno == EPERM || errno == EROFS ?
		PGSEAL_KMS_REFUSED : PGSEAL_KMS_UNREACHABLE;

	return fail(out_error, status, "keyring_unwritable", HINT_WRITE,
				"Could not %s: %m: \"%s\".", action, path);
}

/* fsync(), whatever the setting fsync says; see the head of this file */
static bool
sync_path(const char *path, bool is_directory)
{
	int			fd = OpenTransientFile(path, O_RDONLY | PG_BINARY);
	bool		ok;

	/* A directory that may be searched but not listed: as fsync_fname() does */
	if (fd < 0)
		return is_directory && errno == EACCES;

	/*
	 * Some file systems have no fsync of directories; a read-only one has no
	 * need
	 */
	ok = fsync(fd) == 0 || errno == EROFS || (is_directory && (errno == EBADF || errno == EINVAL));
	CloseTransientFile(fd);
	return ok;
}

static bool
sync_directory(const char *file)
{
	char		directory[MAXPGPATH];

	strlcpy(directory, file, sizeof(directory));
	get_parent_directory(directory);
	return sync_path(directory, true);
}

PgsealKmsStatus
pgseal_keyring_file_sync(PgsealKmsError *out_error, const char *file)
{
	if (!sync_path(file, false) || !sync_directory(file))
		return fail_write(out_error, "make the keyring file durable", file);
	return PGSEAL_KMS_OK;
}

/* Sets *out_fd, to be closed with CloseTransientFile(), which unlocks */
static PgsealKmsStatus
lock_file(int *out_fd, PgsealKmsError *out_error, const char *file)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(pgseal_clock(), pgseal_kms_timeout);
	char	   *lock = psprintf("%s.lock", file);
	int			fd = OpenTransientFilePerm(lock, O_RDWR | O_CREAT | O_NOFOLLOW, S_IRUSR | S_IWUSR);

	if (fd < 0)
		return fail_write(out_error, "open the lock file of the keyring", lock);

	while (flock(fd, LOCK_EX | LOCK_NB) != 0)
	{
		if (errno != EWOULDBLOCK && errno != EINTR)
		{
			PgsealKmsStatus status = fail_write(out_error, "lock the keyring", lock);

			CloseTransientFile(fd);
			return status;
		}
		if (pgseal_clock() >= deadline)
		{
			CloseTransientFile(fd);
			return fail(out_error, PGSEAL_KMS_UNREACHABLE, "keyring_locked", NULL,
						"Another process has held the lock of the keyring for %d ms: \"%s\".",
						pgseal_kms_timeout, lock);
		}
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 LOCK_RETRY_MS, pgseal_http_wait_event());
		ResetLatch(MyLatch);
		CHECK_FOR_INTERRUPTS();
	}
	*out_fd = fd;
	return PGSEAL_KMS_OK;
}

static bool
write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0)
	{
		ssize_t		written = write(fd, bytes, len);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
		{
			/* as in the rest of PostgreSQL: no errno means no space */
			if (written == 0)
				errno = ENOSPC;
			return false;
		}
		bytes += written;
		len -= written;
	}
	return true;
}

/* Puts the keyring in place of the file, or leaves everything as it is */
static PgsealKmsStatus
replace_file(PgsealKeyring *keyring, PgsealKmsError *out_error, const char *file)
{
	PgsealKmsStatus status;
	char	   *temp = psprintf("%s.tmp", file);
	bool		written;
	int			fd;

	if (!format_keyring(keyring))
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "crypto",
							   "The cryptographic library failed.", NULL);

	if (unlink(temp) != 0 && errno != ENOENT)
		return fail_write(out_error, "remove a left-over temporary file", temp);
	fd = OpenTransientFilePerm(temp, O_WRONLY | O_CREAT | O_EXCL | PG_BINARY, S_IRUSR | S_IWUSR);
	if (fd < 0)
		return fail_write(out_error, "create a temporary file", temp);

	written = write_all(fd, keyring->text, keyring->text_len) && fsync(fd) == 0;
	if (!written)
		status = fail_write(out_error, "write a temporary file", temp);
	if (CloseTransientFile(fd) != 0 && written)
	{
		written = false;
		status = fail_write(out_error, "close a temporary file", temp);
	}
	if (written && rename(temp, file) == 0)
	{
		if (sync_directory(file))
			return PGSEAL_KMS_OK;
		return fail_write(out_error, "make the keyring file durable", file);
	}
	if (written)
		status = fail_write(out_error, "rename a temporary file to the keyring file", file);
	unlink(temp);
	return status;
}

static PgsealKmsStatus
add_and_replace(PgsealKeyring *keyring, PgsealKmsError *out_error, const char *file)
{
	if (is_link(file))
		return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_unwritable",
					"Where it is a mounted Secret, rotate a copy of the keyring and replace the Secret.",
					"The keyring file is a symbolic link, and is only read: \"%s\".", file);
	if (keyring->num_keys == PGSEAL_KEYRING_MAX_KEYS)
		return fail(out_error, PGSEAL_KMS_REFUSED, "keyring_full",
					"Rewrap all keys, and move them to a server with another keyring file.",
					"The keyring file already holds %d master keys: \"%s\".",
					keyring->num_keys, file);
	if (!add_key(keyring))
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "random",
							   "The random number generator failed.", NULL);
	return replace_file(keyring, out_error, file);
}

PgsealKmsStatus
pgseal_keyring_file_initialize(PgsealKeyring *out_keyring, PgsealKmsError *out_error, const char *file)
{
	bool		missing;
	int			lock_fd;
	PgsealKmsStatus status = read_file(out_keyring, &missing, out_error, file);

	if (!missing)
		return status;

	/* Again under the lock: another process may have been faster */
	status = lock_file(&lock_fd, out_error, file);
	if (status != PGSEAL_KMS_OK)
		return status;
	status = read_file(out_keyring, &missing, out_error, file);
	if (missing)
	{
		out_keyring->num_keys = 0;
		status = add_and_replace(out_keyring, out_error, file);
		if (status == PGSEAL_KMS_OK)
			ereport(LOG,
					(errmsg("pgseal: created keyring file \"%s\"", file),
					 errhidestmt(true),
					 errhint("Back it up apart from the database: without it encrypted columns cannot be read.")));
	}
	CloseTransientFile(lock_fd);
	return status;
}

PgsealKmsStatus
pgseal_keyring_file_rotate(PgsealKeyring *out_keyring, PgsealKmsError *out_error, const char *file)
{
	int			lock_fd;
	PgsealKmsStatus status = lock_file(&lock_fd, out_error, file);

	if (status != PGSEAL_KMS_OK)
		return status;
	status = pgseal_keyring_file_read(out_keyring, out_error, file);
	if (status == PGSEAL_KMS_OK)
		status = add_and_replace(out_keyring, out_error, file);
	CloseTransientFile(lock_fd);
	return status;
}
