/*-------------------------------------------------------------------------
 *
 * sealed.h
 *	  The sealed index: an access method whose nodes are encrypted as a whole.
 *
 * What lies on the disk are nodes of one size in random places.  The order of
 * the entries, their keys and the rows that they point to are inside of the
 * ciphertext, so a copy of the file tells how many nodes there are.
 *
 *	 key.c		a row's values as the bytes of a key, and the order of keys
 *	 node.c		entries in a node: opened bytes and back; splice.c one more of them
 *	 store.c	nodes in blocks: metapage, slots; node_key.c their keys;
 *				node_cache.c what is opened already
 *	 pending.c	rows that have not yet come to their nodes
 *	 split.c	new nodes, and a new root
 *	 tree.c		finding a leaf, inserting
 *	 build.c	CREATE INDEX; spill.c what doesn't fit into memory meanwhile
 *	 scan.c		searching; estimate.c how much a search would find
 *	 pattern.c	what begins as a pattern does
 *	 terms.h	parts of values as keys: trigrams, paths
 *	 vacuum.c	removing entries, sealing anew
 *	 verify.c	pgseal.verify_index()
 *	 brin.h		operator classes of BRIN, whose summaries are sealed likewise
 *	 access.c	what PostgreSQL asks of an access method
 *
 * The tree is a B-link tree (Lehman and Yao 1981) with links to both sides: a
 * node knows the interval of keys that it is for, and its neighbours.  A split
 * keeps one half where the node was, which one a coin decides, and puts the other
 * one into a new node.  Who comes to a node that isn't for his key any more goes
 * on to the neighbour on that side.  Neighbours may be out of date, too, but as
 * whatever left a node is found beyond its link, walking ends where it should.
 * So nobody holds the lock of more than one node while he descends, and a split
 * that a crash has left without an entry in the parent costs a step, no answer.
 * Nodes are never freed: REINDEX does.
 *
 * Locks: those of buffers.  A reader takes one at a time, shared, and opens his
 * copy of the node when he has let go.  Who changes a node has its block
 * exclusively.  Splits take the metapage's lock first, so there is one at a
 * time, and it alone may hold several.  Nothing that could ask a KMS runs under
 * such a lock: the keys of nodes are made ready before.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SEALED_H
#define PGSEAL_SEALED_H

#include "postgres.h"
#include "access/genam.h"
#include "access/skey.h"
#include "access/stratnum.h"
#include "lib/stringinfo.h"
#include "storage/bufmgr.h"
#include "storage/itemptr.h"
#include "utils/rel.h"

#include "base/crypto.h"
#include "keys/keyring.h"
#include "value/basetype.h"

#define PGSEAL_SEALED_MAX_COLUMNS	8
#define PGSEAL_SEALED_SALT_BYTES	16
#define PGSEAL_SEALED_NO_NODE		PG_UINT32_MAX

/* Strategies: btree's numbers, so that PostgreSQL sorts by < of strategy 1 */
#define PGSEAL_SEALED_LIKE			6
#define PGSEAL_SEALED_STARTS_WITH	7
#define PGSEAL_SEALED_MATCHES		8
#define PGSEAL_SEALED_ILIKE			9
#define PGSEAL_SEALED_IMATCHES		10
#define PGSEAL_SEALED_CONTAINS		11
#define PGSEAL_SEALED_PATH_EXISTS	12
#define PGSEAL_SEALED_PATH_MATCH	13
#define PGSEAL_SEALED_STRATEGIES	13

/* Support functions: a comparison, or what marks a class of terms */
#define PGSEAL_SEALED_COMPARE_PROC	1
/* PostgreSQL 18 knows what 2 to 6 of an ordered access method must be */
#define PGSEAL_SEALED_TERMS_PROC	7
#define PGSEAL_SEALED_PROCS			7

/* What an index on a column holds of a value */
typedef enum PgsealSealedTerms
{
	PGSEAL_SEALED_WHOLE,		/* the value */
	PGSEAL_SEALED_TRIGRAMS,		/* terms.h */
	PGSEAL_SEALED_PATHS
} PgsealSealedTerms;

/* How the bytes of a column's values are compared */
typedef enum PgsealSealedOrder
{
	PGSEAL_SEALED_BY_BYTES,		/* memcmp(), then length */
	PGSEAL_SEALED_BY_COLLATION, /* characters in the server's encoding */
	PGSEAL_SEALED_BY_FUNCTION	/* the inside of a varlena or of a struct, by
								 * the base type's comparison */
} PgsealSealedOrder;

