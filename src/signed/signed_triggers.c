/*-------------------------------------------------------------------------
 *
 * signed_triggers.c
 *	  Which triggers and which column a signed table has.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_class.h"
#include "catalog/pg_trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#include "base/compat.h"
#include "base/extension.h"
#include "signed/row_signature.h"
#include "signed/signed_triggers.h"

static Oid
trigger_function(const char *name)
{
	oidvector  *no_types = buildoidvector(NULL, 0);

	return GetSysCacheOid3(PROCNAMEARGSNSP, Anum_pg_proc_oid, CStringGetDatum(name),
						   PointerGetDatum(no_types), ObjectIdGetDatum(pgseal_schema()));
}

Oid
pgseal_signing_function(void)
{
	return trigger_function("sign_row");
}

Oid
pgseal_ledger_function(void)
{
	return trigger_function("record_row");
}

const Trigger *
pgseal_signing_trigger(Relation rel)
{
	Oid			function;

	if (rel->trigdesc == NULL || !rel->trigdesc->trig_insert_before_row ||
		!OidIsValid(pgseal_extension_oid()))
		return NULL;
	function = pgseal_signing_function();
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
		if (rel->trigdesc->triggers[i].tgfoid == function)
			return &rel->trigdesc->triggers[i];
	return NULL;
}

AttrNumber
pgseal_signing_column(TupleDesc desc)
{
	Oid			type = pgseal_signature_type();

	for (int i = 0; i < desc->natts; i++)
		if (TupleDescAttr(desc, i)->atttypid == type && !TupleDescAttr(desc, i)->attisdropped)
			return i + 1;
	return InvalidAttrNumber;
}

int64
pgseal_ledger_of_relation(Relation rel)
{
	Oid			function;

	if (rel->trigdesc == NULL || !rel->trigdesc->trig_insert_after_row ||
		!OidIsValid(pgseal_extension_oid()))
		return PGSEAL_NO_LEDGER;
	function = pgseal_ledger_function();
	for (int i = 0; i < rel->trigdesc->numtriggers; i++)
	{
		const Trigger *trigger = &rel->trigdesc->triggers[i];

		if (trigger->tgfoid == function && TRIGGER_FOR_ROW(trigger->tgtype))
			return trigger->tgnargs == 1 ? strtoll(trigger->tgargs[0], NULL, 10) : PGSEAL_NO_LEDGER;
	}
	return PGSEAL_NO_LEDGER;
}

bool
pgseal_signed_is_restored(Relation rel)
{
	return !check_function_bodies && rel->rd_rel->relispartition &&
		pgseal_owns_table(RelationGetRelid(rel), GetUserId());
}
