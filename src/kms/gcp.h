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

#endif							/* PGSEAL_GCP_H */
