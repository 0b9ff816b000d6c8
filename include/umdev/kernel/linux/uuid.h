/* UUIDs. */
#pragma once

#include <linux/string.h>
#include <linux/types.h>

#define UUID_SIZE 16
#define UUID_STRING_LEN 36

UMDEV_C_BEGIN
typedef struct umdev_uuid guid_t;
typedef struct umdev_uuid uuid_t;
typedef struct umdev_uuid uuid_le;
typedef struct umdev_uuid uuid_be;
UMDEV_C_END

static inline bool guid_equal(const guid_t* left, const guid_t* right) {
  return memcmp(left, right, sizeof(*left)) == 0;
}
static inline bool uuid_equal(const uuid_t* left, const uuid_t* right) {
  return guid_equal(left, right);
}
static inline int uuid_le_cmp(const uuid_le left, const uuid_le right) {
  return memcmp(&left, &right, sizeof(left));
}
static inline void guid_copy(guid_t* to, const guid_t* from) {
  *to = *from;
}
static inline bool guid_is_null(const guid_t* guid) {
  static const guid_t nil = {};
  return guid_equal(guid, &nil);
}