typedef struct PgsealSealedColumn
{
	const PgsealType *type;		/* what is compared; of a plain column, too */
	bool		encrypted;		/* values come sealed */
	PgsealSealedTerms terms;	/* if not whole, it is the only column */
	PgsealSealedOrder order;
	Oid			collation;
	bool		descending;
	bool		nulls_first;
} PgsealSealedColumn;

/* An index, as an operation knows it.  Copied: the relation cache may forget. */
typedef struct PgsealSealedIndex
{
	NameData	name;
	int			num_columns;
	PgsealSealedColumn columns[PGSEAL_SEALED_MAX_COLUMNS];
	int32		key_hash;		/* of the key whose index key seals the nodes */
	uint8		salt[PGSEAL_SEALED_SALT_BYTES];
	int			slots;			/* in a block */
	int			node_bytes;		/* of an opened node */
	int			max_key_bytes;
	uint32		root;			/* or a former one, which leads to all of its
								 * level */
	uint32		root_level;
	uint32		generation;		/* of node keys, for sealing */
	uint32		seals_left;		/* of those reserved under it */
	uint32		pending_pages;	/* pending.c */
	uint32		pending_head;	/* where the last row was appended */
	bool		without_entries;	/* leaves are read so, by this copy's
									 * operation: then only by cursors */
} PgsealSealedIndex;

/*
 * key.c: keys.  For each column the length plus one as varint, and that many
 * bytes; NULL is a single 0.  Bytes that have an order are stored in it.
 */

/* One column of the index; ereports 0A000 for what it can't have */
extern void pgseal_sealed_describe_column(PgsealSealedColumn *out_column, Relation index,
										  int column);

/*
 * Appends the key of a row; where the index has terms, their keys, ascending.  False
 * when it can't be indexed because a value's key was destroyed.  No privilege is
 * asked for.  54000 when a key is too long.
 */
extern bool pgseal_sealed_encode(StringInfo out_key, const PgsealSealedIndex *index,
								 Relation relation, const Datum *values, const bool *isnull);

/* The same of one column's value, without its length */
extern bool pgseal_sealed_encode_value(StringInfo out, const PgsealSealedColumn *column,
									   Datum value);

/* The order of two such values, ascending */
extern int	pgseal_sealed_compare_values(const PgsealSealedColumn *column, const uint8 *a, int a_len,
										 const uint8 *b, int b_len);

extern int	pgseal_sealed_compare(const PgsealSealedIndex *index, const uint8 *a, uint64 a_tid,
								  const uint8 *b, uint64 b_tid);

/* Bytes of the key that starts there */
extern int	pgseal_sealed_key_len(const PgsealSealedIndex *index, const uint8 *key);

/* What a column is compared to in a search */
typedef struct PgsealSealedProbe
{
	bool		isnull;
	bool		is_prefix;		/* equal is what begins with it */
	const uint8 *bytes;			/* as in a key, or NULL: */
	size_t		len;
	Datum		value;			/* of the base type, or */
	FmgrInfo   *cross;			/* of another type: this compares the two */
	Oid			collation;
} PgsealSealedProbe;

/* A place between entries: before or behind all whose first columns are equal */
typedef struct PgsealSealedBound
{
	int			num_columns;	/* 0: the one end or the other */
	PgsealSealedProbe probes[PGSEAL_SEALED_MAX_COLUMNS];
	int			side;			/* -1 before, 1 behind */
} PgsealSealedBound;

extern void pgseal_sealed_make_probe(PgsealSealedProbe *out_probe, const PgsealSealedColumn *column,
									 Datum value);

/* Of one column of an entry against a probe; in the order of the index */
extern int	pgseal_sealed_compare_probe(const PgsealSealedColumn *column, const uint8 *bytes,
										int len, const PgsealSealedProbe *probe);

/* Less than zero: the key lies before the bound; never zero */
extern int	pgseal_sealed_compare_bound(const PgsealSealedIndex *index, const uint8 *key,
										const PgsealSealedBound *bound);

/* Reads a column's length: -1 for NULL; *key is moved to its bytes */
extern int	pgseal_sealed_next_column(const uint8 **key);

