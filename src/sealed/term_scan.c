/*-------------------------------------------------------------------------
 *
 * term_scan.c
 *	  Finding the rows that have terms.
 *
 * The rows of a term lie side by side, ascending.  Of each term the leaf is read
 * where its rows begin; mostly that has all of them.  Longer lists are read when no
 * short one is there, or when that costs less than looking at the rows that they
 * would take away.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "port/pg_bswap.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "sealed/terms.h"

/* So few rows are looked at, rather than another list */
#define FEW_ROWS		8

/*
 * Looking at a row costs as much as reading so many of a list: 0.03 us each, and a row
 * 0.8 us among 40 others of its block, 3.6 us alone in it (30 to 130 times)
 */
#define ROW_COST		64

/* Of so many terms the number of rows is estimated */
#define ESTIMATED_TERMS	8

typedef struct TermBounds
{
	uint8		bytes[4];
	PgsealSealedBound lower;
	PgsealSealedBound upper;
} TermBounds;

typedef struct TermList
{
	uint32		term;
	bool		complete;		/* all of it was in one leaf */
	int64		at_least;		/* rows */
} TermList;

static void
set_bounds(TermBounds *bounds, const uint8 *bytes, size_t len)
{
	memset(&bounds->lower, 0, sizeof(bounds->lower));
	bounds->lower.num_columns = 1;
	bounds->lower.side = -1;
	bounds->lower.probes[0].bytes = bytes;
	bounds->lower.probes[0].len = len;
	bounds->lower.probes[0].isnull = bytes == NULL;
	bounds->upper = bounds->lower;
	bounds->upper.side = 1;
}

static void
bounds_of_term(TermBounds *bounds, uint32 term)
{
	uint32		term_be = pg_hton32(term);

	memcpy(bounds->bytes, &term_be, sizeof(term_be));
	set_bounds(bounds, bounds->bytes, sizeof(bounds->bytes));
}

/*
 * Rows
 */

/* Room for so many more; where they go */
static uint64 *
make_room(PgsealRows *rows, int64 num)
{
	if (rows->max - rows->num < num)
	{
		rows->max = Max(Max(64, rows->max * 2), rows->num + num);
		rows->tids = rows->tids == NULL ?
			MemoryContextAllocHuge(CurrentMemoryContext, sizeof(uint64) * rows->max) :
			repalloc_huge(rows->tids, sizeof(uint64) * rows->max);
	}
	return rows->tids + rows->num;
}

static void
add_row(PgsealRows *rows, uint64 tid)
{
	*make_room(rows, 1) = tid;
	rows->num++;
}

static void
free_rows(PgsealRows *rows)
{
	if (rows->tids != NULL)
		pfree(rows->tids);
	memset(rows, 0, sizeof(*rows));
}

static void
intersect(PgsealRows *rows, const PgsealRows *others)
{
	int64		kept = 0;
	int64		k = 0;

	for (int64 i = 0; i < rows->num; i++)
	{
		while (k < others->num && others->tids[k] < rows->tids[i])
			k++;
		if (k < others->num && others->tids[k] == rows->tids[i])
			rows->tids[kept++] = rows->tids[i];
	}
	rows->num = kept;
}

static int
compare_tids(const void *a, const void *b)
{
	uint64		left = *(const uint64 *) a;
	uint64		right = *(const uint64 *) b;

	return (left > right) - (left < right);
}

static void
sort_rows(PgsealRows *rows)
{
	int64		kept = 0;

	if (rows->num == 0)
		return;
	qsort(rows->tids, rows->num, sizeof(uint64), compare_tids);
	for (int64 i = 1; i < rows->num; i++)
		if (rows->tids[i] != rows->tids[kept])
			rows->tids[++kept] = rows->tids[i];
	rows->num = kept + 1;
}

/*
 * Reading
 */

/* Adds the rows of a leaf between the bounds; true when there may be more behind it */
static bool
read_leaf(PgsealRows *out_rows, const PgsealSealedIndex *index, const PgsealSealedNode *leaf,
		  const TermBounds *bounds)
{
	PgsealSealedCursor cursor = {0};
	const uint8 *key;
	int64		num;

	while ((key = pgseal_sealed_next_key(&cursor, index, leaf, &num)) != NULL)
	{
		uint64	   *tids = NULL;

		if (pgseal_sealed_compare_bound(index, key, &bounds->lower) > 0)
		{
			if (pgseal_sealed_compare_bound(index, key, &bounds->upper) > 0)
				return false;
			tids = make_room(out_rows, num);
			out_rows->num += num;
		}
		pgseal_sealed_take_rows(&cursor, index, leaf, num, tids);
	}
	return leaf->high.key != NULL &&
		pgseal_sealed_compare_bound(index, leaf->high.key, &bounds->upper) < 0;
}

