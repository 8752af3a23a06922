/*-------------------------------------------------------------------------
 *
 * option.c
 *	  Options of a foreign server.
 *
 * Options are stored in a catalog that everybody may read, are dumped, and
 * appear in the server's log with the statement.  So no option ever holds a
 * secret: the names under which a user would look for one are in the
 * provider's table with a hint at what to use instead.  Who tried it anyway
 * doesn't find the statement in the log because of the error.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/reloptions.h"
#include "catalog/pg_foreign_server.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"

#include "kms/kms.h"

const char *
pgseal_kms_option(const PgsealKmsServer *server, const char *name)
{
	ListCell   *cell;

	foreach(cell, server->options)
	{
		DefElem    *def = lfirst_node(DefElem, cell);

		if (strcmp(def->defname, name) == 0)
			return defGetString(def);
	}
	return NULL;
}

static char *
valid_option_names(const PgsealKmsProvider *provider)
{
	StringInfoData names;

	initStringInfo(&names);
	for (const PgsealKmsOption *option = provider->options; option->name; option++)
	{
		if (option->refused_hint == NULL)
			appendStringInfo(&names, "%s%s", names.len > 0 ? ", " : "", option->name);
	}
	return names.data;
}

static void
validate_option(const PgsealKmsProvider *provider, DefElem *def)
{
	const PgsealKmsOption *option = provider->options;

	while (option->name && strcmp(option->name, def->defname) != 0)
		option++;

	if (option->name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errmsg("invalid option \"%s\"", def->defname),
				 errhint("Valid options of a server of foreign-data wrapper \"%s\" are: %s.",
						 provider->name, valid_option_names(provider))));
	if (option->refused_hint)
		ereport(ERROR,
				(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
				 errhidestmt(true),
				 errmsg("option \"%s\" is refused because it would hold a secret", def->defname),
				 errdetail("Options of a server are stored and dumped in clear, and everyone can read them."),
				 errhint("%s", option->refused_hint)));
	if (option->check)
		option->check(def->defname, defGetString(def));
}

void
pgseal_kms_validate(const PgsealKmsProvider *provider, Datum options_array, Oid catalog)
{
	List	   *options = untransformRelOptions(options_array);
	ListCell   *cell;

	if (catalog != ForeignServerRelationId)
	{
		if (options != NIL)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_INVALID_OPTION_NAME),
					 errhidestmt(true),
					 errmsg("invalid option \"%s\"", linitial_node(DefElem, options)->defname),
					 errdetail("With foreign-data wrapper \"%s\" only a server takes options.",
							   provider->name),
					 errhint("Use CREATE SERVER or ALTER SERVER.")));
		return;
	}

	foreach(cell, options)
		validate_option(provider, lfirst_node(DefElem, cell));

	for (const PgsealKmsOption *option = provider->options; option->name; option++)
	{
		bool		found = false;

		if (!option->required)
			continue;
		foreach(cell, options)
			found |= strcmp(lfirst_node(DefElem, cell)->defname, option->name) == 0;
		if (!found)
			ereport(ERROR,
					(errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
					 errmsg("option \"%s\" is required by foreign-data wrapper \"%s\"",
							option->name, provider->name)));
	}

	if (provider->validate)
		provider->validate(options);
}
