// What the tree looks like.
#include "tests/integration/sysfs/tree_client/cases.h"
#include "tests/integration/sysfs/tree_client/client.h"

void modes_sizes_and_owners(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT_NODE(S_IFDIR | 0755, 0, ".");
  EXPECT_NODE(S_IFDIR | 0755, 0, "class/mdev_bus");
  EXPECT_NODE(S_IFLNK | 0777, 0, "class/mdev_bus/card");
  EXPECT_NODE(S_IFREG | 0644, 4096, "bus/mdev/drivers_autoprobe");
  EXPECT_NODE(S_IFREG | 0200, 4096, "bus/mdev/drivers_probe");
  EXPECT_NODE(S_IFREG | 0200, 4096, "bus/mdev/uevent");
  EXPECT_NODE(S_IFREG | 0200, 4096, "bus/mdev/drivers/vfio_mdev/bind");
  EXPECT_NODE(S_IFREG | 0200, 4096, "bus/mdev/drivers/vfio_mdev/unbind");
  EXPECT_NODE(S_IFDIR | 0755, 0, TYPE);
  EXPECT_NODE(S_IFREG | 0200, 4096, TYPE "/create");
  EXPECT_NODE(S_IFREG | 0444, 4096, TYPE "/available_instances");
  EXPECT_NODE(S_IFREG | 0444, 4096, TYPE "/device_api");
  EXPECT_NODE(S_IFREG | 0444, 4096, TYPE "/name");
  EXPECT_NODE(S_IFREG | 0444, 4096, TYPE "/description");
  CHECK(!exists(OTHER_TYPE "/description"));
  EXPECT_NODE(S_IFREG | 0200, 4096, DEVICE "/remove");
  EXPECT_NODE(S_IFREG | 0644, 4096, DEVICE "/uevent");
  EXPECT_NODE(S_IFLNK | 0777, 0, DEVICE "/mdev_type");
  EXPECT_TEXT("vfio-pci\n", TYPE "/device_api");
  EXPECT_TEXT("line one\nline two\n", TYPE "/description");
  EXPECT_TEXT("DRIVER=vfio_mdev\n", DEVICE "/uevent");
}

void links_are_relative(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT_TARGET("../../devices/virtual/card/card", "class/mdev_bus/card");
  EXPECT_TARGET("../../../devices/virtual/card/card/" UUID, DEVICES "/" UUID);
  EXPECT_TARGET("../mdev_supported_types/card-1", DEVICE "/mdev_type");
  EXPECT_TARGET("../../../" UUID, TYPE "/devices/" UUID);
  EXPECT_TARGET("../../../../../bus/mdev", DEVICE "/subsystem");
  EXPECT_TARGET("../../../../../bus/mdev/drivers/vfio_mdev", DEVICE "/driver");
  EXPECT_TARGET("../../../../../kernel/iommu_groups/0", DEVICE "/iommu_group");
  char resolved[PATH_MAX];
  CHECK(realpath(DEVICES "/" UUID "/mdev_type", resolved) != NULL);
  CHECK(strcmp(strrchr(resolved, '/'), "/card-1") == 0);
}

void a_directory_has_a_link_from_each_subdirectory(void) {
  struct stat info;
  CHECK(stat(TYPES, &info) == 0);
  EXPECT(4, info.st_nlink);
  CHECK(stat(TYPE "/devices", &info) == 0);
  EXPECT(2, info.st_nlink);
  CHECK(stat(TYPE "/name", &info) == 0);
  EXPECT(1, info.st_nlink);
  const int parent = open(PARENT, O_RDONLY | O_DIRECTORY);
  CHECK(fstat(parent, &info) == 0);
  const nlink_t before = info.st_nlink;
  EXPECT(0, create(TYPE, UUID));
  CHECK(fstat(parent, &info) == 0);
  EXPECT(before + 1, info.st_nlink);
  EXPECT(0, remove_device(UUID));
  CHECK(fstat(parent, &info) == 0);
  EXPECT(before, info.st_nlink);
}

void a_listing_can_be_rewound_and_taken_up_again(void) {
  DIR* directory = opendir(TYPE);
  CHECK(directory != NULL);
  const unsigned before = count_entries(directory);
  EXPECT(8, before);  // ., .., 5 attributes, devices
  rewinddir(directory);
  char names[3][256];
  long place = 0;
  for (int index = 0; index < 3; ++index) {
    if (index == 2) place = telldir(directory);
    snprintf(names[index], sizeof names[index], "%s", readdir(directory)->d_name);
  }
  seekdir(directory, place);
  CHECK(strcmp(readdir(directory)->d_name, names[2]) == 0);
  closedir(directory);
}
