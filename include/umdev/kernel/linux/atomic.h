/* Counters that several threads change. */
#pragma once

#include <linux/types.h>

#define ATOMIC_INIT(value) {value}
#define ATOMIC64_INIT(value) {value}

#define UMDEV_ATOMIC(prefix, type, value_type)                                                           \
  static inline value_type prefix##_read(const type* v) {                                                \
    return __atomic_load_n(&v->counter, __ATOMIC_RELAXED);                                               \
  }                                                                                                      \
  static inline void prefix##_set(type* v, value_type to) {                                              \
    __atomic_store_n(&v->counter, to, __ATOMIC_RELAXED);                                                 \
  }                                                                                                      \
  static inline value_type prefix##_add_return(value_type by, type* v) {                                 \
    return __atomic_add_fetch(&v->counter, by, __ATOMIC_SEQ_CST);                                        \
  }                                                                                                      \
  static inline value_type prefix##_sub_return(value_type by, type* v) {                                 \
    return __atomic_sub_fetch(&v->counter, by, __ATOMIC_SEQ_CST);                                        \
  }                                                                                                      \
  static inline void prefix##_add(value_type by, type* v) {                                              \
    (void)prefix##_add_return(by, v);                                                                    \
  }                                                                                                      \
  static inline void prefix##_sub(value_type by, type* v) {                                              \
    (void)prefix##_sub_return(by, v);                                                                    \
  }                                                                                                      \
  static inline void prefix##_inc(type* v) {                                                             \
    prefix##_add(1, v);                                                                                  \
  }                                                                                                      \
  static inline void prefix##_dec(type* v) {                                                             \
    prefix##_sub(1, v);                                                                                  \
  }                                                                                                      \
  static inline value_type prefix##_inc_return(type* v) {                                                \
    return prefix##_add_return(1, v);                                                                    \
  }                                                                                                      \
  static inline value_type prefix##_dec_return(type* v) {                                                \
    return prefix##_sub_return(1, v);                                                                    \
  }                                                                                                      \
  static inline bool prefix##_dec_and_test(type* v) {                                                    \
    return prefix##_dec_return(v) == 0;                                                                  \
  }                                                                                                      \
  static inline bool prefix##_inc_and_test(type* v) {                                                    \
    return prefix##_inc_return(v) == 0;                                                                  \
  }                                                                                                      \
  static inline bool prefix##_sub_and_test(value_type by, type* v) {                                     \
    return prefix##_sub_return(by, v) == 0;                                                              \
  }                                                                                                      \
  static inline value_type prefix##_xchg(type* v, value_type to) {                                       \
    return __atomic_exchange_n(&v->counter, to, __ATOMIC_SEQ_CST);                                       \
  }                                                                                                      \
  static inline bool prefix##_try_cmpxchg(type* v, value_type* old, value_type to) {                     \
    return __atomic_compare_exchange_n(&v->counter, old, to, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                                      \
  static inline value_type prefix##_cmpxchg(type* v, value_type old, value_type to) {                    \
    (void)prefix##_try_cmpxchg(v, &old, to);                                                             \
    return old;                                                                                          \
  }                                                                                                      \
  static inline bool prefix##_add_unless(type* v, value_type by, value_type unless) {                    \
    value_type old = prefix##_read(v);                                                                   \
    do {                                                                                                 \
      if (old == unless) return false;                                                                   \
    } while (!prefix##_try_cmpxchg(v, &old, old + by));                                                  \
    return true;                                                                                         \
  }                                                                                                      \
  static inline bool prefix##_inc_not_zero(type* v) {                                                    \
    return prefix##_add_unless(v, 1, 0);                                                                 \
  }

UMDEV_ATOMIC(atomic, atomic_t, int)
UMDEV_ATOMIC(atomic64, atomic64_t, s64)
