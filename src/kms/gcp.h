/*-------------------------------------------------------------------------
 *
 * gcp.h
 *	  The login of the gcp_kms provider.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_GCP_H
#define PGSEAL_GCP_H

#include "kms/remote.h"

/* PgsealRemoteProvider.login */
extern PgsealVerdict pgseal_gcp_login(PgsealCredential *out_credential,
									  const PgsealCredential *old, PgsealKmsCall *call);

/*
 * Pure: the token request of a service account, whose key file is given parsed.
 * False: a member is missing, or the private key can't be read.
 */
extern bool pgseal_gcp_build_service_account(PgsealHttpRequest *out_request,
											 const PgsealKmsServer *server,
											 const PgsealJson *key_file, int64 now);

/*
 * Pure: the token exchange of workload identity federation.  account: parsed
 * file of type external_account.  False: a member is missing.
 */
extern bool pgseal_gcp_build_exchange(PgsealHttpRequest *out_request,
									  const PgsealKmsServer *server,
									  const PgsealJson *account, const char *subject_token);

#endif							/* PGSEAL_GCP_H */
