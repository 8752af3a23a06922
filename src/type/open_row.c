/*-------------------------------------------------------------------------
 *
 * open_row.c
 *	  Rows that hold sealed values, opened.
 *
 * What prints a row as a whole (its output function, a client's result column)
 * would print the sealed form of its columns.  open_row() makes of it a row with
 * the same column names and the opened values, at any depth; open_rows() does so
 * for the elements of an array.  Their type is record: the named row type says
 * that its columns are encrypted.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

#include "base/compat.h"
#include "value/find_sealed.h"
#include "value/seal.h"

PG_FUNCTION_INFO_V1(pgseal_open_row);
PG_FUNCTION_INFO_V1(pgseal_open_rows);

/* A row type and what it becomes; kept for the calls from one place */
typedef struct OpenedRow
{
	Oid			type;
	int32		typmod;
	TupleDesc	sealed;
	PgsealShape **members;		/* NULL when the row holds no sealed values */
	TupleDesc	opened;
} OpenedRow;

static Datum open_row(TupleDesc sealed, PgsealShape **members, TupleDesc opened, Datum value);
static Datum open_record(Datum value);

static Oid
opened_type(const PgsealShape *shape)
{
	switch (shape->kind)
	{
		case PGSEAL_SHAPE_VALUE:
			return shape->type->base->oid;
		case PGSEAL_SHAPE_ARRAY:
			return get_array_type(opened_type(shape->members[0]));
		case PGSEAL_SHAPE_ROW:
			return RECORDOID;
		case PGSEAL_SHAPE_OPAQUE:
			break;
	}
	return InvalidOid;
}

/* As pgseal_shape_of_row(), but not NULL when a column is a record either */
static PgsealShape **
members_of(TupleDesc sealed)
{
	PgsealShape **members = pgseal_shape_of_row(sealed);

	for (int i = 0; members == NULL && i < sealed->natts; i++)
	{
		Oid			type = TupleDescAttr(sealed, i)->atttypid;

		if (type == RECORDOID || type == RECORDARRAYOID)
			members = palloc0(sealed->natts * sizeof(PgsealShape *));
	}
	return members;
}

static TupleDesc
opened_desc(TupleDesc sealed, PgsealShape **members)
{
	TupleDesc	opened = CreateTupleDescCopy(sealed);

	for (int i = 0; i < sealed->natts; i++)
	{
		Oid			type = members[i] != NULL ? opened_type(members[i]) : InvalidOid;

		if (OidIsValid(type))
			TupleDescInitEntry(opened, i + 1, NameStr(TupleDescAttr(sealed, i)->attname), type,
							   -1, 0);
	}
	opened->tdtypeid = RECORDOID;
	opened->tdtypmod = -1;
	return BlessTupleDesc(opened);
}

static Datum open_shaped(const PgsealShape *shape, Datum value, bool *out_isnull);

/* shape is that of an array of one kind of elements; NULL for records */
static Datum
open_elements(const PgsealShape *shape, Datum value)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	Oid			sealed = ARR_ELEMTYPE(array);
	Oid			opened = shape != NULL ? opened_type(shape->members[0]) : RECORDOID;
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elements;
	bool	   *nulls;
	int			num;

	get_typlenbyvalalign(sealed, &len, &byval, &align);
	deconstruct_array(array, sealed, len, byval, align, &elements, &nulls, &num);
	for (int i = 0; i < num; i++)
	{
		if (nulls[i])
			continue;
		elements[i] = shape == NULL ? open_record(elements[i]) :
			open_shaped(shape->members[0], elements[i], &nulls[i]);
	}
	get_typlenbyvalalign(opened, &len, &byval, &align);
	return PointerGetDatum(construct_md_array(elements, nulls, ARR_NDIM(array), ARR_DIMS(array),
											  ARR_LBOUND(array), opened, len, byval, align));
}

