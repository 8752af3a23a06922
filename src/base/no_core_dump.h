/*-------------------------------------------------------------------------
 *
 * no_core_dump.h
 *	  What pgseal asks of the operating system for a process that holds keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_NO_CORE_DUMP_H
#define PGSEAL_NO_CORE_DUMP_H

/*
 * Forbids core dumps of this process, and reading its memory by other
 * processes of the same user, unless pgseal.core_dumps allows them.  Called
 * before the first key is loaded, before a KMS or a keyring is asked, and before
 * parallel workers may send opened values.
 */
extern void pgseal_no_core_dump(void);

#endif							/* PGSEAL_NO_CORE_DUMP_H */
