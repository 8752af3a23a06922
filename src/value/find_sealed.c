/*-------------------------------------------------------------------------
 *
 * find_sealed.c
 *	  Where in a datum, a row and a database encrypted values are.
 *
 * A column may be of an encrypted type, or of a domain, an array or a composite
 * type in which one occurs, at any depth.  Its shape says how to find the sealed
 * values in a datum.  What can hold them but can't be walked through (a range
 * over an encrypted type) has an opaque shape: then nobody may claim to have
 * seen every value.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "fmgr.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

#include "base/citus.h"
#include "base/compat.h"
#include "keys/catalog.h"
#include "value/find_sealed.h"

static PgsealShape *
make_shape(PgsealShapeKind kind, int num_members)
{
	PgsealShape *shape = palloc0(sizeof(PgsealShape));

	shape->kind = kind;
	shape->members = palloc0(num_members * sizeof(PgsealShape *));
	return shape;
}

static PgsealShape *
shape_of_composite(Oid type, int32 typmod)
{
	TupleDesc	desc = lookup_rowtype_tupdesc_copy(type, typmod);
	PgsealShape **members = pgseal_shape_of_row(desc);
	PgsealShape *shape;

	if (members == NULL)
		return NULL;
	shape = make_shape(PGSEAL_SHAPE_ROW, 0);
	shape->desc = desc;
	shape->members = members;
	return shape;
}

PgsealShape *
pgseal_shape_of_type(Oid type, int32 typmod)
{
	const PgsealType *encrypted;
	PgsealShape *member;
	PgsealShape *shape;
	Oid			element;

	if (type < FirstNormalObjectId)
		return NULL;
	type = getBaseTypeAndTypmod(type, &typmod);
	encrypted = pgseal_type_by_oid(type);
	if (encrypted != NULL)
	{
		shape = make_shape(PGSEAL_SHAPE_VALUE, 0);
		shape->type = encrypted;
		shape->typmod = typmod;
		return shape;
	}
	element = get_element_type(type);
	if (OidIsValid(element))
	{
		member = pgseal_shape_of_type(element, typmod);
		if (member == NULL)
			return NULL;
		shape = make_shape(PGSEAL_SHAPE_ARRAY, 1);
		shape->element = element;
		shape->members[0] = member;
		return shape;
	}
	if (get_typtype(type) == TYPTYPE_COMPOSITE)
		return shape_of_composite(type, typmod);
	if (get_typtype(type) == TYPTYPE_MULTIRANGE)
		type = get_multirange_range(type);
	if (get_typtype(type) == TYPTYPE_RANGE &&
		pgseal_shape_of_type(get_range_subtype(type), -1) != NULL)
		return make_shape(PGSEAL_SHAPE_OPAQUE, 0);
	return NULL;
}

bool
pgseal_holds_encrypted(Oid type)
{
	return pgseal_shape_of_type(type, PGSEAL_TYPMOD_NONE) != NULL;
}

PgsealShape **
pgseal_shape_of_row(TupleDesc desc)
{
	PgsealShape **shapes = palloc0(Max(desc->natts, 1) * sizeof(PgsealShape *));
	bool		any = false;

	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (!attribute->attisdropped)
			shapes[i] = pgseal_shape_of_type(attribute->atttypid, attribute->atttypmod);
		any = any || shapes[i] != NULL;
	}
	if (any)
		return shapes;
	pfree(shapes);
	return NULL;
}

/*
 * Visiting
 */

static Datum
visit_array(const PgsealShape *shape, Datum value, PgsealValueVisitor visitor, void *context)
{
	ArrayType  *array = DatumGetArrayTypeP(value);
	int16		len;
	bool		byval;
	char		align;
	Datum	   *elements;
	bool	   *nulls;
	int			num;
	bool		changed = false;

	get_typlenbyvalalign(shape->element, &len, &byval, &align);
	deconstruct_array(array, shape->element, len, byval, align, &elements, &nulls, &num);
	for (int i = 0; i < num; i++)
	{
		Datum		element = elements[i];

		if (nulls[i])
			continue;
		elements[i] = pgseal_shape_visit(shape->members[0], element, visitor, context);
		changed = changed || elements[i] != element;
	}
	if (!changed)
		return value;
	return PointerGetDatum(construct_md_array(elements, nulls, ARR_NDIM(array), ARR_DIMS(array),
											  ARR_LBOUND(array), shape->element, len, byval,
											  align));
}

static Datum
visit_row(const PgsealShape *shape, Datum value, PgsealValueVisitor visitor, void *context)
{
	HeapTupleHeader header = DatumGetHeapTupleHeader(value);
	HeapTupleData tuple = {.t_data = header, .t_len = HeapTupleHeaderGetDatumLength(header)};
	Datum	   *columns = palloc(shape->desc->natts * sizeof(Datum));
	bool	   *nulls = palloc(shape->desc->natts * sizeof(bool));
	bool		changed = false;

	heap_deform_tuple(&tuple, shape->desc, columns, nulls);
	for (int i = 0; i < shape->desc->natts; i++)
	{
		Datum		column = columns[i];

		if (shape->members[i] == NULL || nulls[i])
			continue;
		columns[i] = pgseal_shape_visit(shape->members[i], column, visitor, context);
		changed = changed || columns[i] != column;
	}
	return changed ? heap_copy_tuple_as_datum(heap_form_tuple(shape->desc, columns, nulls),
											  shape->desc) : value;
}

