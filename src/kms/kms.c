/*-------------------------------------------------------------------------
 *
 * kms.c
 *	  Which key management services there are, and what they have in common.
 *
 * A provider fills in PgsealKmsProvider and is listed in providers[]
 * here; nothing else knows which ones exist.  This file
 *
 *	- finds the provider of a foreign server and checks the server's options;
 *	- calls the provider, and makes up generate() and rewrap() where it has
 *	  none of its own;
 *	- turns a PgsealKmsError into a message.
 *
 * Secrets: a provider may throw an error at any time (query cancel, out of
 * memory), so every call that puts a secret somewhere is wrapped in PG_TRY and
 * wipes it.  What a remote service says (error codes, request ids, messages)
 * is not trusted to be printable; see pgseal_kms_fail().
 *
 * Options are stored in a catalog that everybody may read, are dumped, and
 * appear in the server's log with the statement.  So no option ever holds a
 * secret: the names under which a user would look for one are in the
 * provider's table with a hint at what to use instead.  Who tried it anyway
 * doesn't find the statement in the log because of the error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "foreign/foreign.h"
#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "base/compat.h"
#include "base/crypto.h"
#include "kms/counters.h"
#include "kms/kms.h"
#include "kms/remote.h"

static const PgsealKmsProvider *const providers[] = {
	&pgseal_kms_local,
	&pgseal_kms_aws.base,
	&pgseal_kms_vault.base,
	&pgseal_kms_azure.base,
	&pgseal_kms_gcp.base
};

/* How a failed operation is named in "could not ..." */
static const struct
{
	const char *operation;
	const char *phrase;
}			operation_phrases[] = {
	{"generate", "generate key"},
	{"wrap", "wrap key"},
	{"unwrap", "unwrap key"},
	{"rewrap", "rewrap key"},
	{"describe", "look up master key"},
	{"rotate", "rotate master key"},
	{"login", "log in"}
};

/* ---- servers and their options ---- */

const PgsealKmsProvider *
pgseal_kms_provider(const char *wrapper_name)
{
	for (int i = 0; i < lengthof(providers); i++)
	{
		if (strcmp(providers[i]->name, wrapper_name) == 0)
			return providers[i];
	}
	return NULL;
}

PgsealKmsServer *
pgseal_kms_server(const char *name, bool missing_ok)
{
	ForeignServer *foreign = GetForeignServerByName(name, missing_ok);
	ForeignDataWrapper *wrapper;
	PgsealKmsServer *server;

	if (foreign == NULL)
		return NULL;

	wrapper = GetForeignDataWrapper(foreign->fdwid);
	server = palloc0(sizeof(PgsealKmsServer));
	server->oid = foreign->serverid;
	server->name = foreign->servername;
	server->options = foreign->options;
	server->provider = pgseal_kms_provider(wrapper->fdwname);

	if (server->provider == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("foreign server \"%s\" does not stand for a master key", name),
				 errdetail("Its foreign-data wrapper \"%s\" is not one of pgseal's.",
						   wrapper->fdwname)));
	return server;
}

const char *
pgseal_kms_option(const PgsealKmsServer *server, const char *name)
{
	ListCell   *cell;

	foreach(cell, server->options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static char *
valid_option_names(const PgsealKmsProvider *provider)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const PgsealKmsOption *option = provider->options; option->name; option++)
	{
		if (option->refused_hint == NULL)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option->name);
	}
	return names.data;
}

static void
validate_option(const PgsealKmsProvider *provider, DefElem *def)
{
	const PgsealKmsOption *option = provider->options;

	while (option->name && strcmp(option->name, def->defname) != 0)
		option++;

	if (option->name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", def->defname),
				 errhint("Valid options of a server of foreign-data wrapper \"%s\" are: %s.",
						 provider->name, valid_option_names(provider))));
	if (option->refused_hint)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errhidestmt(true),
				 errmsg("option \"%s\" is refused because it would hold a secret", def->defname),
				 errdetail("Options of a server are stored and dumped in clear, and everyone can read them."),
				 errhint("%s", option->refused_hint)));
	if (option->check)
		option->check(def->defname, defGetString(def));
}

void
pgseal_kms_validate(const PgsealKmsProvider *provider, Datum options_array, Oid catalog)
{
	List	   *options = untransformRelOptions(options_array);
	ListCell   *cell;

	if (catalog != ForeignServerRelationId)
	{
		if (options != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errhidestmt(true),
					 errmsg("invalid option \"%s\"", linitial_node(DefElem, options)->defname),
					 errdetail("With foreign-data wrapper \"%s\" only a server takes options.",
							   provider->name),
					 errhint("Use CREATE SERVER or ALTER SERVER.")));
		return;
	}

	foreach(cell, options)
		validate_option(provider, lfirst_node(DefElem, cell));

	for (const PgsealKmsOption *option = provider->options; option->name; option++)
	{
		bool		found = false;

		if (!option->required)
			continue;
		foreach(cell, options)
			found |= strcmp(lfirst_node(DefElem, cell)->defname, option->name) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
					 errmsg("option \"%s\" is required by foreign-data wrapper \"%s\"",
							option->name, provider->name)));
	}

	if (provider->validate)
		provider->validate(options);
}

