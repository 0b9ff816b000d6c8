/* VFIO_DEVICE_GET_IRQ_INFO and VFIO_DEVICE_SET_IRQS. */
#include <errno.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "tests/uapi/structures.h"
#include "tests/uapi/uapi.h"

enum {
  none = VFIO_IRQ_SET_DATA_NONE,
  boolean = VFIO_IRQ_SET_DATA_BOOL,
  event = VFIO_IRQ_SET_DATA_EVENTFD,
  mask = VFIO_IRQ_SET_ACTION_MASK,
  unmask = VFIO_IRQ_SET_ACTION_UNMASK,
  trigger = VFIO_IRQ_SET_ACTION_TRIGGER,
};
enum { intx, msi, msix, err, req };
static const char* const names[] = {"INTx", "MSI", "MSI-X", "ERR", "REQ"};

static long set(int device, uint32_t flags, uint32_t index, uint32_t start, uint32_t count, uint32_t words,
                const int32_t* data) {
  struct {
    struct vfio_irq_set set;
    int32_t data[8];
  } request = {.set = {.argsz = (uint32_t)(sizeof(struct vfio_irq_set) + 4 * words),
                       .flags = flags,
                       .index = index,
                       .start = start,
                       .count = count}};
  for (uint32_t i = 0; i < words; ++i) request.data[i] = data[i];
  return call(device, VFIO_DEVICE_SET_IRQS, &request);
}

static uint32_t count_of(int device, uint32_t index) {
  struct vfio_irq_info info = {.argsz = sizeof info, .index = index};
  return call(device, VFIO_DEVICE_GET_IRQ_INFO, &info) == 0 ? info.count : 0;
}

static long signals(int fd) {
  uint64_t value = 0;
  return read(fd, &value, sizeof value) == sizeof value ? (long)value : 0;
}

