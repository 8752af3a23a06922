/*-------------------------------------------------------------------------
 *
 * wrapping.h
 *	  The secrets behind key versions: made, wrapped, unwrapped, rewrapped.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_WRAPPING_H
#define PGSEAL_WRAPPING_H

#include "base/crypto.h"
#include "keys/catalog.h"
#include "kms/kms.h"

/* What wraps the child keys of a key version, good until the next call of it */
typedef PgsealAead *(*PgsealWrapperOf) (int64 key_version_id);

extern void pgseal_wrapping_init(PgsealWrapperOf of);

/*
 * Makes a secret for a new version, whose key, purpose, server and
 * parent_version are set; fills id, master_key and wrapped.  58000 when the KMS
 * fails.
 */
extern void pgseal_wrapping_make(PgsealVersionRow *version);

/*
 * The key of a version, by its KMS or its parent's key.  out_key is wiped on
 * failure.  The parent's own KMS failing is an error (58000).
 */
extern PgsealKmsStatus pgseal_wrapping_fetch(const PgsealVersionRow *version,
											 uint8 out_key[PGSEAL_KEY_BYTES],
											 PgsealKmsError *out_error);

/*
 * Wraps what a version has wrapped anew: under the newest master key version of
 * server (its own or another one), or under a parent's key version.  The new
 * bytes are unwrapped and compared with the old secret before *version is
 * changed; the catalog isn't.
 */
extern PgsealKmsStatus pgseal_wrapping_rewrap(PgsealVersionRow *version, const char *server,
											  int64 parent_version, PgsealKmsError *out_error);

/* Reports a failure at a server: 58000 */
extern void pgseal_wrapping_report(int elevel, PgsealKmsStatus status, const char *server,
								   const PgsealKmsError *error);

#endif							/* PGSEAL_WRAPPING_H */
