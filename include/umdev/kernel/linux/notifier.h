/* Chains of those who want to be told. */
#pragma once

#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/mutex.h>

#define NOTIFY_DONE 0x0000
#define NOTIFY_OK 0x0001
#define NOTIFY_STOP_MASK 0x8000
#define NOTIFY_BAD (NOTIFY_STOP_MASK | 0x0002)
#define NOTIFY_STOP (NOTIFY_OK | NOTIFY_STOP_MASK)

/* A chain whose members may sleep; they are called with its lock held for reading in the kernel, so a member
 * must not leave it from within. All-zero is an empty one. */
UMDEV_C_BEGIN
struct blocking_notifier_head {
  struct mutex lock;
  struct notifier_block* head;
};
UMDEV_C_END

#define BLOCKING_NOTIFIER_INIT(name) {{0}, NULL}
#define BLOCKING_NOTIFIER_HEAD(name) struct blocking_notifier_head name = BLOCKING_NOTIFIER_INIT(name)
#define BLOCKING_INIT_NOTIFIER_HEAD(chain) umdev_init_chain(chain)

static inline void umdev_init_chain(struct blocking_notifier_head* chain) {
  mutex_init(&chain->lock);
  chain->head = NULL;
}
static inline int notifier_to_errno(int answer) {
  answer &= ~NOTIFY_STOP_MASK;
  return answer > NOTIFY_OK ? NOTIFY_OK - answer : 0;
}
static inline int notifier_from_errno(int error) {
  return error ? NOTIFY_STOP_MASK | (NOTIFY_OK - error) : NOTIFY_OK;
}
/* The highest priority first, and among equals who came first; -EEXIST: it is in the chain. */
static inline int blocking_notifier_chain_register(struct blocking_notifier_head* chain,
                                                   struct notifier_block* block) {
  struct notifier_block** at = &chain->head;
  int result = 0;
  mutex_lock(&chain->lock);
  for (; *at && *at != block && (*at)->priority >= block->priority; at = &(*at)->next) {
  }
  if (*at == block) {
    result = -EEXIST;
  } else {
    block->next = *at;
    *at = block;
  }
  mutex_unlock(&chain->lock);
  return result;
}
/* -ENOENT: it is not in the chain. */
static inline int blocking_notifier_chain_unregister(struct blocking_notifier_head* chain,
                                                     struct notifier_block* block) {
  struct notifier_block** at = &chain->head;
  int result = -ENOENT;
  mutex_lock(&chain->lock);
  for (; *at && *at != block; at = &(*at)->next) {
  }
  if (*at) {
    *at = block->next;
    result = 0;
  }
  mutex_unlock(&chain->lock);
  return result;
}
/* What the last one that was called has answered: all, unless one said to stop. */
static inline int blocking_notifier_call_chain(struct blocking_notifier_head* chain, unsigned long action,
                                               void* data) {
  struct notifier_block *block, *next;
  int answer = NOTIFY_DONE;
  mutex_lock(&chain->lock);
  for (block = chain->head; block && !(answer & NOTIFY_STOP_MASK); block = next) {
    next = block->next;
    answer = block->notifier_call(block, action, data);
  }
  mutex_unlock(&chain->lock);
  return answer;
}
