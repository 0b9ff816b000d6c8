/* What is by chance: numbers, and the memory that arguments lie in. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/e2e/random_calls/random_calls.h"

enum { page = 4096, good_pages = 64 };

static uint64_t state = 1;

void seed_chance(uint64_t seed) {
  state = seed * 0x9e3779b97f4a7c15ULL + 1;
}

/* splitmix64 */
uint64_t chance(void) {
  uint64_t mixed = state += 0x9e3779b97f4a7c15ULL;
  mixed = (mixed ^ (mixed >> 30)) * 0xbf58476d1ce4e5b9ULL;
  mixed = (mixed ^ (mixed >> 27)) * 0x94d049bb133111ebULL;
  return mixed ^ (mixed >> 31);
}

unsigned pick(unsigned count) {
  return (unsigned)(chance() % count);
}

int seldom(unsigned times) {
  return pick(times) == 0;
}

uint64_t some_number(void) {
  static const uint64_t edges[] = {0,          1,          0x7fffffff,  0x80000000,    0xffffffff,
                                   1ULL << 32, 1ULL << 40, 1ULL << 63,  ~0ULL,         ~0xfffULL,
                                   0xfee00000, 1ULL << 47, 0x100000000, 0x7fffffffffff};
  switch (pick(4)) {
    case 0:
      return pick(16);
    case 1:
      return (uint64_t)pick(64) * page;
    case 2:
      return edges[pick(sizeof edges / sizeof *edges)] + (seldom(4) ? pick(3) - 1u : 0);
    default:
      return chance();
  }
}

static char *good, *shared, *readonly, *nowhere, *racing;

/* A page whose bytes and protection never rest. */
static void* race(void* unused) {
  (void)unused;
  uint64_t own = 42;
  for (;;) {
    own = own * 6364136223846793005ULL + 1442695040888963407ULL;
    switch (own >> 61) {
      case 0:
        mprotect(racing, page, PROT_NONE);
        break;
      case 1:
        mprotect(racing, page, PROT_READ);
        break;
      case 2:
        munmap(racing, page);
        break;
      default:
        if (mmap(racing, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) !=
            racing)
          _exit(3);
        memcpy(racing + (own >> 20) % (page - sizeof own), &own, sizeof own);
    }
    usleep(50);
  }
  return NULL;
}

/* Each far from the others, and from where the kernel places what is mapped without an address: a page that
 * is unmapped must not become somebody's whom the next change of it would hurt. */
static char* take(uintptr_t place, size_t pages, int protection, int kind) {
  char* memory =
      mmap((void*)(place << 32), pages * page, protection, kind | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (memory != (char*)(place << 32)) _exit(3);
  return memory;
}

void make_memory(void) {
  good = take(0x1000, good_pages, PROT_READ | PROT_WRITE, MAP_PRIVATE);
  shared = take(0x1001, good_pages, PROT_READ | PROT_WRITE, MAP_SHARED);
  readonly = take(0x1002, 1, PROT_READ, MAP_PRIVATE);
  nowhere = take(0x1003, 1, PROT_NONE, MAP_PRIVATE);
  racing = take(0x1004, 1, PROT_NONE, MAP_PRIVATE);
  pthread_t thread;
  if (pthread_create(&thread, NULL, race, NULL) != 0) _exit(3);
}

void* good_argument(size_t size) {
  char* at = good + (size_t)pick(8) * 8;
  if (seldom(8)) at = good + (size_t)good_pages * page - (size + 7) / 8 * 8; /* ends where the memory does */
  for (size_t i = 0; i < size; ++i) at[i] = (char)chance();
  return at;
}

void* some_argument(size_t size) {
  switch (pick(16)) {
    case 0:
      return nowhere;
    case 1:
      return readonly;
    case 2:
    case 3:
      return racing + pick(page);
    case 4:
      return NULL;
    case 5:
      return (void*)(uintptr_t)some_number();
    case 6:
      return good + (size_t)good_pages * page - pick((unsigned)size + 1); /* ends in the middle */
    default:
      return good_argument(size);
  }
}

uint64_t some_address(void) {
  switch (pick(8)) {
    case 0:
      return some_number();
    case 1:
      return (uintptr_t)readonly;
    case 2:
      return (uintptr_t)racing;
    case 3:
    case 4:
      return (uintptr_t)shared + (uint64_t)pick(good_pages) * page;
    default:
      return (uintptr_t)good + (uint64_t)pick(good_pages) * page;
  }
}
