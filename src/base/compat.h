/*-------------------------------------------------------------------------
 *
 * compat.h
 *	  What differs between the PostgreSQL versions that pgseal supports
 *	  (15, 16, 17, 18).  No other file looks at PG_VERSION_NUM.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_COMPAT_H
#define PGSEAL_COMPAT_H

#include "postgres.h"
#include "fmgr.h"

#if PG_VERSION_NUM < 150000
#error "pgseal needs PostgreSQL 15 or later"
#endif

#include "catalog/pg_foreign_server.h"
#include "catalog/pg_proc.h"
#include "utils/acl.h"
#include "utils/wait_event.h"

/* Privileges of all object classes are checked by one function since 16 */
#if PG_VERSION_NUM >= 160000
#define pgseal_server_aclcheck(server, role, mode) \
	object_aclcheck(ForeignServerRelationId, (server), (role), (mode))
#define pgseal_function_aclcheck(function, role, mode) \
	object_aclcheck(ProcedureRelationId, (function), (role), (mode))
#define pgseal_schema_aclcheck(schema, role, mode) \
	object_aclcheck(NamespaceRelationId, (schema), (role), (mode))
#define pgseal_owns_table(relid, role) \
	object_ownercheck(RelationRelationId, (relid), (role))
#define pgseal_owns_server(server, role) \
	object_ownercheck(ForeignServerRelationId, (server), (role))
#else
#define pgseal_server_aclcheck(server, role, mode) \
	pg_foreign_server_aclcheck((server), (role), (mode))
#define pgseal_function_aclcheck(function, role, mode) \
	pg_proc_aclcheck((function), (role), (mode))
#define pgseal_schema_aclcheck(schema, role, mode) \
	pg_namespace_aclcheck((schema), (role), (mode))
#define pgseal_owns_table(relid, role) \
	pg_class_ownercheck((relid), (role))
#define pgseal_owns_server(server, role) \
	pg_foreign_server_ownercheck((server), (role))
#endif

/* A condition on the rows of one relation; outer joins are told otherwise since 16 */
#if PG_VERSION_NUM >= 160000
#define pgseal_make_restrictinfo(root, clause, security_level) \
	make_restrictinfo((root), (clause), true, false, false, false, (security_level), \
					  NULL, NULL, NULL)
#else
#define pgseal_make_restrictinfo(root, clause, security_level) \
	make_restrictinfo((root), (clause), true, false, false, (security_level), NULL, NULL, NULL)
#endif

/* The strategy of PARTITION BY is a word until 16 */
#if PG_VERSION_NUM >= 160000
#define pgseal_partitions_by_hash(spec) \
	((spec)->strategy == PARTITION_STRATEGY_HASH)
#else
#define pgseal_partitions_by_hash(spec) \
	(pg_strcasecmp((spec)->strategy, "hash") == 0)
#endif

/* Cases of a step that calls a function; strict ones of one or two arguments since 18 */
#if PG_VERSION_NUM >= 180000
#define PGSEAL_CASES_OF_CALL \
	case EEOP_FUNCEXPR: \
	case EEOP_FUNCEXPR_STRICT: \
	case EEOP_FUNCEXPR_STRICT_1: \
	case EEOP_FUNCEXPR_STRICT_2: \
	case EEOP_FUNCEXPR_FUSAGE: \
	case EEOP_FUNCEXPR_STRICT_FUSAGE
#else
#define PGSEAL_CASES_OF_CALL \
	case EEOP_FUNCEXPR: \
	case EEOP_FUNCEXPR_STRICT: \
	case EEOP_FUNCEXPR_FUSAGE: \
	case EEOP_FUNCEXPR_STRICT_FUSAGE
#endif

/* In a ResultRelInfo: its CHECK constraints, once one was checked */
#if PG_VERSION_NUM >= 180000
#define pgseal_check_exprs	ri_CheckConstraintExprs
#else
#define pgseal_check_exprs	ri_ConstraintExprs
#endif

/* ExecutorRun lost an argument in 18 */
#if PG_VERSION_NUM >= 180000
#define PGSEAL_EXECUTOR_RUN_ARGS \
	QueryDesc *desc, ScanDirection direction, uint64 count
#define PGSEAL_EXECUTOR_RUN_PASS desc, direction, count
#else
#define PGSEAL_EXECUTOR_RUN_ARGS \
	QueryDesc *desc, ScanDirection direction, uint64 count, bool execute_once
