/* printk: into the log of umdev, a line at a time, with the module's name in front. */
#pragma once

#include <linux/types.h>
#include <umdev/this_module.h>

#define KERN_SOH "\001"
#define KERN_EMERG KERN_SOH "0"
#define KERN_ALERT KERN_SOH "1"
#define KERN_CRIT KERN_SOH "2"
#define KERN_ERR KERN_SOH "3"
#define KERN_WARNING KERN_SOH "4"
#define KERN_NOTICE KERN_SOH "5"
#define KERN_INFO KERN_SOH "6"
#define KERN_DEBUG KERN_SOH "7"
#define KERN_CONT KERN_SOH "c"

#ifndef pr_fmt
#define pr_fmt(format) format
#endif

#define printk(...) umdev_kernel->printk(THIS_MODULE, __VA_ARGS__)
#define pr_emerg(format, ...) printk(KERN_EMERG pr_fmt(format), ##__VA_ARGS__)
#define pr_alert(format, ...) printk(KERN_ALERT pr_fmt(format), ##__VA_ARGS__)
#define pr_crit(format, ...) printk(KERN_CRIT pr_fmt(format), ##__VA_ARGS__)
#define pr_err(format, ...) printk(KERN_ERR pr_fmt(format), ##__VA_ARGS__)
#define pr_warn(format, ...) printk(KERN_WARNING pr_fmt(format), ##__VA_ARGS__)
#define pr_warning pr_warn
#define pr_notice(format, ...) printk(KERN_NOTICE pr_fmt(format), ##__VA_ARGS__)
#define pr_info(format, ...) printk(KERN_INFO pr_fmt(format), ##__VA_ARGS__)
#define pr_debug(format, ...) printk(KERN_DEBUG pr_fmt(format), ##__VA_ARGS__)
#define pr_cont(format, ...) printk(KERN_CONT format, ##__VA_ARGS__)
#define pr_err_ratelimited pr_err
#define pr_warn_ratelimited pr_warn
#define pr_info_ratelimited pr_info
#define pr_debug_ratelimited pr_debug
#define umdev_once(call)                                              \
  ({                                                                  \
    static int umdev_said;                                            \
    if (!__atomic_exchange_n(&umdev_said, 1, __ATOMIC_RELAXED)) call; \
  })
#define pr_err_once(...) umdev_once(pr_err(__VA_ARGS__))
#define pr_warn_once(...) umdev_once(pr_warn(__VA_ARGS__))
#define pr_info_once(...) umdev_once(pr_info(__VA_ARGS__))

#ifdef __cplusplus
#include <stdio.h>
#else
// house-rules: allow sprintf: the name is what drivers use
int sprintf(char* buffer, const char* format, ...) UMDEV_PRINTF(2, 3);
int snprintf(char* buffer, size_t size, const char* format, ...) UMDEV_PRINTF(3, 4);
int vsnprintf(char* buffer, size_t size, const char* format, va_list arguments) UMDEV_PRINTF(3, 0);
int sscanf(const char* text, const char* format, ...) __attribute__((format(scanf, 2, 3)));
#endif