/* Adds the rows between the bounds, of one leaf or of all; true when that is all of them */
static bool
read_rows(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation,
		  const TermBounds *bounds, bool one_leaf)
{
	PgsealSealedNode *leaf = pgseal_sealed_find_bound(index, relation, &bounds->lower);
	bool		more = false;

	while (leaf != NULL)
	{
		PgsealSealedNode *next = NULL;

		more = read_leaf(out_rows, index, leaf, bounds);
		if (more && !one_leaf)
			next = pgseal_sealed_step(index, relation, leaf->right, leaf->high.key,
									  leaf->high.tid, true);
		pgseal_sealed_free_node(leaf);
		leaf = next;
		CHECK_FOR_INTERRUPTS();
	}
	return !(more && one_leaf);
}

static double
width_of(PgsealSealedIndex *index, Relation relation, uint32 term)
{
	TermBounds	bounds;
	PgsealSealedNode *leaf = NULL;
	double		total;
	double		width;

	bounds_of_term(&bounds, term);
	width = -pgseal_sealed_rank(index, relation, &bounds.lower, &leaf, &total);
	width += pgseal_sealed_rank(index, relation, &bounds.upper, &leaf, &total);
	pgseal_sealed_free_node(leaf);
	return width;
}

/* All of the index, with those whose value is NULL, or without them */
static void
read_everything(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation, bool nulls)
{
	PgsealSealedBound start = {.side = -1};
	PgsealSealedNode *leaf = pgseal_sealed_find_bound(index, relation, &start);

	memset(out_rows, 0, sizeof(*out_rows));
	while (leaf != NULL)
	{
		PgsealSealedNode *next;
		PgsealSealedCursor cursor = {0};
		const uint8 *key;
		int64		num;

		while ((key = pgseal_sealed_next_key(&cursor, index, leaf, &num)) != NULL)
		{
			bool		wanted = nulls || key[0] != 0;

			pgseal_sealed_take_rows(&cursor, index, leaf, num,
									wanted ? make_room(out_rows, num) : NULL);
			out_rows->num += wanted ? num : 0;
		}
		next = leaf->high.key == NULL ? NULL :
			pgseal_sealed_step(index, relation, leaf->right, leaf->high.key, leaf->high.tid, true);
		pgseal_sealed_free_node(leaf);
		leaf = next;
		CHECK_FOR_INTERRUPTS();
	}
	sort_rows(out_rows);
}

/*
 * Searching
 */

/* Takes the rows that have the term; the first time all that are given */
static void
require(PgsealRows *found, bool *any, PgsealRows *rows)
{
	if (*any)
		intersect(found, rows);
	else
	{
		free_rows(found);
		*found = *rows;
		memset(rows, 0, sizeof(*rows));
	}
	*any = true;
	free_rows(rows);
}

/* The list that is read next: the shortest by what is known; -1: none is left */
static int
shortest(const TermList *lists, int num)
{
	int			best = -1;

	for (int i = 0; i < num; i++)
		if (!lists[i].complete && (best < 0 || lists[i].at_least < lists[best].at_least))
			best = i;
	return best;
}

/* Rows of the table by the last ANALYZE or VACUUM; 0: not known */
static double
rows_of_table(Relation relation)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relation->rd_index->indrelid));
	double		rows = 0;

	if (HeapTupleIsValid(tuple))
	{
		rows = ((Form_pg_class) GETSTRUCT(tuple))->reltuples;
		ReleaseSysCache(tuple);
	}
	return Max(rows, 0);
}

/*
 * Does reading a list cost less than looking at the found rows that aren't in it?  A
 * term that most rows have takes none away.
 */
static bool
is_worth_reading(int64 list_rows, int64 found, double table_rows)
{
	double		kept = table_rows > 0 ? Min(list_rows / table_rows, 1) : 0;

	return list_rows <= found * (1 - kept) * ROW_COST;
}

static void
search_alternative(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation,
				   const PgsealTerms *terms)
{
	TermList	lists[PGSEAL_MAX_TERMS];
	bool		any = false;
	bool		widths_known = false;
	double		table_rows = 0; /* not known */
	int			best;

	for (int i = 0; i < terms->num && !(any && out_rows->num <= FEW_ROWS); i++)
	{
		TermBounds	bounds;
		PgsealRows	rows = {0};

		bounds_of_term(&bounds, terms->terms[i]);
		lists[i].term = terms->terms[i];
		lists[i].complete = read_rows(&rows, index, relation, &bounds, true);
		lists[i].at_least = rows.num;
		if (lists[i].complete)
			require(out_rows, &any, &rows);
		free_rows(&rows);
	}
	while (!(any && out_rows->num <= FEW_ROWS) && (best = shortest(lists, terms->num)) >= 0)
	{
		TermBounds	bounds;
		PgsealRows	rows = {0};

		if (any && !is_worth_reading(lists[best].at_least, out_rows->num, table_rows))
			break;
		if (!widths_known)
		{
			/* None is short: now it pays to know how long they are */
			for (int i = 0; i < terms->num; i++)
				if (!lists[i].complete)
					lists[i].at_least = Max(lists[i].at_least,
											(int64) width_of(index, relation, lists[i].term));
			table_rows = rows_of_table(relation);
			widths_known = true;
			continue;
		}
		bounds_of_term(&bounds, lists[best].term);
		(void) read_rows(&rows, index, relation, &bounds, false);
		require(out_rows, &any, &rows);
		lists[best].complete = true;
	}
}