#define PGSEAL_EXECUTOR_RUN_PASS desc, direction, count, execute_once
#endif

/*
 * What a table access method says about indexes after an update: yes or no, or
 * since 16 also that only summarizing indexes need an entry.
 */
#if PG_VERSION_NUM >= 160000
#define PgsealUpdateIndexes TU_UpdateIndexes
#define pgseal_needs_index_entries(update) ((update) != TU_None)
#define pgseal_insert_index_entries(result_rel, slot, estate, update) \
	list_free(ExecInsertIndexTuples((result_rel), (slot), (estate), true, false, NULL, NIL, \
									(update) == TU_Summarizing))
#define pgseal_insert_new_index_entries(result_rel, slot, estate) \
	list_free(ExecInsertIndexTuples((result_rel), (slot), (estate), false, false, NULL, NIL, false))
#else
#define PgsealUpdateIndexes bool
#define pgseal_needs_index_entries(update) (update)
#define pgseal_insert_index_entries(result_rel, slot, estate, update) \
	list_free(ExecInsertIndexTuples((result_rel), (slot), (estate), true, false, NULL, NIL))
#define pgseal_insert_new_index_entries(result_rel, slot, estate) \
	list_free(ExecInsertIndexTuples((result_rel), (slot), (estate), false, false, NULL, NIL))
#endif

/* A function that never returns; before its declaration since 18 */
#if PG_VERSION_NUM < 180000
#define pg_noreturn pg_attribute_noreturn()
#endif

/* An access method whose strategies are btree's says so itself since 18 */
#if PG_VERSION_NUM >= 180000
#include "access/amapi.h"
#include "access/nbtree.h"
#define pgseal_set_order_properties(routine) \
	((routine)->amconsistentequality = (routine)->amconsistentordering = true, \
	 (routine)->amtranslatestrategy = bttranslatestrategy, \
	 (routine)->amtranslatecmptype = bttranslatecmptype)
#else
#define pgseal_set_order_properties(routine)	((void) 0)
#endif

/* Is it <, <=, =, >=, > or <> of any order? */
#include "utils/lsyscache.h"
#if PG_VERSION_NUM >= 180000
#define pgseal_compares(opno)	(get_op_index_interpretation(opno) != NIL)
#else
#define pgseal_compares(opno)	(get_op_btree_interpretation(opno) != NIL)
#endif

/* Which comparison (a, b) < (c, d) is, as a strategy of btree's */
#if PG_VERSION_NUM >= 180000
#define pgseal_row_compare_strategy(expr) ((StrategyNumber) (expr)->cmptype)
#else
#define pgseal_row_compare_strategy(expr) ((StrategyNumber) (expr)->rctype)
#endif

/* index_beginscan() counts for EXPLAIN since 18 */
#if PG_VERSION_NUM >= 180000
#define pgseal_index_beginscan(rel, index, snapshot, num_keys) \
	index_beginscan((rel), (index), (snapshot), NULL, (num_keys), 0)
#else
#define pgseal_index_beginscan(rel, index, snapshot, num_keys) \
	index_beginscan((rel), (index), (snapshot), (num_keys), 0)
#endif

/* What EXPLAIN ANALYZE shows as Index Searches since 18 */
#if PG_VERSION_NUM >= 180000
#define pgseal_count_index_search(scan) \
	((scan)->instrument != NULL ? (void) (scan)->instrument->nsearches++ : (void) 0)
#else
#define pgseal_count_index_search(scan) ((void) 0)
#endif

/* DefineIndex() without checks of rights, quietly; takes a number of parts since 16 */
#if PG_VERSION_NUM >= 160000
#define pgseal_define_index(relid, stmt) \
	DefineIndex((relid), (stmt), InvalidOid, InvalidOid, InvalidOid, -1, \
				false, false, false, false, true)
#else
#define pgseal_define_index(relid, stmt) \
	DefineIndex((relid), (stmt), InvalidOid, InvalidOid, InvalidOid, \
				false, false, false, false, true)
#endif

/* Keys WITHOUT OVERLAPS: since 18 */
#if PG_VERSION_NUM >= 180000
#define pgseal_set_without_overlaps(stmt, value) ((stmt)->iswithoutoverlaps = (value))
#else
#define pgseal_set_without_overlaps(stmt, value) ((void) 0)
#endif

/*
 * A relation's file is its relfilenumber since 16.  pgseal_swapped_new_file(a, b):
 * a, which had a file of this transaction or is of it, has got b's older one, and b
 * has a's.  Before 17, whoever swaps files must close them.
 */
