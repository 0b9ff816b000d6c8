/* The one symbol of a module, and the tables that it points to. Every file of a module may have parts of
 * them. */
#pragma once

#include <umdev/this_module.h>

#define UMDEV_JOIN_(left, right) left##right
#define UMDEV_JOIN(left, right) UMDEV_JOIN_(left, right)
#define UMDEV_UNIQUE(name) UMDEV_JOIN(name, __COUNTER__)
/* Something that may stand where a declaration may, before its semicolon. */
#define UMDEV_DECLARATION struct umdev_nothing

#define MODULE_INFO(_tag, _text)                                        \
  static const struct umdev_module_note UMDEV_UNIQUE(umdev_note_##_tag) \
      __attribute__((used, section("umdev_notes"), aligned(8))) = {#_tag, _text}

UMDEV_C_BEGIN

/* Hidden, for the C library has an init_module() too. */
int init_module(void) __attribute__((weak, visibility("hidden")));
void cleanup_module(void) __attribute__((weak, visibility("hidden")));

/* The linker's, round the sections of this shared object. */
extern const struct umdev_parameter __start_umdev_parameters[] __attribute__((weak, visibility("hidden")));
extern const struct umdev_parameter __stop_umdev_parameters[] __attribute__((weak, visibility("hidden")));
extern const struct umdev_module_note __start_umdev_notes[] __attribute__((weak, visibility("hidden")));
extern const struct umdev_module_note __stop_umdev_notes[] __attribute__((weak, visibility("hidden")));

/* A constant of C++ is its file's own unless it says otherwise where it is defined; a compiler of C complains
 * then. */
#ifdef __cplusplus
#define UMDEV_PUBLIC_CONSTANT extern const
#else
#define UMDEV_PUBLIC_CONSTANT const
#endif
extern const struct umdev_module umdev_module;
__attribute__((weak, visibility("default"))) UMDEV_PUBLIC_CONSTANT struct umdev_module umdev_module = {
    UMDEV_MODULE_ABI,
    UMDEV_KERNEL_API,
    sizeof(struct umdev_services),
    0,
    KBUILD_MODNAME,
    &__this_module,
    &umdev_kernel,
    init_module,
    cleanup_module,
    __start_umdev_parameters,
    __stop_umdev_parameters,
    __start_umdev_notes,
    __stop_umdev_notes,
};

UMDEV_C_END
