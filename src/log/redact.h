/*-------------------------------------------------------------------------
 *
 * redact.h
 *	  Keeping plaintext out of PostgreSQL's own messages.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REDACT_H
#define PGSEAL_REDACT_H

extern void pgseal_redact_init(void);

#endif							/* PGSEAL_REDACT_H */
