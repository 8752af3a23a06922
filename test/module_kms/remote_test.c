/*-------------------------------------------------------------------------
 *
 * remote_test.c
 *	  The pure functions of the remote providers as SQL functions, for golden
 *	  files and fuzzing.
 *
 * Requests are shown with their secrets here, which pgseal itself never does.
 * Options are given as "name=value", a credential as {id, secret, token}.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "fmgr.h"
#include "nodes/makefuncs.h"
#include "utils/array.h"
#include "utils/builtins.h"

#include "kms/aws.h"
#include "base/compat.h"
#include "kms/kmip.h"
#include "kms/sigv4.h"
#include "kms/ttlv.h"

PG_FUNCTION_INFO_V1(remote_build);
PG_FUNCTION_INFO_V1(remote_body);
PG_FUNCTION_INFO_V1(remote_read);
PG_FUNCTION_INFO_V1(ttlv_lines);
PG_FUNCTION_INFO_V1(sigv4_steps);
PG_FUNCTION_INFO_V1(aws_build_login);
PG_FUNCTION_INFO_V1(aws_read_login);
PG_FUNCTION_INFO_V1(aws_profile);
PG_FUNCTION_INFO_V1(json_member);
PG_FUNCTION_INFO_V1(parse_http_date);

static const char *const verdicts[] = {"ok", "retry", "retry once", "relogin", "skewed",
"unreachable", "refused", "invalid"};

static char *
text_arg(FunctionCallInfo fcinfo, int n)
{
	return text_to_cstring(PG_GETARG_TEXT_PP(n));
}

static int
texts(char ***out_texts, Datum array)
{
	Datum	   *elements;
	int			num;

	deconstruct_array(DatumGetArrayTypeP(array), TEXTOID, -1, false, TYPALIGN_INT,
					  &elements, NULL, &num);
	*out_texts = palloc((num + 1) * sizeof(char *));
	for (int i = 0; i < num; i++)
		(*out_texts)[i] = TextDatumGetCString(elements[i]);
	return num;
}

static PgsealKmsServer *
make_server(const char *provider, Datum options)
{
	PgsealKmsServer *server = palloc0(sizeof(PgsealKmsServer));
	char	  **pairs;
	int			num = texts(&pairs, options);

	server->name = "pii";
	server->provider = pgseal_kms_provider(provider);
	if (server->provider == NULL)
		elog(ERROR, "no provider %s", provider);
	for (int i = 0; i < num; i++)
	{
		char	   *equals = strchr(pairs[i], '=');

		*equals = '\0';
		server->options = lappend(server->options,
								  makeDefElem(pairs[i], (Node *) makeString(equals + 1), -1));
	}
	return server;
}

static PgsealCredential *
make_credential(Datum array)
{
	PgsealCredential *credential = pgseal_secmem_alloc(sizeof(PgsealCredential));
	char	  **parts;

	if (texts(&parts, array) != 3 ||
		!pgseal_kms_set_field(credential->id, sizeof(credential->id), parts[0]) ||
		!pgseal_kms_set_field(credential->secret, sizeof(credential->secret), parts[1]) ||
		!pgseal_kms_set_field(credential->token, sizeof(credential->token), parts[2]))
		elog(ERROR, "bad credential");
	return credential;
}

static PgsealKmsOpKind
operation(const char *name)
{
	static const char *const names[] = {"wrap", "unwrap", "generate", "rewrap", "describe"};

	for (int i = 0; i < lengthof(names); i++)
	{
		if (strcmp(names[i], name) == 0)
			return (PgsealKmsOpKind) i;
	}
	elog(ERROR, "no operation %s", name);
}

static Datum
show_request(const PgsealHttpRequest *request)
{
	StringInfoData out;

	initStringInfo(&out);
	appendStringInfo(&out, "%s %s%s\n", request->method, request->base, request->path);
	for (int i = 0; i < request->num_headers; i++)
		appendStringInfo(&out, "%s%s: %s\n", request->headers[i].secret ? "!" : "",
						 request->headers[i].name, request->headers[i].value);
	if (request->body.data)
		appendStringInfo(&out, "\n%s\n", request->body.data);
	return CStringGetTextDatum(out.data);
}

Datum
remote_build(PG_FUNCTION_ARGS)
{
	PgsealKmsServer *server = make_server(text_arg(fcinfo, 0), PG_GETARG_DATUM(1));
	PgsealKmsContext context = {text_arg(fcinfo, 5), text_arg(fcinfo, 6), PG_GETARG_INT64(7)};
	bytea	   *bytes = PG_GETARG_BYTEA_PP(8);
	PgsealKmsOp op = {operation(text_arg(fcinfo, 2)), &context, (uint8 *) VARDATA_ANY(bytes),
		(uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), text_arg(fcinfo, 9)};
	PgsealHttpRequest request;

	((const PgsealRemoteProvider *) server->provider)->build(&request, server, &op,
															 make_credential(PG_GETARG_DATUM(3)),
															 PG_GETARG_INT64(4));
	PG_RETURN_DATUM(show_request(&request));
}

/* The body alone, as bytes; of kmip also "locate", which its login asks */
Datum
remote_body(PG_FUNCTION_ARGS)
{
	PgsealKmsServer *server = make_server(text_arg(fcinfo, 0), PG_GETARG_DATUM(1));
	char	   *name = text_arg(fcinfo, 2);
	PgsealCredential *credential = make_credential(PG_GETARG_DATUM(3));
	PgsealKmsContext context = {text_arg(fcinfo, 4), text_arg(fcinfo, 5), PG_GETARG_INT64(6)};
	bytea	   *bytes = PG_GETARG_BYTEA_PP(7);
	PgsealHttpRequest request;
	bytea	   *body;

	if (strcmp(name, "locate") == 0)
		pgseal_kmip_build_locate(&request, server, credential->secret);
	else
	{
		PgsealKmsOp op = {operation(name), &context, (uint8 *) VARDATA_ANY(bytes),
		(uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes), text_arg(fcinfo, 8)};

		((const PgsealRemoteProvider *) server->provider)->build(&request, server, &op, credential, 0);
	}
	body = palloc(VARHDRSZ + request.body.len);
	SET_VARSIZE(body, VARHDRSZ + request.body.len);
	memcpy(VARDATA(body), request.body.data, request.body.len);
	PG_RETURN_BYTEA_P(body);
}

