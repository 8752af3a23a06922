/*-------------------------------------------------------------------------
 *
 * convert.h
 *	  Encrypting and decrypting existing columns while their table is in use.
 *
 * convert.c is the design and the driver, with begin.c and steps.c; state.c keeps the
 * state, plan.c says what can't be converted, copy.c moves and
 * compares rows, resign.c signs them, log.c notes what changes, switch.c makes the
 * copy and puts it into place, default.c has the default.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_CONVERT_H
#define PGSEAL_CONVERT_H

#include "access/attnum.h"
#include "access/tupdesc.h"
#include "executor/tuptable.h"
#include "nodes/pg_list.h"
#include "storage/block.h"
#include "utils/relcache.h"

#include "keys/keyring.h"
#include "value/basetype.h"

/* What is to be done to a column */
typedef struct PgsealConversion
{
	Oid			relid;
	AttrNumber	attnum;
	bool		encrypts;		/* or decrypts */
	const PgsealType *type;		/* the encrypted type, before or afterwards */
	Oid			new_type;		/* of the column afterwards */
	int32		new_typmod;
	Oid			caller;			/* whose privileges open values */

	/* Once the copy is there */
	Oid			copy;
	List	   *indexes;		/* OIDs of the table's indexes, */
	List	   *copy_indexes;	/* and of the copy's, in the same order */
} PgsealConversion;

/* How far it has come: a row of pgseal_internal.conversion */
typedef struct PgsealConvertState
{
	PgsealConversion conversion;
	char	   *shape;			/* the digest when it was begun */
	char	   *phase;
	int64		next_block;
	int64		blocks;
} PgsealConvertState;

/* False when no column of the table is being converted */
extern bool pgseal_convert_load(PgsealConvertState *out_state, Oid relid, bool for_update);
extern void pgseal_convert_insert(const PgsealConversion *conversion, BlockNumber blocks);
extern void pgseal_convert_save(const PgsealConvertState *state, int64 copied, int64 applied,
								int64 verified);

/*
 * Takes away all that a conversion of the table has left, and of tables that are
 * gone; the table stays as it is.  False when there was none.  The table is locked
 * exclusively.
 */
extern bool pgseal_convert_drop_remains(Oid relid);

/* An event and a log line */
extern void pgseal_convert_report(const PgsealConversion *conversion, const char *event);

/*
 * Plan
 */

/*
 * 0A000 with a list of all that keeps the column from being converted.  The
 * table is locked.
 */
extern void pgseal_convert_check(const PgsealConversion *conversion);

/* Error 54000 where a value is longer than an index to be can take; reads the table */
extern void pgseal_convert_check_lengths(const PgsealConversion *conversion);

/* What takes the place of an index on the column alone */
typedef enum PgsealNewIndex
{
	PGSEAL_NO_NEW_INDEX,		/* it stays, or is in the way */
	PGSEAL_NEW_LIKE_INDEX,		/* of the same access method */
	PGSEAL_NEW_BLIND_INDEX,
	PGSEAL_NEW_SEALED_INDEX,
	PGSEAL_NEW_BTREE_OF_TOKENS, /* a btree, instead of a blind index, */
	PGSEAL_NEW_BTREE			/* or of a sealed one */
} PgsealNewIndex;

extern PgsealNewIndex pgseal_convert_new_index(const PgsealConversion *conversion,
											   Relation index);

/* Is it ordered by bytes, for LIKE 'x%'? */
extern bool pgseal_convert_is_for_patterns(Relation index);

/* Is it an index on the column alone, which is replaced by one of the new type? */
extern bool pgseal_convert_replaces_index(const PgsealConversion *conversion, Oid index);

/*
 * A digest of the definitions of the table and its copy: while it stays the
 * same, every change of a row is noted, and no row moves unnoticed.
 */
extern char *pgseal_convert_shape(const PgsealConversion *conversion);

/*
 * Noting changes
 */

/* The columns of a primary key, and values of them as bytes */
extern bytea *pgseal_convert_key_bytes(TupleDesc desc, int num, const AttrNumber *attnums,
									   const Datum *values, const bool *isnull);
