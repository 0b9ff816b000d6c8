// remove.
#include "tests/integration/sysfs/tree_client/cases.h"
#include "tests/integration/sysfs/tree_client/client.h"

void a_number_that_is_not_0_removes(void) {
  const char* const removing[] = {"1", "1\n", "2\n", "0x1", "017", "+1"};
  for (size_t index = 0; index < sizeof removing / sizeof *removing; ++index) {
    EXPECT(0, create(TYPE, UUID));
    EXPECT((long)strlen(removing[index]),
           write_count(DEVICE "/remove", removing[index], strlen(removing[index])));
    CHECK(!exists(DEVICE));
  }
  EXPECT(0, create(TYPE, UUID));
  EXPECT(1, write_count(DEVICE "/remove", "0", 1));
  EXPECT(2, write_count(DEVICE "/remove", "0\n", 2));
  const char* const refused[] = {"abc", "-1", "1x", "\n", " 1", "1\n\n", "0x"};
  for (size_t index = 0; index < sizeof refused / sizeof *refused; ++index) {
    if (write_error(DEVICE "/remove", refused[index]) == EINVAL) continue;
    fprintf(stderr, "not EINVAL: %s\n", refused[index]);
    ++failures;
  }
  EXPECT(0, write_count(DEVICE "/remove", "", 0));
  CHECK(exists(DEVICE "/remove"));
}

void everything_of_a_device_goes(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(0, remove_device(UUID));
  const char* const gone[] = {DEVICES "/" UUID,      DEVICE,
                              TYPE "/devices/" UUID, "bus/mdev/drivers/vfio_mdev/" UUID,
                              "class/vfio/0",        "kernel/iommu_groups/0"};
  for (size_t index = 0; index < sizeof gone / sizeof *gone; ++index) {
    if (!exists(gone[index])) continue;
    fprintf(stderr, "still there: %s\n", gone[index]);
    ++failures;
  }
}

void the_second_of_two_removers_is_told_so(void) {
  EXPECT(0, create(TYPE, UUID));
  const int second = open(DEVICE "/remove", O_WRONLY);
  EXPECT(0, remove_device(UUID));
  EXPECT(ENODEV, error_of(write(second, "1", 1)));
  EXPECT(ENOENT, remove_device(UUID));
}

void a_remove_before_the_create_has_ended_is_eagain(void) {
  const pid_t child = fork();
  if (child == 0) _exit(create(HELD_TYPE, UUID));
  meet("begun");  // the device is in the tree, and its bus driver sits in the probe
  EXPECT(EAGAIN, write_error(HELD_PARENT "/" UUID "/remove", "1"));
  CHECK(exists(HELD_PARENT "/" UUID "/remove"));
  EXPECT(EAGAIN, write_error(HELD_PARENT "/" UUID "/remove", "1"));
  meet("ended");
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT(0, status);
  EXPECT(0, remove_device(UUID));
}

void a_remove_waits_for_the_devices_user(void) {
  const int second = open(DEVICES "/" UUID "/remove", O_WRONLY);
  const int uevent = open(NULL_TYPE "/../../" UUID "/uevent", O_RDONLY);
  CHECK(uevent >= 0);
  const pid_t child = fork();
  if (child == 0) _exit(remove_device(UUID));
  meet("begun");  // the removal waits: the world has a session open
  CHECK(!exists(DEVICES "/" UUID));
  CHECK(!exists(NULL_TYPE "/devices/" UUID));
  CHECK(!exists(NULL_TYPE "/../../" UUID "/remove"));
  EXPECT(ENODEV, error_of(write(second, "1", 1)));
  EXPECT(EEXIST, create(NULL_TYPE, UUID));
  EXPECT_TEXT("65535\n", NULL_TYPE "/available_instances");
  EXPECT(0, waitpid(child, NULL, WNOHANG));
  // Everyone else goes on.
  EXPECT(0, create(NULL_TYPE, SECOND_UUID));
  EXPECT(0, remove_device(SECOND_UUID));
  meet("used");  // the session ends
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT(0, status);
  EXPECT_TEXT("65536\n", NULL_TYPE "/available_instances");
  EXPECT(0, create(NULL_TYPE, UUID));
}

static void on_signal(int number) {
  (void)number;
}

void a_signal_ends_the_wait_and_the_removal_goes_on(void) {
  const pid_t child = fork();
  if (child == 0) {
    const struct sigaction action = {.sa_handler = on_signal};
    sigaction(SIGUSR1, &action, NULL);
    _exit(remove_device(UUID));
  }
  meet("begun");
  CHECK(kill(child, SIGUSR1) == 0);
  int status = 1;
  waitpid(child, &status, 0);
  EXPECT(EINTR, WEXITSTATUS(status));
  EXPECT(EEXIST, create(NULL_TYPE, UUID));
  meet("used");  // the session ends, and with it the removal
  EXPECT(0, create(NULL_TYPE, UUID));
}

void who_waits_for_a_removal_can_be_killed(void) {
  const pid_t child = fork();
  if (child == 0) _exit(remove_device(UUID));
  meet("begun");
  CHECK(kill(child, SIGKILL) == 0);
  int status = 0;
  waitpid(child, &status, 0);
  EXPECT(SIGKILL, WTERMSIG(status));
  meet("used");
  EXPECT(0, create(NULL_TYPE, UUID));
}

void a_driver_that_refuses_keeps_its_device(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(EBUSY, remove_device(UUID));
  CHECK(exists(DEVICE "/remove"));
  CHECK(exists(DEVICES "/" UUID));
  meet("refused");  // now it agrees
  EXPECT(0, remove_device(UUID));
}

void a_device_can_be_unbound_and_then_removed(void) {
  EXPECT(0, create(TYPE, UUID));
  EXPECT(0, write_error("bus/mdev/drivers/vfio_mdev/unbind", UUID));
  CHECK(exists(DEVICES "/" UUID));
  CHECK(!exists(DEVICE "/driver"));
  CHECK(!exists(DEVICE "/iommu_group"));
  CHECK(!exists("class/vfio/0"));
  EXPECT(ENODEV, write_error("bus/mdev/drivers/vfio_mdev/bind", UUID));
  EXPECT(0, write_error("bus/mdev/drivers_probe", UUID));
  CHECK(!exists(DEVICE "/driver"));
  EXPECT(0, remove_device(UUID));
  CHECK(!exists(DEVICE));
}
