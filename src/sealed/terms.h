/*-------------------------------------------------------------------------
 *
 * terms.h
 *	  Terms: what a sealed index on parts of values has as its keys.
 *
 *	 fold.c			characters without case
 *	 trigram.c		terms of a text, and of a LIKE pattern
 *	 regex.c		terms of a regular expression
 *	 terms.c		terms of a row and of a search, of whatever class
 *	 pending.c		rows that have not yet come to their nodes
 *	 term_scan.c	finding the rows that have them
 *
 * A term is 32 bits of a hash.  All that a search finds is looked at again, so it
 * may find too much, but never too little.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_TERMS_H
#define PGSEAL_TERMS_H

#include "postgres.h"
#include "access/skey.h"

#include "sealed/sealed.h"

/* Stands for a value that has no term */
#define PGSEAL_NO_TERM			0

/* A search is of so many alternatives at most, each of so many terms */
#define PGSEAL_MAX_ALTERNATIVES	16
#define PGSEAL_MAX_TERMS		64

typedef struct PgsealTerms
{
	int			num;
	int			max;			/* 0: not allocated yet */
	uint32	   *terms;
} PgsealTerms;

/* Rows that have all terms of one of the alternatives, or simply all rows */
typedef struct PgsealTermQuery
{
	bool		everything;
	int			num;
	PgsealTerms alternatives[PGSEAL_MAX_ALTERNATIVES];
} PgsealTermQuery;

extern void pgseal_terms_add(PgsealTerms *terms, uint32 term);

/*
 * fold.c
 */

#define PGSEAL_FOLDED_CODES		4

/* What a character becomes, as code points; returns how many */
extern int	pgseal_fold(uint32 out_codes[PGSEAL_FOLDED_CODES], const char *character, int len,
						Oid collation);
extern bool pgseal_folds_both_cases(const char *character, int len, Oid collation);

/*
 * trigram.c
 */

/* Folded characters that follow each other */
typedef struct PgsealRun
{
	int			num;
	int			max;
	uint32	   *codes;
} PgsealRun;

extern void pgseal_run_add_character(PgsealRun *run, const char *character, int len,
									 Oid collation);

/* The ends of a text, as part of a run */
extern void pgseal_run_add_start(PgsealRun *run);
extern void pgseal_run_add_end(PgsealRun *run);

/* Adds the trigrams of a run, and empties it */
extern void pgseal_run_finish(PgsealRun *run, PgsealTerms *out_terms);
extern void pgseal_run_free(PgsealRun *run);

extern void pgseal_trigrams(PgsealTerms *out_terms, const char *string, int len, Oid collation);
extern void pgseal_trigrams_of_like(PgsealTerms *out_terms, const char *pattern, int len,
									Oid collation);
extern void pgseal_trigrams_of_start(PgsealTerms *out_terms, const char *start, int len,
									 Oid collation);

/* regex.c */
extern void pgseal_trigrams_of_regex(PgsealTermQuery *out_query, const char *pattern, int len,
									 bool ignore_case, Oid collation);

/*
 * terms.c
 */

/* Of a value of the base type: sorted, at least one */
extern void pgseal_terms_of_value(PgsealTerms *out_terms, const PgsealSealedColumn *column,
								  Datum value);

/* Of an argument of the base type, or a pattern */
extern void pgseal_terms_of_query(PgsealTermQuery *out_query, const PgsealSealedColumn *column,
								  StrategyNumber strategy, Datum argument, Oid collation);

/* Appends the key of a term */
extern void pgseal_term_key(StringInfo out_key, uint32 term);

/*
 * pending.c
 */

/* A pending row, or a part of it */
typedef struct PgsealPendingRow
{
	uint64		tid;
	bool		is_partial;		/* it may have other terms, too */
	bool		is_null;
	int			num;
	uint32	   *terms;			/* ascending */
} PgsealPendingRow;

typedef void (*PgsealPendingVisitor) (const PgsealPendingRow *row, void *arg);

/* A row by the keys of its terms */
extern void pgseal_pending_append(PgsealSealedIndex *index, Relation relation, uint64 tid,
								  const uint8 *keys, size_t keys_len);
extern void pgseal_pending_visit(const PgsealSealedIndex *index, Relation relation,
								 PgsealPendingVisitor visitor, void *arg);

/* Brings all that was pending before into the tree */
extern void pgseal_pending_flush(PgsealSealedIndex *index, Relation relation);

/*
 * term_scan.c
 */

/* Rows, ascending */
typedef struct PgsealRows
{
	uint64	   *tids;
	int64		num;
	int64		max;
} PgsealRows;

/* What an index scan asks for: rows that meet all of it */
typedef struct PgsealTermSearch
{
	int			num;
	PgsealTermQuery *queries;
	bool		wants_null;
	bool		wants_all;		/* there is no condition */
} PgsealTermSearch;

/* From the keys of a scan; false when no row can meet them.  palloc's. */
extern bool pgseal_term_search_keys(PgsealTermSearch *out_search,
									const PgsealSealedColumn *column, const ScanKey keys,
									int num_keys);

/* Too many rows rather than too few; in the tree and pending */
extern void pgseal_term_search(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation,
							   const PgsealTermSearch *search);

/* How many rows it would find, roughly; for a query that doesn't ask for everything */
extern double pgseal_term_estimate(PgsealSealedIndex *index, Relation relation,
								   const PgsealTermQuery *query);

#endif							/* PGSEAL_TERMS_H */
