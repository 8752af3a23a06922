/*-------------------------------------------------------------------------
 *
 * settings.h
 *	  The settings of pgseal (docs/reference.md, "Settings").
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SETTINGS_H
#define PGSEAL_SETTINGS_H

#include "postgres.h"

/* May rows in the order of an encrypted column go to temporary files? */
typedef enum PgsealSortSpill
{
	PGSEAL_SORT_SPILL_ALLOW,
	PGSEAL_SORT_SPILL_ERROR
} PgsealSortSpill;

typedef enum PgsealOnDenied
{
	PGSEAL_ON_DENIED_ERROR,
	PGSEAL_ON_DENIED_NULL
} PgsealOnDenied;

/* Where the sealed form is taken for what it is */
typedef enum PgsealSealedInput
{
	PGSEAL_SEALED_INPUT_OFF,
	PGSEAL_SEALED_INPUT_COPY,	/* COPY FROM, replication, definitions */
	PGSEAL_SEALED_INPUT_ON		/* and statements */
} PgsealSealedInput;

/* What becomes of a row whose signature is not good */
typedef enum PgsealVerifyRows
{
	PGSEAL_VERIFY_ROWS_OFF,
	PGSEAL_VERIFY_ROWS_WARNING,
	PGSEAL_VERIFY_ROWS_ON
} PgsealVerifyRows;

/* Who makes keys by naming them in CREATE TABLE and its like */
typedef enum PgsealMakeKeys
{
	PGSEAL_MAKE_KEYS_ANYONE,
	PGSEAL_MAKE_KEYS_OWNER		/* superusers and the database's owner */
} PgsealMakeKeys;

extern bool pgseal_transparent;
extern int	pgseal_sealed_input;	/* PgsealSealedInput */
extern bool pgseal_allow_decryption;
extern int	pgseal_make_keys;	/* PgsealMakeKeys */
extern int	pgseal_verify_rows; /* PgsealVerifyRows */
extern int	pgseal_on_denied;	/* PgsealOnDenied */
extern int	pgseal_sort_spill;	/* PgsealSortSpill */
extern char *pgseal_default_server;
extern char *pgseal_keyring_file;	/* "" means <data directory>.keyring */
extern int	pgseal_cache_size;	/* key versions */
extern int	pgseal_cache_ttl;	/* seconds */
extern int	pgseal_cache_grace; /* seconds */
extern int	pgseal_kms_timeout; /* milliseconds, for one operation with all
								 * retries */
extern int	pgseal_max_seals_per_key;
extern bool pgseal_compression;
extern int	pgseal_worker_interval; /* seconds */
extern int	pgseal_reencrypt_batch; /* blocks */
extern int	pgseal_reencrypt_delay; /* milliseconds */
extern bool pgseal_core_dumps;

extern void pgseal_settings_init(void);

#endif							/* PGSEAL_SETTINGS_H */