#if PG_VERSION_NUM >= 160000
#define pgseal_set_new_file(rel)	RelationSetNewRelfilenumber((rel), (rel)->rd_rel->relpersistence)
#define pgseal_swapped_new_file(a, b) \
	((a)->rd_createSubid = (a)->rd_newRelfilelocatorSubid = \
	 (a)->rd_firstRelfilelocatorSubid = InvalidSubTransactionId, \
	 RelationAssumeNewRelfilelocator(b))
#else
#define pgseal_set_new_file(rel)	RelationSetNewRelfilenode((rel), (rel)->rd_rel->relpersistence)
#define pgseal_swapped_new_file(a, b) \
	((a)->rd_createSubid = (a)->rd_newRelfilenodeSubid = \
	 (a)->rd_firstRelfilenodeSubid = InvalidSubTransactionId, \
	 RelationAssumeNewRelfilenode(b))
#endif
#if PG_VERSION_NUM >= 170000
#define pgseal_close_files(relid)	((void) 0)
#else
#define pgseal_close_files(relid)	RelationCloseSmgrByOid(relid)
#endif

/* Rewrites a table that is locked exclusively, as VACUUM FULL does. */
#include "access/table.h"
#include "commands/cluster.h"
#if PG_VERSION_NUM >= 180000
#define pgseal_rewrite_table(relid) \
	cluster_rel(table_open((relid), AccessExclusiveLock), InvalidOid, &(ClusterParams) {0})
#else
#define pgseal_rewrite_table(relid) \
	cluster_rel((relid), InvalidOid, &(ClusterParams) {0})
#endif

/*
 * The ON of a MERGE: among the conditions of its joins until 16.  (Since 17 it is put
 * there when the query is planned, and may be needed once more behind the join.)
 */
#if PG_VERSION_NUM >= 170000
#define pgseal_map_merge_condition(query, mutator, context) \
	((query)->mergeJoinCondition = mutator((query)->mergeJoinCondition, (context)))
#else
#define pgseal_map_merge_condition(query, mutator, context) ((void) 0)
#endif

/* GROUP BY has a range table entry of its own since 18 */
#if PG_VERSION_NUM >= 180000
#define pgseal_group_exprs(rte)		((rte)->rtekind == RTE_GROUP ? (rte)->groupexprs : NIL)
#else
#define pgseal_group_exprs(rte)		((void) (rte), NIL)
#endif

/* pg_class counts frozen pages since 18 */
#if PG_VERSION_NUM >= 180000
#define pgseal_swap_frozen_pages(a, b) \
	do { \
		int32		swapped = (a)->relallfrozen; \
		(a)->relallfrozen = (b)->relallfrozen; \
		(b)->relallfrozen = swapped; \
	} while (0)
#else
#define pgseal_swap_frozen_pages(a, b)	((void) 0)
#endif

/*
 * typanalyze functions found the column's row in attr, which is gone since 17;
 * tupattnum is the same for tables.  The target of a column may be unset.
 */
#include "commands/vacuum.h"
#if PG_VERSION_NUM >= 170000
#define pgseal_stats_target(stats) \
	((stats)->attstattarget < 0 ? default_statistics_target : (stats)->attstattarget)
#define pgseal_stats_relation(stats) ((stats)->rows[0]->t_tableOid)
#define pgseal_stats_attnum(stats) ((stats)->tupattnum)
#else
#define pgseal_stats_relation(stats) ((stats)->attr->attrelid)
#define pgseal_stats_attnum(stats) ((stats)->attr->attnum)
#define pgseal_stats_target(stats) \
	((stats)->attr->attstattarget < 0 ? default_statistics_target : (stats)->attr->attstattarget)
#endif
#if PG_VERSION_NUM >= 180000
#define pgseal_vacuum_delay_point() vacuum_delay_point(true)
#else
#define pgseal_vacuum_delay_point() vacuum_delay_point()
#endif

/* The macros around varlena are a header of their own since 16 */
#if PG_VERSION_NUM >= 160000
#include "varatt.h"
#endif

/* A wait event with a name of its own, or "Extension" before PostgreSQL 17 */
#if PG_VERSION_NUM >= 170000
#define pgseal_wait_event(name) WaitEventExtensionNew(name)
#else
#define pgseal_wait_event(name) PG_WAIT_EXTENSION
#endif

