/*-------------------------------------------------------------------------
 *
 * brin_summary.c
 *	  The bounds of a range of blocks, and how they are sealed.
 *
 * A summary is a bytea:
 *
 *	 offset	bytes
 *	 0		16	salt of the key
 *	 16		40	header: version of the index key, generation, nonce, tag (node_key.c)
 *	 56		n	ciphertext: flags, lengths, lower and upper bound, zeroes
 *
 * n depends on the column's type alone, so the length tells nothing.  It is sealed by
 * a node key (node_key.c) of a salt that each process draws for itself: there is no
 * place in a BRIN index where seals under one key could be counted, so a process
 * counts its own.  Format, type and position of the column are authenticated; not the
 * index, nor the table, whose files other tools exchange (pg_repack).
 *
 * A key version of 0 marks a range of which nothing is known.
 *
 * Bounds are bytes of keys (key.c).  Those of a text or bytea in the order of bytes
 * are cut: a beginning is not above the lower bound, and all that begins as the upper
 * one is taken to be within.  By a collation, or as numeric, that isn't so: then the
 * range has no such bound.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "miscadmin.h"

#include "base/compat.h"
#include "base/random.h"
#include "sealed/brin.h"
#include "sealed/sealed.h"

#define FORMAT			1
#define SALT_BYTES		PGSEAL_SEALED_SALT_BYTES
#define CIPHERTEXT		(SALT_BYTES + PGSEAL_SEALED_HEADER_BYTES)
#define HEAD_BYTES		3
#define AAD_BYTES		5
#define MAX_PLAIN_BYTES	(HEAD_BYTES + 2 * PGSEAL_BOUND_BYTES)
#define MAX_SEALS		(UINT32_C(1) << 31)

/*
 * Bounds
 */

static inline int
compare(const PgsealBrinColumn *column, const uint8 *a, int a_len, const uint8 *b, int b_len)
{
	return pgseal_sealed_compare_values(&column->column, a, a_len, b, b_len);
}

/* Values of a fixed size are never longer */
static bool
may_cut(const PgsealBrinColumn *column)
{
	return column->column.order == PGSEAL_SEALED_BY_BYTES;
}

static void
set_low(PgsealBounds *bounds, const PgsealBrinColumn *column, const uint8 *bytes, int len)
{
	if (len > PGSEAL_BOUND_BYTES && !may_cut(column))
	{
		bounds->flags |= PGSEAL_BOUNDS_NO_LOW;
		len = 0;
	}
	bounds->low_len = Min(len, PGSEAL_BOUND_BYTES);
	memcpy(bounds->low, bytes, bounds->low_len);
}

static void
set_high(PgsealBounds *bounds, const PgsealBrinColumn *column, const uint8 *bytes, int len)
{
	bounds->flags &= ~PGSEAL_BOUNDS_HIGH_IS_CUT;
	if (len > PGSEAL_BOUND_BYTES && may_cut(column))
		bounds->flags |= PGSEAL_BOUNDS_HIGH_IS_CUT;
	else if (len > PGSEAL_BOUND_BYTES)
	{
		bounds->flags |= PGSEAL_BOUNDS_NO_HIGH;
		len = 0;
	}
	bounds->high_len = Min(len, PGSEAL_BOUND_BYTES);
	memcpy(bounds->high, bytes, bounds->high_len);
}

void
pgseal_bounds_of_value(PgsealBounds *out_bounds, const PgsealBrinColumn *column,
					   const uint8 *bytes, int len)
{
	memset(out_bounds, 0, sizeof(*out_bounds));
	set_low(out_bounds, column, bytes, len);
	set_high(out_bounds, column, bytes, len);
}

/* Do the bytes lie above all that the upper bound stands for? */
static bool
is_above(const PgsealBounds *bounds, const PgsealBrinColumn *column, const uint8 *bytes, int len)
{
	if ((bounds->flags & PGSEAL_BOUNDS_NO_HIGH) != 0)
		return false;
	if ((bounds->flags & PGSEAL_BOUNDS_HIGH_IS_CUT) != 0)
		return memcmp(bytes, bounds->high, Min(len, bounds->high_len)) > 0;
	return compare(column, bytes, len, bounds->high, bounds->high_len) > 0;
}

