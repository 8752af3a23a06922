/*-------------------------------------------------------------------------
 *
 * brin.h
 *	  BRIN with summaries that show nothing: sealed_TYPE_minmax_ops.
 *
 * PostgreSQL's own min/max classes would keep the least and the greatest value of
 * a range of blocks as they lie in the table: who reads the disk would know of two
 * rows of each range which they are.  Here, a summary is one datum: both bounds,
 * sealed together under a fresh nonce, and of one length for all of a type.
 *
 *	 brin.c			what PostgreSQL asks of an operator class
 *	 brin_summary.c	bounds, and how they are sealed
 *	 brin_ranges.c	ranges of an index, one after the other: sealing anew,
 *					verifying, estimates
 *	 brin_cost.c	what a search costs
 *	 brin_insert.c	keys, before an insertion locks a block
 *
 * PostgreSQL calls addValue for an insertion while it holds the lock of the
 * summary's block, when nobody may be asked for a key: they are made ready before.
 * What cannot be opened all the same, as its key was destroyed, makes the range one of
 * which nothing is known; it is always looked at.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_BRIN_H
#define PGSEAL_BRIN_H

#include "postgres.h"
#include "access/brin_internal.h"
#include "access/stratnum.h"

#include "sealed/access.h"
#include "sealed/sealed.h"

/* A bound that would be longer is cut where that is sound, else there is none */
#define PGSEAL_BOUND_BYTES	126

#define PGSEAL_BOUNDS_NO_LOW		0x01
#define PGSEAL_BOUNDS_NO_HIGH		0x02
#define PGSEAL_BOUNDS_HIGH_IS_CUT	0x04	/* what begins with it is within */
#define PGSEAL_BOUNDS_UNKNOWN		(PGSEAL_BOUNDS_NO_LOW | PGSEAL_BOUNDS_NO_HIGH)

/* Opened bounds of a range, as bytes of keys (key.c); wiped by who has them */
typedef struct PgsealBounds
{
	uint8		flags;
	uint8		low_len;
	uint8		high_len;
	uint8		low[PGSEAL_BOUND_BYTES];
	uint8		high[PGSEAL_BOUND_BYTES];
} PgsealBounds;

/* A column of an index, as the operator class knows it */
typedef struct PgsealBrinColumn
{
	bool		described;
	PgsealSealedColumn column;
	int32		key_hash;		/* of the key whose index key seals the bounds */
	AttrNumber	attno;			/* in the index */
} PgsealBrinColumn;

/* The operator class's knowledge of a column of ours */
extern const PgsealBrinColumn *pgseal_brin_column(BrinDesc *desc, AttrNumber attno);

/* Makes a tuple's column hold these bounds, which are sealed when it is formed */
extern void pgseal_brin_set_bounds(BrinDesc *desc, BrinValues *column,
								   const PgsealBounds *bounds);

/* Is it a column of these classes? */
extern bool pgseal_brin_is_our_column(Relation index, int column);

/*
 * brin_summary.c
 */

/* The bounds of one value */
extern void pgseal_bounds_of_value(PgsealBounds *out_bounds, const PgsealBrinColumn *column,
								   const uint8 *bytes, int len);

/* Make room for more; true when that has changed anything */
extern bool pgseal_bounds_add_value(PgsealBounds *bounds, const PgsealBrinColumn *column,
									const uint8 *bytes, int len);
extern bool pgseal_bounds_unite(PgsealBounds *bounds, const PgsealBrinColumn *column,
								const PgsealBounds *other);

/* Can there be a value within that meets the condition? */
extern bool pgseal_bounds_may_meet(const PgsealBounds *bounds, const PgsealBrinColumn *column,
								   StrategyNumber strategy, const PgsealSealedProbe *probe);

/* May keys be asked for?  Not under a lock of a buffer. */
extern bool pgseal_brin_may_ask(void);

/* palloc'd.  Of an index key that isn't at hand, and can't be asked for, nothing. */
extern Datum pgseal_brin_seal(const PgsealBrinColumn *column, const PgsealBounds *bounds);

/*
 * False when the summary can't be opened for want of a key that may not be asked for:
 * then nothing is known.  XX002 when it isn't authentic.
 */
extern bool pgseal_brin_open(PgsealBounds *out_bounds, const PgsealBrinColumn *column,
							 Relation index, Datum summary);

/* Is it under another version of the index key than that which seals now? */
extern bool pgseal_brin_is_stale(const PgsealBrinColumn *column, Datum summary);

/*
 * brin_insert.c
 */

/* From now on insertions into this index have their keys before they lock a block */
extern void pgseal_brin_watch(Relation index);

/*
 * brin_ranges.c
 */

/* One condition of a search: column strategy constant */
typedef struct PgsealBrinCondition
{
	AttrNumber	attno;
	StrategyNumber strategy;
	Oid			type;			/* of the constant */
	Datum		constant;
} PgsealBrinCondition;

/*
 * From some ranges that are spread over the table: the share of them that may meet all
 * conditions, and of the rows, roughly.  The current user may open the values.
 */
extern void pgseal_brin_estimate(Relation index, const PgsealBrinCondition *conditions, int num,
								 double *out_ranges, double *out_rows);

/* What pgseal.verify_index() finds */
typedef struct PgsealBrinFindings
{
	int64		summaries;
	int64		bounded;		/* those of which something is known */
	int64		misplaced;		/* whose lower bound is above the upper one */
	int64		rows;
	int64		missing;		/* rows outside of their range's bounds */
} PgsealBrinFindings;

/* As pgseal_sealed_check_access(), of all its columns */
extern bool pgseal_brin_check_access(Relation index);

extern void pgseal_brin_verify(PgsealBrinFindings *out_findings, Relation heap, Relation index);

#endif							/* PGSEAL_BRIN_H */
