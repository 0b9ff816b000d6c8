/* Doubly linked lists whose links are members of what they link. */
#pragma once

#include <linux/kernel.h>

#define LIST_HEAD_INIT(name) {&(name), &(name)}
#define LIST_HEAD(name) struct list_head name = LIST_HEAD_INIT(name)

static inline void INIT_LIST_HEAD(struct list_head* list) {
  list->next = list->prev = list;
}
static inline void umdev_list_link(struct list_head* before, struct list_head* entry,
                                   struct list_head* after) {
  entry->prev = before, entry->next = after;
  before->next = entry, after->prev = entry;
}
static inline void list_add(struct list_head* entry, struct list_head* head) {
  umdev_list_link(head, entry, head->next);
}
static inline void list_add_tail(struct list_head* entry, struct list_head* head) {
  umdev_list_link(head->prev, entry, head);
}
static inline void list_del_init(struct list_head* entry) {
  entry->prev->next = entry->next, entry->next->prev = entry->prev;
  INIT_LIST_HEAD(entry);
}
static inline void list_del(struct list_head* entry) {
  entry->prev->next = entry->next, entry->next->prev = entry->prev;
  entry->next = entry->prev = NULL;
}
static inline void list_move(struct list_head* entry, struct list_head* head) {
  list_del(entry);
  list_add(entry, head);
}
static inline void list_move_tail(struct list_head* entry, struct list_head* head) {
  list_del(entry);
  list_add_tail(entry, head);
}
static inline int list_empty(const struct list_head* head) {
  return head->next == head;
}
static inline int list_is_singular(const struct list_head* head) {
  return head->next != head && head->next == head->prev;
}
static inline int list_is_first(const struct list_head* entry, const struct list_head* head) {
  return entry->prev == head;
}
static inline void list_replace(struct list_head* entry, struct list_head* by) {
  umdev_list_link(entry->prev, by, entry->next);
}
static inline int list_is_last(const struct list_head* entry, const struct list_head* head) {
  return entry->next == head;
}
/* All of `from` behind `to`, which may be a list or a link of one. */
static inline void list_splice(const struct list_head* from, struct list_head* to) {
  if (list_empty(from)) return;
  from->next->prev = to, from->prev->next = to->next;
  to->next->prev = from->prev, to->next = from->next;
}
static inline void list_splice_init(struct list_head* from, struct list_head* to) {
  list_splice(from, to);
  INIT_LIST_HEAD(from);
}
static inline void list_splice_tail(const struct list_head* from, struct list_head* to) {
  list_splice(from, to->prev);
}
static inline void list_splice_tail_init(struct list_head* from, struct list_head* to) {
  list_splice_init(from, to->prev);
}

#define list_entry(pointer, type, member) container_of(pointer, type, member)
#define list_first_entry(head, type, member) list_entry((head)->next, type, member)
#define list_last_entry(head, type, member) list_entry((head)->prev, type, member)
#define list_first_entry_or_null(head, type, member) \
  (list_empty(head) ? NULL : list_first_entry(head, type, member))
#define list_next_entry(entry, member) list_entry((entry)->member.next, __typeof__(*(entry)), member)
#define list_prev_entry(entry, member) list_entry((entry)->member.prev, __typeof__(*(entry)), member)
#define list_for_each(position, head) \
  for ((position) = (head)->next; (position) != (head); (position) = (position)->next)
#define list_for_each_safe(position, following, head)                                   \
  for ((position) = (head)->next, (following) = (position)->next; (position) != (head); \
       (position) = (following), (following) = (position)->next)
#define list_for_each_entry(entry, head, member)                                                   \
  for ((entry) = list_first_entry(head, __typeof__(*(entry)), member); &(entry)->member != (head); \
       (entry) = list_next_entry(entry, member))
#define list_for_each_entry_reverse(entry, head, member)                                          \
  for ((entry) = list_last_entry(head, __typeof__(*(entry)), member); &(entry)->member != (head); \
       (entry) = list_prev_entry(entry, member))
#define list_for_each_entry_continue(entry, head, member)                    \
  for ((entry) = list_next_entry(entry, member); &(entry)->member != (head); \
       (entry) = list_next_entry(entry, member))
#define list_for_each_entry_from(entry, head, member) \
  for (; &(entry)->member != (head); (entry) = list_next_entry(entry, member))
#define list_entry_is_head(entry, head, member) (&(entry)->member == (head))
#define list_for_each_entry_safe(entry, following, head, member)       \
  for ((entry) = list_first_entry(head, __typeof__(*(entry)), member), \
      (following) = list_next_entry(entry, member);                    \
       &(entry)->member != (head); (entry) = (following), (following) = list_next_entry(following, member))
#define list_for_each_entry_safe_reverse(entry, following, head, member) \
  for ((entry) = list_last_entry(head, __typeof__(*(entry)), member),    \
      (following) = list_prev_entry(entry, member);                      \
       &(entry)->member != (head); (entry) = (following), (following) = list_prev_entry(following, member))

/* --- Lists whose head is one pointer. */

#define HLIST_HEAD_INIT {NULL}
#define HLIST_HEAD(name) struct hlist_head name = HLIST_HEAD_INIT
#define INIT_HLIST_HEAD(head) ((head)->first = NULL)

static inline void INIT_HLIST_NODE(struct hlist_node* node) {
  node->next = NULL, node->pprev = NULL;
}
static inline int hlist_unhashed(const struct hlist_node* node) {
  return !node->pprev;
}
static inline int hlist_empty(const struct hlist_head* head) {
  return !head->first;
}
static inline void hlist_add_head(struct hlist_node* node, struct hlist_head* head) {
  node->next = head->first, node->pprev = &head->first;
  if (head->first) head->first->pprev = &node->next;
  head->first = node;
}
/* Of one that is in no list nothing happens. */
static inline void hlist_del_init(struct hlist_node* node) {
  if (hlist_unhashed(node)) return;
  *node->pprev = node->next;
  if (node->next) node->next->pprev = node->pprev;
  INIT_HLIST_NODE(node);
}
#define hlist_del hlist_del_init
#define hlist_entry(pointer, type, member) container_of(pointer, type, member)
#define hlist_entry_safe(pointer, type, member)                              \
  ({                                                                         \
    struct hlist_node* umdev_node = (pointer);                               \
    umdev_node ? (type*)(void*)hlist_entry(umdev_node, type, member) : NULL; \
  })
#define hlist_for_each_entry(entry, head, member)                                        \
  for ((entry) = hlist_entry_safe((head)->first, __typeof__(*(entry)), member); (entry); \
       (entry) = hlist_entry_safe((entry)->member.next, __typeof__(*(entry)), member))
/* `following` is a struct hlist_node*. */
#define hlist_for_each_entry_safe(entry, following, head, member)               \
  for ((entry) = hlist_entry_safe((head)->first, __typeof__(*(entry)), member); \
       (entry) && ((following) = (entry)->member.next, 1);                      \
       (entry) = hlist_entry_safe(following, __typeof__(*(entry)), member))
