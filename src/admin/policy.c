/*-------------------------------------------------------------------------
 *
 * policy.c
 *	  The triggers of pgseal.policy.
 *
 * Who changes a rule leaves an event, and wakes the worker, which follows it
 * (life/rewrap.c).  What the rules say, and what complies, is SQL
 * (sql/install/69_policy.sql).
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/spi.h"
#include "fmgr.h"
#include "utils/builtins.h"
#include "utils/rel.h"

#include "base/compat.h"
#include "base/spi_query.h"
#include "keys/catalog.h"
#include "keys/wakeup.h"

PG_FUNCTION_INFO_V1(pgseal_merge_policy);
PG_FUNCTION_INFO_V1(pgseal_policy_changed);

/* rule, object, limit, enforce */
#define NUM_COLUMNS		4

static TriggerData *
called_as_trigger(FunctionCallInfo fcinfo)
{
	if (!CALLED_AS_TRIGGER(fcinfo))
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("a trigger function of pgseal.policy must be called as a trigger")));
	return (TriggerData *) fcinfo->context;
}

/* A row that is there already, as it is, is left: of a restored dump, or a template */
Datum
pgseal_merge_policy(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = called_as_trigger(fcinfo);
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);
	PgsealQuerySession session;
	Datum		values[NUM_COLUMNS];
	bool		is_there;

	for (int i = 0; i < NUM_COLUMNS; i++)
	{
		bool		isnull;

		values[i] = heap_getattr(trigger->tg_trigtuple, i + 1, desc, &isnull);
		if (isnull)
			return PointerGetDatum(trigger->tg_trigtuple);	/* which is refused */
	}
	pgseal_query_begin(&session);
	is_there = pgseal_query("SELECT FROM pgseal.policy"
							" WHERE rule = $1 AND object = $2 AND \"limit\" = $3 AND enforce = $4", 4,
							TEXTOID, values[0], TEXTOID, values[1], TEXTOID, values[2],
							BOOLOID, values[3]) > 0;
	pgseal_query_end(&session);
	return PointerGetDatum(is_there ? NULL : trigger->tg_trigtuple);
}

static void
report(const char *what, HeapTuple rule, TupleDesc desc)
{
	pgseal_catalog_event("policy_changed", NULL, 0,
						 psprintf("%s rule=\"%s\" object=\"%s\" limit=\"%s\" enforce=%s", what,
								  SPI_getvalue(rule, desc, 1), SPI_getvalue(rule, desc, 2),
								  SPI_getvalue(rule, desc, 3), SPI_getvalue(rule, desc, 4)));
}

Datum
pgseal_policy_changed(PG_FUNCTION_ARGS)
{
	TriggerData *trigger = called_as_trigger(fcinfo);
	TupleDesc	desc = RelationGetDescr(trigger->tg_relation);

	if (TRIGGER_FIRED_BY_TRUNCATE(trigger->tg_event))
		pgseal_catalog_event("policy_changed", NULL, 0, "removed all rules");
	else if (TRIGGER_FIRED_BY_UPDATE(trigger->tg_event))
	{
		report("was", trigger->tg_trigtuple, desc);
		report("is", trigger->tg_newtuple, desc);
	}
	else
		report(TRIGGER_FIRED_BY_DELETE(trigger->tg_event) ? "removed" : "added",
			   trigger->tg_trigtuple, desc);
	pgseal_wakeup_at_commit();
	return PointerGetDatum(NULL);
}
