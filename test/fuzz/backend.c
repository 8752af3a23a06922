/*-------------------------------------------------------------------------
 *
 * backend.c
 *	  As much of the backend as the readers of replies need.
 *
 * Each palloc() is a malloc() of its own, so that the sanitizers see every byte
 * beyond; ResetMemory() frees them all, after the callbacks that wipe secrets.
 * Whatever else of the backend pgseal's files refer to stays unresolved: a
 * reader that calls it (to report an error, to look into a catalog, to wait)
 * ends the program, and should.
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include "commands/defrem.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"

#include "backend.h"

typedef struct Chunk
{
	struct Chunk *previous;
	struct Chunk *next;
	size_t		size;
	char		data[FLEXIBLE_ARRAY_MEMBER];
} Chunk;

MemoryContext CurrentMemoryContext = NULL;

static Chunk chunks = {&chunks, &chunks};
static MemoryContextCallback *callbacks = NULL;

static Chunk *
chunk_of(void *pointer)
{
	return (Chunk *) ((char *) pointer - offsetof(Chunk, data));
}

void *
palloc(Size size)
{
	Chunk	   *chunk = malloc(offsetof(Chunk, data) + size);

	CHECK(chunk != NULL && size <= MaxAllocSize);
	chunk->size = size;
	chunk->previous = &chunks;
	chunk->next = chunks.next;
	chunk->next->previous = chunks.next = chunk;
	return chunk->data;
}

void *
palloc0(Size size)
{
	return memset(palloc(size), 0, size);
}

/* Of nothing, too: the JSON parser of PostgreSQL 18 for client programs does that */
void
pfree(void *pointer)
{
	Chunk	   *chunk;

	if (pointer == NULL)
		return;
	chunk = chunk_of(pointer);
	chunk->previous->next = chunk->next;
	chunk->next->previous = chunk->previous;
	free(chunk);
}

void *
repalloc(void *pointer, Size size)
{
	void	   *copy = palloc(size);

	memcpy(copy, pointer, Min(size, chunk_of(pointer)->size));
	pfree(pointer);
	return copy;
}

char *
pnstrdup(const char *string, Size len)
{
	size_t		copied = strnlen(string, len);
	char	   *copy = palloc(copied + 1);

	memcpy(copy, string, copied);
	copy[copied] = '\0';
	return copy;
}

char *
pstrdup(const char *string)
{
	return pnstrdup(string, strlen(string));
}

void
MemoryContextRegisterResetCallback(MemoryContext context, MemoryContextCallback *callback)
{
	callback->next = callbacks;
	callbacks = callback;
}

void
ResetMemory(void)
{
	for (; callbacks != NULL; callbacks = callbacks->next)
		callbacks->func(callbacks->arg);
	while (chunks.next != &chunks)
		pfree(chunks.next->data);
}

char *
defGetString(DefElem *def)
{
	return strVal(def->arg);
}

int
GetDatabaseEncoding(void)
{
	return PG_UTF8;
}

bool
pg_verify_mbstr(int encoding, const char *text, int len, bool no_error)
{
	CHECK(no_error);
	return pg_encoding_verifymbstr(encoding, text, len) == len;
}

int
pg_mbcliplen(const char *text, int len, int limit)
{
	int			clipped = 0;

	while (clipped < len && text[clipped])
	{
		int			next = pg_encoding_mblen(PG_UTF8, text + clipped);

		if (clipped + next > limit || clipped + next > len)
			break;
		clipped += next;
	}
	return clipped;
}

uint64
hex_encode(const char *bytes, size_t len, char *out)
{
	for (size_t i = 0; i < len; i++)
	{
		out[2 * i] = "0123456789abcdef"[(uint8) bytes[i] >> 4];
		out[2 * i + 1] = "0123456789abcdef"[bytes[i] & 15];
	}
	return 2 * len;
}