/*
 * common/jsonapi.h: from 16 on the callbacks return a status; from 17 on the
 * lexer may live in the caller's memory.
 */
#if PG_VERSION_NUM >= 160000
#define PGSEAL_JSON_ACTION			JsonParseErrorType
#define PGSEAL_JSON_ACTION_DONE		return JSON_SUCCESS
#else
#define PGSEAL_JSON_ACTION			void
#define PGSEAL_JSON_ACTION_DONE		return
#endif
#if PG_VERSION_NUM >= 170000
#define pgseal_make_json_lexer(text, len) \
	makeJsonLexContextCstringLen(NULL, (text), (len), PG_UTF8, true)
#else
#define pgseal_make_json_lexer(text, len) \
	makeJsonLexContextCstringLen((text), (len), PG_UTF8, true)
#endif

/*
 * SQL/JSON since 16: constructors, whose arguments are printed as those of
 * json_build_object() are, and aggregates of their own; since 17 what queries JSON
 */
#if PG_VERSION_NUM >= 160000
#define PGSEAL_HAS_JSON_CONSTRUCTORS
#define pgseal_is_later_json_aggregate(function) \
	((function) == F_JSON_OBJECT_AGG_STRICT || \
	 (function) == F_JSON_OBJECT_AGG_UNIQUE || \
	 (function) == F_JSON_OBJECT_AGG_UNIQUE_STRICT || \
	 (function) == F_JSONB_OBJECT_AGG_STRICT || \
	 (function) == F_JSONB_OBJECT_AGG_UNIQUE || \
	 (function) == F_JSONB_OBJECT_AGG_UNIQUE_STRICT)
#define pgseal_json_constructor_args(node) \
	(IsA((node), JsonConstructorExpr) ? ((JsonConstructorExpr *) (node))->args : NIL)
#if PG_VERSION_NUM >= 170000
#define PGSEAL_HAS_JSON_QUERIES
#define pgseal_is_json_syntax(node) \
	(IsA((node), JsonObjectConstructor) || IsA((node), JsonArrayConstructor) || \
	 IsA((node), JsonArrayQueryConstructor) || IsA((node), JsonObjectAgg) || \
	 IsA((node), JsonArrayAgg) || IsA((node), JsonParseExpr) || IsA((node), JsonScalarExpr) || \
	 IsA((node), JsonSerializeExpr) || IsA((node), JsonFuncExpr) || IsA((node), JsonTable))
#else
#define pgseal_is_json_syntax(node) \
	(IsA((node), JsonObjectConstructor) || IsA((node), JsonArrayConstructor) || \
	 IsA((node), JsonArrayQueryConstructor) || IsA((node), JsonObjectAgg) || \
	 IsA((node), JsonArrayAgg))
#endif
#else
#define pgseal_is_json_syntax(node) false
#define pgseal_is_later_json_aggregate(function) false
#define pgseal_json_constructor_args(node) NIL
#endif

/*
 * Since 16 an input function hands an error of the input to a caller that takes
 * it (COPY ... ON_ERROR, pg_input_is_valid), and raises it otherwise.
 * pgseal_call_input calls one and returns the SQLSTATE of such an error, or 0.
 */
#if PG_VERSION_NUM >= 160000
#include "nodes/miscnodes.h"
#define pgseal_ereturn(context, ...) ereturn((context), __VA_ARGS__)

static inline int
pgseal_call_input(FmgrInfo *input, char *text, Oid param, Datum *out_value)
{
	ErrorSaveContext error = {.type = T_ErrorSaveContext, .details_wanted = true};

	return InputFunctionCallSafe(input, text, param, -1, (Node *) &error, out_value) ?
		0 : error.error_data->sqlerrcode;
}
#else
#define pgseal_ereturn(context, dummy_value, ...) \
	do \
	{ \
		(void) (context); \
		ereport(ERROR, __VA_ARGS__); \
		return dummy_value; \
	} while (0)

static inline int
pgseal_call_input(FmgrInfo *input, char *text, Oid param, Datum *out_value)
{
	MemoryContext context = CurrentMemoryContext;
	volatile int sqlstate = 0;

	PG_TRY();
	{
		*out_value = InputFunctionCall(input, text, param, -1);
	}
	PG_CATCH();
	{
		ErrorData  *error;

		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		if (ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_DATA_EXCEPTION)
			PG_RE_THROW();
		FlushErrorState();
		sqlstate = error->sqlerrcode;
	}
	PG_END_TRY();
	return sqlstate;
}
#endif

