/*-------------------------------------------------------------------------
 *
 * rewrap.h
 *	  What becomes of keys: schedules, rewrapping, moving, destroying.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_REWRAP_H
#define PGSEAL_REWRAP_H

#include "postgres.h"
#include "nodes/pg_list.h"

/*
 * Rewraps all versions under a server's master key (NULL: every server's) that
 * aren't under its newest version; returns how many were.  Each on its own: a
 * failure is a WARNING, and ends the work on a server that can't be reached.
 */
extern int64 pgseal_rewrap_server(const char *server);

/* The same for one version; an ERROR on failure */
extern void pgseal_rewrap_version(int64 id);

/* Wraps versions of child keys under the current versions of their parents */
extern void pgseal_rewrap_children(const int64 *ids, int num);

/* All versions of a key and its child keys, to another server.  58000 */
extern void pgseal_rewrap_move(const char *name, const char *server);

/* After a change of a server's options: 55000 if its keys don't unwrap now */
extern void pgseal_rewrap_check_server(const char *server);

/*
 * Makes a key, or one retired version of it, useless for ever (destroy.c).
 * force: also while values exist that it sealed (of a version: never), or may
 * exist on nodes that the keys are published to.
 */
extern void pgseal_destroy_versions(const char *name, const char *confirm, bool force);
extern void pgseal_destroy_one_version(const char *name, int32 number, const char *confirm,
									   bool force);

/*
 * For the worker: hashes of keys due for rotation by their own schedule, and of up to
 * max by pgseal.policy; ids of versions due for rewrap by either
 */
extern List *pgseal_rewrap_due_rotations(void);
extern List *pgseal_rewrap_policy_rotations(int max);
extern int	pgseal_rewrap_due(int64 *out_ids, int max);

#endif							/* PGSEAL_REWRAP_H */
