/*-------------------------------------------------------------------------
 *
 * error.c
 *	  From what a KMS answered to a message.
 *
 * What a remote service says (error codes, request ids, messages) is not trusted
 * to be printable; see pgseal_kms_fail().
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"

#include "kms/kms.h"

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

const char *
pgseal_kms_status_name(PgsealKmsStatus status)
{
	switch (status)
	{
		case PGSEAL_KMS_OK:
			return "ok";
		case PGSEAL_KMS_UNREACHABLE:
			return "unreachable";
		case PGSEAL_KMS_REFUSED:
			return "refused";
		case PGSEAL_KMS_INVALID:
			break;
	}
	return "invalid";
}
