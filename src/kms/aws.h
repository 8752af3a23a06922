/*-------------------------------------------------------------------------
 *
 * aws.h
 *	  What the files of the aws_kms provider know of each other.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_AWS_H
#define PGSEAL_AWS_H

#include "kms/remote.h"

/* A field of "arn:partition:service:region:account:resource", or NULL */
extern char *pgseal_aws_arn_field(const char *arn, int field);

/*
 * The region: option, the key's ARN, the environment; "us-east-1" if nothing
 * says another one, as the services' own global endpoints.
 */
extern const char *pgseal_aws_region(const PgsealKmsServer *server);

/* "https://kms.eu-west-1.amazonaws.com", or the option's value */
extern const char *pgseal_aws_endpoint(const PgsealKmsServer *server, const char *option,
									   const char *service);

/* The verdict on an error of KMS or STS.  Each text may be NULL. */
extern PgsealVerdict pgseal_aws_judge_error(PgsealKmsError *out_error, int http_status,
											const char *code, const char *message);

/* PgsealRemoteProvider.login */
extern PgsealVerdict pgseal_aws_login(PgsealCredential *out_credential,
									  const PgsealCredential *old, PgsealKmsCall *call);

/* Requests and replies of the login, pure (see aws_login.c) */
extern void pgseal_aws_build_assume_role(PgsealHttpRequest *out_request,
										 const PgsealKmsServer *server,
										 const PgsealCredential *credential, int64 now);
extern void pgseal_aws_build_web_identity(PgsealHttpRequest *out_request,
										  const PgsealKmsServer *server,
										  const char *role_arn, const char *token);
extern PgsealVerdict pgseal_aws_read_sts(void *out_credential, PgsealKmsError *out_error,
										 const PgsealHttpResponse *response, const void *now);
extern PgsealVerdict pgseal_aws_read_metadata(void *out_credential, PgsealKmsError *out_error,
											  const PgsealHttpResponse *response, const void *now);

/*
 * Finds a profile's keys in a shared file, whose text is changed.  in_config:
 * sections are called "profile x".  False: no such section, or no keys in it.
 */
extern bool pgseal_aws_read_profile(PgsealCredential *out_credential, char *text,
									const char *profile, bool in_config);

#endif							/* PGSEAL_AWS_H */
