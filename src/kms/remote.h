/*-------------------------------------------------------------------------
 *
 * remote.h
 *	  What the providers reached by HTTP have in common.
 *
 * Such a provider builds requests and reads replies, as pure
 * functions of their arguments (credential and time included), so that files
 * on disk test it.  remote.c does the rest once for all: credentials,
 * sending, retries, clock correction.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REMOTE_H
#define PGSEAL_REMOTE_H

#include "postgres.h"
#include "datatype/timestamp.h"

#include "base/http.h"
#include "base/json.h"
#include "kms/kms.h"

/*
 * What proves who we are.  A token that is longer is refused, never cut; AWS
 * session tokens and Azure's are the long ones, about 2 kB.
 */
#define PGSEAL_CREDENTIAL_ID_BYTES		256
#define PGSEAL_CREDENTIAL_SECRET_BYTES	256
#define PGSEAL_CREDENTIAL_TOKEN_BYTES	8192

typedef struct PgsealCredential
{
	char		id[PGSEAL_CREDENTIAL_ID_BYTES]; /* AWS access key id, or "" */
	char		secret[PGSEAL_CREDENTIAL_SECRET_BYTES]; /* AWS secret key, or "" */
	char		token[PGSEAL_CREDENTIAL_TOKEN_BYTES];	/* or "" */
	int64		refresh_at;		/* seconds since 1970: get a new one ahead */
	int64		expires_at;		/* seconds since 1970; 0: never */
	bool		renewable;		/* login() can prolong it (Vault) */
} PgsealCredential;

/* What a reply means for what we do next; the one input of the retry loop */
typedef enum PgsealVerdict
{
	PGSEAL_VERDICT_OK,
	PGSEAL_VERDICT_RETRY,		/* throttled, 5xx, connection lost, damaged */
	PGSEAL_VERDICT_RETRY_ONCE,	/* may be lag between replicas; else invalid */
	PGSEAL_VERDICT_RELOGIN,		/* credential expired or revoked; else refused */
	PGSEAL_VERDICT_SKEWED,		/* our clock is off; else refused */
	PGSEAL_VERDICT_UNREACHABLE, /* final: TLS, or an answer that makes no
								 * sense */
	PGSEAL_VERDICT_REFUSED,
	PGSEAL_VERDICT_INVALID
} PgsealVerdict;

typedef enum PgsealKmsOpKind
{
	PGSEAL_KMS_OP_WRAP,
	PGSEAL_KMS_OP_UNWRAP,
	PGSEAL_KMS_OP_GENERATE,
	PGSEAL_KMS_OP_REWRAP,
	PGSEAL_KMS_OP_DESCRIBE
} PgsealKmsOpKind;

typedef struct PgsealKmsOp
{
	PgsealKmsOpKind kind;
	const PgsealKmsContext *context;	/* all but describe */
	const uint8 *secret;		/* wrap: PGSEAL_KEY_BYTES */
	const uint8 *wrapped;		/* unwrap, rewrap */
	size_t		wrapped_len;
	const char *master_key;		/* unwrap, rewrap */
} PgsealKmsOp;

/* What a reply holds, in secret memory of the current context */
typedef struct PgsealKmsReply
{
	uint8		secret[PGSEAL_KEY_BYTES];	/* unwrap, generate */
	uint8		wrapped[PGSEAL_WRAPPED_MAX_BYTES];	/* wrap, generate, rewrap */
	size_t		wrapped_len;
	char	   *master_key;		/* likewise; describe: the newest, or NULL */
	char	   *detail;			/* describe */
} PgsealKmsReply;

/* One operation on its way, with all its exchanges */
typedef struct PgsealKmsCall
{
	const PgsealKmsServer *server;
	PgsealKmsError *error;
	TimestampTz deadline;
	int64		now;			/* seconds since 1970, corrected by the KMS's
								 * clock */
	int64		server_time;	/* the KMS's, with its last reply; 0: unknown */
	List	   *bases;			/* of char *: addresses to try in turn, and
								 * the only ones that a 307 may lead to; NIL:
								 * none but the request's own */
} PgsealKmsCall;

/*
 * Looks at the status first.  Fills code, detail and hint of the error (the
 * transport has set the rest); its texts are cleaned later.
 */
typedef PgsealVerdict (*PgsealJudge) (void *out_result, PgsealKmsError *out_error,
									  const PgsealHttpResponse *response, const void *arg);

typedef struct PgsealRemoteProvider
{
	PgsealKmsProvider base;		/* first: the provider that registry.c knows */

	/* Servers that differ in these options only share a credential */
	const char *const *key_options; /* ends with NULL */

	/* Pure. */
	void		(*build) (PgsealHttpRequest *out_request, const PgsealKmsServer *server,
						  const PgsealKmsOp *op, const PgsealCredential *credential, int64 now);

	/* Pure.  As a PgsealJudge; out_reply is zeroed before. */
	PgsealVerdict (*read) (PgsealKmsReply *out_reply, PgsealKmsError *out_error,
						   const PgsealHttpResponse *response,
						   const PgsealKmsServer *server, const PgsealKmsOp *op);

	/*
	 * Gets a credential, by pgseal_kms_send() or from a file.  old: one to
	 * prolong if possible, or NULL.
	 */
	PgsealVerdict (*login) (PgsealCredential *out_credential, const PgsealCredential *old,
							PgsealKmsCall *call);

	/* NULL, or the addresses for PgsealKmsCall.bases */
	List	   *(*bases) (const PgsealKmsServer *server);
} PgsealRemoteProvider;