static inline uint64
pgseal_sealed_tid(ItemPointer tid)
{
	return ((uint64) ItemPointerGetBlockNumber(tid) << 16) | ItemPointerGetOffsetNumber(tid);
}

static inline void
pgseal_sealed_set_tid(ItemPointer out_tid, uint64 tid)
{
	ItemPointerSet(out_tid, (BlockNumber) (tid >> 16), (OffsetNumber) (tid & 0xFFFF));
}

/* ----------
 * node.c: opened nodes
 *
 *	 1	level, 0 is a leaf
 *	 1	flags: has a lower, an upper end
 *	 4	left neighbour		4	right neighbour
 *	 lower end, upper end: key, row pointer (8)
 *	 2	number of entries
 *	 leaf: for each distinct key: key, varint number of rows, varints of the
 *		rows' pointers, each less the one before
 *	 else: for each child: key and row pointer (8) from which on it is for
 *		entries, without them for the first; child (4), varint entries below it
 *		when it was last split
 * ----------
 */
typedef struct PgsealSealedEntry
{
	const uint8 *key;			/* NULL: before everything */
	uint64		tid;
	uint32		child;
	int32		key_len;
	uint64		below;			/* entries below the child, roughly */
} PgsealSealedEntry;

typedef struct PgsealSealedNode
{
	uint32		id;
	int			level;
	uint32		left;			/* PGSEAL_SEALED_NO_NODE: none */
	uint32		right;
	PgsealSealedEntry low;		/* the first that it is for; key NULL: no
								 * limit */
	PgsealSealedEntry high;		/* the first that it isn't for any more */
	int			num_entries;
	PgsealSealedEntry *entries;
	int			max_entries;
	const uint8 *first_key;		/* of a leaf that was read; behind its number
								 * of entries */
	uint8	   *plain;			/* what keys point into; wiped */
	int			plain_len;
	int			holders;		/* of one in the cache; else 0 */
} PgsealSealedNode;

/* palloc'd; plain must be too and belongs to the node.  XX002 when malformed. */
extern PgsealSealedNode *pgseal_sealed_decode(const PgsealSealedIndex *index, uint32 id,
											  uint8 *plain);

/*
 * Through the keys of a leaf that was read, with entries or without.  Begins with
 * zeroes; NULL at the end.  The rows of a key are taken, or passed over (NULL),
 * before the next key.
 */
typedef struct PgsealSealedCursor
{
	const uint8 *next;
	int64		entries;		/* so far */
} PgsealSealedCursor;

extern const uint8 *pgseal_sealed_next_key(PgsealSealedCursor *cursor,
										   const PgsealSealedIndex *index,
										   const PgsealSealedNode *leaf, int64 *out_rows);
extern void pgseal_sealed_take_rows(PgsealSealedCursor *cursor, const PgsealSealedIndex *index,
									const PgsealSealedNode *leaf, int64 num, uint64 *out_tids);

/* Has an opened node children? */
static inline bool
pgseal_sealed_is_inner(const uint8 *plain)
{
	return plain[0] > 0;		/* its level */
}

/* The entries of a leaf that was read without them */
extern void pgseal_sealed_read_entries(const PgsealSealedIndex *index, PgsealSealedNode *leaf);

/*
 * splice.c
 *
 * Puts an entry into the bytes of a leaf that was read without entries, which costs a
 * fraction of reading all of them and writing them again
 */
typedef enum PgsealSpliced
{
	PGSEAL_SPLICED,
	PGSEAL_SPLICE_THERE,		/* it is there already */
	PGSEAL_SPLICE_FULL,			/* nothing has happened: there is no room */
	PGSEAL_SPLICE_BY_ENTRIES	/* nothing has happened: it is to be done by
								 * reading them */
} PgsealSpliced;

extern PgsealSpliced pgseal_sealed_splice(const PgsealSealedIndex *index, PgsealSealedNode *leaf,
										  const PgsealSealedEntry *entry);

/* An empty node */
extern PgsealSealedNode *pgseal_sealed_new_node(uint32 id, int level);

/* Writes node_bytes, or returns false when it doesn't fit */
extern bool pgseal_sealed_encode_node(uint8 *out_plain, const PgsealSealedIndex *index,
									  const PgsealSealedNode *node);

extern void pgseal_sealed_free_node(PgsealSealedNode *node);

