/*-------------------------------------------------------------------------
 *
 * sigv4.h
 *	  AWS Signature Version 4.
 *
 * Pure functions of request, credential and time.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SIGV4_H
#define PGSEAL_SIGV4_H

#include "kms/remote.h"

/* What a signature covers besides the request */
typedef struct PgsealSigV4Scope
{
	char		timestamp[17];	/* "20150830T123600Z" */
	const char *region;
	const char *service;
} PgsealSigV4Scope;

extern void pgseal_sigv4_set_time(PgsealSigV4Scope *scope, int64 seconds_since_1970);

/*
 * The three steps, for the published test vectors.  All headers of the request
 * are signed.  Results are secret memory; authorization is NULL when a MAC
 * can't be computed.
 */
extern char *pgseal_sigv4_canonical_request(const PgsealHttpRequest *request);
extern char *pgseal_sigv4_string_to_sign(const char *canonical_request,
										 const PgsealSigV4Scope *scope);
extern char *pgseal_sigv4_authorization(const PgsealHttpRequest *request,
										const PgsealCredential *credential,
										const PgsealSigV4Scope *scope);

/*
 * Adds the headers Host, X-Amz-Date, X-Amz-Security-Token (if there is a token)
 * and Authorization.
 */
extern void pgseal_sigv4_sign(PgsealHttpRequest *request, const PgsealCredential *credential,
							  const char *region, const char *service, int64 now);

#endif							/* PGSEAL_SIGV4_H */
