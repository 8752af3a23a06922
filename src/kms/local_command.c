/*-------------------------------------------------------------------------
 *
 * local_command.c
 *	  A keyring that a command prints.
 *
 * For master keys that come from somewhere else than a file: systemd
 * credentials, a secret store's client, a script in front of an HSM.  The
 * command may print a whole keyring (see keyring_file.c) or one master key of 32
 * bytes as 64 hexadecimal digits or in base64.
 *
 * The command runs by /bin/sh in a process group of its own with the server's
 * environment.  popen() would do but for two things: its wait for the child
 * can't be interrupted, and stdio would keep a copy of the key in a buffer
 * that nobody wipes.  So the pipe is read here, under the latch, into the
 * keyring's own buffer, and whatever ends this early (timeout, query cancel,
 * end of the backend) kills the group.
 *
 * No message quotes what the command prints.  Its standard error is the
 * server's log, so it must not write a key there.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/base64.h"
#include "miscadmin.h"
#include "port.h"
#include "storage/ipc.h"
#include "storage/latch.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/compat.h"
#include "base/http.h"
#include "base/settings.h"
#include "kms/local.h"

#define SHELL			"/bin/sh"
#define HEX_CHARS		(2 * PGSEAL_KEY_BYTES)
#define BASE64_CHARS	44

/* Pause between two looks at whether the command has ended */
#define EXIT_RETRY_MS	10

#define HINT_LOG		"See the server's log for what the command wrote to its standard error."

/* A running command; pid is 0 and fd is -1 when there is none any more */
typedef struct Child
{
	pid_t		pid;			/* and id of its process group */
	int			fd;				/* our end of its standard output */
} Child;

extern char **environ;

/* Ends what is left of the command, on every path */
static void
end_child(int code, Datum arg)
{
	Child	   *child = (Child *) DatumGetPointer(arg);

	if (child->fd >= 0)
		close(child->fd);
	child->fd = -1;
	if (child->pid > 0)
	{
		kill(-child->pid, SIGKILL);
		while (waitpid(child->pid, NULL, 0) < 0 && errno == EINTR)
			;
	}
	child->pid = 0;
}

/* Returns 0 or an errno */
static int
start_child(Child *out_child, const char *command)
{
	char	   *const argv[] = {"sh", "-c", unconstify(char *, command), NULL};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t	all_signals;
	sigset_t	no_signals;
	int			fds[2];
	int			error;

	out_child->pid = 0;
	out_child->fd = -1;
	if (pipe(fds) != 0)
		return errno;
	(void) fcntl(fds[0], F_SETFD, FD_CLOEXEC);
	(void) fcntl(fds[1], F_SETFD, FD_CLOEXEC);
	(void) fcntl(fds[0], F_SETFL, O_NONBLOCK);

	/* A backend ignores SIGPIPE and blocks and handles others: start afresh */
	sigfillset(&all_signals);
	sigdelset(&all_signals, SIGKILL);
	sigdelset(&all_signals, SIGSTOP);
	sigemptyset(&no_signals);
	posix_spawnattr_init(&attributes);
	posix_spawnattr_setsigdefault(&attributes, &all_signals);
	posix_spawnattr_setsigmask(&attributes, &no_signals);
	posix_spawnattr_setpgroup(&attributes, 0);
	posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK |
							 POSIX_SPAWN_SETPGROUP);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	posix_spawn_file_actions_adddup2(&actions, fds[1], STDOUT_FILENO);

	error = posix_spawn(&out_child->pid, SHELL, &actions, &attributes, argv, environ);

	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attributes);
	close(fds[1]);
	if (error == 0)
		out_child->fd = fds[0];
	else
	{
		out_child->pid = 0;
		close(fds[0]);
	}
	return error;
}

/* Waits until fd is readable (-1: a moment).  False when the time is up. */
static bool
wait_until(TimestampTz deadline, int fd)
{
	long		left = TimestampDifferenceMilliseconds(pgseal_clock(), deadline);

	if (left <= 0)
		return false;
	if (fd >= 0)
		(void) WaitLatchOrSocket(MyLatch,
								 WL_LATCH_SET | WL_SOCKET_READABLE | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
								 fd, left, pgseal_http_wait_event());
	else
		(void) WaitLatch(MyLatch, WL_LATCH_SET | WL_TIMEOUT | WL_EXIT_ON_PM_DEATH,
						 Min(left, EXIT_RETRY_MS), pgseal_http_wait_event());
	ResetLatch(MyLatch);
	CHECK_FOR_INTERRUPTS();
	return true;
}

