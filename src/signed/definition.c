/*-------------------------------------------------------------------------
 *
 * definition.c
 *	  What of a row is signed: the columns, and what they are called in it.
 *
 * Labels are names of the time when the definition was made.  They go into every
 * signature and stay what they are when something is renamed.
 *
 *	 prefix		"pgseal row 1" lp(table label) number
 *	 body		for each column: lp(label) lp(type label) value
 *
 * where the number is 1 byte, lp and value as in canonical.c, and names are UTF-8.  signing.c puts them
 * together.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "utils/rel.h"

#include "base/compat.h"
#include "signed/definition.h"
#include "signed/signed_triggers.h"

#define MAC_LABEL				"pgseal row 1"

void
pgseal_definition_unfit(Relation rel, const char *detail)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_OBJECT_DEFINITION),
			 errmsg("the trigger that signs rows of table \"%s\" does not fit the table",
					RelationGetRelationName(rel)),
			 errdetail_internal("%s", detail),
			 errhint("Use pgseal.sign_table() or pgseal.unsign_table().")));
}

static AttrNumber
attribute_named(TupleDesc desc, const char *name)
{
	for (int i = 0; i < desc->natts; i++)
		if (!TupleDescAttr(desc, i)->attisdropped &&
			strcmp(NameStr(TupleDescAttr(desc, i)->attname), name) == 0)
			return i + 1;
	return InvalidAttrNumber;
}

static void
read_column(PgsealSignedColumn *column, Relation rel, char **arguments)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Form_pg_attribute attribute;

	column->label = pstrdup(arguments[0]);
	column->type_label = pstrdup(arguments[1]);
	column->name = pstrdup(arguments[2]);
	column->attnum = attribute_named(desc, column->name);
	if (column->attnum == InvalidAttrNumber)
		pgseal_definition_unfit(rel, psprintf("Signed column \"%s\" does not exist.", column->name));
	attribute = TupleDescAttr(desc, column->attnum - 1);
	if (attribute->attgenerated != '\0' || column->attnum == pgseal_signing_column(desc))
		pgseal_definition_unfit(rel, psprintf("Column \"%s\" cannot be signed.", column->name));
	column->canonical = pgseal_canonical_of_type(attribute->atttypid, attribute->atttypmod,
												 column->name);
	initStringInfo(&column->prefix);
	pgseal_canonical_append_name(&column->prefix, column->label);
	pgseal_canonical_append_name(&column->prefix, column->type_label);
}

PgsealDefinition *
pgseal_definition_read(Relation rel, const char *table_label, const char *number,
					   char **columns, int num_columns)
{
	PgsealDefinition *definition = palloc0(sizeof(PgsealDefinition));
	int			value = atoi(number);

	if (num_columns < 1 || num_columns > PGSEAL_SIGNED_COLUMNS_MAX)
		pgseal_definition_unfit(rel, "It has a wrong number of arguments.");
	if (value < 1 || value > PG_UINT8_MAX)
		pgseal_definition_unfit(rel, "The number of a definition is one from 1 to 255.");
	definition->number = (uint8) value;
	definition->table_label = pstrdup(table_label);
	initStringInfo(&definition->prefix);
	appendBinaryStringInfo(&definition->prefix, MAC_LABEL, strlen(MAC_LABEL));
	pgseal_canonical_append_name(&definition->prefix, table_label);
	appendStringInfoChar(&definition->prefix, (char) definition->number);
	for (int i = 0; i < num_columns; i++)
		read_column(&definition->columns[i], rel, columns + i * 3);
	definition->num_columns = num_columns;
	return definition;
}

List *
pgseal_definition_arguments(List *arguments, const PgsealDefinition *definition)
{
	for (int i = 0; i < definition->num_columns; i++)
	{
		arguments = lappend(arguments, definition->columns[i].label);
		arguments = lappend(arguments, definition->columns[i].type_label);
		arguments = lappend(arguments, definition->columns[i].name);
	}
	return arguments;
}

bool
pgseal_definition_has(const PgsealDefinition *definition, AttrNumber attnum)
{
	for (int i = 0; i < definition->num_columns; i++)
		if (definition->columns[i].attnum == attnum)
			return true;
	return false;
}

bool
pgseal_definition_uses(const PgsealDefinition *definition, Oid type)
{
	for (int i = 0; i < definition->num_columns; i++)
		if (pgseal_canonical_uses(definition->columns[i].canonical, type))
			return true;
	return false;
}

bool
pgseal_definition_same_columns(const PgsealDefinition *a, const PgsealDefinition *b)
{
	if (a->num_columns != b->num_columns)
		return false;
	for (int i = 0; i < a->num_columns; i++)
		if (a->columns[i].attnum != b->columns[i].attnum)
			return false;
	return true;
}

int
pgseal_definition_num_either(const PgsealDefinition *a, const PgsealDefinition *b)
{
	int			num = a->num_columns;

	for (int i = 0; i < b->num_columns; i++)
		if (!pgseal_definition_has(a, b->columns[i].attnum))
			num++;
	return num;
}

void
pgseal_definition_body(StringInfo out, const PgsealDefinition *definition,
					   const Datum *row_values, const bool *row_nulls)
{
	for (int i = 0; i < definition->num_columns; i++)
	{
		const PgsealSignedColumn *column = &definition->columns[i];

		appendBinaryStringInfo(out, column->prefix.data, column->prefix.len);
		pgseal_canonical_append(out, column->canonical, row_values[column->attnum - 1],
								row_nulls[column->attnum - 1]);
	}
}
