/*-------------------------------------------------------------------------
 *
 * pattern.c
 *	  What begins as a pattern does.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/builtins.h"

#include "base/compat.h"
#include "sealed/sealed.h"

/* The characters that a LIKE pattern begins with; *out_exact: and nothing else but a last % */
static char *
prefix_of_like(const char *pattern, size_t len, size_t *out_len, bool *out_exact)
{
	char	   *prefix = palloc(len + 1);
	size_t		i = 0;

	*out_len = 0;
	for (; i < len && pattern[i] != '%' && pattern[i] != '_'; i++)
	{
		if (pattern[i] == '\\' && ++i == len)
			break;
		prefix[(*out_len)++] = pattern[i];
	}
	*out_exact = (i + 1 == len && pattern[i] == '%');
	return prefix;
}

char *
pgseal_sealed_prefix(StrategyNumber strategy, Datum pattern, Oid collation, size_t *out_len,
					 bool *out_exact)
{
	text	   *string = DatumGetTextPP(pattern);
	char	   *prefix;

	*out_exact = false;
	switch (strategy)
	{
		case PGSEAL_SEALED_LIKE:
			return prefix_of_like(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string), out_len,
								  out_exact);
		case PGSEAL_SEALED_STARTS_WITH:
			*out_exact = true;
			*out_len = VARSIZE_ANY_EXHDR(string);
			return memcpy(palloc(*out_len + 1), VARDATA_ANY(string), *out_len);
		case PGSEAL_SEALED_MATCHES:
			/* "exact" says there that nothing else matches */
			prefix = regexp_fixed_prefix(string, false, collation, out_exact);
			*out_exact = false;
			*out_len = prefix != NULL ? strlen(prefix) : 0;
			return prefix;
	}
	return NULL;
}