/* ---- operations ---- */

static void
begin(PgsealKmsTimer *out_timer, PgsealKmsError *out_error, const PgsealKmsServer *server,
	  const char *operation)
{
	memset(out_error, 0, sizeof(*out_error));
	pgseal_kms_stat_begin(out_timer, server, operation);
}

/* Names the operation in the error, unless the provider named its own */
static PgsealKmsStatus
finish(const PgsealKmsTimer *timer, PgsealKmsStatus status, PgsealKmsError *error)
{
	if (status == PGSEAL_KMS_OK)
		memset(error, 0, sizeof(*error));
	else if (error->operation[0] == '\0')
		strlcpy(error->operation, pgseal_kms_stat_operation(timer->operation),
				sizeof(error->operation));
	pgseal_kms_stat_end(timer, status, error);
	return status;
}

/* A provider must keep its promise on sizes: catalog and callers rely on it */
static PgsealKmsStatus
check_wrapped(PgsealKmsStatus status, const PgsealKmsWrapped *wrapped, PgsealKmsError *out_error)
{
	if (status == PGSEAL_KMS_OK && (wrapped->len == 0 || wrapped->len > PGSEAL_WRAPPED_MAX_BYTES))
		return pgseal_kms_fail(out_error, PGSEAL_KMS_INVALID, "wrapped_size",
							   psprintf("The wrapped key has %zu bytes, expected are 1 to %d.",
										wrapped->len, PGSEAL_WRAPPED_MAX_BYTES), NULL);
	return status;
}