/*
 * What setup_parse_variable_parameters() keeps in p_ref_hook_state: VarParamState
 * of parse_param.c, the same in 15 to 18.
 */
typedef struct PgsealInferredParams
{
	Oid		  **paramTypes;
	int		   *numParams;
} PgsealInferredParams;

/* storage/latch.h: from 17 on a resource owner keeps a wait event set */
#if PG_VERSION_NUM >= 170000
#define pgseal_make_wait_event_set(num_events) \
	CreateWaitEventSet(CurrentResourceOwner, (num_events))
#else
#define pgseal_make_wait_event_set(num_events) \
	CreateWaitEventSet(CurrentMemoryContext, (num_events))
#endif

/*
 * Everything is compiled with -fvisibility=hidden; before 16 PostgreSQL's
 * macros don't exempt the functions that SQL calls.
 */
#if PG_VERSION_NUM < 160000
#undef PGDLLEXPORT
#define PGDLLEXPORT __attribute__((visibility("default")))
#undef PG_FUNCTION_INFO_V1
#define PG_FUNCTION_INFO_V1(funcname) \
extern PGDLLEXPORT Datum funcname(PG_FUNCTION_ARGS); \
extern PGDLLEXPORT const Pg_finfo_record *CppConcat(pg_finfo_, funcname) (void); \
const Pg_finfo_record * \
CppConcat(pg_finfo_, funcname) (void) \
{ \
	static const Pg_finfo_record my_finfo = {1}; \
	return &my_finfo; \
} \
extern int no_such_variable
#endif

/* A worker's transactions take as long as they take; the setting is there since 17. */
#if PG_VERSION_NUM >= 170000
#define pgseal_no_transaction_timeout() \
	SetConfigOption("transaction_timeout", "0", PGC_SUSET, PGC_S_OVERRIDE)
#else
#define pgseal_no_transaction_timeout() ((void) 0)
#endif

/* 17 renamed what tells whether this is a worker of autovacuum. */
#if PG_VERSION_NUM >= 170000
#define pgseal_is_autovacuum_worker() AmAutoVacuumWorkerProcess()
#else
#include "postmaster/autovacuum.h"
#define pgseal_is_autovacuum_worker() IsAutoVacuumWorkerProcess()
#endif

/* The RETURNING list of a parsed statement that isn't analyzed; NULL where it has none */
#if PG_VERSION_NUM >= 180000
#define PGSEAL_RETURNING(stmt) \
	((stmt)->returningClause != NULL ? &(stmt)->returningClause->exprs : NULL)
#else
#define PGSEAL_RETURNING(stmt)	(&(stmt)->returningList)
#endif

/* Summaries of BRIN are read under a snapshot until 16, to see whether that is too old */
#include "access/brin_revmap.h"
#if PG_VERSION_NUM >= 170000
#define pgseal_brin_revmap(index, out_pages_per_range) \
	brinRevmapInitialize((index), (out_pages_per_range))
#define pgseal_brin_get_tuple(revmap, block, buffer, out_offset, out_size) \
	brinGetTupleForHeapBlock((revmap), (block), (buffer), (out_offset), (out_size), \
							 BUFFER_LOCK_SHARE)
#else
#define pgseal_brin_revmap(index, out_pages_per_range) \
	brinRevmapInitialize((index), (out_pages_per_range), NULL)
#define pgseal_brin_get_tuple(revmap, block, buffer, out_offset, out_size) \
	brinGetTupleForHeapBlock((revmap), (block), (buffer), (out_offset), (out_size), \
							 BUFFER_LOCK_SHARE, NULL)
#endif

/* What a statement needs on its relations: in the range table until 15 */
#if PG_VERSION_NUM >= 160000
#include "parser/parse_relation.h"
#define PGSEAL_CHECK_PERMS_ARGS	List *range_table, List *permissions, bool report
#define PGSEAL_CHECK_PERMS_CALL	range_table, permissions, report
#define PGSEAL_CHECK_PERMS_LIST	permissions
typedef RTEPermissionInfo PgsealPermissions;
#else
#define PGSEAL_CHECK_PERMS_ARGS	List *range_table, bool report
#define PGSEAL_CHECK_PERMS_CALL	range_table, report
#define PGSEAL_CHECK_PERMS_LIST	range_table
typedef RangeTblEntry PgsealPermissions;
#endif

#endif							/* PGSEAL_COMPAT_H */