static bool
is_below(const PgsealBounds *bounds, const PgsealBrinColumn *column, const uint8 *bytes, int len)
{
	return (bounds->flags & PGSEAL_BOUNDS_NO_LOW) == 0 &&
		compare(column, bytes, len, bounds->low, bounds->low_len) < 0;
}

bool
pgseal_bounds_add_value(PgsealBounds *bounds, const PgsealBrinColumn *column,
						const uint8 *bytes, int len)
{
	bool		below = is_below(bounds, column, bytes, len);
	bool		above = is_above(bounds, column, bytes, len);

	if (below)
		set_low(bounds, column, bytes, len);
	if (above)
		set_high(bounds, column, bytes, len);
	return below || above;
}

static bool
unite_high(PgsealBounds *bounds, const PgsealBrinColumn *column, const PgsealBounds *other)
{
	uint8		flags = other->flags & (PGSEAL_BOUNDS_NO_HIGH | PGSEAL_BOUNDS_HIGH_IS_CUT);
	bool		more;

	if ((bounds->flags & PGSEAL_BOUNDS_NO_HIGH) != 0)
		return false;
	more = (flags & PGSEAL_BOUNDS_NO_HIGH) != 0 ||
		is_above(bounds, column, other->high, other->high_len);

	/*
	 * What begins as the other's: more than a bound that begins so, or is
	 * that
	 */
	if (!more && (flags & PGSEAL_BOUNDS_HIGH_IS_CUT) != 0 &&
		(bounds->flags & PGSEAL_BOUNDS_HIGH_IS_CUT) == 0)
		more = memcmp(bounds->high, other->high, Min(bounds->high_len, other->high_len)) <= 0;
	if (!more)
		return false;
	bounds->flags = (bounds->flags & ~PGSEAL_BOUNDS_HIGH_IS_CUT) | flags;
	bounds->high_len = other->high_len;
	memcpy(bounds->high, other->high, other->high_len);
	return true;
}

bool
pgseal_bounds_unite(PgsealBounds *bounds, const PgsealBrinColumn *column,
					const PgsealBounds *other)
{
	bool		changed = unite_high(bounds, column, other);

	if ((bounds->flags & PGSEAL_BOUNDS_NO_LOW) != 0)
		return changed;
	if ((other->flags & PGSEAL_BOUNDS_NO_LOW) == 0 &&
		!is_below(bounds, column, other->low, other->low_len))
		return changed;
	bounds->flags |= other->flags & PGSEAL_BOUNDS_NO_LOW;
	bounds->low_len = other->low_len;
	memcpy(bounds->low, other->low, other->low_len);
	return true;
}

/* The order of a bound and the probe */
static int
compare_low(const PgsealBounds *bounds, const PgsealBrinColumn *column,
			const PgsealSealedProbe *probe)
{
	if ((bounds->flags & PGSEAL_BOUNDS_NO_LOW) != 0)
		return -1;
	return pgseal_sealed_compare_probe(&column->column, bounds->low, bounds->low_len, probe);
}

static int
compare_high(const PgsealBounds *bounds, const PgsealBrinColumn *column,
			 const PgsealSealedProbe *probe)
{
	int			order;

	if ((bounds->flags & PGSEAL_BOUNDS_NO_HIGH) != 0)
		return 1;
	if ((bounds->flags & PGSEAL_BOUNDS_HIGH_IS_CUT) == 0)
		return pgseal_sealed_compare_probe(&column->column, bounds->high, bounds->high_len, probe);
	if (probe->bytes == NULL)
		return 1;
	order = memcmp(bounds->high, probe->bytes, Min(bounds->high_len, probe->len));
	return order != 0 ? order : 1;
}