extern void pgseal_convert_key_values(bytea *bytes, int num, Datum *out_values);

/*
 * Puts the trigger that notes changes on the table, and one that refuses them on
 * the copy; the second goes with the copy, the first is to be dropped.
 */
extern void pgseal_convert_add_triggers(const PgsealConversion *conversion);
extern void pgseal_convert_drop_trigger(Oid relid);

/*
 * Calls back for up to limit changes (0: all) that the active snapshot sees;
 * takes them out of the list first if consume.  Returns how many.
 */
typedef void (*PgsealChangeVisitor) (bytea *key, void *context);
extern int64 pgseal_convert_changes(Oid relid, int64 limit, bool consume,
									PgsealChangeVisitor visitor, void *context);

/*
 * Rows.  All of these use the active snapshot, which must be newer than the last
 * change to the copy, and run with the rights of the table's owner.
 */

/* Opens a value of the column with the rights of the caller, or 42501 */
extern Datum pgseal_convert_open(const PgsealConversion *conversion, Datum sealed,
								 PgsealAccess access);

/* Copies the rows in these blocks of the table, unless they are there already */
extern int64 pgseal_convert_copy_blocks(const PgsealConversion *conversion,
										BlockNumber from, BlockNumber end);

/* Brings rows up to date that have changed meanwhile; at most limit, or 0 */
extern int64 pgseal_convert_apply_changes(const PgsealConversion *conversion, int64 limit);

/*
 * Compares the rows in these blocks of the table, or of its copy, with those of
 * the other one.  XX001 when they differ.  Returns how many were the same.
 */
extern int64 pgseal_convert_verify_blocks(const PgsealConversion *conversion, bool of_copy,
										  BlockNumber from, BlockNumber end);

/*
 * Signed rows (resign.c)
 */
typedef struct PgsealResigner PgsealResigner;

extern PgsealResigner *pgseal_convert_resigner(const PgsealConversion *conversion,
											   Relation table, Relation copy);
extern void pgseal_convert_resign(PgsealResigner *resigner, TupleTableSlot *row,
								  TupleTableSlot *converted);
extern bool pgseal_convert_is_signature(const PgsealResigner *resigner, AttrNumber attnum);
extern bool pgseal_convert_same_signature(PgsealResigner *resigner, TupleTableSlot *row,
										  TupleTableSlot *copied);

/* 42501 unless the current user may sign; what else is in the way, or NULL */
extern char *pgseal_convert_signed_obstacle(const PgsealConversion *conversion);
extern void pgseal_convert_switch_ledger(const PgsealConversion *conversion);
extern void pgseal_convert_switch_signing(const PgsealConversion *conversion);

/*
 * The copy and the switch.  The table is locked exclusively.
 */

/* Does to the catalogs all that the switch will do; the caller rolls it back. */
extern void pgseal_convert_rehearse(const PgsealConversion *conversion);

/* Makes the copy, empty, with its indexes; fills in the rest of the conversion */
extern void pgseal_convert_make_copy(PgsealConversion *conversion);
extern void pgseal_convert_drop_copy(Oid relid, Oid copy);

/* After a change of the type: a constant that is the default, sealed or opened */
extern void pgseal_convert_default(const PgsealConversion *conversion);

/* Gives the column its new type, and the table the files of its copy. */
extern void pgseal_convert_switch(const PgsealConversion *conversion);

/*
 * Logical decoding passes over changes of a relation that is marked as the new
 * file of another one, or of itself (pg_class.relrewrite).
 */
extern void pgseal_convert_hide_from_decoding(Oid relid, bool hide);

/* storage.c: how a column's values are stored */
typedef struct PgsealStorage
{
	Oid			type;
	char		storage;
	char		compression;
} PgsealStorage;

extern PgsealStorage pgseal_convert_storage(Oid relid, AttrNumber attnum);

/* After the change of the column's type, of the table or its copy */
extern void pgseal_convert_keep_storage(const PgsealConversion *conversion, Oid relid,
										const PgsealStorage *before);

#endif							/* PGSEAL_CONVERT_H */
