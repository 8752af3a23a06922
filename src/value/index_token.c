/*-------------------------------------------------------------------------
 *
 * index_token.c
 *	  Blind index tokens: deterministic, keyed stand-ins for plaintexts.
 *
 * token = version byte || first bits of HMAC-SHA-256(index key,
 *		   type code || length of normalizer || normalizer || canonical value)
 *
 * The version byte is the number of the index key version: while an index key
 * is replaced, tokens of both versions can be told apart and searched for.
 * The other 15 bytes make an accidental collision as unlikely as in 2^60
 * values.  The normalizer is part of the input, so that two indexes on one
 * column don't reveal more together than each by itself.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include <ctype.h>

#include "catalog/pg_collation.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/formatting.h"

#include "base/compat.h"
#include "value/index_token.h"

/* Its length is one byte of what is hashed */
#define NORMALIZER_MAX			255

/*
 * Normalizers.  Each changes characters in the server's encoding in place, or
 * returns a new string.
 */

static char *
keep_digits(char *string)
{
	char	   *out = string;

	for (char *in = string; *in != '\0'; in++)
		if (*in >= '0' && *in <= '9')
			*out++ = *in;
	*out = '\0';
	return string;
}

static char *
trim_blanks(char *string)
{
	size_t		len;

	while (*string == ' ')
		string++;
	len = strlen(string);
	while (len > 0 && string[len - 1] == ' ')
		len--;
	string[len] = '\0';
	return string;
}

static char *
keep_prefix(char *string, int chars)
{
	string[pg_mbcharcliplen(string, strlen(string), chars)] = '\0';
	return string;
}

static char *
keep_suffix(char *string, int chars)
{
	int			excess = pg_mbstrlen(string) - chars;

	return excess > 0 ? string + pg_mbcharcliplen(string, strlen(string), excess) : string;
}

/* The n of "prefix:n", or -1 when the name isn't that */
static int
parse_count(const char *name, const char *prefix)
{
	size_t		prefix_len = strlen(prefix);
	long		count;
	char	   *end;

	if (strncmp(name, prefix, prefix_len) != 0 || !isdigit((unsigned char) name[prefix_len]))
		return -1;
	count = strtol(name + prefix_len, &end, 10);
	return *end == '\0' && count > 0 && count <= 1000000 ? (int) count : -1;
}

static char *
apply_normalizer(char *string, const char *name, Oid collation)
{
	int			count;

	if (strcmp(name, "lower") == 0)
		return str_tolower(string, strlen(string),
						   OidIsValid(collation) ? collation : DEFAULT_COLLATION_OID);
	if (strcmp(name, "trim") == 0)
		return trim_blanks(string);
	if (strcmp(name, "digits") == 0)
		return keep_digits(string);
	if ((count = parse_count(name, "prefix:")) > 0)
		return keep_prefix(string, count);
	if ((count = parse_count(name, "suffix:")) > 0)
		return keep_suffix(string, count);
	elog(ERROR, "a normalizer is unknown");
	return NULL;				/* not reached */
}

static bool
is_normalizer(const char *name)
{
	return strcmp(name, "lower") == 0 || strcmp(name, "trim") == 0 || strcmp(name, "digits") == 0 ||
		parse_count(name, "prefix:") > 0 || parse_count(name, "suffix:") > 0;
}

/* The first of the names that is none, or NULL */
static char *
unknown_normalizer(const char *normalizer)
{
	char	   *rest = normalizer[0] != '\0' ? pstrdup(normalizer) : NULL;
	char	   *name;

	while ((name = strsep(&rest, ",")) != NULL)
	{
		name = trim_blanks(name);
		if (!is_normalizer(name))
			return name;
	}
	return NULL;
}

/*
 * Forms
 */

bool
pgseal_index_token_is_form(const PgsealTokenForm *form)
{
	return form->bits >= 1 && form->bits <= PGSEAL_TOKEN_BITS_MAX &&
		strlen(form->normalizer) <= NORMALIZER_MAX &&
		unknown_normalizer(form->normalizer) == NULL;
}

void
pgseal_index_token_check_form(const PgsealTokenForm *form)
{
	char	   *unknown;

	if (form->bits < 1 || form->bits > PGSEAL_TOKEN_BITS_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("bits of a blind index must be between 1 and %d",
						PGSEAL_TOKEN_BITS_MAX)));
	if (strlen(form->normalizer) > NORMALIZER_MAX)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("normalizer is too long")));
	unknown = unknown_normalizer(form->normalizer);
	if (unknown != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("unknown normalizer \"%s\"", unknown),
				 errhint("Normalizers are lower, trim, digits, prefix:n and suffix:n; separate several by commas.")));
}

static Datum
normalize(Datum value, const char *normalizer, Oid collation)
{
	char	   *string = TextDatumGetCString(value);
	char	   *names = pstrdup(normalizer);
	char	   *rest = names;
	char	   *name;

	while ((name = strsep(&rest, ",")) != NULL)
		string = apply_normalizer(string, trim_blanks(name), collation);
	return CStringGetTextDatum(string);
}

void
pgseal_index_token_canonical(StringInfo out, const PgsealType *type, Datum value,
							 const char *normalizer, Oid collation)
{
	uint8		buffer[8];
	void	   *allocated;
	size_t		len;
	const uint8 *bytes;

	if (normalizer[0] != '\0')
	{
		if (type->base->payload != PGSEAL_PAYLOAD_TEXT)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("normalizers apply to encrypted_text only")));
		value = normalize(value, normalizer, collation);
	}
	bytes = pgseal_type_canonical(type, value, collation, &len, buffer, &allocated);
	appendBinaryStringInfo(out, (const char *) bytes, len);
	if (allocated != NULL)
	{
		pgseal_wipe((void *) bytes, len);
		pfree(allocated);
	}
}

bytea *
pgseal_index_token_make(PgsealKey *key, const PgsealType *type, const PgsealTokenForm *form,
						const StringInfo canonical)
{
	uint8		prefix[2 + NORMALIZER_MAX];
	size_t		normalizer_len = strlen(form->normalizer);
	uint8		mac[PGSEAL_HASH_BYTES];
	int			mac_bytes = (form->bits + 7) / 8;
	bytea	   *token;

	Assert(pgseal_index_token_is_form(form));
	prefix[0] = type->base->code;
	prefix[1] = (uint8) normalizer_len;
	memcpy(prefix + 2, form->normalizer, normalizer_len);
	if (!pgseal_hmac(key->hmac, mac, prefix, 2 + normalizer_len,
					 (uint8 *) canonical->data, canonical->len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not compute HMAC-SHA-256")));
	if (form->bits % 8 != 0)
		mac[mac_bytes - 1] &= 0xFF << (8 - form->bits % 8);

	token = palloc(VARHDRSZ + 1 + mac_bytes);
	SET_VARSIZE(token, VARHDRSZ + 1 + mac_bytes);
	*(uint8 *) VARDATA(token) = (uint8) key->number;
	memcpy(VARDATA(token) + 1, mac, mac_bytes);
	return token;
}
