/*-------------------------------------------------------------------------
 *
 * oauth.h
 *	  Bearer tokens (RFC 6749), as Azure and Google give them.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_OAUTH_H
#define PGSEAL_OAUTH_H

#include "kms/remote.h"

/*
 * A PgsealJudge: reads {"access_token", "expires_in"} into a credential, or
 * {"error", "error_description"}.  now: int64 *, seconds since 1970.
 */
extern PgsealVerdict pgseal_oauth_read_token(void *out_credential, PgsealKmsError *out_error,
											 const PgsealHttpResponse *response, const void *now);

/* Begins a form in the body of a POST; appends a parameter to it */
extern void pgseal_oauth_begin_form(PgsealHttpRequest *request);
extern void pgseal_oauth_append(PgsealHttpRequest *request, const char *name, const char *value);

#endif							/* PGSEAL_OAUTH_H */
