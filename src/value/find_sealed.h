/*-------------------------------------------------------------------------
 *
 * find_sealed.h
 *	  Where in a datum, a row and a database encrypted values are.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FIND_SEALED_H
#define PGSEAL_FIND_SEALED_H

#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"

#include "value/basetype.h"

typedef enum PgsealShapeKind
{
	PGSEAL_SHAPE_VALUE,			/* a sealed value */
	PGSEAL_SHAPE_ARRAY,			/* of members[0] */
	PGSEAL_SHAPE_ROW,			/* a composite value: members by column or
								 * NULL */
	PGSEAL_SHAPE_OPAQUE			/* has sealed values where we can't get at
								 * them */
} PgsealShapeKind;

/* How the values of a type hold sealed values; domains are seen through */
typedef struct PgsealShape
{
	PgsealShapeKind kind;
	const PgsealType *type;		/* VALUE: which encrypted type */
	int32		typmod;			/* VALUE: whose key seals it */
	Oid			element;		/* ARRAY: type of the elements */
	TupleDesc	desc;			/* ROW */
	struct PgsealShape **members;
} PgsealShape;

/* A table, materialized view or foreign table with encrypted values */
typedef struct PgsealHolder
{
	Oid			relid;
	char		relkind;
	char		persistence;
	Oid			schema;
	List	   *columns;		/* the numbers of those that hold them */
	List	   *key_hashes;		/* of its columns, as typmods; without doubles */
	bool		opaque;			/* a column is, or has a member that is */
	bool		sharded;		/* the rows are in shards of Citus */
} PgsealHolder;

/*
 * What is done with each sealed value.  Returns the datum that takes its place,
 * or NULL when it stays.
 */
typedef struct varlena *(*PgsealValueVisitor) (Datum sealed, const PgsealShape *shape,
											   void *context);

/* NULL when values of the type hold no encrypted values */
extern PgsealShape *pgseal_shape_of_type(Oid type, int32 typmod);

/* Does a value of this type hold encrypted values?  Arrays, rows, domains too */
extern bool pgseal_holds_encrypted(Oid type);

/* Of the keys that seal what is in it, as typmods; without doubles */
extern List *pgseal_shape_key_hashes(const PgsealShape *shape);

/* Would any of them be stored under no key of its own? */
extern bool pgseal_shape_lacks_key(const PgsealShape *shape);

/* One per column, NULL for those that hold none; NULL when all of them are */
extern PgsealShape **pgseal_shape_of_row(TupleDesc desc);

/*
 * Visits the sealed values in a datum.  Returns it, or one with what the
 * visitor has put in.
 */
extern Datum pgseal_shape_visit(const PgsealShape *shape, Datum value,
								PgsealValueVisitor visitor, void *context);

/*
 * Looks at the sealed values of a row, at those of a column with its own context.
 * shapes: those of pgseal_shape_of_row().
 */
extern void pgseal_shape_visit_row(PgsealShape **shapes, TupleTableSlot *row,
								   PgsealValueVisitor visitor, void **contexts);

/* All relations of this database that store encrypted values, as PgsealHolder */
extern List *pgseal_shape_holders(void);

/* The relation's entry in the list, made if need be; NULL when it stores nothing */
extern PgsealHolder *pgseal_shape_holder(List **holders, Oid relid);

/* May the relation hold values that the key with this hash seals? */
extern bool pgseal_shape_may_hold(const PgsealHolder *holder, int32 key_hash);

#endif							/* PGSEAL_FIND_SEALED_H */
