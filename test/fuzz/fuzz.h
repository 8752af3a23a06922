/*-------------------------------------------------------------------------
 *
 * fuzz.h
 *	  What the fuzzers share: a repeatable random generator, mutations, main().
 *
 *	 fuzz_... SECONDS [SEED]
 *
 * Inputs and outputs lie in heap buffers of exactly their size, so that the
 * sanitizers or Valgrind see every byte read or written beyond.
 *
 * The seed is printed: the mutations (not nonces and keys) can be repeated.
 *
 *-------------------------------------------------------------------------
 */
#ifndef PGSEAL_FUZZ_H
#define PGSEAL_FUZZ_H

#include "postgres.h"

#undef printf					/* PostgreSQL's own needs its library */
#undef fprintf
#include <stdio.h>
#include <stdlib.h>

#define MAX_MUTATIONS		4

#define CHECK(condition) \
	do { \
		if (!(condition)) \
		{ \
			fprintf(stderr, "%s:%d: %s does not hold\n", __FILE__, __LINE__, #condition); \
			abort(); \
		} \
	} while (0)

/* Each fuzzer's own */
extern void FuzzStart(void);
extern bool FuzzRound(void);	/* was the mutated input accepted? */
extern void FuzzEnd(void);

extern uint32 Random(uint32 below);
extern uint8 *Copy(const uint8 *bytes, size_t len);

/*
 * Changes bytes in up to MAX_MUTATIONS places, for which there is room behind
 * them, and returns the new length.  likely: characters that the input's syntax
 * knows, and then it is text, which no zero gets into; or NULL.
 */
extern size_t Mutate(uint8 *bytes, size_t len, const char *likely);

#endif							/* PGSEAL_FUZZ_H */
