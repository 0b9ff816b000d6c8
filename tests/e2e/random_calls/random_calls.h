/* The parts of random_calls. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Numbers by chance, the same for the same seed. */
void seed_chance(uint64_t seed);
uint64_t chance(void);
/* 0 to count - 1. */
unsigned pick(unsigned count);
/* One call in `times`. */
int seldom(unsigned times);
/* What a field of a structure may hold: small numbers, sizes of pages, what lies at an edge, anything. */
uint64_t some_number(void);

/* Memory to point at: good, read-only, none, changing while it is looked at, ending in the middle. */
void make_memory(void);
/* Where an argument of up to `size` bytes may lie. What can be written there has been filled by chance. */
void* some_argument(size_t size);
/* The same where a structure is to be believed: memory that stays as it is written. */
void* good_argument(size_t size);
uint64_t some_address(void);

/* Descriptors, most of them of nodes. */
struct names {
  const char* group;
  const char* device;
  const char* cdev;
};
void keep_fd(long fd);
int some_fd(void);
void open_something(const struct names* names);
void close_something(void);
/* A container with its group and device, so that what comes next finds something. */
void open_device(const struct names* names);

/* One call of the user API. */
void call_something(const struct names* names);
