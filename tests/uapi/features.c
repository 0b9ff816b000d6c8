/* VFIO_DEVICE_FEATURE. */
#include <errno.h>
#include <string.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

enum { get = 1 << 16, set = 1 << 17, probe = 1 << 18 };

static long feature(int device, uint32_t flags, uint32_t argsz) {
  uint32_t words[32] = {argsz, flags};
  return call(device, VFIO_DEVICE_FEATURE, words);
}

void feature_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1v2_IOMMU);
  const int device = opened.device;
  const int migrates = feature(device, probe | get | 1, 16) == 0;
  static const struct {
    const char* what;
    uint32_t flags;
    long expected;
  } rows[] = {
      {"an unknown flag", get | 1 << 19 | 1, -EINVAL},
      {"another unknown flag", get | 1u << 31 | 1, -EINVAL},
      {"GET and SET", get | set | 1, -EINVAL},
      {"a feature that nobody knows", get | 200, -ENOTTY},
      {"a probe of what nobody knows", probe | 200, -ENOTTY},
      {"a write of what nobody knows", set | 0xffff, -ENOTTY},
      {"nothing of what nobody knows", 200, -ENOTTY},
  };
  for (unsigned i = 0; i < sizeof rows / sizeof *rows; ++i)
    check(kernel, rows[i].expected, feature(device, rows[i].flags, 64), "FEATURE: %s", rows[i].what);
  if (!migrates) {
    /* What only a device that migrates has. */
    static const uint32_t features[] = {1, 2, 6, 7, 8, 9};
    for (unsigned i = 0; i < sizeof features / sizeof *features; ++i) {
      check(kernel, -ENOTTY, feature(device, get | features[i], 64), "FEATURE %u: GET without migration",
            features[i]);
      check(kernel, -ENOTTY, feature(device, set | features[i], 64), "FEATURE %u: SET without migration",
            features[i]);
      check(kernel, -ENOTTY, feature(device, probe | features[i], 64), "FEATURE %u: PROBE without migration",
            features[i]);
    }
  } else {
    check(reference, 0, feature(device, get | 1, 16), "MIGRATION: GET");
    check(reference, -EINVAL, feature(device, set | 1, 16), "MIGRATION: SET");
    check(reference, -EINVAL, feature(device, get | 1, 12), "MIGRATION: GET with argsz 12");
    check(reference, -EINVAL, feature(device, 1, 16), "MIGRATION: neither");
    check(reference, 0, feature(device, probe | 1, 8), "MIGRATION: PROBE");
    uint32_t state[4] = {16, get | 2, 77, 77};
    check(reference, 0, call(device, VFIO_DEVICE_FEATURE, state), "MIG_DEVICE_STATE: GET");
    check(reference, 2, state[2], "MIG_DEVICE_STATE: RUNNING at first");
    check(reference, -1, (int32_t)state[3], "MIG_DEVICE_STATE: no descriptor");
    static const uint32_t bad[] = {0, 8, 0xffffffff};
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; ++i) {
      uint32_t to[4] = {16, set | 2, bad[i], 77};
      check(reference, -EINVAL, call(device, VFIO_DEVICE_FEATURE, to), "MIG_DEVICE_STATE: to %#x", bad[i]);
      check(reference, -1, (int32_t)to[3], "MIG_DEVICE_STATE: to %#x: no descriptor", bad[i]);
    }
    uint32_t same[4] = {16, set | 2, 2, 77};
    check(reference, 0, call(device, VFIO_DEVICE_FEATURE, same), "MIG_DEVICE_STATE: RUNNING to RUNNING");
    check(reference, -1, (int32_t)same[3], "MIG_DEVICE_STATE: RUNNING to RUNNING: no descriptor");
  }
  close_all(&opened);
}
