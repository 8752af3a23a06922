/*-------------------------------------------------------------------------
 *
 * io.c
 *	  The encrypted types: input, output, and the casts.
 *
 * All encrypted types share these functions; which one is meant is read from
 * the signature of the SQL function once per call site (fn_extra).
 *
 * A type's own text and binary form is the sealed value.  Plaintext goes in
 * through the input function and the cast from the base type, and comes out
 * through nothing but the cast to the base type.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "fmgr.h"
#include "libpq/pqformat.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#include "base/compat.h"
#include "base/settings.h"
#include "type/constraint_caller.h"
#include "type/handed_back.h"
#include "type/sealed_input.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_in);
PG_FUNCTION_INFO_V1(pgseal_out);
PG_FUNCTION_INFO_V1(pgseal_recv);
PG_FUNCTION_INFO_V1(pgseal_send);
PG_FUNCTION_INFO_V1(pgseal_seal_cast);
PG_FUNCTION_INFO_V1(pgseal_reseal_cast);
PG_FUNCTION_INFO_V1(pgseal_open);
PG_FUNCTION_INFO_V1(pgseal_try_open);

static const PgsealType *
require_type(Oid oid)
{
	const PgsealType *type = pgseal_type_by_oid(oid);

	if (type == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("type with OID %u is not an encrypted type", oid)));
	return type;
}

static const PgsealType *
remember_type(FunctionCallInfo fcinfo, Oid oid)
{
	fcinfo->flinfo->fn_extra = (void *) require_type(oid);
	return fcinfo->flinfo->fn_extra;
}

/* The encrypted type that the function takes as its first argument */
static inline const PgsealType *
argument_type(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
	{
		Oid		   *arguments;
		int			num_arguments;

		get_func_signature(fcinfo->flinfo->fn_oid, &arguments, &num_arguments);
		return remember_type(fcinfo, arguments[0]);
	}
	return fcinfo->flinfo->fn_extra;
}

/* The encrypted type that the function returns */
static inline const PgsealType *
result_type(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		return remember_type(fcinfo, get_func_rettype(fcinfo->flinfo->fn_oid));
	return fcinfo->flinfo->fn_extra;
}

/* Input and receive functions are told their type as an argument */
static inline const PgsealType *
input_type(FunctionCallInfo fcinfo)
{
	if (fcinfo->flinfo->fn_extra == NULL)
		return remember_type(fcinfo, PG_GETARG_OID(1));
	return fcinfo->flinfo->fn_extra;
}

/* The sealed value that a text form holds; NULL if escontext took an error */
static struct varlena *
sealed_from_text(const PgsealType *type, const char *text, Node *escontext)
{
	struct varlena *sealed = palloc(VARHDRSZ + strlen(text));
	int			len = pgseal_envelope_from_text((uint8 *) VARDATA(sealed), text);

	/* No detail: what looks like a sealed value may be a botched secret */
	if (len < 0)
		pgseal_ereturn(escontext, NULL,
					   (errcode(ERRCODE_INVALID_TEXT_REPRESENTATION),
						errmsg("malformed sealed value"),
						errhint("Text that begins with \"%s\" is taken for a sealed value.",
								PGSEAL_TEXT_PREFIX)));
	SET_VARSIZE(sealed, VARHDRSZ + len);
	return pgseal_value_check(type, (uint8 *) VARDATA(sealed), len,
							  ERRCODE_INVALID_TEXT_REPRESENTATION, escontext) ? sealed : NULL;
}

/*
 * The base type's input function, whose errors repeat the value.  Ours doesn't,
 * nor does the log repeat the statement.  False if escontext took an error.
 */
static bool
base_input(const PgsealType *type, char *text, Node *escontext, Datum *out_value)
{
	int			sqlstate = pgseal_call_input((FmgrInfo *) &type->input, text,
											 type->input_param, out_value);

	if (sqlstate != 0)
		pgseal_ereturn(escontext, false,
					   (errcode(sqlstate),
						errmsg("invalid input for type encrypted_%s", type->base->name),
						errhidestmt(true)));
	return true;
}

