// create.
#include "tests/integration/sysfs/tree_client/cases.h"
#include "tests/integration/sysfs/tree_client/client.h"

void a_uuid_has_36_or_37_characters(void) {
  const char* const refused[] = {"x",
                                 "83b8f4f2-509f-382f-3c1e-e6bfe0fa100",
                                 UUID "\n\n",
                                 UUID "  ",
                                 "{83b8f4f2-509f-382f-3c1e-e6bfe0fa1001",
                                 "83b8f4f25-09f-382f-3c1e-e6bfe0fa1001",
                                 "83b8f4f2-509f-382f-3c1ee-6bfe0fa1001",
                                 "83b8f4f2-509f-382f-3c1e-e6bfe0fa100g",
                                 "83b8f4f2x509f-382f-3c1e-e6bfe0fa1001",
                                 "83b8f4f2509f382f3c1ee6bfe0fa10010000"};
  for (size_t index = 0; index < sizeof refused / sizeof *refused; ++index) {
    if (create(TYPE, refused[index]) == EINVAL) continue;
    fprintf(stderr, "not EINVAL: %s\n", refused[index]);
    ++failures;
  }
  EXPECT(-EINVAL, write_count(TYPE "/create", "\0\0\0\0", 4));
  CHECK(!exists(DEVICE));
  EXPECT(37, write_count(TYPE "/create", UUID "\n", 37));
  EXPECT(0, remove_device(UUID));
  EXPECT(36, write_count(TYPE "/create", UUID, 36));
}

void the_37th_character_is_not_looked_at(void) {
  EXPECT(37, write_count(TYPE "/create", UUID "x", 37));
  CHECK(exists(DEVICE));
}

void a_device_has_a_lower_case_name(void) {
  EXPECT(0, create(TYPE, "83B8F4F2-509F-382F-3C1E-E6BFE0FA1001"));
  CHECK(exists(DEVICE));
  EXPECT(EEXIST, create(TYPE, UUID));
}

void a_uuid_is_there_once_on_the_host(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(EEXIST, create(TYPE, UUID));
  EXPECT(EEXIST, create(OTHER_TYPE, UUID));
  EXPECT(EEXIST, create(NULL_TYPE, UUID));
}

void a_parent_that_counts_says_eusers(void) {
  EXPECT_TEXT("2\n", TYPE "/available_instances");
  EXPECT_TEXT("2\n", OTHER_TYPE "/available_instances");
  EXPECT(0, create(TYPE, UUID));
  EXPECT_TEXT("1\n", OTHER_TYPE "/available_instances");
  EXPECT(0, create(OTHER_TYPE, SECOND_UUID));
  EXPECT(EUSERS, create(TYPE, THIRD_UUID));
  EXPECT(EUSERS, create(OTHER_TYPE, THIRD_UUID));
  EXPECT(0, remove_device(UUID));
  EXPECT_TEXT("1\n", TYPE "/available_instances");
  EXPECT(0, create(OTHER_TYPE, THIRD_UUID));
}

void mtty_says_enospc_when_its_ports_are_out(void) {
  char uuid[64];
  int made = 0;
  EXPECT_TEXT("24\n", MTTY_TYPES "/mtty-1/available_instances");
  EXPECT_TEXT("12\n", MTTY_TYPES "/mtty-2/available_instances");
  for (; made < 12; ++made) {
    snprintf(uuid, sizeof uuid, "%08x-0000-4000-8000-000000000000", made);
    EXPECT(0, create(MTTY_TYPES "/mtty-2", uuid));
  }
  EXPECT_TEXT("0\n", MTTY_TYPES "/mtty-1/available_instances");
  EXPECT(ENOSPC, create(MTTY_TYPES "/mtty-1", UUID));
  EXPECT(ENOSPC, create(MTTY_TYPES "/mtty-2", UUID));
  CHECK(!exists(DEVICES "/" UUID));
}

void one_type_takes_what_another_counts(void) {
  EXPECT(0, create(MTTY_TYPES "/mtty-1", UUID));
  EXPECT_TEXT("23\n", MTTY_TYPES "/mtty-1/available_instances");
  EXPECT_TEXT("11\n", MTTY_TYPES "/mtty-2/available_instances");
}

void the_drivers_error_is_the_writers(void) {
  EXPECT(ENXIO, create(TYPE, UUID));  // the world has the driver refuse
  CHECK(!exists(DEVICE));
  EXPECT_TEXT("2\n", TYPE "/available_instances");
  meet("refused");  // and now to take it
  EXPECT(0, create(TYPE, UUID));
}

void a_device_is_complete_when_the_write_returns(void) {
  EXPECT(36, write_count(TYPE "/create", UUID, 36));
  const char* const there[] = {DEVICES "/" UUID,      DEVICE "/remove",
                               DEVICE "/uevent",      DEVICE "/mdev_type/name",
                               DEVICE "/subsystem",   DEVICE "/driver",
                               DEVICE "/iommu_group", DEVICE "/vfio-dev",
                               TYPE "/devices/" UUID, "bus/mdev/drivers/vfio_mdev/" UUID};
  struct stat info;
  for (size_t index = 0; index < sizeof there / sizeof *there; ++index) {
    if (stat(there[index], &info) == 0) continue;
    fprintf(stderr, "%s: %s\n", there[index], strerror(errno));
    ++failures;
  }
}

void no_create_of_a_parent_that_goes(void) {
  const int kept = open(TYPE "/create", O_WRONLY);
  EXPECT(0, create(TYPE, UUID));
  const int removal = open(DEVICE "/remove", O_WRONLY);
  meet("open");  // the parent is being unregistered, and waits for a user of the device
  EXPECT(ENODEV, error_of(write(kept, SECOND_UUID, 36)));
  EXPECT(ENODEV, error_of(write(removal, "1", 1)));
}

void one_create_runs_beside_another(void) {
  const pid_t child = fork();
  if (child == 0) _exit(create(TYPE, UUID));
  meet("begun");  // the driver sits in the first one
  EXPECT(EEXIST, create(TYPE, UUID));
  EXPECT(0, create(TYPE, SECOND_UUID));
  EXPECT(0, open_error(TYPE "/create", O_WRONLY | O_CREAT | O_TRUNC));
  EXPECT(0, remove_device(SECOND_UUID));
  meet("ended");  // it lets it go
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT(0, status);
  CHECK(exists(DEVICE));
}
