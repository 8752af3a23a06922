/*-------------------------------------------------------------------------
 *
 * kms.h
 *	  One interface to every key management service.
 *
 * A foreign server stands for one master key; its foreign data
 * wrapper names the provider.  What is wrapped is always PGSEAL_KEY_BYTES of
 * secret from which the caller derives the actual key (see keys/wrapping.c), so a
 * provider never sees a key that encrypts data.
 *
 * Operations return a PgsealKmsStatus and fill a PgsealKmsError: the caller
 * decides whether a failure is reported, remembered or survived with a cached
 * key.  They may be interrupted (query cancel) by ereport() from
 * CHECK_FOR_INTERRUPTS(); they hold no lock while they wait.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_KMS_H
#define PGSEAL_KMS_H

#include "postgres.h"
#include "nodes/pg_list.h"

#include "base/secret.h"

/* A wrapped key is never larger than this (AWS: 6144 bytes of CiphertextBlob) */
#define PGSEAL_WRAPPED_MAX_BYTES	8192

typedef enum PgsealKmsStatus
{
	PGSEAL_KMS_OK,
	PGSEAL_KMS_UNREACHABLE,		/* no answer, throttled, 5xx: try again later */
	PGSEAL_KMS_REFUSED,			/* the KMS said no: key disabled, no
								 * permission */
	PGSEAL_KMS_INVALID			/* wrong key, damaged or foreign wrapped bytes */
} PgsealKmsStatus;

/* What went wrong, for the error message.  Never holds a secret. */
typedef struct PgsealKmsError
{
	char		operation[16];	/* generate, wrap, unwrap, rewrap, describe,
								 * rotate, login */
	int			http_status;	/* 0 when there is none */
	char		code[64];		/* the provider's own error code, or "" */
	char		request_id[64];
	char		detail[256];	/* one sentence, or "" */
	char		hint[256];		/* what the operator can do, or "" */
} PgsealKmsError;

/* One foreign server of one of our wrappers; palloc'd by pgseal_kms_server() */
typedef struct PgsealKmsServer
{
	Oid			oid;
	char	   *name;
	const struct PgsealKmsProvider *provider;
	List	   *options;		/* of DefElem, validated */
} PgsealKmsServer;

/*
 * What a wrapped key is bound to.  Goes to the KMS as encryption context or
 * AAD where it supports one, so that its audit log names the key.
 */
typedef struct PgsealKmsContext
{
	const char *key_name;		/* "payroll" */
	const char *purpose;		/* "data" or "index" */
	int64		key_version_id;
} PgsealKmsContext;

typedef struct PgsealKmsWrapped
{
	uint8	   *bytes;			/* palloc'd */
	size_t		len;
	char	   *master_key;		/* palloc'd: what the KMS said it wrapped
								 * under (ARN, versioned kid, "name:v3",
								 * fingerprint) */
} PgsealKmsWrapped;

/* Facts about the master key, for check() and the rewrap schedule */
typedef struct PgsealKmsDescription
{
	char	   *newest_master_key;	/* palloc'd, comparable to
									 * PgsealKmsWrapped.master_key; NULL if
									 * the KMS doesn't tell */
	char	   *detail;			/* palloc'd, one sentence for a human */
} PgsealKmsDescription;

/* One option that a server of this provider takes */
typedef struct PgsealKmsOption
{
	const char *name;
	bool		required;
	/* NULL, or why the option is refused and what to use instead */
	const char *refused_hint;
	/* NULL, or a check that ereports FDW_INVALID_ATTRIBUTE_VALUE (HV024) */
	void		(*check) (const char *name, const char *value);
} PgsealKmsOption;