/* Is the text the sealed form of a value, whatever its type? */
static bool
is_sealed_value(const char *text)
{
	uint8	   *bytes = palloc(strlen(text) + 1);
	int			len = pgseal_envelope_from_text(bytes, text);
	PgsealEnvelope envelope;
	bool		sealed = len >= 0 &&
		pgseal_envelope_parse(&envelope, bytes, len) == PGSEAL_ENVELOPE_OK;

	pfree(bytes);
	return sealed;
}

/* What pgseal_in() makes of a sealed form; NULL if escontext took an error */
static struct varlena *
take_sealed(const PgsealType *type, char *text, int32 typmod, PgsealInputSource source,
			Node *escontext)
{
	struct varlena *sealed = sealed_from_text(type, text, escontext);

	if (sealed != NULL && pgseal_handed_is(sealed))
		source.taken = source.restores = true;
	if (sealed == NULL || !pgseal_sealed_input_check(source, type, sealed, escontext))
		return NULL;
	return pgseal_value_reseal(type, sealed, typmod);
}

/* What pgseal_in() makes of plaintext; NULL if escontext took an error */
static struct varlena *
seal_plaintext(const PgsealType *type, char *text, int32 typmod, Node *escontext)
{
	Datum		value;

	if (type->base->payload == PGSEAL_PAYLOAD_TEXT)
		return pgseal_value_seal_chars(type, text, strlen(text), typmod);
	return base_input(type, text, escontext, &value) ?
		pgseal_value_seal(type, value, typmod) : NULL;
}

/* pgseal_in(cstring, type oid, typmod): plaintext, or the sealed text form */
Datum
pgseal_in(PG_FUNCTION_ARGS)
{
	const PgsealType *type = input_type(fcinfo);
	ErrorContextCallback *saved_context = error_context_stack;
	char	   *text = PG_GETARG_CSTRING(0);
	int32		typmod = PG_GETARG_INT32(2);
	PgsealInputSource source = {false, false};
	bool		claimed = pgseal_envelope_is_text(text);
	struct varlena *sealed;

	pgseal_sealed_input_begin();
	if (claimed)
		source = pgseal_sealed_input_source(fcinfo->flinfo);

	/* COPY would add the value to the context of an error */
	error_context_stack = NULL;
	/* Where it isn't taken, what only begins like one is just text */
	if (claimed && (source.taken || is_sealed_value(text)))
		sealed = take_sealed(type, text, typmod, source, fcinfo->context);
	else
		sealed = seal_plaintext(type, text, typmod, fcinfo->context);
	error_context_stack = saved_context;
	if (sealed == NULL)
		PG_RETURN_NULL();
	PG_RETURN_POINTER(sealed);
}

/* The sealed text form, whatever the type */
Datum
pgseal_out(PG_FUNCTION_ARGS)
{
	struct varlena *sealed = PG_GETARG_VARLENA_PP(0);
	size_t		len = VARSIZE_ANY_EXHDR(sealed);
	size_t		text_size = pgseal_envelope_text_size(len);
	char	   *text;

	if (!AllocSizeIsValid(text_size))
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("sealed value is too large for its text form"),
				 errhint("Use the binary format.")));
	text = palloc(text_size);
	pgseal_envelope_to_text(text, (uint8 *) VARDATA_ANY(sealed), len);
	pgseal_handed_note(sealed);
	PG_RETURN_CSTRING(text);
}

/* The base type's receive function, whose errors may repeat the value; 0 or an SQLSTATE */
static int
call_receive(const PgsealType *type, StringInfo bytes, Datum *out_value)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int sqlstate = 0;

	PG_TRY();
	{
		*out_value = ReceiveFunctionCall((FmgrInfo *) &type->receive, bytes,
										 type->input_param, -1);
		if (bytes->cursor != bytes->len)
			sqlstate = ERRCODE_INVALID_BINARY_REPRESENTATION;
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		/* Too few bytes are what pqformat.c calls a violation of the protocol */
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION &&
			error->sqlerrcode != ERRCODE_PROTOCOL_VIOLATION)
			PG_RE_THROW();
		FlushErrorState();
		sqlstate = ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_DATA_EXCEPTION ?
			error->sqlerrcode : ERRCODE_INVALID_BINARY_REPRESENTATION;
		FreeErrorData(error);
	}
	PG_END_TRY();
	return sqlstate;
}