/* Puts an entry before the one at position */
extern void pgseal_sealed_add_entry(PgsealSealedNode *node, int position,
									const PgsealSealedEntry *entry);

extern void pgseal_sealed_remove_entry(PgsealSealedNode *node, int position);

/* Bytes that the ends of a node take; and roughly those of an entry in it */
extern int	pgseal_sealed_head_bytes(const PgsealSealedNode *node);
extern int	pgseal_sealed_entry_bytes(const PgsealSealedNode *node, int position);

/* Entries in and below a node, roughly */
extern uint64 pgseal_sealed_below(const PgsealSealedNode *node);

/*
 * node_key.c
 */

#define PGSEAL_SEALED_HEADER_BYTES	40	/* before the ciphertext */

/* What seals nodes now.  Good until the next call that makes keys ready. */
typedef struct PgsealSealedSealer
{
	int64		key_version_id;
	uint32		generation;
	PgsealAead *aead;
} PgsealSealedSealer;

/*
 * The key of a version and generation, after the keyring has said that the index key
 * may still be used.  May ask a KMS: no lock may be held.
 */
extern PgsealAead *pgseal_sealed_node_key(const PgsealSealedIndex *index, int64 key_version_id,
										  uint32 generation);

/* The same; NULL when it isn't at hand.  Asks nobody for it. */
extern PgsealAead *pgseal_sealed_node_key_at_hand(const PgsealSealedIndex *index,
												  int64 key_version_id, uint32 generation);

/* What sealed bytes are sealed by */
extern void pgseal_sealed_key_of_bytes(const uint8 *sealed, int64 *out_key_version_id,
									   uint32 *out_generation);

/* Opens len bytes of a block, palloc'd; XX002 when they are not authentic */
extern uint8 *pgseal_sealed_open_bytes(const PgsealSealedIndex *index, BlockNumber block,
									   PgsealAead *aead, const uint8 *sealed, size_t len,
									   const uint8 *aad, size_t aad_len);

/* The same into the caller's len bytes; false when they are not authentic */
extern bool pgseal_sealed_try_open_bytes(PgsealAead *aead, uint8 *out_plain, const uint8 *sealed,
										 size_t len, const uint8 *aad, size_t aad_len);

/* Writes a header and len bytes */
extern void pgseal_sealed_seal_bytes(uint8 *out_sealed, const PgsealSealedSealer *sealer,
									 const uint8 *plain, size_t len, const uint8 *aad,
									 size_t aad_len);

/*
 * node_cache.c: by the header of the sealed bytes
 */

/* The node, held for the caller, who frees it as any; NULL: it isn't there */
extern PgsealSealedNode *pgseal_sealed_cached_node(const PgsealSealedIndex *index, uint32 id,
												   const uint8 *header);

/* Decodes a node, as pgseal_sealed_decode(), and keeps it for others */
extern PgsealSealedNode *pgseal_sealed_cache_node(const PgsealSealedIndex *index, uint32 id,
												  const uint8 *header, uint8 *plain);

/* All of them; who holds one may go on to use it */
extern void pgseal_sealed_forget_nodes(void);

/*
 * store.c: nodes in blocks
 */

/* A copy of what is known of the index */
extern void pgseal_sealed_get(PgsealSealedIndex *out_index, Relation relation);

/* Another root has been met, or seals were reserved: for the next operation */
extern void pgseal_sealed_remember(const PgsealSealedIndex *index, Relation relation);

/* For ambuild: describes the index and writes the metapage as the first block */
extern void pgseal_sealed_create(PgsealSealedIndex *out_index, Relation relation, Relation heap);

/* Contents of the metapage for the init fork */
extern void pgseal_sealed_create_empty(Relation relation, Relation heap);

/*
 * Makes sure that the index key may be used: true when the current user has
 * USAGE, false where pgseal.on_denied says NULL.  42501, 58000 as keyring.h.
 */
extern bool pgseal_sealed_check_access(const PgsealSealedIndex *index);

/* Is the key that seals the index gone?  Then it has nothing to tell, nor to lose. */
extern bool pgseal_sealed_is_destroyed(const PgsealSealedIndex *index);

/*
 * Reads a node, which the caller doesn't change; takes and releases its block's lock
 */
extern PgsealSealedNode *pgseal_sealed_read(const PgsealSealedIndex *index, Relation relation,
											uint32 id);

