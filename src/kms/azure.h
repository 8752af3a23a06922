/*-------------------------------------------------------------------------
 *
 * azure.h
 *	  The login of the azure_key_vault provider.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_AZURE_H
#define PGSEAL_AZURE_H

#include "kms/remote.h"

/* PgsealRemoteProvider.login */
extern PgsealVerdict pgseal_azure_login(PgsealCredential *out_credential,
										const PgsealCredential *old, PgsealKmsCall *call);

/*
 * What a token must be for to be sent to that vault ("https://vault.azure.net"),
 * by the vault's host name; NULL if that isn't one of Microsoft's.
 */
extern const char *pgseal_azure_resource(const char *vault_url);

#endif							/* PGSEAL_AZURE_H */