static PgsealKmsStatus
fail_timeout(PgsealKmsError *out_error)
{
	return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "command_timeout",
						   psprintf("The keyring command did not end within %d ms.", pgseal_kms_timeout),
						   "See the setting pgseal.kms_timeout.");
}

/* Reads all that the command prints, and its exit status */
static PgsealKmsStatus
read_child(PgsealKeyring *out_keyring, PgsealKmsError *out_error, Child *child)
{
	TimestampTz deadline = TimestampTzPlusMilliseconds(pgseal_clock(), pgseal_kms_timeout);
	int			exit_status;
	pid_t		ended;

	out_keyring->text_len = 0;
	for (;;)
	{
		size_t		room = sizeof(out_keyring->text) - out_keyring->text_len;
		ssize_t		got = read(child->fd, out_keyring->text + out_keyring->text_len, room);

		if (got == 0)
			break;
		if (got > 0)
		{
			out_keyring->text_len += got;
			if (out_keyring->text_len > PGSEAL_KEYRING_MAX_BYTES)
				return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "command_output",
									   "The keyring command printed more than a keyring can have.", NULL);
		}
		else if (errno == EAGAIN || errno == EWOULDBLOCK)
		{
			if (!wait_until(deadline, child->fd))
				return fail_timeout(out_error);
		}
		else if (errno != EINTR)
			return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "command_failed",
								   psprintf("Could not read from the keyring command: %m."), NULL);
	}

	while ((ended = waitpid(child->pid, &exit_status, WNOHANG)) == 0)
	{
		if (!wait_until(deadline, -1))
			return fail_timeout(out_error);
	}
	if (ended < 0)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "command_failed",
							   psprintf("Could not wait for the keyring command: %m."), NULL);
	child->pid = 0;
	if (exit_status != 0)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "command_failed",
							   psprintf("The keyring command failed: %s.",
										wait_result_to_str(exit_status)),
							   HINT_LOG);
	return PGSEAL_KMS_OK;
}

/* hex_decode() of PostgreSQL would quote a bad digit in its error */
static bool
decode_hex(uint8 out_key[PGSEAL_KEY_BYTES], const char *text)
{
	for (int i = 0; i < HEX_CHARS; i++)
	{
		char		c = text[i];
		int			nibble = c >= '0' && c <= '9' ? c - '0' :
			c >= 'a' && c <= 'f' ? c - 'a' + 10 :
			c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;

		if (nibble < 0)
			return false;
		out_key[i / 2] = (out_key[i / 2] << 4) | nibble;
	}
	return true;
}

static PgsealKmsStatus
parse_output(PgsealKeyring *keyring, PgsealKmsError *out_error)
{
	uint8		key[PGSEAL_KEY_BYTES] = {0};
	char	   *text = keyring->text;
	bool		is_key;

	/* A shell easily adds or drops the last newline */
	while (keyring->text_len > 0 && strchr(" \t\r\n", text[keyring->text_len - 1]) != NULL)
		keyring->text_len--;

	/* The cast to void: 18 has uint8 where earlier versions have char */
	is_key = (keyring->text_len == HEX_CHARS && decode_hex(key, text)) ||
		(keyring->text_len == BASE64_CHARS &&
		 pg_b64_decode(text, BASE64_CHARS, (void *) key, sizeof(key)) == sizeof(key));
	is_key = is_key && pgseal_keyring_file_set_single(keyring, key);
	pgseal_wipe(key, sizeof(key));
	if (is_key)
		return PGSEAL_KMS_OK;

	if (keyring->text_len < PGSEAL_KEYRING_MAX_BYTES && strncmp(text, "pgseal ", 7) == 0)
	{
		text[keyring->text_len++] = '\n';
		return pgseal_keyring_file_parse(keyring, out_error, "output of the keyring command");
	}
	return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "command_output",
						   "The keyring command printed neither a keyring nor one key of 32 bytes.",
						   "Let it print a keyring, 64 hexadecimal digits, or 32 bytes in base64, and nothing else.");
}

PgsealKmsStatus
pgseal_local_command_run(PgsealKeyring *out_keyring, PgsealKmsError *out_error, const char *command)
{
	PgsealKmsStatus status;
	Child		child;
	int			error = start_child(&child, command);

	if (error != 0)
		return pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "command_failed",
							   psprintf("The keyring command could not be started: %s.", strerror(error)),
							   NULL);

	PG_ENSURE_ERROR_CLEANUP(end_child, PointerGetDatum(&child));
	{
		status = read_child(out_keyring, out_error, &child);
	}
	PG_END_ENSURE_ERROR_CLEANUP(end_child, PointerGetDatum(&child));
	end_child(0, PointerGetDatum(&child));

	if (status == PGSEAL_KMS_OK)
		status = parse_output(out_keyring, out_error);
	return status;
}
