/* What the kernel tells its compiler. */
#pragma once

#define __user
#define __iomem
#define __force
#define __rcu
#define __must_check __attribute__((warn_unused_result))
#ifndef __packed
#define __packed __attribute__((packed))
#endif
#define __aligned(bytes) __attribute__((aligned(bytes)))
#define __maybe_unused __attribute__((unused))
#ifndef __always_unused
#define __always_unused __attribute__((unused))
#endif
#define __printf(text, first) __attribute__((__format__(__printf__, text, first)))
#ifndef __cplusplus /* the libraries of C++ have variables of these names */
#define __init
#define __exit
#endif
#define __initdata
#define __exitdata
#define __read_mostly
#define __ro_after_init
#ifndef __always_inline
#define __always_inline inline __attribute__((always_inline))
#endif
#ifndef noinline
#define noinline __attribute__((noinline))
#endif
#ifndef __cplusplus
#define fallthrough __attribute__((fallthrough))
#endif

#define likely(condition) __builtin_expect(!!(condition), 1)
#define unlikely(condition) __builtin_expect(!!(condition), 0)
#define barrier() __asm__ __volatile__("" ::: "memory")
#define READ_ONCE(variable) (*(const volatile __typeof__(variable)*)&(variable))
#define WRITE_ONCE(variable, value) (*(volatile __typeof__(variable)*)&(variable) = (value))
#define smp_mb() __atomic_thread_fence(__ATOMIC_SEQ_CST)
#define smp_rmb() __atomic_thread_fence(__ATOMIC_ACQUIRE)
#define smp_wmb() __atomic_thread_fence(__ATOMIC_RELEASE)