typedef struct PgsealKmsProvider
{
	const char *name;			/* of the foreign data wrapper: aws_kms, ... */
	const PgsealKmsOption *options; /* ends with a NULL name */

	/* NULL, or a check across options */
	void		(*validate) (List *options);

	/*
	 * Wraps secret.  may_initialize: no key of this database is wrapped by
	 * this server yet, so a provider that keeps its own master key (the local
	 * keyring) may create it now.
	 */
	PgsealKmsStatus (*wrap) (const PgsealKmsServer *server, PgsealKmsWrapped *out_wrapped,
							 PgsealKmsError *out_error, const PgsealKmsContext *context,
							 const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize);
	PgsealKmsStatus (*unwrap) (const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
							   PgsealKmsError *out_error, const PgsealKmsContext *context,
							   const uint8 *wrapped, size_t wrapped_len, const char *master_key);
	/* NULL: random bytes and wrap() */
	PgsealKmsStatus (*generate) (const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
								 PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
								 const PgsealKmsContext *context);
	/* NULL: unwrap() and wrap() */
	PgsealKmsStatus (*rewrap) (const PgsealKmsServer *server, PgsealKmsWrapped *out_wrapped,
							   PgsealKmsError *out_error, const PgsealKmsContext *context,
							   const uint8 *wrapped, size_t wrapped_len, const char *master_key);
	/* NULL: always; where rewrap() can't do it, unwrap() and wrap() */
	bool		(*can_rewrap) (const PgsealKmsServer *server, const char *master_key);
	PgsealKmsStatus (*describe) (const PgsealKmsServer *server, PgsealKmsDescription *out_description,
								 PgsealKmsError *out_error);
	/* Will the first wrap() make the master key?  NULL: never */
	bool		(*is_uninitialized) (const PgsealKmsServer *server);
} PgsealKmsProvider;

/*
 * The validator of a foreign data wrapper of ours (each provider's SQL function
 * calls it with its arguments).  Errors: HV00D unknown or refused option, or
 * one that isn't for a server; HV024 bad value; HV002 a required one is
 * missing.
 */
extern void pgseal_kms_validate(const PgsealKmsProvider *provider, Datum options, Oid catalog);

/* NULL when the wrapper isn't one of ours */
extern const PgsealKmsProvider *pgseal_kms_provider(const char *wrapper_name);

/*
 * The server by name, with its options.  Errors: 42704 no such server; 42809
 * its wrapper isn't one of pgseal's.  missing_ok: NULL instead of 42704.
 */
extern PgsealKmsServer *pgseal_kms_server(const char *name, bool missing_ok);

/* The value of an option, or NULL */
extern const char *pgseal_kms_option(const PgsealKmsServer *server, const char *name);

/*
 * The operations.  A new secret (generate) is durable only in its wrapped form.
 * out_error is all empty on success; out_secret is wiped on failure and when
 * an error is thrown.
 */
extern PgsealKmsStatus pgseal_kms_generate(const PgsealKmsServer *server,
										   uint8 out_secret[PGSEAL_KEY_BYTES],
										   PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
										   const PgsealKmsContext *context, bool may_initialize);
extern PgsealKmsStatus pgseal_kms_wrap(const PgsealKmsServer *server,
									   PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
									   const PgsealKmsContext *context,
									   const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize);
extern PgsealKmsStatus pgseal_kms_unwrap(const PgsealKmsServer *server,
										 uint8 out_secret[PGSEAL_KEY_BYTES],
										 PgsealKmsError *out_error,
										 const PgsealKmsContext *context,
										 const uint8 *wrapped, size_t wrapped_len,
										 const char *master_key);
extern PgsealKmsStatus pgseal_kms_rewrap(const PgsealKmsServer *server,
										 PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
										 const PgsealKmsContext *context,
										 const uint8 *wrapped, size_t wrapped_len,
										 const char *master_key);
extern PgsealKmsStatus pgseal_kms_describe(const PgsealKmsServer *server,
										   PgsealKmsDescription *out_description,
										   PgsealKmsError *out_error);
extern bool pgseal_kms_is_uninitialized(const PgsealKmsServer *server);

/*
 * Reports a failed operation: 58000 with provider, server, operation, HTTP
 * status and the provider's code as detail, and its hint.
 */
extern void pgseal_kms_report(int elevel, PgsealKmsStatus status,
							  const char *provider_name, const char *server_name,
							  const PgsealKmsError *error);

/*
 * What there is to say about a failed operation, in one line (palloc'd):
 * HTTP status, the provider's code, its sentence, the hint.
 */
extern char *pgseal_kms_error_text(const PgsealKmsError *error);

/*
 * Fills code, detail and hint of an error, and returns status.  The strings
 * are cut to their field; control characters and what isn't valid in the
 * database's encoding become '?' (they may come from the network), also in
 * request_id, which the provider sets before.  NULL: "".
 */
extern PgsealKmsStatus pgseal_kms_fail(PgsealKmsError *out_error, PgsealKmsStatus status,
									   const char *code, const char *detail, const char *hint);

/* "ok", "unreachable", "refused", "invalid": as views show it */
extern const char *pgseal_kms_status_name(PgsealKmsStatus status);

extern const PgsealKmsProvider pgseal_kms_local;

#endif							/* PGSEAL_KMS_H */