/* Is the value of a key version that is known here, or was? */
static bool
is_of_known_key(int64 key_version_id)
{
	const PgsealKeyInfo *info = pgseal_keyring_info(key_version_id);

	return info->known || info->lost || info->ephemeral;
}

/*
 * Bytes are a sealed value or the binary form of the base type, as what loads plain
 * values in bulk sends them.  A sealed value shows by its header, if that names a
 * key version which is known; else what the base type doesn't take for one of its
 * own may be one.  In between are bytes of any kind that happen to begin like a
 * sealed value of this type: they are neither.
 */
typedef enum BinaryForm
{
	FORM_SEALED,
	FORM_PLAIN,					/* out_value is the value */
	FORM_INVALID,				/* for the base type: out_sqlstate; and it is
								 * not sealed */
	FORM_DOUBTFUL
} BinaryForm;

static BinaryForm
binary_form(const PgsealType *type, StringInfo bytes, Datum *out_value, int *out_sqlstate)
{
	const uint8 *start = (const uint8 *) bytes->data;
	size_t		len = bytes->len;
	PgsealEnvelope envelope;
	PgsealEnvelopeStatus status = pgseal_envelope_parse(&envelope, start, len);
	bool		begins_like_one = len >= PGSEAL_ENVELOPE_OVERHEAD &&
		start[0] == PGSEAL_ENVELOPE_FORMAT;

	if (status == PGSEAL_ENVELOPE_OK && is_of_known_key(envelope.key_version_id))
		return FORM_SEALED;
	*out_sqlstate = call_receive(type, bytes, out_value);
	if (*out_sqlstate != 0)
		return begins_like_one ? FORM_SEALED : FORM_INVALID;
	if (status == PGSEAL_ENVELOPE_OK && envelope.type_code == type->base->code)
		return FORM_DOUBTFUL;
	return FORM_PLAIN;
}

/* What pgseal_recv() makes of an envelope's bytes */
static struct varlena *
take_sealed_bytes(const PgsealType *type, StringInfo bytes, int32 typmod, PgsealInputSource source)
{
	struct varlena *sealed = palloc(VARHDRSZ + bytes->len);

	SET_VARSIZE(sealed, VARHDRSZ + bytes->len);
	memcpy(VARDATA(sealed), bytes->data, bytes->len);
	(void) pgseal_value_check(type, (uint8 *) VARDATA(sealed), bytes->len,
							  ERRCODE_INVALID_BINARY_REPRESENTATION, NULL);
	(void) pgseal_sealed_input_check(source, type, sealed, NULL);
	return pgseal_value_reseal(type, sealed, typmod);
}

/* pgseal_recv(internal, type oid, typmod): the envelope, or the base type's binary form */
Datum
pgseal_recv(PG_FUNCTION_ARGS)
{
	StringInfo	buf = (StringInfo) PG_GETARG_POINTER(0);
	const PgsealType *type = input_type(fcinfo);
	int32		typmod = PG_GETARG_INT32(2);
	PgsealInputSource source = pgseal_sealed_input_source(fcinfo->flinfo);
	StringInfoData bytes;
	Datum		value = (Datum) 0;
	int			sqlstate = 0;
	BinaryForm	form;

	pgseal_sealed_input_begin();
	initStringInfo(&bytes);
	appendBinaryStringInfo(&bytes, pq_getmsgbytes(buf, buf->len - buf->cursor),
						   buf->len - buf->cursor);
	form = binary_form(type, &bytes, &value, &sqlstate);
	/* A subscriber needs no keys to take what its publisher has */
	if (form == FORM_DOUBTFUL &&
		(pgseal_sealed_input == PGSEAL_SEALED_INPUT_ON || source.replicated))
		form = FORM_SEALED;
	switch (form)
	{
		case FORM_SEALED:
			PG_RETURN_POINTER(take_sealed_bytes(type, &bytes, typmod, source));
		case FORM_PLAIN:
			PG_RETURN_POINTER(pgseal_value_seal(type, value, typmod));
		case FORM_INVALID:
			ereport(ERROR,
					(errcode(sqlstate),
					 errmsg("invalid binary input for type encrypted_%s", type->base->name),
					 errhint("It is neither a sealed value nor the binary form of type %s.",
							 format_type_be(type->base->oid)),
					 errhidestmt(true)));
			break;
		case FORM_DOUBTFUL:
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_BINARY_REPRESENTATION),
					 errmsg("binary input for type encrypted_%s begins like a sealed value of a key version that is not known",
							type->base->name),
					 errhint("Send a plain value in text form.  For a sealed one, restore its key first or set pgseal.sealed_input to on."),
					 errhidestmt(true)));
			break;
	}
	PG_RETURN_NULL();
}

