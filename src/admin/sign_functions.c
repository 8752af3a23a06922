/*-------------------------------------------------------------------------
 *
 * sign_functions.c
 *	  SQL functions that begin and end the signing of a table's rows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#include "base/compat.h"
#include "ddl/sign_table.h"

PG_FUNCTION_INFO_V1(pgseal_sign_table);
PG_FUNCTION_INFO_V1(pgseal_unsign_table);

/* sign_table(table regclass, columns text[], key text, signers text, ledger bool) → int8 */
Datum
pgseal_sign_table(PG_FUNCTION_ARGS)
{
	PgsealSignTable wish = {0};
	char	   *signers;

	if (PG_ARGISNULL(0) || PG_ARGISNULL(3))
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("table and signers must not be null")));
	signers = text_to_cstring(PG_GETARG_TEXT_PP(3));
	if (strcmp(signers, "usage") != 0 && strcmp(signers, "writers") != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("signers must be usage or writers")));
	wish.columns = PG_ARGISNULL(1) ? NULL : PG_GETARG_ARRAYTYPE_P(1);
	wish.key = PG_ARGISNULL(2) ? NULL : text_to_cstring(PG_GETARG_TEXT_PP(2));
	wish.writers = strcmp(signers, "writers") == 0;
	wish.ledger = PG_ARGISNULL(4) ? PGSEAL_LEDGER_AS_BEFORE :
		PG_GETARG_BOOL(4) ? PGSEAL_LEDGER_YES : PGSEAL_LEDGER_NO;
	PG_RETURN_INT64(pgseal_sign_table_rows(PG_GETARG_OID(0), &wish));
}

/* unsign_table(table regclass, confirm text) */
Datum
pgseal_unsign_table(PG_FUNCTION_ARGS)
{
	Oid			relid = PG_GETARG_OID(0);
	char	   *confirm = text_to_cstring(PG_GETARG_TEXT_PP(1));
	char	   *name = get_rel_name(relid);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid)));
	if (strcmp(confirm, name) != 0 &&
		strcmp(confirm, quote_qualified_identifier(get_namespace_name(get_rel_namespace(relid)),
												   name)) != 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("confirm must repeat the name of the table")));
	pgseal_unsign_table_rows(relid);
	PG_RETURN_VOID();
}
