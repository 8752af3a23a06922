/*-------------------------------------------------------------------------
 *
 * trigram.c
 *	  Trigrams of texts and of LIKE patterns.
 *
 * Any three folded characters that follow each other, blanks and marks included;
 * a text is between two characters that no text has, so what begins or ends with
 * something is found by that, too.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "mb/pg_wchar.h"

#include "base/compat.h"
#include "sealed/terms.h"

#define START_CODE	0x110000	/* behind the last of Unicode */
#define END_CODE	0x110001

static void
add_code(PgsealRun *run, uint32 code)
{
	if (run->num == run->max)
	{
		run->max = Max(64, run->max * 2);
		run->codes = run->codes == NULL ? palloc(sizeof(uint32) * run->max) :
			repalloc_huge(run->codes, sizeof(uint32) * run->max);
	}
	run->codes[run->num++] = code;
}

void
pgseal_run_add_character(PgsealRun *run, const char *character, int len, Oid collation)
{
	uint32		codes[PGSEAL_FOLDED_CODES];
	int			num = pgseal_fold(codes, character, len, collation);

	for (int i = 0; i < num; i++)
		add_code(run, codes[i]);
}

void
pgseal_run_add_start(PgsealRun *run)
{
	add_code(run, START_CODE);
}

void
pgseal_run_add_end(PgsealRun *run)
{
	add_code(run, END_CODE);
}

/* The finalizer of MurmurHash3 */
static uint32
hash_trigram(const uint32 codes[3])
{
	uint64		hash = ((uint64) codes[0] << 42) | ((uint64) codes[1] << 21) | codes[2];
	uint32		term;

	hash ^= hash >> 33;
	hash *= UINT64CONST(0xff51afd7ed558ccd);
	hash ^= hash >> 33;
	hash *= UINT64CONST(0xc4ceb9fe1a85ec53);
	hash ^= hash >> 33;
	term = (uint32) hash;
	return term == PGSEAL_NO_TERM ? 1 : term;
}

void
pgseal_run_finish(PgsealRun *run, PgsealTerms *out_terms)
{
	for (int i = 0; i + 3 <= run->num; i++)
		pgseal_terms_add(out_terms, hash_trigram(run->codes + i));
	if (run->num > 0)
		pgseal_wipe(run->codes, sizeof(uint32) * run->num);
	run->num = 0;
}

void
pgseal_run_free(PgsealRun *run)
{
	if (run->codes == NULL)
		return;
	pgseal_wipe(run->codes, sizeof(uint32) * run->max);
	pfree(run->codes);
	memset(run, 0, sizeof(*run));
}

static void
add_string(PgsealRun *run, const char *string, int len, Oid collation)
{
	for (int i = 0; i < len;)
	{
		int			width = Min(pg_mblen(string + i), len - i);

		pgseal_run_add_character(run, string + i, width, collation);
		i += width;
	}
}

void
pgseal_trigrams(PgsealTerms *out_terms, const char *string, int len, Oid collation)
{
	PgsealRun	run = {0};

	pgseal_run_add_start(&run);
	add_string(&run, string, len, collation);
	pgseal_run_add_end(&run);
	pgseal_run_finish(&run, out_terms);
	pgseal_run_free(&run);
}

void
pgseal_trigrams_of_start(PgsealTerms *out_terms, const char *start, int len, Oid collation)
{
	PgsealRun	run = {0};

	pgseal_run_add_start(&run);
	add_string(&run, start, len, collation);
	pgseal_run_finish(&run, out_terms);
	pgseal_run_free(&run);
}

/* Also of ILIKE: it lowers text and pattern, which folding makes no matter of */
void
pgseal_trigrams_of_like(PgsealTerms *out_terms, const char *pattern, int len, Oid collation)
{
	PgsealRun	run = {0};
	bool		ends_open = false;

	pgseal_run_add_start(&run);
	for (int i = 0; i < len;)
	{
		int			width;

		ends_open = pattern[i] == '%' || pattern[i] == '_';
		if (ends_open)
		{
			pgseal_run_finish(&run, out_terms);
			i++;
			continue;
		}
		if (pattern[i] == '\\' && ++i == len)
			break;				/* an error, which the operator raises */
		width = Min(pg_mblen(pattern + i), len - i);
		pgseal_run_add_character(&run, pattern + i, width, collation);
		i += width;
	}
	if (!ends_open)
		pgseal_run_add_end(&run);
	pgseal_run_finish(&run, out_terms);
	pgseal_run_free(&run);
}