Datum
pgseal_send(PG_FUNCTION_ARGS)
{
	PG_RETURN_BYTEA_P(PG_GETARG_BYTEA_P_COPY(0));
}

/* base type, typmod, is explicit → encrypted type */
Datum
pgseal_seal_cast(PG_FUNCTION_ARGS)
{
	const PgsealType *type = result_type(fcinfo);

	PG_RETURN_POINTER(pgseal_value_seal(type, PG_GETARG_DATUM(0), PG_GETARG_INT32(1)));
}

/* encrypted type, typmod, is explicit → encrypted type, under the typmod's key */
Datum
pgseal_reseal_cast(PG_FUNCTION_ARGS)
{
	const PgsealType *type = result_type(fcinfo);
	struct varlena *sealed = (struct varlena *) PG_GETARG_POINTER(0);

	pgseal_value_check_known(PointerGetDatum(sealed), PG_GETARG_INT32(1));
	PG_RETURN_POINTER(pgseal_value_reseal(type, sealed, PG_GETARG_INT32(1)));
}

/* What a call site that opens values knows */
typedef struct Opening
{
	const PgsealType *type;
	PgsealConstraint constraint;
} Opening;

static Opening *
learn_opening(FunctionCallInfo fcinfo)
{
	Opening    *opening = MemoryContextAlloc(fcinfo->flinfo->fn_mcxt, sizeof(Opening));

	opening->type = argument_type(fcinfo);
	opening->constraint = pgseal_constraint_caller(fcinfo->flinfo);
	fcinfo->flinfo->fn_extra = opening;
	return opening;
}

/* encrypted type → base type */
Datum
pgseal_open(PG_FUNCTION_ARGS)
{
	Opening    *opening = fcinfo->flinfo->fn_extra;
	bool		isnull;
	Datum		value;

	if (opening == NULL)
		opening = learn_opening(fcinfo);
	value = pgseal_open_for_constraint(opening->type, PG_GETARG_DATUM(0), opening->constraint,
									   &isnull);
	if (isnull)
		PG_RETURN_NULL();
	return value;
}

/*
 * encrypted type → base type; NULL where a value can't be opened because its
 * key is gone or may not be used.  A value that was tampered with is an error
 * here, too.
 */
Datum
pgseal_try_open(PG_FUNCTION_ARGS)
{
	const PgsealType *type = argument_type(fcinfo);
	PgsealEnvelope envelope;
	const PgsealKeyInfo *info;
	bool		isnull;
	Datum		value;

	if (!pgseal_value_try_header(&envelope, PG_GETARG_DATUM(0)))
		PG_RETURN_NULL();
	info = pgseal_keyring_info(envelope.key_version_id);
	if (!info->ephemeral &&
		((!info->known && !info->lost) || info->destroyed ||
		 info->purpose != PGSEAL_PURPOSE_DATA || !OidIsValid(info->server) ||
		 pgseal_server_aclcheck(info->server, GetUserId(), ACL_USAGE) != ACLCHECK_OK))
		PG_RETURN_NULL();
	/* Another type's, or damaged */
	if (!info->ephemeral && !pgseal_value_is_sound(type, PG_GETARG_DATUM(0)))
		PG_RETURN_NULL();
	value = pgseal_value_open(type, PG_GETARG_DATUM(0), PGSEAL_ACCESS_CHECKED, &isnull);
	if (isnull)
		PG_RETURN_NULL();
	return value;
}