static void
show_ttlv(StringInfo out, const PgsealTtlv *structure, int depth)
{
	PgsealTtlv	item;
	size_t		position = 0;

	while (pgseal_ttlv_next(&item, structure, &position))
	{
		appendStringInfo(out, "%*s%06X %02X ", 2 * depth, "", item.tag, item.type);
		for (size_t i = 0; item.type != 1 && i < item.len; i++)
			appendStringInfo(out, "%02x", item.value[i]);
		appendStringInfoChar(out, '\n');
		show_ttlv(out, &item, depth + 1);
	}
}

/* A line for each item: tag, type, value; what is in a structure is indented */
Datum
ttlv_lines(PG_FUNCTION_ARGS)
{
	bytea	   *bytes = PG_GETARG_BYTEA_PP(0);
	PgsealTtlv	message;
	StringInfoData out;

	if (!pgseal_ttlv_parse(&message, (uint8 *) VARDATA_ANY(bytes), VARSIZE_ANY_EXHDR(bytes)))
		elog(ERROR, "not a message");
	initStringInfo(&out);
	appendStringInfo(&out, "%06X %02X\n", message.tag, message.type);
	show_ttlv(&out, &message, 1);
	PG_RETURN_TEXT_P(cstring_to_text_with_len(out.data, out.len - 1));
}

/* headers: lines; as http.c leaves them */
static PgsealHttpResponse *
make_response(int status, char *headers, bytea *body)
{
	PgsealHttpResponse *response = palloc0(sizeof(PgsealHttpResponse));
	size_t		len = strlen(headers);

	response->status = status;
	response->headers = palloc0(len + 2);
	memcpy(response->headers, headers, len);
	for (size_t i = 0; i < len; i++)
	{
		if (response->headers[i] == '\n')
			response->headers[i] = '\0';
	}
	response->body_len = VARSIZE_ANY_EXHDR(body);
	response->body = pgseal_secmem_copy(VARDATA_ANY(body), response->body_len);
	return response;
}

