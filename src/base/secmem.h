/*-------------------------------------------------------------------------
 *
 * secmem.h
 *	  Memory for secrets of any length: wiped when its context goes.
 *
 * A credential, a request's body, a reply: whoever fails between
 * making and using one leaves by ereport(), past any code that would wipe it.
 * So the wiping is tied to the memory context: every chunk registers a reset
 * callback that clears it.  Put such chunks into a context that is deleted as
 * soon as the work is done (kms/remote.c makes one for each operation); on
 * errors PostgreSQL's cleanup deletes it.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_SECMEM_H
#define PGSEAL_SECMEM_H

#include "postgres.h"

#include "base/secret.h"

/* Zeroed bytes in CurrentMemoryContext.  Never pfree() or repalloc() them. */
extern void *pgseal_secmem_alloc(size_t len);

/* A copy of len bytes with a NUL behind them */
extern char *pgseal_secmem_copy(const char *bytes, size_t len);
extern char *pgseal_secmem_strdup(const char *string);

/*
 * A string that grows.  What it outgrows is wiped at once, the last piece with
 * the context it was made in.  data always ends with a NUL.
 */
typedef struct PgsealSecretString
{
	char	   *data;
	size_t		len;			/* bytes, without the NUL */
	size_t		size;			/* bytes allocated */
	MemoryContext context;
} PgsealSecretString;

extern void pgseal_secmem_init(PgsealSecretString *string);
extern void pgseal_secmem_append(PgsealSecretString *string, const char *text);
extern void pgseal_secmem_append_bytes(PgsealSecretString *string, const char *bytes, size_t len);

/* RFC 4648: section 4 with padding; section 5 (URL alphabet) without */
extern void pgseal_secmem_append_base64(PgsealSecretString *string, const uint8 *bytes, size_t len);
extern void pgseal_secmem_append_base64url(PgsealSecretString *string, const uint8 *bytes, size_t len);

/*
 * Decodes either alphabet, padding optional, into out_bytes, which has room
 * for out_size.  Returns the number of bytes, or -1 when the text is malformed
 * or too long (then out_bytes is zeroed).
 */
extern int	pgseal_secmem_decode_base64(uint8 *out_bytes, size_t out_size, const char *text);

/* RFC 3986: all but the unreserved characters as %XX; keep adds exceptions */
extern void pgseal_secmem_append_urlencoded(PgsealSecretString *string, const char *text,
											const char *keep);

/* A JSON string with its quotation marks.  The text is in UTF-8. */
extern void pgseal_secmem_append_json(PgsealSecretString *string, const char *text);

#endif							/* PGSEAL_SECMEM_H */
