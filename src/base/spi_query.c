/*-------------------------------------------------------------------------
 *
 * spi_query.c
 *	  Short SQL queries from C.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/guc.h"

#include "base/compat.h"
#include "base/spi_query.h"

#define ARGS_MAX				10

void
pgseal_query_begin(PgsealQuerySession *out_session)
{
	/* After an error, the end of the (sub)transaction restores it */
	GetUserIdAndSecContext(&out_session->user, &out_session->context);
	SetUserIdAndSecContext(BOOTSTRAP_SUPERUSERID,
						   out_session->context | SECURITY_LOCAL_USERID_CHANGE);
	SPI_connect();
}

void
pgseal_query_end(const PgsealQuerySession *session)
{
	SPI_finish();
	SetUserIdAndSecContext(session->user, session->context);
}

/* All SQL of the extension goes through here, with a search_path of pg_catalog */
static uint64
execute(const char *sql, int num_args, Oid *types, Datum *values)
{
	int			guc_level = NewGUCNestLevel();
	int			result;

	(void) set_config_option("search_path", "pg_catalog, pg_temp", PGC_USERSET, PGC_S_SESSION,
							 GUC_ACTION_SAVE, true, 0, false);
	result = SPI_execute_with_args(sql, num_args, types, values, NULL, false, 0);
	AtEOXact_GUC(false, guc_level);
	if (result < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INTERNAL_ERROR),
				 errmsg("could not run a query: %s", SPI_result_code_string(result))));
	return SPI_processed;
}

uint64
pgseal_query(const char *sql, int num_args,...)
{
	Oid			types[ARGS_MAX];
	Datum		values[ARGS_MAX];
	va_list		args;

	Assert(num_args <= ARGS_MAX);
	va_start(args, num_args);
	for (int i = 0; i < num_args; i++)
	{
		types[i] = va_arg(args, Oid);
		values[i] = va_arg(args, Datum);
	}
	va_end(args);
	return execute(sql, num_args, types, values);
}

void
pgseal_command(const char *sql)
{
	SPI_connect();
	(void) execute(sql, 0, NULL, NULL);
	SPI_finish();
}

int64
pgseal_query_int64(uint64 row, int column)
{
	TupleDesc	desc = SPI_tuptable->tupdesc;
	bool		isnull;
	Datum		value = SPI_getbinval(SPI_tuptable->vals[row], desc, column, &isnull);

	if (isnull)
		return 0;
	switch (SPI_gettypeid(desc, column))
	{
		case BOOLOID:
			return DatumGetBool(value);
		case INT4OID:
			return DatumGetInt32(value);
		case OIDOID:
			return DatumGetObjectId(value);
		default:
			return DatumGetInt64(value);
	}
}

char *
pgseal_query_text(uint64 row, int column)
{
	return SPI_getvalue(SPI_tuptable->vals[row], SPI_tuptable->tupdesc, column);
}
