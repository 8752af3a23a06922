/*-------------------------------------------------------------------------
 *
 * secmem.c
 *	  Memory for secrets of any length: wiped when its context goes.
 *
 * See secmem.h.  The chunk's header holds the callback's own memory, so that
 * one allocation does both.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/memutils.h"

#include "base/secmem.h"

#define FIRST_SIZE		256

typedef struct SecretChunk
{
	MemoryContextCallback callback;
	size_t		len;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} SecretChunk;

static const char base64_alphabet[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char base64url_alphabet[] =
"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void
wipe_chunk(void *arg)
{
	SecretChunk *chunk = arg;

	pgseal_wipe(chunk->data, chunk->len);
}

void *
pgseal_secmem_alloc(size_t len)
{
	SecretChunk *chunk = palloc0(offsetof(SecretChunk, data) + len);

	chunk->len = len;
	chunk->callback.func = wipe_chunk;
	chunk->callback.arg = chunk;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &chunk->callback);
	return chunk->data;
}

char *
pgseal_secmem_copy(const char *bytes, size_t len)
{
	char	   *copy = pgseal_secmem_alloc(len + 1);

	memcpy(copy, bytes, len);
	return copy;
}

char *
pgseal_secmem_strdup(const char *string)
{
	return pgseal_secmem_copy(string, strlen(string));
}

void
pgseal_secmem_init(PgsealSecretString *string)
{
	string->context = CurrentMemoryContext;
	string->size = FIRST_SIZE;
	string->len = 0;
	string->data = pgseal_secmem_alloc(string->size);
}

void
pgseal_secmem_append_bytes(PgsealSecretString *string, const char *bytes, size_t len)
{
	if (string->len + len + 1 > string->size)
	{
		size_t		size = Max(string->size * 2, string->len + len + 1);
		MemoryContext old_context = MemoryContextSwitchTo(string->context);
		char	   *data = pgseal_secmem_alloc(size);

		MemoryContextSwitchTo(old_context);
		memcpy(data, string->data, string->len);
		pgseal_wipe(string->data, string->size);
		string->data = data;
		string->size = size;
	}
	memcpy(string->data + string->len, bytes, len);
	string->len += len;
	string->data[string->len] = '\0';
}

void
pgseal_secmem_append(PgsealSecretString *string, const char *text)
{
	pgseal_secmem_append_bytes(string, text, strlen(text));
}

static void
append_base64(PgsealSecretString *string, const uint8 *bytes, size_t len,
			  const char *alphabet, bool padded)
{
	char		group[4];

	for (size_t i = 0; i < len; i += 3)
	{
		size_t		left = len - i;
		uint32		bits = bytes[i] << 16 |
			(left > 1 ? bytes[i + 1] << 8 : 0) |
			(left > 2 ? bytes[i + 2] : 0);

		group[0] = alphabet[bits >> 18];
		group[1] = alphabet[bits >> 12 & 63];
		group[2] = left > 1 ? alphabet[bits >> 6 & 63] : '=';
		group[3] = left > 2 ? alphabet[bits & 63] : '=';
		pgseal_secmem_append_bytes(string, group, padded || left > 2 ? 4 : left + 1);
		pgseal_wipe(&bits, sizeof(bits));
	}
	pgseal_wipe(group, sizeof(group));
}

void
pgseal_secmem_append_base64(PgsealSecretString *string, const uint8 *bytes, size_t len)
{
	append_base64(string, bytes, len, base64_alphabet, true);
}

void
pgseal_secmem_append_base64url(PgsealSecretString *string, const uint8 *bytes, size_t len)
{
	append_base64(string, bytes, len, base64url_alphabet, false);
}

static int
base64_value(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	if (c == '+' || c == '-')
		return 62;
	if (c == '/' || c == '_')
		return 63;
	return -1;
}

int
pgseal_secmem_decode_base64(uint8 *out_bytes, size_t out_size, const char *text)
{
	size_t		chars = strlen(text);
	uint32		bits = 0;
	int			num_bits = 0;
	size_t		len = 0;
	bool		ok;

	if (chars % 4 == 0 && chars > 0 && text[chars - 1] == '=')
		chars -= text[chars - 2] == '=' ? 2 : 1;

	/* one character alone can't hold a byte */
	ok = chars % 4 != 1;
	for (size_t i = 0; ok && i < chars; i++)
	{
		int			value = base64_value(text[i]);

		bits = bits << 6 | (value & 63);
		num_bits += 6;
		if (value < 0)
			ok = false;
		else if (num_bits >= 8)
		{
			num_bits -= 8;
			if (len >= out_size)
				ok = false;
			else
				out_bytes[len++] = bits >> num_bits & 0xFF;
		}
	}

	/* what is left over of the last character must be zero */
	if (ok && (bits & ((1 << num_bits) - 1)) != 0)
		ok = false;
	pgseal_wipe(&bits, sizeof(bits));
	if (!ok)
	{
		pgseal_wipe(out_bytes, out_size);
		return -1;
	}
	return (int) len;
}

void
pgseal_secmem_append_urlencoded(PgsealSecretString *string, const char *text, const char *keep)
{
	static const char hex[] = "0123456789ABCDEF";

	for (const char *c = text; *c; c++)
	{
		char		escaped[3] = {'%', hex[(uint8) *c >> 4], hex[*c & 15]};

		if ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z') || (*c >= '0' && *c <= '9') ||
			strchr("-_.~", *c) != NULL || strchr(keep, *c) != NULL)
			pgseal_secmem_append_bytes(string, c, 1);
		else
			pgseal_secmem_append_bytes(string, escaped, sizeof(escaped));
	}
}

void
pgseal_secmem_append_json(PgsealSecretString *string, const char *text)
{
	pgseal_secmem_append(string, "\"");
	for (const char *c = text; *c; c++)
	{
		char		escaped[8];

		if (*c == '"' || *c == '\\')
		{
			pgseal_secmem_append(string, "\\");
			pgseal_secmem_append_bytes(string, c, 1);
		}
		else if ((uint8) *c < 0x20 || *c == 0x7F)
		{
			snprintf(escaped, sizeof(escaped), "\\u%04x", (uint8) *c);
			pgseal_secmem_append(string, escaped);
		}
		else
			pgseal_secmem_append_bytes(string, c, 1);
	}
	pgseal_secmem_append(string, "\"");
}