/* A query that doesn't ask for everything */
static void
search_query(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation,
			 const PgsealTermQuery *query)
{
	memset(out_rows, 0, sizeof(*out_rows));
	for (int i = 0; i < query->num; i++)
	{
		PgsealRows	rows = {0};

		search_alternative(&rows, index, relation, &query->alternatives[i]);
		for (int64 k = 0; k < rows.num; k++)
			add_row(out_rows, rows.tids[k]);
		free_rows(&rows);
	}
	if (query->num > 1)
		sort_rows(out_rows);
}

static void
search_null(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation)
{
	TermBounds	bounds;

	memset(out_rows, 0, sizeof(*out_rows));
	set_bounds(&bounds, NULL, 0);
	(void) read_rows(out_rows, index, relation, &bounds, false);
}

static bool
has_all(const PgsealPendingRow *row, const PgsealTerms *terms)
{
	int			k = 0;

	for (int i = 0; i < terms->num; i++)
	{
		while (k < row->num && row->terms[k] < terms->terms[i])
			k++;
		if (k == row->num || row->terms[k] != terms->terms[i])
			return false;
	}
	return true;
}

/* May a pending row be among those that the query asks for? */
static bool
may_find(const PgsealTermQuery *query, const PgsealPendingRow *row)
{
	if (row->is_null)
		return false;
	if (query->everything || row->is_partial)
		return true;
	for (int i = 0; i < query->num; i++)
		if (has_all(row, &query->alternatives[i]))
			return true;
	return false;
}

/* What is taken of the pending rows */
typedef struct PendingSearch
{
	const PgsealTermSearch *search;
	PgsealRows *rows;
} PendingSearch;

static void
take_pending(const PgsealPendingRow *row, void *arg)
{
	PendingSearch *pending = arg;
	const PgsealTermSearch *search = pending->search;

	if (search->wants_null ? !row->is_null : row->is_null && !search->wants_all)
		return;
	for (int i = 0; i < search->num; i++)
		if (!may_find(&search->queries[i], row))
			return;
	add_row(pending->rows, row->tid);
}

static void
search_tree(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation,
			const PgsealTermSearch *search)
{
	bool		any = false;

	for (int i = -1; i < search->num; i++)
	{
		PgsealRows	rows = {0};

		if (i < 0 ? !search->wants_null : search->queries[i].everything)
			continue;
		if (i < 0)
			search_null(&rows, index, relation);
		else
			search_query(&rows, index, relation, &search->queries[i]);
		require(out_rows, &any, &rows);
	}
	if (!any)
		read_everything(out_rows, index, relation, search->wants_all);
}

void
pgseal_term_search(PgsealRows *out_rows, PgsealSealedIndex *index, Relation relation,
				   const PgsealTermSearch *search)
{
	PgsealRows	pending_rows = {0};
	PendingSearch pending = {search, &pending_rows};

	/* Pending rows first, as they go from there to the tree */
	memset(out_rows, 0, sizeof(*out_rows));
	pgseal_pending_visit(index, relation, take_pending, &pending);
	search_tree(out_rows, index, relation, search);
	if (pending_rows.num == 0)
		return;
	for (int64 i = 0; i < pending_rows.num; i++)
		add_row(out_rows, pending_rows.tids[i]);
	sort_rows(out_rows);
	free_rows(&pending_rows);
}

bool
pgseal_term_search_keys(PgsealTermSearch *out_search, const PgsealSealedColumn *column,
						const ScanKey keys, int num_keys)
{
	memset(out_search, 0, sizeof(*out_search));
	out_search->queries = palloc(sizeof(PgsealTermQuery) * Max(num_keys, 1));
	out_search->wants_all = num_keys == 0;
	for (int i = 0; i < num_keys; i++)
	{
		const ScanKey key = &keys[i];

		if (key->sk_flags & SK_SEARCHNULL)
			out_search->wants_null = true;
		else if (key->sk_flags & SK_SEARCHNOTNULL)
			continue;
		else if (key->sk_flags & SK_ISNULL)
			return false;
		else
			pgseal_terms_of_query(&out_search->queries[out_search->num++], column,
								  key->sk_strategy, key->sk_argument, key->sk_collation);
	}
	return true;
}

double
pgseal_term_estimate(PgsealSealedIndex *index, Relation relation, const PgsealTermQuery *query)
{
	double		rows = 0;

	for (int i = 0; i < query->num; i++)
	{
		const PgsealTerms *terms = &query->alternatives[i];
		int			step = Max(1, terms->num / ESTIMATED_TERMS);
		double		least = -1;

		for (int k = 0; k < terms->num; k += step)
		{
			double		width = width_of(index, relation, terms->terms[k]);

			if (least < 0 || width < least)
				least = width;
		}
		rows += Max(least, 0);
	}
	return rows;
}