static void info_cases(int device) {
  for (uint32_t index = 0; index < 5; ++index) {
    if (index == err) continue; /* only a PCI Express function has it */
    struct vfio_irq_info info = {.argsz = sizeof info, .index = index, .flags = 0xffffffff};
    check(kernel, 0, call(device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO %s", names[index]);
    /* MSI-X vectors may be added later where the kernel can: then there is no NORESIZE. */
    const uint32_t expected = index == intx ? 7 : 9;
    check(kernel, (long)expected, index == msix ? (long)(info.flags | 8) : (long)info.flags,
          "GET_IRQ_INFO %s: flags", names[index]);
  }
  check(kernel, 1, count_of(device, req), "GET_IRQ_INFO REQ: count");
  static const uint32_t bad[] = {5, 6, 0xffffffff};
  for (unsigned i = 0; i < sizeof bad / sizeof *bad; ++i) {
    struct vfio_irq_info info = {.argsz = sizeof info, .index = bad[i]};
    check(kernel, -EINVAL, call(device, VFIO_DEVICE_GET_IRQ_INFO, &info), "GET_IRQ_INFO %#x", bad[i]);
  }
}

/* What is refused whatever the index is. */
static void bad_cases(int device, uint32_t index) {
  const uint32_t n = count_of(device, index);
  const char* const name = names[index];
  static const int32_t data[8] = {-1, -1, -1, -1, -1, -1, -1, -1};
  check(kernel, -EINVAL, set(device, none | trigger | 64, index, 0, 1, 0, data), "SET_IRQS %s: unknown flag",
        name);
  check(kernel, -EINVAL, set(device, none | trigger, index, n, 1, 0, data), "SET_IRQS %s: start behind it",
        name);
  check(kernel, -EINVAL, set(device, none | trigger, index, 0, n + 1, 0, data), "SET_IRQS %s: too many",
        name);
  check(kernel, -EINVAL, set(device, none | trigger, index, 1, 0xffffffff, 0, data), "SET_IRQS %s: wraps",
        name);
  check(kernel, -EINVAL, set(device, none | trigger, index, 0xffffffff, 1, 0, data), "SET_IRQS %s: wraps so",
        name);
  check(kernel, -EINVAL, set(device, trigger, index, 0, n ? 1 : 0, 0, data), "SET_IRQS %s: no data type",
        name);
  check(kernel, -EINVAL, set(device, none | boolean | trigger, index, 0, 1, 1, data),
        "SET_IRQS %s: two data types", name);
  check(kernel, -EINVAL, set(device, boolean | event | trigger, index, 0, 1, 1, data),
        "SET_IRQS %s: two others", name);
  check(kernel, -EINVAL, set(device, event | trigger, index, 0, 1, 0, data), "SET_IRQS %s: no descriptor",
        name);
  check(kernel, -EINVAL, set(device, boolean | trigger, index, 0, 1, 0, data), "SET_IRQS %s: no byte", name);
  if (n == 0) {
    check(kernel, -EINVAL, set(device, none | trigger, index, 0, 0, 0, data), "SET_IRQS %s, which is none",
          name);
    return;
  }
  check(kernel, -ENOTTY, set(device, none, index, 0, 1, 0, data), "SET_IRQS %s: no action", name);
  check(kernel, -ENOTTY, set(device, none | mask | trigger, index, 0, 1, 0, data), "SET_IRQS %s: two actions",
        name);
}

/* What is asked of the one vector of an index, one row after another. */
struct row {
  const char* what;
  uint32_t flags, count, words;
  const int32_t* data;
  long expected;
};

static void check_rows(int device, uint32_t index, const struct row* rows, size_t count) {
  for (const struct row* row = rows; row < rows + count; ++row)
    check(kernel, row->expected, set(device, row->flags, index, 0, row->count, row->words, row->data),
          "%s: %s", names[index], row->what);
}

static void intx_cases(int device, int eventfd, int unmask_fd) {
  const int32_t bad = 9999, fd = eventfd, minus = -1, unmask_data = unmask_fd;
  const struct row rows[] = {
      {"mask while disabled", none | mask, 1, 0, &minus, -EINVAL},
      {"unmask while disabled", none | unmask, 1, 0, &minus, -EINVAL},
      {"trigger while disabled", none | trigger, 1, 0, &minus, -EINVAL},
      {"disable while disabled", none | trigger, 0, 0, &minus, -EINVAL},
      {"a closed descriptor", event | trigger, 1, 1, &bad, -EBADF},
      {"an eventfd", event | trigger, 1, 1, &fd, 0},
      {"the eventfd once more", event | trigger, 1, 1, &fd, 0},
      {"mask", none | mask, 1, 0, &minus, 0},
      {"mask once more", none | mask, 1, 0, &minus, 0},
      {"unmask", none | unmask, 1, 0, &minus, 0},
      {"mask by an eventfd", event | mask, 1, 1, &fd, -ENOTTY},
      {"unmask by an eventfd", event | unmask, 1, 1, &unmask_data, 0},
      {"unmask by a second eventfd", event | unmask, 1, 1, &unmask_data, -EBUSY},
      {"no unmask eventfd", event | unmask, 1, 1, &minus, 0},
      {"loop back", none | trigger, 1, 0, &minus, 0},
      {"no eventfd", event | trigger, 1, 1, &minus, 0},
      {"disable", none | trigger, 0, 0, &minus, 0},
      {"disable once more", none | trigger, 0, 0, &minus, -EINVAL},
  };
  signals(eventfd);
  check_rows(device, intx, rows, sizeof rows / sizeof *rows);
  check(kernel, 1, signals(eventfd) >= 1, "INTx: the eventfd was signalled");
}

/* MSI and MSI-X. */
static void message_cases(int device, uint32_t index, int eventfd) {
  const char* const name = names[index];
  const int32_t bad[1] = {9999}, fd[1] = {eventfd}, minus[1] = {-1}, file[1] = {0};
  check(kernel, -EINVAL, set(device, none | trigger, index, 0, 0, 0, minus), "%s: disable while disabled",
        name);
  check(kernel, -EINVAL, set(device, none | trigger, index, 0, 1, 0, minus), "%s: trigger while disabled",
        name);
  check(kernel, -ERANGE, set(device, event | trigger, index, 0, 0, 0, minus), "%s: enable with no vector",
        name);
  check(kernel, -ENOTTY, set(device, none | mask, index, 0, 1, 0, minus), "%s: mask", name);
  check(kernel, -ENOTTY, set(device, none | unmask, index, 0, 1, 0, minus), "%s: unmask", name);
  check(kernel, -EBADF, set(device, event | trigger, index, 0, 1, 1, bad), "%s: a closed descriptor", name);
  check(kernel, -EINVAL, set(device, event | trigger, index, 0, 1, 1, file), "%s: a file that is no eventfd",
        name);
  check(kernel, -EINVAL, set(device, none | trigger, index, 0, 0, 0, minus), "%s: it stayed disabled", name);
  check(kernel, 0, set(device, event | trigger, index, 0, 1, 1, minus), "%s: enable in silence", name);
  check(kernel, 0, set(device, none | trigger, index, 0, 1, 0, minus), "%s: trigger in silence", name);
  check(kernel, 0, set(device, event | trigger, index, 0, 1, 1, fd), "%s: an eventfd", name);
  signals(eventfd);
  check(kernel, 0, set(device, none | trigger, index, 0, 1, 0, minus), "%s: loop back", name);
  check(kernel, 1, signals(eventfd), "%s: the eventfd was signalled", name);
  const int32_t bytes[1] = {0};
  check(kernel, 0, set(device, boolean | trigger, index, 0, 1, 1, bytes), "%s: loop back of a false", name);
  check(kernel, 0, signals(eventfd), "%s: a false signals nothing", name);
  if (count_of(device, intx) != 0)
    check(kernel, -EINVAL, set(device, event | trigger, intx, 0, 1, 1, fd), "INTx while %s is enabled", name);
  check(kernel, -EBADF, set(device, event | trigger, index, 0, 1, 1, bad), "%s: a closed descriptor, enabled",
        name);
  check(kernel, 0, set(device, none | trigger, index, 0, 1, 0, minus), "%s: still enabled", name);
  check(kernel, 0, signals(eventfd), "%s: but silent", name);
  check(kernel, 0, set(device, none | trigger, index, 0, 0, 0, minus), "%s: disable", name);
}

static void request_cases(int device, int eventfd) {
  const int32_t bad = 9999, fd = eventfd, minus = -1, less = -2;
  const struct row rows[] = {
      {"trigger without an eventfd", none | trigger, 1, 0, &minus, -EINVAL},
      {"clear without an eventfd", none | trigger, 0, 0, &minus, -EINVAL},
      {"a closed descriptor", event | trigger, 1, 1, &bad, -EBADF},
      {"-2", event | trigger, 1, 1, &less, -EINVAL},
      {"mask", none | mask, 1, 0, &minus, -ENOTTY},
      {"an eventfd", event | trigger, 1, 1, &fd, 0},
      {"loop back", none | trigger, 1, 0, &minus, 0},
      {"no eventfd", event | trigger, 1, 1, &minus, 0},
      {"trigger after it", none | trigger, 1, 0, &minus, -EINVAL},
      {"an eventfd again", event | trigger, 1, 1, &fd, 0},
      {"clear", none | trigger, 0, 0, &minus, 0},
  };
  check_rows(device, req, rows, sizeof rows / sizeof *rows);
}

void interrupt_cases(const struct scene* scene) {
  struct opened opened = open_all(scene, VFIO_TYPE1v2_IOMMU);
  const int device = opened.device;
  const int fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC), other = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  info_cases(device);
  static const int32_t nothing[1] = {0};
  check(kernel, -EINVAL, set(device, none | trigger, 5, 0, 1, 0, nothing), "SET_IRQS 5");
  check(kernel, -EINVAL, set(device, none | trigger, 0xffffffff, 0, 1, 0, nothing), "SET_IRQS 0xffffffff");
  for (uint32_t index = 0; index < 5; ++index)
    if (index != err) bad_cases(device, index);
  if (count_of(device, intx) != 0)
    intx_cases(device, fd, other);
  else
    skip("the device has no INTx");
  for (uint32_t index = msi; index <= msix; ++index) {
    if (count_of(device, index) != 0)
      message_cases(device, index, fd);
    else
      skip("the device has no %s", names[index]);
  }
  request_cases(device, fd);
  close(fd);
  close(other);
  close_all(&opened);
}
