/*-------------------------------------------------------------------------
 *
 * credentials.h
 *	  What the backends share about key management services: credentials,
 *	  which endpoints don't answer, how far our clock is off theirs.
 *
 * See credentials.c for locking.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CREDENTIALS_H
#define PGSEAL_CREDENTIALS_H

#include "kms/remote.h"

#define PGSEAL_CREDENTIAL_KEY_BYTES 32

typedef enum PgsealCredentialResult
{
	PGSEAL_CREDENTIAL_HIT,		/* out_credential is set */
	PGSEAL_CREDENTIAL_CLAIMED,	/* the caller logs in, then publishes, fails
								 * or abandons; out_credential is the old one
								 * if *out_version isn't 0 */
	PGSEAL_CREDENTIAL_FAILED	/* a login has just failed: the verdict and
								 * the error are set */
} PgsealCredentialResult;

/* _PG_init: draws the key that seals credentials, installs the hooks */
extern void pgseal_credentials_init(void);

/*
 * Looks up a credential; waits (interruptibly, until deadline) while another
 * backend gets it.  out_version tells one credential from its successor.
 */
extern PgsealCredentialResult pgseal_credential_get(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
													PgsealCredential *out_credential,
													uint64 *out_version,
													PgsealVerdict *out_verdict,
													PgsealKmsError *out_error,
													int64 now, TimestampTz deadline);

/* After CLAIMED.  Returns the version. */
extern uint64 pgseal_credential_publish(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
										const PgsealCredential *credential);

/* After CLAIMED: remembered briefly, so that not every backend asks again. */
extern void pgseal_credential_fail(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
								   PgsealVerdict verdict, const PgsealKmsError *error);

/* After CLAIMED, when nothing is known (query cancelled). */
extern void pgseal_credential_abandon(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES]);

/* The KMS doesn't accept this version any more: the next get() logs in. */
extern void pgseal_credential_forget(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES], uint64 version);

/*
 * Circuit breaker, for all servers with this credential key (so with the same
 * address): false while it is open, that is for a few seconds after several
 * operations in a row got no answer.
 */
extern bool pgseal_endpoint_allowed(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES]);
extern void pgseal_endpoint_answered(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES], bool answered);

/* Seconds to add to our clock to get the endpoint's */
extern int64 pgseal_endpoint_clock_offset(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES]);
extern void pgseal_endpoint_set_clock_offset(const uint8 key[PGSEAL_CREDENTIAL_KEY_BYTES],
											 int64 seconds);

#endif							/* PGSEAL_CREDENTIALS_H */
