/*-------------------------------------------------------------------------
 *
 * table_pass.c
 *	  A pass through the blocks of a table that may be rewritten meanwhile.
 *
 * It goes through pgseal.reencrypt_batch blocks in a transaction.  Where the table was
 * rewritten its rows lie elsewhere, and the pass begins anew.  Lest one of a table that
 * is rewritten often, or that grows as fast, never comes to its end, each time twice as
 * much is gone through in a transaction, as far as a short time allows.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "access/attnum.h"
#include "catalog/pg_type.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "base/extension.h"
#include "base/settings.h"
#include "base/spi_query.h"
#include "life/table_pass.h"

/* Of a table that gets away, as much as can be done in this time, in ms */
#define HURRY					1000
#define HURRY_DOUBLINGS			16

/* Before the extension was updated to 1.1 nobody counts how often */
static bool
counts_begun_anew(const char *kept_in)
{
	return get_attnum(get_relname_relid(kept_in, pgseal_internal_schema()),
					  "begun_anew") != InvalidAttrNumber;
}

const char *
pgseal_pass_columns(const char *kept_in)
{
	return counts_begun_anew(kept_in) ? "relid, filenode, next_block, blocks, begun_anew" :
		"relid, filenode, next_block, blocks, 0";
}

PgsealTablePass
pgseal_pass_found(const char *kept_in)
{
	return (PgsealTablePass)
	{
		.kept_in = kept_in,
			.relid = (Oid) pgseal_query_int64(0, 1),
			.filenode = (Oid) pgseal_query_int64(0, 2),
			.next = (BlockNumber) pgseal_query_int64(0, 3),
			.blocks = (BlockNumber) pgseal_query_int64(0, 4),
			.begun_anew = (int) pgseal_query_int64(0, 5)
	};
}

static void
begin_anew(PgsealTablePass *pass)
{
	if (pass->next > 0 && counts_begun_anew(pass->kept_in))
		(void) pgseal_query(psprintf("UPDATE pgseal_internal.%s SET begun_anew = $2 WHERE relid = $1",
									 pass->kept_in), 2,
							OIDOID, ObjectIdGetDatum(pass->relid),
							INT4OID, Int32GetDatum(++pass->begun_anew));
	pass->next = 0;
}

static BlockNumber
blocks_at_once(const PgsealTablePass *pass, BlockNumber blocks)
{
	uint64		at_once = (uint64) pgseal_reencrypt_batch << Min(pass->begun_anew, HURRY_DOUBLINGS);

	/* It grows while it is gone through */
	if (pass->next > 0 && blocks > pass->blocks)
		at_once += blocks - pass->blocks;
	return (BlockNumber) Min(at_once, (uint64) blocks);
}

bool
pgseal_pass_go_on(PgsealTablePass *pass, Relation rel, PgsealPassSave save)
{
	TimestampTz end_of_hurry = TimestampTzPlusMilliseconds(pgseal_clock(), HURRY);
	BlockNumber blocks = RelationGetNumberOfBlocks(rel);
	BlockNumber left;

	if (rel->rd_rel->relfilenode != pass->filenode)
		begin_anew(pass);
	pass->next = Min(pass->next, blocks);
	left = blocks_at_once(pass, blocks);
	do
	{
		PgsealBatchResult result = {0};
		BlockNumber now = Min(blocks - pass->next, Min(left, (BlockNumber) pgseal_reencrypt_batch));

		if (now > 0)
			pgseal_reencrypt_blocks(rel, pass->next, pass->next + now, &result);
		pass->next += now;
		left -= now;
		save(rel, &result, pass->next, blocks);
	} while (left > 0 && pass->next < blocks && pgseal_clock() < end_of_hurry);
	return pass->next >= blocks;
}