static Datum
open_shaped(const PgsealShape *shape, Datum value, bool *out_isnull)
{
	*out_isnull = false;
	switch (shape->kind)
	{
		case PGSEAL_SHAPE_VALUE:
			return pgseal_value_open(shape->type, value, PGSEAL_ACCESS_CHECKED, out_isnull);
		case PGSEAL_SHAPE_ARRAY:
			return open_elements(shape, value);
		case PGSEAL_SHAPE_ROW:
			return open_row(shape->desc, shape->members, opened_desc(shape->desc, shape->members),
							value);
		case PGSEAL_SHAPE_OPAQUE:
			break;
	}
	return value;
}

static Datum
open_row(TupleDesc sealed, PgsealShape **members, TupleDesc opened, Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_data = header, .t_len = HeapTupleHeaderGetDatumLength(header)};
	Datum	   *columns = palloc(sealed->natts * sizeof(Datum));
	bool	   *nulls = palloc(sealed->natts * sizeof(bool));

	heap_deform_tuple(&tuple, sealed, columns, nulls);
	for (int i = 0; i < sealed->natts; i++)
	{
		Oid			type = TupleDescAttr(sealed, i)->atttypid;

		if (nulls[i])
			continue;
		if (members[i] != NULL)
			columns[i] = open_shaped(members[i], columns[i], &nulls[i]);
		else if (type == RECORDOID)
			columns[i] = open_record(columns[i]);
		else if (type == RECORDARRAYOID)
			columns[i] = open_elements(NULL, columns[i]);
	}
	return HeapTupleGetDatum(heap_form_tuple(opened, columns, nulls));
}

/*
 * Of a record, each value says what type it is.  One that has none of its own
 * but records is looked through, too.
 */
static Datum
open_record(Datum value)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	TupleDesc	sealed;
	PgsealShape **members;

	check_stack_depth();
	sealed = lookup_rowtype_tupdesc_copy(HeapTupleHeaderGetTypeId(header),
										 HeapTupleHeaderGetTypMod(header));
	members = members_of(sealed);
	return members == NULL ? value :
		open_row(sealed, members, opened_desc(sealed, members), value);
}

/* What fn_extra keeps of the row's type */
static OpenedRow *
row_type_of(FunctionCallInfo fcinfo, HeapTupleHeader header)
{
	OpenedRow  *row = fcinfo->flinfo->fn_extra;
	Oid			type = HeapTupleHeaderGetTypeId(header);
	int32		typmod = HeapTupleHeaderGetTypMod(header);
	MemoryContext saved;

	if (row != NULL && row->type == type && row->typmod == typmod)
		return row;
	saved = MemoryContextSwitchTo(fcinfo->flinfo->fn_mcxt);
	row = palloc0(sizeof(OpenedRow));
	row->type = type;
	row->typmod = typmod;
	row->sealed = lookup_rowtype_tupdesc_copy(type, typmod);
	row->members = members_of(row->sealed);
	if (row->members != NULL)
		row->opened = opened_desc(row->sealed, row->members);
	MemoryContextSwitchTo(saved);
	fcinfo->flinfo->fn_extra = row;
	return row;
}

/* record → record */
Datum
pgseal_open_row(PG_FUNCTION_ARGS)
{
	OpenedRow  *row = row_type_of(fcinfo, PG_GETARG_HEAPTUPLEHEADER(0));

	if (row->members == NULL)
		return PG_GETARG_DATUM(0);
	return open_row(row->sealed, row->members, row->opened, PG_GETARG_DATUM(0));
}

/* array of a row type → record[] */
Datum
pgseal_open_rows(PG_FUNCTION_ARGS)
{
	Oid			type = get_fn_expr_argtype(fcinfo->flinfo, 0);
	PgsealShape *shape = OidIsValid(type) ? pgseal_shape_of_type(type, -1) : NULL;

	if (type == RECORDARRAYOID)
		return open_elements(NULL, PG_GETARG_DATUM(0));
	if (shape == NULL || shape->kind != PGSEAL_SHAPE_ARRAY ||
		shape->members[0]->kind != PGSEAL_SHAPE_ROW)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("not an array of rows with encrypted columns")));
	return open_elements(shape, PG_GETARG_DATUM(0));
}