Datum
pgseal_shape_visit(const PgsealShape *shape, Datum value, PgsealValueVisitor visitor,
				   void *context)
{
	struct varlena *replacement;

	switch (shape->kind)
	{
		case PGSEAL_SHAPE_VALUE:
			replacement = visitor(value, shape, context);
			return replacement != NULL ? PointerGetDatum(replacement) : value;
		case PGSEAL_SHAPE_ARRAY:
			return visit_array(shape, value, visitor, context);
		case PGSEAL_SHAPE_ROW:
			return visit_row(shape, value, visitor, context);
		case PGSEAL_SHAPE_OPAQUE:
			break;
	}
	return value;
}

void
pgseal_shape_visit_row(PgsealShape **shapes, TupleTableSlot *row, PgsealValueVisitor visitor,
					   void **contexts)
{
	for (int i = 0; shapes != NULL && i < row->tts_tupleDescriptor->natts; i++)
	{
		bool		isnull;
		Datum		value;

		if (shapes[i] == NULL)
			continue;
		value = slot_getattr(row, i + 1, &isnull);
		if (!isnull)
			pgseal_shape_visit(shapes[i], value, visitor, contexts[i]);
	}
}

/*
 * The database
 */

static void
collect_keys(List **key_hashes, bool *out_opaque, const PgsealShape *shape)
{
	switch (shape->kind)
	{
		case PGSEAL_SHAPE_VALUE:
			*key_hashes = list_append_unique_int(*key_hashes,
												 Max(shape->typmod, PGSEAL_TYPMOD_ANY));
			break;
		case PGSEAL_SHAPE_ARRAY:
			collect_keys(key_hashes, out_opaque, shape->members[0]);
			break;
		case PGSEAL_SHAPE_ROW:
			for (int i = 0; i < shape->desc->natts; i++)
				if (shape->members[i] != NULL)
					collect_keys(key_hashes, out_opaque, shape->members[i]);
			break;
		case PGSEAL_SHAPE_OPAQUE:
			*out_opaque = true;
			*key_hashes = list_append_unique_int(*key_hashes, PGSEAL_TYPMOD_ANY);
			break;
	}
}

List *
pgseal_shape_key_hashes(const PgsealShape *shape)
{
	List	   *key_hashes = NIL;
	bool		opaque = false;

	collect_keys(&key_hashes, &opaque, shape);
	return key_hashes;
}

bool
pgseal_shape_lacks_key(const PgsealShape *shape)
{
	switch (shape->kind)
	{
		case PGSEAL_SHAPE_VALUE:
			return shape->typmod == PGSEAL_TYPMOD_NONE;
		case PGSEAL_SHAPE_ARRAY:
			return pgseal_shape_lacks_key(shape->members[0]);
		case PGSEAL_SHAPE_ROW:
			for (int i = 0; i < shape->desc->natts; i++)
				if (shape->members[i] != NULL && pgseal_shape_lacks_key(shape->members[i]))
					return true;
			break;
		case PGSEAL_SHAPE_OPAQUE:
			break;
	}
	return false;
}

PgsealHolder *
pgseal_shape_holder(List **holders, Oid relid)
{
	PgsealHolder *holder;
	HeapTuple	tuple;
	Form_pg_class form;
	ListCell   *lc;

	foreach(lc, *holders)
		if (((PgsealHolder *) lfirst(lc))->relid == relid)
			return lfirst(lc);
	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	form = (Form_pg_class) GETSTRUCT(tuple);
	holder = NULL;
	if (form->relkind == RELKIND_RELATION || form->relkind == RELKIND_MATVIEW ||
		form->relkind == RELKIND_FOREIGN_TABLE)
	{
		holder = palloc0(sizeof(PgsealHolder));
		holder->relid = relid;
		holder->relkind = form->relkind;
		holder->persistence = form->relpersistence;
		holder->schema = form->relnamespace;
		holder->sharded = pgseal_is_citus_table(relid);
		*holders = lappend(*holders, holder);
	}
	ReleaseSysCache(tuple);
	return holder;
}

List *
pgseal_shape_holders(void)
{
	Relation	attributes = table_open(AttributeRelationId, AccessShareLock);
	SysScanDesc scan = systable_beginscan(attributes, InvalidOid, false, NULL, 0, NULL);
	List	   *holders = NIL;
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);
		PgsealHolder *holder;
		PgsealShape *shape;

		if (attribute->attisdropped || attribute->attrelid < FirstNormalObjectId)
			continue;
		shape = pgseal_shape_of_type(attribute->atttypid, attribute->atttypmod);
		if (shape == NULL || (holder = pgseal_shape_holder(&holders, attribute->attrelid)) == NULL)
			continue;
		holder->columns = lappend_int(holder->columns, attribute->attnum);
		collect_keys(&holder->key_hashes, &holder->opaque, shape);
	}
	systable_endscan(scan);
	table_close(attributes, AccessShareLock);
	return holders;
}

bool
pgseal_shape_may_hold(const PgsealHolder *holder, int32 key_hash)
{
	return list_member_int(holder->key_hashes, key_hash) ||
		list_member_int(holder->key_hashes, PGSEAL_TYPMOD_ANY);
}