bool
pgseal_bounds_may_meet(const PgsealBounds *bounds, const PgsealBrinColumn *column,
					   StrategyNumber strategy, const PgsealSealedProbe *probe)
{
	switch (strategy)
	{
		case BTLessStrategyNumber:
			return compare_low(bounds, column, probe) < 0;
		case BTLessEqualStrategyNumber:
			return compare_low(bounds, column, probe) <= 0;
		case BTEqualStrategyNumber:
			return compare_low(bounds, column, probe) <= 0 &&
				compare_high(bounds, column, probe) >= 0;
		case BTGreaterEqualStrategyNumber:
			return compare_high(bounds, column, probe) >= 0;
		case BTGreaterStrategyNumber:
			return compare_high(bounds, column, probe) > 0;
		default:
			return true;
	}
}

/*
 * Sealing
 */

bool
pgseal_brin_may_ask(void)
{
	return InterruptHoldoffCount == 0;
}

/* The same for all values of a type */
static int
plain_bytes(const PgsealBrinColumn *column)
{
	const PgsealType *type = column->column.type;

	if (type->base->payload == PGSEAL_PAYLOAD_FIXED)
		return HEAD_BYTES + 2 * type->base->width;
	return HEAD_BYTES + 2 * (type->len > 0 ? type->len : PGSEAL_BOUND_BYTES);
}

static void
make_aad(uint8 aad[AAD_BYTES], const PgsealBrinColumn *column)
{
	aad[0] = FORMAT;
	aad[1] = 'b';				/* no node has an AAD of this length */
	aad[2] = column->column.type->base->code;
	aad[3] = (uint8) (column->attno >> 8);
	aad[4] = (uint8) column->attno;
}

/* What seals as this process does now; as node_key.c knows an index */
static const PgsealSealedIndex *
own_salt(void)
{
	static PgsealSealedIndex own = {0};
	static uint32 seals = MAX_SEALS;
	static int	pid = 0;

	if (seals == MAX_SEALS || pid != MyProcPid)
	{
		pgseal_random_bytes(own.salt, sizeof(own.salt));
		pid = MyProcPid;
		seals = 0;
	}
	seals++;
	return &own;
}

/* Can the key that seals be used without asking anybody? */
static bool
index_key_at_hand(int32 key_hash)
{
	List	   *versions = pgseal_keyring_index_versions(key_hash);
	ListCell   *lc;

	foreach(lc, versions)
		if (!pgseal_keyring_at_hand(((PgsealVersionRow *) lfirst(lc))->id))
			return false;
	return versions != NIL;
}

static int
write_bounds(uint8 *out_plain, const PgsealBounds *bounds)
{
	out_plain[0] = bounds->flags;
	out_plain[1] = bounds->low_len;
	out_plain[2] = bounds->high_len;
	memcpy(out_plain + HEAD_BYTES, bounds->low, bounds->low_len);
	memcpy(out_plain + HEAD_BYTES + bounds->low_len, bounds->high, bounds->high_len);
	return HEAD_BYTES + bounds->low_len + bounds->high_len;
}

Datum
pgseal_brin_seal(const PgsealBrinColumn *column, const PgsealBounds *bounds)
{
	int			len = plain_bytes(column);
	bytea	   *summary = palloc0(VARHDRSZ + CIPHERTEXT + len);
	uint8	   *bytes = (uint8 *) VARDATA(summary);
	uint8		plain[MAX_PLAIN_BYTES] = {0};
	uint8		aad[AAD_BYTES];
	const PgsealSealedIndex *salt;
	PgsealSealedSealer sealer = {0};

	SET_VARSIZE(summary, VARHDRSZ + CIPHERTEXT + len);
	/* The key was destroyed, or isn't at hand */
	if (pgseal_keyring_num_index_versions(column->key_hash) == 0)
		return PointerGetDatum(summary);
	if (!pgseal_brin_may_ask() && !index_key_at_hand(column->key_hash))
		return PointerGetDatum(summary);
	salt = own_salt();
	sealer.key_version_id = pgseal_sealed_sealing_version(column->key_hash);
	sealer.aead = pgseal_sealed_node_key(salt, sealer.key_version_id, 0);
	memcpy(bytes, salt->salt, SALT_BYTES);
	(void) write_bounds(plain, bounds);
	make_aad(aad, column);
	pgseal_sealed_seal_bytes(bytes + SALT_BYTES, &sealer, plain, len, aad, sizeof(aad));
	pgseal_wipe(plain, sizeof(plain));
	return PointerGetDatum(summary);
}

