/*-------------------------------------------------------------------------
 *
 * json.c
 *	  Reads the small JSON documents that key management services answer.
 *
 * PostgreSQL's own parser does the work; this file keeps a flat list of the
 * scalars with their paths, and keeps three promises that the parser alone
 * doesn't make:
 *
 * - It never ereports.  The parser checks the stack by ereport(), and in
 *	 PostgreSQL 15 converts \u escapes to the database's encoding by ereport().
 *	 So depth is checked, and non-ASCII is replaced, before it runs.
 * - No copy of a secret stays behind.  A first pass without callbacks
 *	 validates and makes no copies but in the lexer's own buffer, which has its
 *	 final size from the start and is wiped.  The second pass cannot fail, so
 *	 each copy that it makes reaches a callback, where it is wiped.
 * - Size, depth and number of values are bounded.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "common/jsonapi.h"
#include "mb/pg_wchar.h"

#include "base/compat.h"
#include "base/json.h"
#include "base/secmem.h"

#define PATH_BYTES		256
#define FIRST_VALUES	32

typedef struct JsonValue
{
	char	   *path;
	char	   *text;
	JsonTokenType type;
} JsonValue;

struct PgsealJson
{
	JsonValue  *values;
	int			num_values;
	int			max_values;
	bool		failed;			/* a limit was exceeded */

	/* while parsing: where we are */
	int			depth;
	int			path_len[PGSEAL_JSON_MAX_DEPTH + 1];	/* of the container */
	int			elements[PGSEAL_JSON_MAX_DEPTH + 1];	/* -1: an object */
	char		path[PATH_BYTES];
};

/* Adds a member's name or an element's number to the container's path. */
static void
enter(PgsealJson *json, const char *name)
{
	int			len = json->path_len[json->depth];

	if (len + strlen(name) + 2 > PATH_BYTES)
	{
		json->failed = true;
		name = "";
	}
	snprintf(json->path + len, PATH_BYTES - len, "%s%s", len > 0 ? "." : "", name);
}

static PGSEAL_JSON_ACTION
on_object_start(void *state)
{
	PgsealJson *json = state;

	json->depth++;
	json->path_len[json->depth] = strlen(json->path);
	json->elements[json->depth] = -1;
	PGSEAL_JSON_ACTION_DONE;
}

static PGSEAL_JSON_ACTION
on_array_start(void *state)
{
	PgsealJson *json = state;

	json->depth++;
	json->path_len[json->depth] = strlen(json->path);
	json->elements[json->depth] = 0;
	PGSEAL_JSON_ACTION_DONE;
}

static PGSEAL_JSON_ACTION
on_container_end(void *state)
{
	PgsealJson *json = state;

	json->depth--;
	PGSEAL_JSON_ACTION_DONE;
}

static PGSEAL_JSON_ACTION
on_field_start(void *state, char *name, bool isnull)
{
	enter(state, name);
	PGSEAL_JSON_ACTION_DONE;
}

static PGSEAL_JSON_ACTION
on_element_start(void *state, bool isnull)
{
	PgsealJson *json = state;
	char		number[16];

	snprintf(number, sizeof(number), "%d", json->elements[json->depth]++);
	enter(json, number);
	PGSEAL_JSON_ACTION_DONE;
}

static PGSEAL_JSON_ACTION
on_scalar(void *state, char *token, JsonTokenType type)
{
	PgsealJson *json = state;

	if (json->num_values == PGSEAL_JSON_MAX_VALUES)
		json->failed = true;
	if (!json->failed)
	{
		JsonValue  *value;

		if (json->num_values == json->max_values)
		{
			json->max_values *= 2;
			json->values = repalloc(json->values, json->max_values * sizeof(JsonValue));
		}
		value = &json->values[json->num_values++];
		value->path = pstrdup(json->path);
		value->text = pgseal_secmem_strdup(token);
		value->type = type;
	}
	pgseal_wipe(token, strlen(token));
	PGSEAL_JSON_ACTION_DONE;
}