/* The same; NULL when the node's key isn't at hand.  Asks nobody for it. */
extern PgsealSealedNode *pgseal_sealed_peek(const PgsealSealedIndex *index, Relation relation,
											uint32 id);

/* The version of the key's index key that seals now */
extern int64 pgseal_sealed_sealing_version(int32 key_hash);

/* Makes the sealer ready and reserves num seals; no lock may be held */
extern PgsealSealedSealer pgseal_sealed_sealer(PgsealSealedIndex *index, Relation relation,
											   uint32 num);

/*
 * Opens the node that lies in a slot of a page that is locked.  NULL when the key
 * of the node isn't at hand: the caller lets go of the lock, and makes it ready
 * by reading the node.
 */
extern PgsealSealedNode *pgseal_sealed_open_locked(const PgsealSealedIndex *index, Page page,
												   uint32 id);

/* Where in its block a node's slot begins, and the bytes of one */
extern int	pgseal_sealed_slot_offset(const PgsealSealedIndex *index, uint32 id);
extern int	pgseal_sealed_slot_bytes(const PgsealSealedIndex *index);

/* Encodes and seals a node as it is in a slot; false when it doesn't fit */
extern bool pgseal_sealed_seal_node(uint8 *out_slot, const PgsealSealedIndex *index,
									const PgsealSealedSealer *sealer,
									const PgsealSealedNode *node);

/* The same, into its slot of a page */
extern bool pgseal_sealed_put(const PgsealSealedIndex *index, Page page,
							  const PgsealSealedSealer *sealer, const PgsealSealedNode *node);

/* Is the node sealed by this sealer's key? */
extern bool pgseal_sealed_is_current(const PgsealSealedIndex *index, Page page, uint32 id,
									 const PgsealSealedSealer *sealer);

/* The block of a node, and the initial contents of such a block */
extern BlockNumber pgseal_sealed_block(const PgsealSealedIndex *index, uint32 id);
extern void pgseal_sealed_init_page(Page page);

/* The metapage, locked by the caller as its buffer: root and number of nodes */
extern Buffer pgseal_sealed_lock_meta(Relation relation, int mode);
extern uint32 pgseal_sealed_num_nodes(Page meta);
extern void pgseal_sealed_read_root(PgsealSealedIndex *index, Page meta);
extern void pgseal_sealed_set_root(Page meta, uint32 root, uint32 level);
extern void pgseal_sealed_set_num_nodes(Page meta, uint32 num);

extern uint32 pgseal_sealed_pending_head(Page meta);
extern void pgseal_sealed_set_pending_head(Page meta, uint32 head);

/* The same, taking the lock for a moment */
extern uint32 pgseal_sealed_count_nodes(Relation relation);
extern void pgseal_sealed_refresh_root(PgsealSealedIndex *index, Relation relation);

/*
 * split.c.  Who calls these but the first has the metapage's lock.
 */

/* Writes a node into its locked block; false when it doesn't fit */
extern bool pgseal_sealed_write(const PgsealSealedIndex *index, Relation relation,
								Buffer buffer, const PgsealSealedSealer *sealer,
								const PgsealSealedNode *node);

/*
 * Divides a node that is too full by the entry that was added, whose block is locked.
 * Writes both halves and returns what the parent must hear: from *out_separator on
 * the entries are in out_separator->child, before it in *out_left.
 */
extern void pgseal_sealed_split(const PgsealSealedIndex *index, Relation relation,
								Buffer meta_buffer, Buffer buffer,
								const PgsealSealedSealer *sealer, PgsealSealedNode *node,
								int added, PgsealSealedEntry *out_separator,
								uint32 *out_left, uint64 *out_left_below);

/* A root above the two halves of the old one */
extern void pgseal_sealed_grow(PgsealSealedIndex *index, Relation relation,
							   Buffer meta_buffer, const PgsealSealedSealer *sealer,
							   const PgsealSealedEntry *separator, uint32 left,
							   uint64 left_below);

/* The first leaf, with its first entry */
extern void pgseal_sealed_plant(PgsealSealedIndex *index, Relation relation,
								Buffer meta_buffer, const PgsealSealedSealer *sealer,
								const PgsealSealedEntry *entry);

/*
 * tree.c
 */

