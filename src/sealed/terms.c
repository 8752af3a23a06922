/*-------------------------------------------------------------------------
 *
 * terms.c
 *	  Terms of a row and of a search.
 *
 * Of a document they are what PostgreSQL's jsonb_path_ops has: a hash of each scalar
 * and the keys that lead to it.  Its own functions make them, and say what a search
 * must find.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/gin.h"
#include "fmgr.h"
#include "port/pg_bswap.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"

#include "base/compat.h"
#include "sealed/terms.h"

void
pgseal_terms_add(PgsealTerms *terms, uint32 term)
{
	if (terms->num == terms->max)
	{
		terms->max = Max(32, terms->max * 2);
		terms->terms = terms->terms == NULL ? palloc(sizeof(uint32) * terms->max) :
			repalloc_huge(terms->terms, sizeof(uint32) * terms->max);
	}
	terms->terms[terms->num++] = term;
}

static int
compare_terms(const void *a, const void *b)
{
	uint32		left = *(const uint32 *) a;
	uint32		right = *(const uint32 *) b;

	return (left > right) - (left < right);
}

/* Makes them ascending and distinct */
static void
make_set(PgsealTerms *terms)
{
	int			kept = 0;

	if (terms->num == 0)
		return;
	qsort(terms->terms, terms->num, sizeof(uint32), compare_terms);
	for (int i = 1; i < terms->num; i++)
		if (terms->terms[i] != terms->terms[kept])
			terms->terms[++kept] = terms->terms[i];
	terms->num = kept + 1;
}

static void
add_datums(PgsealTerms *out_terms, const Datum *datums, int num)
{
	for (int i = 0; i < num; i++)
		pgseal_terms_add(out_terms, DatumGetUInt32(datums[i]));
}

static void
paths_of_document(PgsealTerms *out_terms, Datum value)
{
	int32		num = 0;
	Datum	   *paths = (Datum *) DatumGetPointer(DirectFunctionCall2(gin_extract_jsonb_path, value,
																	  PointerGetDatum(&num)));

	add_datums(out_terms, paths, num);
}

void
pgseal_terms_of_value(PgsealTerms *out_terms, const PgsealSealedColumn *column, Datum value)
{
	if (column->terms == PGSEAL_SEALED_PATHS)
		paths_of_document(out_terms, value);
	else
	{
		text	   *string = DatumGetTextPP(value);

		pgseal_trigrams(out_terms, VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string),
						column->collation);
		if ((Pointer) string != DatumGetPointer(value))
		{
			pgseal_wipe(VARDATA_ANY(string), VARSIZE_ANY_EXHDR(string));
			pfree(string);
		}
	}
	if (out_terms->num == 0)
		pgseal_terms_add(out_terms, PGSEAL_NO_TERM);
	make_set(out_terms);
}

/* Can no document match that lacks this one of the paths? */
static bool
is_required(int path, int num, StrategyNumber strategy, Datum argument, Pointer *extra)
{
	GinTernaryValue *check = palloc(sizeof(GinTernaryValue) * num);
	GinTernaryValue result;

	memset(check, GIN_MAYBE, num);
	check[path] = GIN_FALSE;
	result = DatumGetGinTernaryValue(DirectFunctionCall5(gin_triconsistent_jsonb_path,
														 PointerGetDatum(check),
														 UInt16GetDatum(strategy), argument,
														 Int32GetDatum(num),
														 PointerGetDatum(extra)));
	pfree(check);
	return result == GIN_FALSE;
}

static void
paths_of_query(PgsealTermQuery *out_query, StrategyNumber strategy, Datum argument)
{
	int32		num = 0;
	int32		mode = GIN_SEARCH_MODE_DEFAULT;
	Pointer    *extra = NULL;
	PgsealTerms *required = &out_query->alternatives[0];
	Datum	   *paths;

	strategy = strategy == PGSEAL_SEALED_CONTAINS ? JsonbContainsStrategyNumber :
		strategy == PGSEAL_SEALED_PATH_EXISTS ? JsonbJsonpathExistsStrategyNumber :
		JsonbJsonpathPredicateStrategyNumber;
	paths = (Datum *) DatumGetPointer(DirectFunctionCall7(gin_extract_jsonb_query_path, argument,
														  PointerGetDatum(&num),
														  UInt16GetDatum(strategy), (Datum) 0,
														  PointerGetDatum(&extra), (Datum) 0,
														  PointerGetDatum(&mode)));
	if (mode != GIN_SEARCH_MODE_DEFAULT || num == 0)
	{
		out_query->everything = true;
		return;
	}
	for (int i = 0; i < num; i++)
		if (strategy == JsonbContainsStrategyNumber ||
			is_required(i, num, strategy, argument, extra))
			pgseal_terms_add(required, DatumGetUInt32(paths[i]));
	out_query->num = 1;
	if (required->num > 0)
		return;

	/* None is, as in a || b: a document that matches has one of them at least */
	out_query->everything = num > PGSEAL_MAX_ALTERNATIVES;
	for (out_query->num = 0; out_query->num < num && !out_query->everything; out_query->num++)
		add_datums(&out_query->alternatives[out_query->num], &paths[out_query->num], 1);
}

static void
trigrams_of_query(PgsealTermQuery *out_query, StrategyNumber strategy, const char *pattern,
				  int len, Oid collation)
{
	switch (strategy)
	{
		case PGSEAL_SEALED_LIKE:
		case PGSEAL_SEALED_ILIKE:
			pgseal_trigrams_of_like(&out_query->alternatives[0], pattern, len, collation);
			break;
		case PGSEAL_SEALED_STARTS_WITH:
			pgseal_trigrams_of_start(&out_query->alternatives[0], pattern, len, collation);
			break;
		default:
			pgseal_trigrams_of_regex(out_query, pattern, len,
									 strategy == PGSEAL_SEALED_IMATCHES, collation);
			return;
	}
	out_query->num = 1;
}

void
pgseal_terms_of_query(PgsealTermQuery *out_query, const PgsealSealedColumn *column,
					  StrategyNumber strategy, Datum argument, Oid collation)
{
	memset(out_query, 0, sizeof(*out_query));
	if (column->terms == PGSEAL_SEALED_PATHS)
		paths_of_query(out_query, strategy, argument);
	else
	{
		text	   *pattern = DatumGetTextPP(argument);

		trigrams_of_query(out_query, strategy, VARDATA_ANY(pattern), VARSIZE_ANY_EXHDR(pattern),
						  collation);
	}
	for (int i = 0; i < out_query->num; i++)
	{
		PgsealTerms *terms = &out_query->alternatives[i];

		make_set(terms);
		if (terms->num == 0)
			out_query->everything = true;
		/* The rest is looked at in the rows */
		terms->num = Min(terms->num, PGSEAL_MAX_TERMS);
	}
}

void
pgseal_term_key(StringInfo out_key, uint32 term)
{
	uint32		term_be = pg_hton32(term);

	appendStringInfoCharMacro(out_key, (char) (sizeof(term_be) + 1));
	appendBinaryStringInfo(out_key, (char *) &term_be, sizeof(term_be));
}
