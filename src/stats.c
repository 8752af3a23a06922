/*-------------------------------------------------------------------------
 *
 * stats.c
 *	  ANALYZE of encrypted columns.
 *
 * Layer 5.
 *
 * PostgreSQL's own typanalyze would keep the most common values and a
 * histogram, which is the order of the plaintexts.  This one keeps the null
 * fraction and the width, needs no key, and leaves the number of distinct
 * values to the planner's guess.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/detoast.h"
#include "commands/vacuum.h"
#include "fmgr.h"

#include "compat.h"

PG_FUNCTION_INFO_V1(pgseal_typanalyze);

static void
compute_stats(VacAttrStatsP stats, AnalyzeAttrFetchFunc fetch, int num_sampled, double num_rows)
{
	int			num_nulls = 0;
	double		total_width = 0;

	for (int i = 0; i < num_sampled; i++)
	{
		bool		isnull;
		Datum		value;

		vacuum_delay_point();
		value = fetch(stats, i, &isnull);
		if (isnull)
			num_nulls++;
		else
			total_width += VARSIZE_ANY(DatumGetPointer(value));
	}
	if (num_sampled == 0)
		return;
	stats->stats_valid = true;
	stats->stanullfrac = (double) num_nulls / num_sampled;
	stats->stawidth = num_nulls < num_sampled ? total_width / (num_sampled - num_nulls) : 0;
	stats->stadistinct = 0;		/* unknown */
}

Datum
pgseal_typanalyze(PG_FUNCTION_ARGS)
{
	VacAttrStats *stats = (VacAttrStats *) PG_GETARG_POINTER(0);

	stats->compute_stats = compute_stats;
	/* As std_typanalyze() for a type without comparison */
	if (stats->attr->attstattarget < 0)
		stats->attr->attstattarget = default_statistics_target;
	stats->minrows = 300 * stats->attr->attstattarget;
	PG_RETURN_BOOL(true);
}
