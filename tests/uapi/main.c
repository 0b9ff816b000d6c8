/* uapi_check [--before-7 | --6.1] GROUP DEVICE [CDEV]: every case, on whatever /dev/vfio there is.
 *   GROUP   the number of the device's IOMMU group (its name under /dev/vfio)
 *   DEVICE  its name, as "0000:00:05.0" or a UUID
 *   --before-7, --6.1  what older kernels answered, where that was something else
 *   CDEV    its own node, if it has one: /dev/vfio/devices/vfio0
 * TAP on its output. Ends with 0 when all is as expected, 1 when not, 2 when it could not go on. */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tests/uapi/uapi.h"

static char* pages(unsigned long size, int protection) {
  return mmap(NULL, size, protection, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

int main(int count, char** arguments) {
  struct scene scene = {0};
  if (count > 1 && (strcmp(arguments[1], "--before-7") == 0 || strcmp(arguments[1], "--6.1") == 0)) {
    scene.before_7 = true;
    scene.is_6_1 = arguments[1][2] == '6';
    ++arguments;
    --count;
  }
  if (count < 3) {
    fprintf(stderr, "usage: uapi_check [--before-7 | --6.1] GROUP DEVICE [CDEV]\n");
    return 2;
  }
  scene.device_name = arguments[2];
  snprintf(scene.group_path, sizeof scene.group_path, "/dev/vfio/%s", arguments[1]);
  if (count > 3) snprintf(scene.cdev_path, sizeof scene.cdev_path, "%s", arguments[3]);
  scene.has_iommufd = access("/dev/iommu", R_OK | W_OK) == 0;
  scene.emulated = strchr(scene.device_name, ':') == NULL;
  scene.buffer = pages(buffer_size, PROT_READ | PROT_WRITE);
  scene.nowhere = pages(page, PROT_READ);
  scene.readonly = pages(page, PROT_READ);
  munmap(scene.nowhere, page);
  setvbuf(stdout, NULL, _IOLBF, 0);
  return run_cases(&scene) == 0 ? 0 : 1;
}