/* The bytes of a summary whose length is right; NULL if it isn't */
static const uint8 *
bytes_of(const PgsealBrinColumn *column, Datum summary)
{
	struct varlena *packed = (struct varlena *) DatumGetPointer(summary);

	if (VARATT_IS_EXTERNAL(packed) || VARATT_IS_COMPRESSED(packed) ||
		VARSIZE_ANY_EXHDR(packed) != CIPHERTEXT + plain_bytes(column))
		return NULL;
	return (const uint8 *) VARDATA_ANY(packed);
}

static bool
read_bounds(PgsealBounds *out_bounds, const uint8 *plain, int len)
{
	out_bounds->flags = plain[0];
	out_bounds->low_len = plain[1];
	out_bounds->high_len = plain[2];
	if (out_bounds->low_len > PGSEAL_BOUND_BYTES || out_bounds->high_len > PGSEAL_BOUND_BYTES ||
		HEAD_BYTES + out_bounds->low_len + out_bounds->high_len > len)
		return false;
	memcpy(out_bounds->low, plain + HEAD_BYTES, out_bounds->low_len);
	memcpy(out_bounds->high, plain + HEAD_BYTES + out_bounds->low_len, out_bounds->high_len);
	return true;
}

static void
set_unknown(PgsealBounds *out_bounds)
{
	memset(out_bounds, 0, sizeof(*out_bounds));
	out_bounds->flags = PGSEAL_BOUNDS_UNKNOWN;
}

bool
pgseal_brin_open(PgsealBounds *out_bounds, const PgsealBrinColumn *column, Relation index,
				 Datum summary)
{
	const uint8 *bytes = bytes_of(column, summary);
	uint8		plain[MAX_PLAIN_BYTES];
	uint8		aad[AAD_BYTES];
	PgsealSealedIndex salt = {0};
	int64		key_version_id = 0;
	uint32		generation;
	bool		sound = bytes != NULL;

	if (sound)
		pgseal_sealed_key_of_bytes(bytes + SALT_BYTES, &key_version_id, &generation);
	if (sound && (key_version_id == 0 ||
				  (!pgseal_brin_may_ask() && !pgseal_keyring_at_hand(key_version_id))))
	{
		set_unknown(out_bounds);
		return key_version_id == 0;
	}
	if (sound)
	{
		memcpy(salt.salt, bytes, SALT_BYTES);
		make_aad(aad, column);
		sound = pgseal_sealed_try_open_bytes(pgseal_sealed_node_key(&salt, key_version_id, generation),
											 plain, bytes + SALT_BYTES, plain_bytes(column),
											 aad, sizeof(aad)) &&
			read_bounds(out_bounds, plain, plain_bytes(column));
	}
	pgseal_wipe(plain, sizeof(plain));
	if (!sound)
		ereport(ERROR,
				(errcode(ERRCODE_INDEX_CORRUPTED),
				 errmsg("a summary of index \"%s\" failed authentication",
						RelationGetRelationName(index)),
				 errhint("REINDEX makes the index anew.")));
	return true;
}

bool
pgseal_brin_is_stale(const PgsealBrinColumn *column, Datum summary)
{
	const uint8 *bytes = bytes_of(column, summary);
	int64		key_version_id;
	uint32		generation;

	if (bytes == NULL)
		return false;
	pgseal_sealed_key_of_bytes(bytes + SALT_BYTES, &key_version_id, &generation);
	return key_version_id != 0 &&
		key_version_id != pgseal_sealed_sealing_version(column->key_hash);
}
