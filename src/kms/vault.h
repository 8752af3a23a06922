/*-------------------------------------------------------------------------
 *
 * vault.h
 *	  What the files of the vault_transit provider know of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_VAULT_H
#define PGSEAL_VAULT_H

#include "kms/remote.h"

/* A hint */
#define PGSEAL_VAULT_MAKE_KEY	"Make the key with type aes256-gcm96 and derived=true."

/* The addresses, separated by commas, as a list of strings */
extern List *pgseal_vault_addresses(const char *value);

/* PgsealRemoteProvider.bases */
extern List *pgseal_vault_bases(const PgsealKmsServer *server);

/* A request to the first address, with the headers that all need.  token: or NULL */
extern void pgseal_vault_begin(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
							   const char *method, const char *path, const char *token);

/* Verdict, code and hint of an error reply */
extern PgsealVerdict pgseal_vault_judge_error(PgsealKmsError *out_error,
											  const PgsealHttpResponse *response);

/* PgsealRemoteProvider.login */
extern PgsealVerdict pgseal_vault_login(PgsealCredential *out_credential,
										const PgsealCredential *old, PgsealKmsCall *call);

/* Pure: the reply to a login, and to the renewal of a token */
extern PgsealVerdict pgseal_vault_read_login(void *out_credential, PgsealKmsError *out_error,
											 const PgsealHttpResponse *response, const void *now);

#endif							/* PGSEAL_VAULT_H */
