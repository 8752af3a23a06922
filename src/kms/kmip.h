/*-------------------------------------------------------------------------
 *
 * kmip.h
 *	  Which key of a KMIP server is meant.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KMIP_H
#define PGSEAL_KMIP_H

#include "kms/remote.h"

/*
 * PgsealRemoteProvider.login.  What the provider calls a credential has the
 * unique identifier of the key as id and the password as secret.
 */
extern PgsealVerdict pgseal_kmip_login(PgsealCredential *out_credential,
									   const PgsealCredential *old, PgsealKmsCall *call);

/* PgsealRemoteProvider.bases */
extern List *pgseal_kmip_bases(const PgsealKmsServer *server);

/* Pure: asks for the active key of the name in the options */
extern void pgseal_kmip_build_locate(PgsealHttpRequest *out_request,
									 const PgsealKmsServer *server, const char *password);

/*
 * A PgsealJudge: sets the credential's id; to one that no key has when there
 * isn't exactly one such key.  That is no failure, since keys that are no longer active still
 * unwrap; whoever wraps is told by the server that there is no such key.
 */
extern PgsealVerdict pgseal_kmip_read_locate(void *out_credential, PgsealKmsError *out_error,
											 const PgsealHttpResponse *response, const void *arg);

#endif							/* PGSEAL_KMIP_H */
