/* Scalar types as the kernel has them. */
#pragma once

#include <linux/compiler.h>
#include_next <linux/types.h>
#include <umdev/kernel.h>

UMDEV_C_BEGIN

typedef umdev_u8 u8;
typedef umdev_u16 u16;
typedef umdev_u32 u32;
typedef umdev_u64 u64;
typedef signed char s8;
typedef short s16;
typedef int s32;
typedef long long s64;

typedef umdev_umode_t umode_t;
typedef unsigned int gfp_t;
typedef unsigned long pgoff_t;
typedef umdev_u64 dma_addr_t;
typedef umdev_u64 phys_addr_t;
typedef umdev_u64 resource_size_t;
/* The C library's loff_t is a long; drivers print the kernel's with %lld. */
#define loff_t umdev_loff_t

typedef struct {
  int counter;
} atomic_t;
typedef struct {
  s64 counter;
} atomic64_t;

struct hlist_node {
  struct hlist_node *next, **pprev;
};
struct hlist_head {
  struct hlist_node* first;
};

UMDEV_C_END
