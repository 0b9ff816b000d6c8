// Parents come and go, and who goes on beside whom.
#include "tests/integration/sysfs/tree_client/cases.h"
#include "tests/integration/sysfs/tree_client/client.h"

void a_parent_shows_its_types_and_a_class_link(void) {
  meet("ready");  // a parent is registered
  CHECK(exists("class/mdev_bus/late"));
  CHECK(exists("class/mdev_bus/late/mdev_supported_types/late-1/create"));
  meet("there");  // and unregistered
  CHECK(!exists("class/mdev_bus/late"));
  CHECK(!exists("devices/virtual/late/late/mdev_supported_types"));
  CHECK(exists("devices/virtual/late/late/uevent"));
}

void a_type_that_cannot_be_undoes_all(void) {
  meet("ready");  // a parent with two types of one name was refused
  CHECK(!exists("class/mdev_bus/late"));
  CHECK(!exists("devices/virtual/late/late/mdev_supported_types"));
}

void an_unregistration_takes_the_devices_along(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(0, create(OTHER_TYPE, SECOND_UUID));
  const int kept = open(DEVICE "/uevent", O_RDONLY);
  meet("made");  // the parent is unregistered
  CHECK(!exists(DEVICES "/" UUID));
  CHECK(!exists(DEVICES "/" SECOND_UUID));
  CHECK(!exists("class/mdev_bus/card"));
  CHECK(!exists(TYPES));
  EXPECT(ENODEV, error_of(read(kept, content, 1)));
}

void an_unregistration_waits_for_a_device_in_use(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(0, create(TYPE, SECOND_UUID));
  meet("open");  // it waits: the first one is in use
  CHECK(!exists("class/mdev_bus/card"));
  CHECK(!exists(DEVICES "/" UUID));
  CHECK(!exists(DEVICES "/" SECOND_UUID));
  CHECK(exists(TYPES));
  meet("used");  // it ends
  CHECK(!exists(TYPES));
}

void a_reader_of_a_directory_holds_up_nobody(void) {
  EXPECT(0, create(NULL_TYPE, UUID));
  DIR* devices = opendir(DEVICES);
  CHECK(devices != NULL);
  CHECK(readdir(devices) != NULL);
  EXPECT(0, create(NULL_TYPE, SECOND_UUID));
  EXPECT(0, remove_device(UUID));
  EXPECT(0, create(NULL_TYPE, UUID));
  EXPECT(0, remove_device(UUID));
  EXPECT(0, remove_device(SECOND_UUID));
  rewinddir(devices);
  EXPECT(2, count_entries(devices));
  closedir(devices);
}

void go_on_beside_a_stuck_driver(void) {
  meet("ready");  // the world has made calls of the driver hang
  for (int round = 0; round < 20; ++round) {
    EXPECT(0, create(NULL_TYPE, UUID));
    EXPECT_TEXT("65535\n", NULL_TYPE "/available_instances");
    EXPECT(0, remove_device(UUID));
  }
  CHECK(exists(TYPE "/create"));
  EXPECT_TEXT("vfio-pci\n", TYPE "/device_api");
  DIR* types = opendir(TYPES);
  EXPECT(4, count_entries(types));
  closedir(types);
}

// 16 processes that create and remove the same few devices. Whatever is there at the end can be removed.
static void racer(unsigned seed) {
  for (int round = 0; round < 150; ++round) {
    char path[PATH_MAX];
    char uuid[64];
    seed = seed * 1103515245U + 12345U;
    snprintf(uuid, sizeof uuid, "%08x-0000-4000-8000-000000000000", (seed >> 16) % 3);
    if ((seed >> 20) % 2 == 0) {
      const int error = create(NULL_TYPE, uuid);
      if (error != 0 && error != EEXIST) {
        fprintf(stderr, "create: %s\n", strerror(error));
        _exit(1);
      }
      continue;
    }
    snprintf(path, sizeof path, DEVICES "/%s/remove", uuid);
    const int error = write_error(path, "1");
    if (error != 0 && error != ENOENT && error != ENODEV && error != EAGAIN) {
      fprintf(stderr, "remove: %s\n", strerror(error));
      _exit(1);
    }
  }
  _exit(0);
}

void races_of_create_and_remove_leave_nothing_unremovable(void) {
  for (unsigned index = 0; index < 16; ++index)
    if (fork() == 0) racer(index * 7919 + 1);
  for (unsigned index = 0; index < 16; ++index) {
    int status = 1;
    wait(&status);
    EXPECT(0, status);
  }
  for (unsigned index = 0; index < 3; ++index) {
    char uuid[64];
    snprintf(uuid, sizeof uuid, "%08x-0000-4000-8000-000000000000", index);
    const int error = remove_device(uuid);
    if (error != ENOENT) EXPECT(0, error);
    EXPECT(0, create(NULL_TYPE, uuid));
    EXPECT(0, remove_device(uuid));
  }
  EXPECT_TEXT("65536\n", NULL_TYPE "/available_instances");
}