extern const PgsealRemoteProvider pgseal_kms_aws;
extern const PgsealRemoteProvider pgseal_kms_vault;
extern const PgsealRemoteProvider pgseal_kms_azure;
extern const PgsealRemoteProvider pgseal_kms_gcp;
extern const PgsealRemoteProvider pgseal_kms_kmip;

/* The operations of every remote provider, for its PgsealKmsProvider */
extern PgsealKmsStatus pgseal_remote_wrap(const PgsealKmsServer *server,
										  PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
										  const PgsealKmsContext *context,
										  const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize);
extern PgsealKmsStatus pgseal_remote_unwrap(const PgsealKmsServer *server,
											uint8 out_secret[PGSEAL_KEY_BYTES],
											PgsealKmsError *out_error,
											const PgsealKmsContext *context,
											const uint8 *wrapped, size_t wrapped_len,
											const char *master_key);
extern PgsealKmsStatus pgseal_remote_generate(const PgsealKmsServer *server,
											  uint8 out_secret[PGSEAL_KEY_BYTES],
											  PgsealKmsWrapped *out_wrapped,
											  PgsealKmsError *out_error,
											  const PgsealKmsContext *context);
extern PgsealKmsStatus pgseal_remote_rewrap(const PgsealKmsServer *server,
											PgsealKmsWrapped *out_wrapped,
											PgsealKmsError *out_error,
											const PgsealKmsContext *context,
											const uint8 *wrapped, size_t wrapped_len,
											const char *master_key);
extern PgsealKmsStatus pgseal_remote_describe(const PgsealKmsServer *server,
											  PgsealKmsDescription *out_description,
											  PgsealKmsError *out_error);

/*
 * Sends a request until judge() gives a verdict that isn't worth a retry or
 * the call's time is up.  May change the request's base.
 */
extern PgsealVerdict pgseal_kms_send(PgsealKmsCall *call, void *out_result,
									 PgsealHttpRequest *request,
									 PgsealJudge judge, const void *judge_arg);

/*
 * Helpers for builders and readers
 */

/* Fills code, detail and hint (each may be NULL), cut; returns the verdict. */
extern PgsealVerdict pgseal_kms_verdict(PgsealKmsError *out_error, PgsealVerdict verdict,
										const char *code, const char *detail, const char *hint);

/* A reply of status 200 that makes no sense */
extern PgsealVerdict pgseal_kms_verdict_malformed(PgsealKmsError *out_error);

/* A reply that is about another key than was asked for */
extern PgsealVerdict pgseal_kms_verdict_other_key(PgsealKmsError *out_error, const char *key);

/* 408, 429 and 5xx are worth a retry */
extern bool pgseal_kms_status_is_transient(int status);

/* TLS, proxy and plain-HTTP options that all remote providers take */
extern void pgseal_kms_request_init(PgsealHttpRequest *out_request, const PgsealKmsServer *server,
									const char *method, const char *base);

/* The options meant, for a provider's option table */
#define PGSEAL_REMOTE_OPTIONS \
	{"ca_file", false, NULL, pgseal_kms_check_path}, \
	{"client_cert_file", false, NULL, pgseal_kms_check_path}, \
	{"client_key_file", false, NULL, pgseal_kms_check_path}, \
	{"proxy", false, NULL, pgseal_kms_check_proxy}, \
	{"allow_http", false, NULL, pgseal_kms_check_bool}

/* Checks of option values: HV024, naming the option */
extern void pgseal_kms_check_path(const char *name, const char *value);
extern void pgseal_kms_check_proxy(const char *name, const char *value);
extern void pgseal_kms_check_bool(const char *name, const char *value);
extern void pgseal_kms_check_url(const char *name, const char *value);
extern void pgseal_kms_check_not_empty(const char *name, const char *value);
extern void pgseal_kms_check_choice(const char *name, const char *value, const char *const *choices);

/*
 * The check across options that all remote providers need: http:// only to
 * this machine, or with allow_http.  url_options ends with NULL.
 */
extern void pgseal_kms_check_plain_http(List *options, const char *const *url_options);

/* An option's value, or the default; the same for booleans */
extern const char *pgseal_kms_option_or(const PgsealKmsServer *server, const char *name,
										const char *default_value);
extern bool pgseal_kms_option_bool(const PgsealKmsServer *server, const char *name);

/* An option in a list of DefElem, or NULL */
extern const char *pgseal_kms_find_option(List *options, const char *name);

/*
 * {"pgseal_key":"payroll","pgseal_purpose":"data","pgseal_key_version":"42"}
 * in UTF-8: AWS encryption context, Google's AAD, Vault's context.  The same
 * context always gives the same bytes.
 */
extern char *pgseal_kms_context_json(const PgsealKmsContext *context);

/*
 * Reads a file of at most max_bytes into secret memory, without the white
 * space around it.  NULL: the error says why (code "file").
 */
extern char *pgseal_kms_read_secret_file(PgsealKmsError *out_error, const char *path, size_t max_bytes);

/* Copies into a field of a credential; false if it doesn't fit or is NULL */
extern bool pgseal_kms_set_field(char *out_field, size_t size, const char *value);

/* Sets refresh_at at two thirds of the life, expires_at at its end. */
extern void pgseal_kms_set_lifetime(PgsealCredential *credential, int64 now, int64 seconds);

#endif							/* PGSEAL_REMOTE_H */