/*
 * Replaces all that is not ASCII, written plainly or as \uXXXX, and checks
 * depth.  Malformed text is left to the parser.
 */
static bool
prepare(char *text, size_t len)
{
	bool		in_string = false;
	int			depth = 0;

	for (size_t i = 0; i < len; i++)
	{
		if (IS_HIGHBIT_SET(text[i]))
			text[i] = '?';
		else if (in_string && text[i] == '\\')
		{
			/* \u003f is a question mark; \u0000 has no place in a C string */
			if (i + 5 < len && text[i + 1] == 'u' &&
				(memcmp(text + i + 2, "00", 2) != 0 || text[i + 4] > '7' ||
				 memcmp(text + i + 2, "0000", 4) == 0))
			{
				if (strspn(text + i + 2, "0123456789abcdefABCDEF") < 4)
					return false;
				memcpy(text + i + 2, "003f", 4);
			}
			i++;
			if (i < len && IS_HIGHBIT_SET(text[i]))
				return false;
		}
		else if (text[i] == '"')
			in_string = !in_string;
		else if (!in_string && (text[i] == '{' || text[i] == '['))
		{
			if (++depth > PGSEAL_JSON_MAX_DEPTH)
				return false;
		}
		else if (!in_string && (text[i] == '}' || text[i] == ']'))
			depth--;
	}
	return true;
}

/* One pass of the parser, whose buffer holds no secret afterwards */
static bool
run_parser(char *text, size_t len, JsonSemAction *actions)
{
	JsonLexContext *lex = pgseal_make_json_lexer(text, len);
	JsonParseErrorType result;

	enlargeStringInfo(lex->strval, len + 1);
	result = pg_parse_json(lex, actions);
	pgseal_wipe(lex->strval->data, lex->strval->maxlen);
	return result == JSON_SUCCESS;
}

PgsealJson *
pgseal_json_parse(char *text, size_t len)
{
	PgsealJson *json;
	JsonSemAction nothing = {0};
	JsonSemAction actions = {0};

	if (len > PGSEAL_JSON_MAX_BYTES || !prepare(text, len) ||
		!run_parser(text, len, &nothing))
		return NULL;

	json = palloc0(sizeof(PgsealJson));
	json->max_values = FIRST_VALUES;
	json->values = palloc(json->max_values * sizeof(JsonValue));

	actions.semstate = json;
	actions.object_start = on_object_start;
	actions.object_end = on_container_end;
	actions.array_start = on_array_start;
	actions.array_end = on_container_end;
	actions.object_field_start = on_field_start;
	actions.array_element_start = on_element_start;
	actions.scalar = on_scalar;
	if (!run_parser(text, len, &actions) || json->failed)
		return NULL;
	return json;
}

static const JsonValue *
find(const PgsealJson *json, const char *path)
{
	for (int i = 0; i < json->num_values; i++)
	{
		if (strcmp(json->values[i].path, path) == 0)
			return &json->values[i];
	}
	return NULL;
}

const char *
pgseal_json_string(const PgsealJson *json, const char *path)
{
	const JsonValue *value = find(json, path);

	return value != NULL && value->type == JSON_TOKEN_STRING ? value->text : NULL;
}

bool
pgseal_json_int64(const PgsealJson *json, const char *path, int64 *out_value)
{
	const JsonValue *value = find(json, path);
	char	   *end;

	if (value == NULL || (value->type != JSON_TOKEN_STRING && value->type != JSON_TOKEN_NUMBER))
		return false;
	errno = 0;
	*out_value = strtoll(value->text, &end, 10);
	return errno == 0 && end != value->text && *end == '\0';
}

bool
pgseal_json_true(const PgsealJson *json, const char *path)
{
	const JsonValue *value = find(json, path);

	return value != NULL && value->type == JSON_TOKEN_TRUE;
}