/* The node of this level that is for what lies behind the bound or the entry */
extern PgsealSealedNode *pgseal_sealed_find_bound(PgsealSealedIndex *index, Relation relation,
												  const PgsealSealedBound *bound);

/* Entries in their order; what is there already stays */
extern void pgseal_sealed_insert(PgsealSealedIndex *index, Relation relation,
								 const PgsealSealedEntry *entries, int64 num);

/* The first node of a level, which is not above the root's */
extern PgsealSealedNode *pgseal_sealed_leftmost(PgsealSealedIndex *index, Relation relation,
												int level);

/*
 * The next leaf in a direction from one whose end is given: the leaf for the
 * entries from (key, tid) on, or for those just before them.
 */
extern PgsealSealedNode *pgseal_sealed_step(const PgsealSealedIndex *index, Relation relation,
											uint32 neighbour, const uint8 *key, uint64 tid,
											bool forward);

/*
 * How many entries of all lie before the bound, from the sizes on the way to it;
 * needs no entries of leaves.
 * *leaf, NULL at first, is where the way ended, for another bound nearby; freed
 * by the caller.
 */
extern double pgseal_sealed_rank(PgsealSealedIndex *index, Relation relation,
								 const PgsealSealedBound *bound, PgsealSealedNode **leaf,
								 double *out_total);

/*
 * scan.c
 */

/*
 * The probe of an argument: sealed, of the base type, or of another of its family.
 * False when the current user may not open it (pgseal.on_denied); 42883 when the
 * types cannot be compared.
 */
extern bool pgseal_sealed_make_argument(PgsealSealedProbe *out_probe,
										const PgsealSealedColumn *column, Oid type, Datum value);

/*
 * estimate.c
 */

struct Const;
struct PlannerInfo;
struct IndexOptInfo;
struct Node;

/* What an argument will be, if that is known and the current user may open it; or NULL */
extern struct Const *pgseal_sealed_as_constant(struct PlannerInfo *root, struct Node *node);

/*
 * Entries that a search reads because of a condition on a column besides those of
 * the rows that it finds; -1 when the condition doesn't narrow the search at all.
 */
extern double pgseal_sealed_entries_read(struct PlannerInfo *root, struct IndexOptInfo *index,
										 int column, struct Node *clause);

/*
 * pattern.c
 */

/*
 * What a value begins with that meets the condition; palloc'd.  *out_exact: what
 * begins so meets it.  NULL where nothing is known.
 */
extern char *pgseal_sealed_prefix(StrategyNumber strategy, Datum pattern, Oid collation,
								  size_t *out_len, bool *out_exact);

/*
 * spill.c: records in a temporary file, under a key that dies with it
 */

typedef struct PgsealSpill PgsealSpill;

extern PgsealSpill *pgseal_spill_new(void);
extern void pgseal_spill_free(PgsealSpill *spill);

/* Appends a record; returns where it lies */
extern int64 pgseal_spill_write(PgsealSpill *spill, const uint8 *record, size_t len);

/* Reads the record there into a palloc'd buffer; *out_next is where the next lies */
extern uint8 *pgseal_spill_read(PgsealSpill *spill, int64 position, size_t *out_len,
								int64 *out_next);

/*
 * Entry points of the access method
 */

struct IndexInfo;

extern struct IndexBuildResult *pgseal_sealed_build(Relation heap, Relation relation,
													struct IndexInfo *info);
extern IndexScanDesc pgseal_sealed_beginscan(Relation relation, int num_keys, int num_orderbys);
extern void pgseal_sealed_rescan(IndexScanDesc scan, ScanKey keys, int num_keys,
								 ScanKey orderbys, int num_orderbys);
extern bool pgseal_sealed_gettuple(IndexScanDesc scan, ScanDirection direction);
extern int64 pgseal_sealed_getbitmap(IndexScanDesc scan, TIDBitmap *bitmap);
extern void pgseal_sealed_endscan(IndexScanDesc scan);
extern IndexBulkDeleteResult *pgseal_sealed_bulkdelete(IndexVacuumInfo *info,
													   IndexBulkDeleteResult *stats,
													   IndexBulkDeleteCallback callback,
													   void *callback_state);
extern IndexBulkDeleteResult *pgseal_sealed_vacuumcleanup(IndexVacuumInfo *info,
														  IndexBulkDeleteResult *stats);


#endif							/* PGSEAL_SEALED_H */
