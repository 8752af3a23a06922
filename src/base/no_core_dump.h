/*-------------------------------------------------------------------------
 *
 * no_core_dump.h
 *	  What pgseal asks of the operating system for a process that holds keys.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_PROCESS_H
#define PGSEAL_PROCESS_H

/*
 * Forbids core dumps of this process, and reading its memory by other
 * processes of the same user, unless pgseal.core_dumps allows them.  Called
 * before the first key is loaded.
 */
extern void pgseal_process_protect(void);

#endif							/* PGSEAL_PROCESS_H */