static void
show_verdict(StringInfo out, PgsealVerdict verdict, const PgsealKmsError *error)
{
	appendStringInfo(out, "%s", verdicts[verdict]);
	if (verdict != PGSEAL_VERDICT_OK)
		appendStringInfo(out, "|%s|%s|%s", error->code, error->detail, error->hint);
}

static void
show_hex(StringInfo out, const uint8 *bytes, size_t len)
{
	appendStringInfoChar(out, '|');
	for (size_t i = 0; i < len; i++)
		appendStringInfo(out, "%02x", bytes[i]);
}

Datum
remote_read(PG_FUNCTION_ARGS)
{
	PgsealKmsServer *server = make_server(text_arg(fcinfo, 0), PG_GETARG_DATUM(1));
	PgsealKmsContext context = {"payroll", "data", 42};
	PgsealKmsOp op = {operation(text_arg(fcinfo, 2)), &context, NULL, NULL, 0, text_arg(fcinfo, 3)};
	PgsealKmsReply *reply = pgseal_secmem_alloc(sizeof(PgsealKmsReply));
	PgsealKmsError error = {0};
	PgsealVerdict verdict;
	StringInfoData out;

	verdict = ((const PgsealRemoteProvider *) server->provider)->read(reply, &error,
																	  make_response(PG_GETARG_INT32(4), text_arg(fcinfo, 5),
																					PG_GETARG_BYTEA_PP(6)),
																	  server, &op);
	initStringInfo(&out);
	show_verdict(&out, verdict, &error);
	if (verdict == PGSEAL_VERDICT_OK)
	{
		if (op.kind == PGSEAL_KMS_OP_UNWRAP || op.kind == PGSEAL_KMS_OP_GENERATE)
			show_hex(&out, reply->secret, PGSEAL_KEY_BYTES);
		if (reply->wrapped_len > 0)
			show_hex(&out, reply->wrapped, reply->wrapped_len);
		appendStringInfo(&out, "|%s|%s", reply->master_key ? reply->master_key : "",
						 reply->detail ? reply->detail : "");
	}
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

/*
 * request: as in AWS's test suite: request line, "Name:value" lines (those that
 * begin with a space continue the one before), an empty line, the body.
 */
Datum
sigv4_steps(PG_FUNCTION_ARGS)
{
	char	   *text = text_arg(fcinfo, 0);
	PgsealSigV4Scope scope = {.region = text_arg(fcinfo, 1), .service = text_arg(fcinfo, 2)};
	PgsealCredential *credential = make_credential(PG_GETARG_DATUM(4));
	PgsealHttpRequest request = {.base = "https://example.amazonaws.com"};
	char	   *body = strstr(text, "\n\n");
	char	   *line_end;
	Datum		steps[3];
	char	   *canonical;

	if (body)
	{
		*body = '\0';
		pgseal_secmem_init(&request.body);
		pgseal_secmem_append(&request.body, body + 2);
	}
	line_end = strchrnul(text, '\n');
	request.method = pnstrdup(text, strcspn(text, " "));
	text += strlen(request.method) + 1;
	*strstr(text, " HTTP/1.1") = '\0';
	request.path = text;
	while (*line_end || line_end < body)
	{
		char	   *line = line_end + 1;

		line_end = strchrnul(line, '\n');
		if (line[0] == ' ')
		{
			PgsealHttpHeader *header = &request.headers[request.num_headers - 1];

			pgseal_http_add_header(&request, header->name, pnstrdup(line, line_end - line));
		}
		else
		{
			size_t		name_len = strcspn(line, ":");

			pgseal_http_add_header(&request, pnstrdup(line, name_len),
								   pnstrdup(line + name_len + 1, line_end - line - name_len - 1));
		}
		if (*line_end == '\0')
			break;
	}
	pgseal_sigv4_set_time(&scope, PG_GETARG_INT64(3));
	canonical = pgseal_sigv4_canonical_request(&request);
	steps[0] = CStringGetTextDatum(canonical);
	steps[1] = CStringGetTextDatum(pgseal_sigv4_string_to_sign(canonical, &scope));
	steps[2] = CStringGetTextDatum(pgseal_sigv4_authorization(&request, credential, &scope));
	PG_RETURN_ARRAYTYPE_P(construct_array(steps, 3, TEXTOID, -1, false, TYPALIGN_INT));
}

Datum
aws_build_login(PG_FUNCTION_ARGS)
{
	PgsealKmsServer *server = make_server("aws_kms", PG_GETARG_DATUM(1));
	PgsealCredential *credential = make_credential(PG_GETARG_DATUM(2));
	PgsealHttpRequest request;

	if (strcmp(text_arg(fcinfo, 0), "assume_role") == 0)
		pgseal_aws_build_assume_role(&request, server, credential, PG_GETARG_INT64(3));
	else
		pgseal_aws_build_web_identity(&request, server, text_arg(fcinfo, 4), credential->token);
	PG_RETURN_DATUM(show_request(&request));
}

static void
show_credential(StringInfo out, const PgsealCredential *credential)
{
	appendStringInfo(out, "|%s|%s|%s|" INT64_FORMAT "|" INT64_FORMAT, credential->id,
					 credential->secret, credential->token, credential->refresh_at,
					 credential->expires_at);
}

Datum
aws_read_login(PG_FUNCTION_ARGS)
{
	PgsealCredential *credential = pgseal_secmem_alloc(sizeof(PgsealCredential));
	PgsealHttpResponse *response = make_response(PG_GETARG_INT32(1), "", PG_GETARG_BYTEA_PP(2));
	int64		now = PG_GETARG_INT64(3);
	PgsealKmsError error = {0};
	PgsealVerdict verdict;
	StringInfoData out;

	verdict = strcmp(text_arg(fcinfo, 0), "sts") == 0 ?
		pgseal_aws_read_sts(credential, &error, response, &now) :
		pgseal_aws_read_metadata(credential, &error, response, &now);
	initStringInfo(&out);
	show_verdict(&out, verdict, &error);
	if (verdict == PGSEAL_VERDICT_OK)
		show_credential(&out, credential);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

Datum
aws_profile(PG_FUNCTION_ARGS)
{
	PgsealCredential *credential = pgseal_secmem_alloc(sizeof(PgsealCredential));
	StringInfoData out;

	initStringInfo(&out);
	if (pgseal_aws_read_profile(credential, text_arg(fcinfo, 0), text_arg(fcinfo, 1),
								PG_GETARG_BOOL(2)))
		appendStringInfo(&out, "%s|%s|%s", credential->id, credential->secret, credential->token);
	PG_RETURN_TEXT_P(cstring_to_text(out.data));
}

Datum
json_member(PG_FUNCTION_ARGS)
{
	bytea	   *document = PG_GETARG_BYTEA_PP(0);
	size_t		len = VARSIZE_ANY_EXHDR(document);
	char	   *copy = pgseal_secmem_copy(VARDATA_ANY(document), len);
	char	   *path = text_arg(fcinfo, 1);
	PgsealJson *json = pgseal_json_parse(copy, len);
	const char *string;
	int64		number;

	if (json == NULL)
		PG_RETURN_TEXT_P(cstring_to_text("(not json)"));
	string = pgseal_json_string(json, path);
	if (string)
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("string %s", string)));
	if (pgseal_json_int64(json, path, &number))
		PG_RETURN_TEXT_P(cstring_to_text(psprintf("number " INT64_FORMAT, number)));
	PG_RETURN_TEXT_P(cstring_to_text(pgseal_json_true(json, path) ? "true" : "(nothing)"));
}

Datum
parse_http_date(PG_FUNCTION_ARGS)
{
	PG_RETURN_INT64(pgseal_http_parse_date(text_arg(fcinfo, 0)));
}
