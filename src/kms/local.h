/*-------------------------------------------------------------------------
 *
 * local.h
 *	  The embedded keyring: provider local_keyring.
 *
 * local.c is the provider (options, wrapping); keyring_file.c knows
 * the keyring's text form and where it lies.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KMS_LOCAL_H
#define PGSEAL_KMS_LOCAL_H

#include "kms/kms.h"

#define PGSEAL_FINGERPRINT_BYTES	8

/* A keyring is never larger than this, whatever printed it */
#define PGSEAL_KEYRING_MAX_BYTES	65536
#define PGSEAL_KEYRING_MAX_KEYS		500

/* "2026-01-31T12:00:00Z" */
#define PGSEAL_KEYRING_TIME_BYTES	20

typedef struct PgsealMasterKey
{
	int			version;		/* for humans; from 1 */
	char		created[PGSEAL_KEYRING_TIME_BYTES + 1]; /* "" if unknown */
	uint8		key[PGSEAL_KEY_BYTES];
	/* The key's identity: first bytes of a SHA-256 of it */
	uint8		fingerprint[PGSEAL_FINGERPRINT_BYTES];
} PgsealMasterKey;

/* All of it is secret: owned by one operation, wiped by pgseal_keyring_file_free() */
typedef struct PgsealKeyring
{
	int			num_keys;		/* the last one is the newest */
	PgsealMasterKey keys[PGSEAL_KEYRING_MAX_KEYS];
	/* The text form while it is read or written, with a final NUL */
	size_t		text_len;
	char		text[PGSEAL_KEYRING_MAX_BYTES + 1];
} PgsealKeyring;

/* Where a server's keyring is; either file or command is set */
typedef struct PgsealKeyringSource
{
	const char *file;			/* absolute path, canonical */
	const char *command;
	const char *name;			/* of the file, as the cluster remembers it */
} PgsealKeyringSource;

/* keyring_file.c */

extern PgsealKeyring *pgseal_keyring_file_new(void);
extern void pgseal_keyring_file_free(PgsealKeyring *keyring);

/* Is path in the data directory, after symbolic links are followed? */
extern bool pgseal_keyring_file_in_data_directory(const char *path);

/* Whose a keyring file may be, and with which mode (the server: geteuid()) */
extern bool pgseal_keyring_file_owner_may_be(uid_t owner, uid_t server);
extern bool pgseal_keyring_file_mode_is_safe(mode_t mode, uid_t owner, uid_t server);

/*
 * Reads the text form from keyring->text.  Codes: keyring_damaged,
 * keyring_version.  source is named in messages.
 */
extern PgsealKmsStatus pgseal_keyring_file_parse(PgsealKeyring *keyring, PgsealKmsError *out_error,
												 const char *source);

/* Makes keyring the keyring of this one key, version 1 */
extern bool pgseal_keyring_file_set_single(PgsealKeyring *keyring, const uint8 key[PGSEAL_KEY_BYTES]);

/*
 * Reads the file.  Codes, beyond those of parse: keyring_missing,
 * keyring_permissions, keyring_location, keyring_unreadable.
 */
extern PgsealKmsStatus pgseal_keyring_file_read(PgsealKeyring *out_keyring, PgsealKmsError *out_error,
												const char *file);

/*
 * Reads the file, after creating it with one new master key if it is missing.
 * Codes, beyond those of read: keyring_unwritable.
 */
extern PgsealKmsStatus pgseal_keyring_file_initialize(PgsealKeyring *out_keyring,
													  PgsealKmsError *out_error, const char *file);

/* Reads the file and adds a new master key to it.  Codes: also keyring_full. */
extern PgsealKmsStatus pgseal_keyring_file_rotate(PgsealKeyring *out_keyring,
												  PgsealKmsError *out_error, const char *file);

/*
 * Makes sure that the file's present content survives a crash of the machine.
 * Called before anything is wrapped by its newest master key.
 */
extern PgsealKmsStatus pgseal_keyring_file_sync(PgsealKmsError *out_error, const char *file);

/* keyring_memory.c */

/*
 * Is this (NULL: a missing file) what the cluster has had as its keyring at this
 * place?  Codes: keyring_missing, keyring_other, keyring_memory.
 */
extern PgsealKmsStatus pgseal_keyring_memory_check(const PgsealKeyring *keyring,
												   const PgsealKeyringSource *source,
												   PgsealKmsError *out_error);

/* Notes the keyring, before anything is wrapped by it.  Codes: keyring_memory. */
extern PgsealKmsStatus pgseal_keyring_memory_remember(const PgsealKeyring *keyring,
													  const PgsealKeyringSource *source,
													  PgsealKmsError *out_error);

/* local_command.c */

/*
 * Runs the command by the shell and reads what it prints: a keyring, or one
 * master key in hexadecimal digits or base64.  Interruptible, ended after
 * pgseal.kms_timeout.  Codes: command_failed, command_timeout, command_output,
 * and those of parse.
 */
extern PgsealKmsStatus pgseal_local_command_run(PgsealKeyring *out_keyring, PgsealKmsError *out_error,
												const char *command);

/* local.c */

/*
 * Adds a new master key version to the server's keyring file and returns its
 * number; older versions stay.  Errors: 42809 not a local_keyring server, 0A000
 * the keyring comes from a command, 58000 as pgseal_kms_report() says.
 */
extern int	pgseal_kms_local_rotate(const PgsealKmsServer *server);

#endif							/* PGSEAL_KMS_LOCAL_H */
