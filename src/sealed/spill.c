/*-------------------------------------------------------------------------
 *
 * spill.c
 *	  Records in a temporary file, sealed under a key that dies with it.
 *
 * For what building an index has no memory for.  A record is its length (4
 * bytes), nonce, tag and ciphertext; its position is the additional
 * authenticated data.
 *
 *-------------------------------------------------------------------------
 */
#include "postgres.h"

#include "storage/buffile.h"

#include "sealed/sealed.h"

#define RECORD_HEADER_BYTES	(sizeof(uint32) + PGSEAL_NONCE_BYTES + PGSEAL_TAG_BYTES)

struct PgsealSpill
{
	BufFile    *file;
	PgsealAead *aead;
	int64		end;			/* where the next record goes */
	MemoryContextCallback callback;
};

/* The key must go, also after an error: the file does by itself */
static void
free_key(void *arg)
{
	PgsealSpill *spill = arg;

	pgseal_aead_free(spill->aead);
	spill->aead = NULL;
}

PgsealSpill *
pgseal_spill_new(void)
{
	PgsealSpill *spill = palloc0(sizeof(PgsealSpill));
	uint8		key[PGSEAL_KEY_BYTES];

	if (pgseal_random(key, sizeof(key)))
		spill->aead = pgseal_aead_new(key);
	pgseal_wipe(key, sizeof(key));
	if (spill->aead == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not make a key for a temporary file")));
	spill->callback.func = free_key;
	spill->callback.arg = spill;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &spill->callback);
	spill->file = BufFileCreateTemp(false);
	return spill;
}

void
pgseal_spill_free(PgsealSpill *spill)
{
	BufFileClose(spill->file);
	free_key(spill);			/* the struct lives as long as its context */
}

static void
seek(PgsealSpill *spill, int64 position)
{
	if (BufFileSeek(spill->file, 0, position, SEEK_SET) != 0)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not seek in a temporary file: %m")));
}

static void
read_exactly(PgsealSpill *spill, void *out, size_t len)
{
	if (BufFileRead(spill->file, out, len) != len)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not read a temporary file: %m")));
}

int64
pgseal_spill_write(PgsealSpill *spill, const uint8 *record, size_t len)
{
	int64		position = spill->end;
	uint32		len32 = len;
	uint8	   *out = palloc(RECORD_HEADER_BYTES + len);
	uint8	   *nonce = out + sizeof(len32);
	uint8	   *tag = nonce + PGSEAL_NONCE_BYTES;

	memcpy(out, &len32, sizeof(len32));
	if (!pgseal_random_nonce(nonce) ||
		!pgseal_aead_seal(spill->aead, out + RECORD_HEADER_BYTES, tag, nonce,
						  (uint8 *) &position, sizeof(position), record, len))
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not seal a temporary record")));
	seek(spill, position);
	BufFileWrite(spill->file, out, RECORD_HEADER_BYTES + len);
	pfree(out);
	spill->end += RECORD_HEADER_BYTES + len;
	return position;
}

uint8 *
pgseal_spill_read(PgsealSpill *spill, int64 position, size_t *out_len, int64 *out_next)
{
	uint8		header[RECORD_HEADER_BYTES];
	uint8	   *nonce = header + sizeof(uint32);
	uint8	   *ciphertext;
	uint8	   *record;
	uint32		len;
	bool		opened;

	seek(spill, position);
	read_exactly(spill, header, sizeof(header));
	memcpy(&len, header, sizeof(len));
	if (len > spill->end - position - RECORD_HEADER_BYTES)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("temporary record failed authentication")));
	ciphertext = palloc(len);
	record = palloc(len);
	read_exactly(spill, ciphertext, len);
	opened = pgseal_aead_open(spill->aead, record, nonce, nonce + PGSEAL_NONCE_BYTES,
							  (uint8 *) &position, sizeof(position), ciphertext, len);
	pfree(ciphertext);
	if (!opened)
		ereport(ERROR,
				(errcode(ERRCODE_DATA_CORRUPTED),
				 errmsg("temporary record failed authentication")));
	*out_len = len;
	*out_next = position + RECORD_HEADER_BYTES + len;
	return record;
}