PgsealKmsStatus
pgseal_kms_generate(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
					PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
					const PgsealKmsContext *context, bool may_initialize)
{
	PgsealKmsTimer timer;
	PgsealKmsStatus status;

	begin(&timer, out_error, server, "generate");
	PG_TRY();
	{
		if (server->provider->generate)
			status = server->provider->generate(server, out_secret, out_wrapped,
												out_error, context);
		else if (pgseal_random(out_secret, PGSEAL_KEY_BYTES))
			status = server->provider->wrap(server, out_wrapped, out_error, context,
											out_secret, may_initialize);
		else
			status = pgseal_kms_fail(out_error, PGSEAL_KMS_UNREACHABLE, "random",
									 "The random number generator failed.", NULL);
		status = check_wrapped(status, out_wrapped, out_error);
	}
	PG_CATCH();
	{
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (status != PGSEAL_KMS_OK)
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_wrap(const PgsealKmsServer *server,
				PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
				const PgsealKmsContext *context,
				const uint8 secret[PGSEAL_KEY_BYTES], bool may_initialize)
{
	PgsealKmsTimer timer;
	PgsealKmsStatus status;

	begin(&timer, out_error, server, "wrap");
	status = server->provider->wrap(server, out_wrapped, out_error, context, secret,
									may_initialize);
	status = check_wrapped(status, out_wrapped, out_error);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_unwrap(const PgsealKmsServer *server, uint8 out_secret[PGSEAL_KEY_BYTES],
				  PgsealKmsError *out_error, const PgsealKmsContext *context,
				  const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	PgsealKmsTimer timer;
	PgsealKmsStatus status;

	begin(&timer, out_error, server, "unwrap");
	PG_TRY();
	{
		status = server->provider->unwrap(server, out_secret, out_error, context,
										  wrapped, wrapped_len, master_key);
	}
	PG_CATCH();
	{
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
		PG_RE_THROW();
	}
	PG_END_TRY();

	if (status != PGSEAL_KMS_OK)
		pgseal_wipe(out_secret, PGSEAL_KEY_BYTES);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_rewrap(const PgsealKmsServer *server,
				  PgsealKmsWrapped *out_wrapped, PgsealKmsError *out_error,
				  const PgsealKmsContext *context,
				  const uint8 *wrapped, size_t wrapped_len, const char *master_key)
{
	const PgsealKmsProvider *provider = server->provider;
	PgsealKmsTimer timer;
	PgsealKmsStatus status;
	uint8		secret[PGSEAL_KEY_BYTES];

	begin(&timer, out_error, server, "rewrap");
	if (provider->rewrap &&
		(provider->can_rewrap == NULL || provider->can_rewrap(server, master_key)))
		status = provider->rewrap(server, out_wrapped, out_error, context,
								  wrapped, wrapped_len, master_key);
	else
	{
		PG_TRY();
		{
			status = provider->unwrap(server, secret, out_error, context,
									  wrapped, wrapped_len, master_key);
			if (status == PGSEAL_KMS_OK)
				status = provider->wrap(server, out_wrapped, out_error, context,
										secret, false);
		}
		PG_FINALLY();
		{
			pgseal_wipe(secret, sizeof(secret));
		}
		PG_END_TRY();
	}
	status = check_wrapped(status, out_wrapped, out_error);
	return finish(&timer, status, out_error);
}

PgsealKmsStatus
pgseal_kms_describe(const PgsealKmsServer *server, PgsealKmsDescription *out_description,
					PgsealKmsError *out_error)
{
	PgsealKmsTimer timer;

	begin(&timer, out_error, server, "describe");
	return finish(&timer, server->provider->describe(server, out_description, out_error),
				  out_error);
}

bool
pgseal_kms_is_uninitialized(const PgsealKmsServer *server)
{
	return server->provider->is_uninitialized && server->provider->is_uninitialized(server);
}

/* ---- errors ---- */

/* Copies text that may come from anywhere into a field of an error */
static void
copy_printable(char *field, size_t field_size, const char *text)
{
	size_t		len = strlen(text);
	bool		ascii_only;

	/* Cut in the middle of a character only what isn't valid anyway */
	if (len >= field_size)
		len = pg_mbcliplen(text, len, field_size - 1);
	ascii_only = !pg_verify_mbstr(GetDatabaseEncoding(), text, len, true);

	for (size_t i = 0; i < len; i++)
	{
		unsigned char c = text[i];

		field[i] = (c < 0x20 || c == 0x7F || (ascii_only && c > 0x7F)) ? '?' : c;
	}
	field[len] = '\0';
}

PgsealKmsStatus
pgseal_kms_fail(PgsealKmsError *out_error, PgsealKmsStatus status,
				const char *code, const char *detail, const char *hint)
{
	copy_printable(out_error->code, sizeof(out_error->code), code ? code : "");
	copy_printable(out_error->detail, sizeof(out_error->detail), detail ? detail : "");
	copy_printable(out_error->hint, sizeof(out_error->hint), hint ? hint : "");
	copy_printable(out_error->request_id, sizeof(out_error->request_id), out_error->request_id);
	return status;
}

static const char *
operation_phrase(const char *operation)
{
	for (int i = 0; i < lengthof(operation_phrases); i++)
	{
		if (strcmp(operation_phrases[i].operation, operation) == 0)
			return operation_phrases[i].phrase;
	}
	return operation;
}

/* Operation and what the service answered, as far as that is known */
static void
append_facts(StringInfo out, const PgsealKmsError *error)
{
	appendStringInfo(out, "operation \"%s\"", error->operation);
	if (error->http_status != 0)
		appendStringInfo(out, ", HTTP status %d", error->http_status);
	if (error->code[0] != '\0')
		appendStringInfo(out, ", code \"%s\"", error->code);
	if (error->request_id[0] != '\0')
		appendStringInfo(out, ", request id \"%s\"", error->request_id);
	appendStringInfoChar(out, '.');
	if (error->detail[0] != '\0')
		appendStringInfo(out, " %s", error->detail);
}

char *
pgseal_kms_error_text(const PgsealKmsError *error)
{
	StringInfoData text;

	initStringInfo(&text);
	append_facts(&text, error);
	text.data[0] = pg_toupper(text.data[0]);
	if (error->hint[0] != '\0')
		appendStringInfo(&text, " %s", error->hint);
	return text.data;
}

void
pgseal_kms_report(int elevel, PgsealKmsStatus status,
				  const char *provider_name, const char *server_name,
				  const PgsealKmsError *error)
{
	const char *phrase = operation_phrase(error->operation);
	StringInfoData detail;

	initStringInfo(&detail);
	appendStringInfo(&detail, "Provider \"%s\", server \"%s\", ", provider_name, server_name);
	append_facts(&detail, error);

	/*
	 * The statement isn't to blame, and may hold the plaintext that was to be
	 * sealed: keep it out of the log.
	 */
	ereport(elevel,
			(errcode(ERRCODE_SYSTEM_ERROR),
			 errhidestmt(true),
			 status == PGSEAL_KMS_UNREACHABLE ?
			 errmsg("could not %s: foreign server \"%s\" is not available", phrase, server_name) :
			 status == PGSEAL_KMS_REFUSED ?
			 errmsg("could not %s: foreign server \"%s\" refused", phrase, server_name) :
			 errmsg("could not %s: wrong or damaged key at foreign server \"%s\"",
					phrase, server_name),
			 errdetail_internal("%s", detail.data),
			 error->hint[0] != '\0' ? errhint("%s", error->hint) : 0));
	pfree(detail.data);
}
