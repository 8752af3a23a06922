/*-------------------------------------------------------------------------
 *
 * fold.c
 *	  Characters without case, for trigrams.
 *
 * ILIKE compares lower(text) with lower(pattern), ~* takes a character's upper and
 * lower forms for the same.  Each provider of collations has its own idea of them.
 * What an index stores must be at least as coarse as all that: two characters that
 * any of these takes for the same must become the same.  So a character becomes
 * what the collation's lower() makes of it alone, and then what lower() makes
 * depend on a character's surroundings, or on a language, is taken away: the final
 * sigma becomes a sigma, the dotless i an i, and the dot above goes.  (All that
 * Unicode's SpecialCasing.txt has for lower case are these.)
 *
 * Folding character by character, a part of a text becomes a part of the folded
 * text, which is what makes trigrams sound.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "utils/formatting.h"

#include "base/compat.h"
#include "sealed/terms.h"

#define FINAL_SIGMA		0x03C2
#define SIGMA			0x03C3
#define DOTLESS_I		0x0131
#define DOT_ABOVE		0x0307

/* What lower() gives for a character is remembered */
#define CACHE_SIZE		1024

typedef struct Folded
{
	Oid			collation;		/* InvalidOid: free */
	uint32		bytes;			/* of the character, in the server's encoding */
	int			num;
	uint32		codes[PGSEAL_FOLDED_CODES];
} Folded;

static Folded cache[CACHE_SIZE];

static int
add_code(uint32 *out_codes, int num, uint32 code)
{
	if (code == DOT_ABOVE || num == PGSEAL_FOLDED_CODES)
		return num;
	if (code == FINAL_SIGMA)
		code = SIGMA;
	else if (code == DOTLESS_I)
		code = 'i';
	else if (code >= 'A' && code <= 'Z')
		code += 'a' - 'A';
	out_codes[num] = code;
	return num + 1;
}

/* The codes of a string in the server's encoding, which is not SQL_ASCII */
static int
codes_of(uint32 *out_codes, const char *string, int len)
{
	char	   *utf8 = pg_server_to_any(string, len, PG_UTF8);
	int			utf8_len = utf8 == string ? len : (int) strlen(utf8);
	int			num = 0;

	for (int i = 0; i < utf8_len;)
	{
		const unsigned char *next = (const unsigned char *) utf8 + i;

		num = add_code(out_codes, num, utf8_to_unicode(next));
		i += pg_utf_mblen(next);
	}
	if (utf8 != string)
		pfree(utf8);
	return num;
}

/* A character's bytes as a number; those that are longer than four don't exist */
static uint32
bytes_of(const char *character, int len)
{
	uint32		bytes = 0;

	for (int i = 0; i < len; i++)
		bytes = bytes << 8 | (uint8) character[i];
	return bytes;
}

int
pgseal_fold(uint32 out_codes[PGSEAL_FOLDED_CODES], const char *character, int len, Oid collation)
{
	uint32		bytes = bytes_of(character, len);
	Folded	   *entry;
	char	   *lower;

	/*
	 * Without an encoding nobody knows what lower() does to a byte, and which
	 * of them is the dotless i
	 */
	if (GetDatabaseEncoding() == PG_SQL_ASCII &&
		(bytes >= 0x80 || bytes == 'i' || bytes == 'I'))
	{
		out_codes[0] = 0x80;
		return 1;
	}
	if (bytes < 0x80)
		return add_code(out_codes, 0, bytes);

	entry = &cache[(bytes ^ (bytes >> 8) ^ collation) % CACHE_SIZE];
	if (entry->collation != collation || entry->bytes != bytes)
	{
		entry->collation = InvalidOid;
		lower = str_tolower(character, len, collation);
		entry->num = codes_of(entry->codes, lower, strlen(lower));
		pfree(lower);
		entry->bytes = bytes;
		entry->collation = collation;
	}
	memcpy(out_codes, entry->codes, sizeof(entry->codes));
	return entry->num;
}

/* Is the upper form folded to the same?  If not, ~* finds what folding doesn't. */
bool
pgseal_folds_both_cases(const char *character, int len, Oid collation)
{
	uint32		codes[PGSEAL_FOLDED_CODES];
	uint32		upper_codes[PGSEAL_FOLDED_CODES];
	int			num = pgseal_fold(codes, character, len, collation);
	char	   *upper;
	int			upper_len;
	bool		same = false;

	if (len == 1 && (uint8) character[0] < 0x80)
		return true;
	upper = str_toupper(character, len, collation);
	upper_len = strlen(upper);
	if (upper_len > 0 && pg_mblen(upper) == upper_len)
		same = pgseal_fold(upper_codes, upper, upper_len, collation) == num &&
			memcmp(codes, upper_codes, num * sizeof(uint32)) == 0;
	pfree(upper);
	return same;
}
