// The table of services that modules are given, and its parts that are no more than functions.
#pragma once

#include <cstddef>

#include "include/umdev/kernel/umdev/module.h"
#include "include/umdev/kernel/umdev/services.h"

namespace umdev::kernel {

// The same for all modules; lives for ever.
const ::umdev_services& services();

// log.cc
int print(::module* owner, const char* format, ...) UMDEV_PRINTF(2, 3);
int print_of_device(::module* owner, const ::device* dev, const char* format, ...) UMDEV_PRINTF(3, 4);
void warn(::module* owner, const char* file, int line, const char* what);
// Not [[noreturn]], which is no part of the type for every compiler: the table of services says it in C's
// way.
void bug(::module* owner, const char* file, int line) __attribute__((noreturn));

// memory.cc
void* allocate(std::size_t size, bool zero);
void* reallocate(const void* memory, std::size_t size);
void release(const void* memory);
unsigned long copy_to_user(void* to, const void* from, unsigned long size);
unsigned long copy_from_user(void* to, const void* from, unsigned long size);

// sleep.cc
bool wait(const int* word, int expected, umdev_u64 nanoseconds);
void wake(const int* word, bool all);
void pass_time(umdev_u64 nanoseconds);

// event_fd.cc
::eventfd_ctx* eventfd_ctx_fdget(int fd);
::eventfd_ctx* eventfd_ctx_fileget(::file* file);
void eventfd_ctx_put(::eventfd_ctx* context);
int eventfd_signal(::eventfd_ctx* context, umdev_u64 count);

}  // namespace umdev::kernel
