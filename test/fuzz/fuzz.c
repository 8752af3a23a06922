/*-------------------------------------------------------------------------
 *
 * fuzz.c
 *	  What the fuzzers share: a repeatable random generator, mutations, main().
 *
 *-------------------------------------------------------------------------
 */
#include "fuzz.h"

#include <time.h>

#define ROUNDS_PER_CHECK	256 /* between two looks at the clock */

static uint64 state;

/* xorshift64*: repeatable, and none of the library's business */
uint32
Random(uint32 below)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return (uint32) ((state * UINT64CONST(2685821657736338717)) >> 33) % below;
}

/* An exact copy on the heap, as malloc(0) may be NULL at least one byte */
uint8 *
Copy(const uint8 *bytes, size_t len)
{
	uint8	   *copy = malloc(len == 0 ? 1 : len);

	CHECK(copy != NULL);
	if (len > 0)
		memcpy(copy, bytes, len);
	return copy;
}

/* Some of: flip a bit, set a byte, insert one, remove one, cut off */
size_t
Mutate(uint8 *bytes, size_t len, const char *likely)
{
	for (int n = 1 + Random(MAX_MUTATIONS); n > 0; n--)
	{
		size_t		at = Random(len + 1);
		uint8		byte = likely && Random(2) ? likely[Random(strlen(likely))] : 1 + Random(255);

		switch (Random(5))
		{
			case 0:
				if (at < len && bytes[at] != (1 << (at % 8)))
					bytes[at] ^= 1 << (at % 8);
				break;
			case 1:
				if (at < len)
					bytes[at] = byte;
				break;
			case 2:
				memmove(bytes + at + 1, bytes + at, len - at);
				bytes[at] = byte;
				len++;
				break;
			case 3:
				if (at < len)
				{
					memmove(bytes + at, bytes + at + 1, len - at - 1);
					len--;
				}
				break;
			case 4:
				if (Random(8) == 0)
					len = at;
				break;
		}
	}
	return len;
}

int
main(int argc, char **argv)
{
	time_t		end = time(NULL) + (argc > 1 ? atoi(argv[1]) : 30);
	uint64		seed = argc > 2 ? strtoull(argv[2], NULL, 10) : (uint64) time(NULL);
	long		rounds = 0;
	long		accepted = 0;

	printf("seed %llu\n", (unsigned long long) seed);
	state = seed | 1;
	FuzzStart();
	do
	{
		for (int i = 0; i < ROUNDS_PER_CHECK; i++)
			accepted += FuzzRound();
		rounds += ROUNDS_PER_CHECK;
	} while (time(NULL) < end);
	FuzzEnd();

	printf("%ld rounds, mutated input accepted in %ld\n", rounds, accepted);
	return 0;
}
