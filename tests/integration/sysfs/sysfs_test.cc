// What a program finds that uses the mounted tree: each test is one row of how the kernel's sysfs and its
// mdev core answer, as a client that is linked statically meets it by plain system calls (tree_client/).
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <optional>
#include <thread>

#include "tests/integration/sysfs/tree_world.h"

namespace umdev::test {
namespace {

constexpr const char* uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

// What the world does when the client says the word.
template <typename Then>
struct Step {
  std::string word;
  Then then;
};
template <typename Then>
Step(const char*, Then) -> Step<Then>;

using Sysfs = TreeWorld;

#define UMDEV_PLAIN_CASE(name) \
  TEST_F(Sysfs, name) {        \
    run(#name);                \
  }

// --- What the tree looks like.
UMDEV_PLAIN_CASE(modes_sizes_and_owners)
UMDEV_PLAIN_CASE(links_are_relative)
UMDEV_PLAIN_CASE(a_directory_has_a_link_from_each_subdirectory)
UMDEV_PLAIN_CASE(a_listing_can_be_rewound_and_taken_up_again)

// --- What sysfs answers, whatever the attribute.
UMDEV_PLAIN_CASE(create_cannot_be_opened_for_reading)
UMDEV_PLAIN_CASE(name_cannot_be_opened_for_writing)
UMDEV_PLAIN_CASE(creating_and_truncating_what_is_there_does_nothing)
UMDEV_PLAIN_CASE(a_file_that_is_not_there_cannot_be_made)
UMDEV_PLAIN_CASE(nothing_is_made_moved_or_taken_away)
UMDEV_PLAIN_CASE(a_write_where_there_is_no_store_is_eio)
UMDEV_PLAIN_CASE(others_may_what_the_mode_says)
UMDEV_PLAIN_CASE(an_empty_write_stores_nothing)
UMDEV_PLAIN_CASE(the_offset_of_a_write_does_not_matter)
UMDEV_PLAIN_CASE(a_store_gets_a_page_at_most)
UMDEV_PLAIN_CASE(a_descriptor_whose_object_is_gone_is_enodev)
UMDEV_PLAIN_CASE(a_read_past_the_end_is_nothing_and_at_0_shows_again)
UMDEV_PLAIN_CASE(a_show_is_a_page_less_one_at_most)
UMDEV_PLAIN_CASE(binary_attributes_have_offsets_and_no_limit)

TEST_F(Sysfs, chmod_and_chown_are_kept_until_the_object_dies) {
  run("chmod_and_chown_are_kept_until_the_object_dies", Step{"changed", [&] {
                                                               remove_parent("card");
                                                               ASSERT_TRUE(add_parent("card"));
                                                             }});
}

TEST_F(Sysfs, who_owns_create_can_create_and_not_remove) {
  // The client's user has to come this far.
  ASSERT_EQ(::chmod(scratch.c_str(), 0755), 0);
  ASSERT_EQ(::chmod(daemon->runtime_directory().c_str(), 0755), 0);
  run("who_owns_create_can_create_and_not_remove");
  EXPECT_EQ(script->requests().at(0).owner.uid, 12345U);
  EXPECT_GT(script->requests().at(0).owner.pid, 0);
  EXPECT_EQ(script->requests().at(0).owner.door, "tree");
}

// --- create.
UMDEV_PLAIN_CASE(a_uuid_has_36_or_37_characters)
UMDEV_PLAIN_CASE(the_37th_character_is_not_looked_at)
UMDEV_PLAIN_CASE(a_device_has_a_lower_case_name)
UMDEV_PLAIN_CASE(a_uuid_is_there_once_on_the_host)
UMDEV_PLAIN_CASE(a_parent_that_counts_says_eusers)
UMDEV_PLAIN_CASE(mtty_says_enospc_when_its_ports_are_out)
UMDEV_PLAIN_CASE(one_type_takes_what_another_counts)
UMDEV_PLAIN_CASE(a_device_is_complete_when_the_write_returns)

TEST_F(Sysfs, the_drivers_error_is_the_writers) {
  script->create_error = ENXIO;
  run("the_drivers_error_is_the_writers", Step{"refused", [&] { script->create_error = 0; }});
}

TEST_F(Sysfs, no_create_of_a_parent_that_goes) {
  std::optional<vfio_user::Client> user;
  std::shared_ptr<std::atomic<bool>> ended;
  run("no_create_of_a_parent_that_goes", Step{"open", [&] {
                                                user = use(uuid);
                                                ended = begin_removing_parent("card", RemovePolicy::wait);
                                                wait_until([&] { return !is_there("class/mdev_bus/card"); });
                                              }});
  EXPECT_FALSE(ended->load());
  user.reset();
  wait_until([&] { return ended->load(); });
}

TEST_F(Sysfs, one_create_runs_beside_another) {
  Barrier barrier;
  script->during_create = [&](const Uuid& which) {
    if (which.to_string() == uuid) barrier.wait();
  };
  script->publish();
  run("one_create_runs_beside_another",
      Step{"begun", [&] { wait_until([&] { return barrier.waiting() == 1; }); }},
      Step{"ended", [&] { barrier.open(); }});
}

// --- remove.
UMDEV_PLAIN_CASE(a_number_that_is_not_0_removes)
UMDEV_PLAIN_CASE(everything_of_a_device_goes)
UMDEV_PLAIN_CASE(the_second_of_two_removers_is_told_so)
UMDEV_PLAIN_CASE(a_device_can_be_unbound_and_then_removed)
UMDEV_PLAIN_CASE(races_of_create_and_remove_leave_nothing_unremovable)

TEST_F(Sysfs, a_remove_before_the_create_has_ended_is_eagain) {
  run("a_remove_before_the_create_has_ended_is_eagain",
      Step{"begun", [&] { wait_until([&] { return holding->holds(); }); }},
      Step{"ended", [&] { holding->let_go(); }});
}

class SysfsInUse : public TreeWorld {
 public:
  void SetUp() override {
    TreeWorld::SetUp();
    if (IsSkipped()) return;
    create("null", uuid);
    user = use(uuid);
  }
  // The client's child waits for the removal.
  auto begun() {
    return Step{"begun", [this] {
                  wait_until([this] {
                    return !is_there(std::string("devices/virtual/null/null/") + uuid + "/remove");
                  });
                  wait_until([this] { return !is_there(std::string("bus/mdev/devices/") + uuid); });
                }};
  }
  // The session ends.
  auto used() {
    return Step{"used", [this] {
                  user.reset();
                  wait_until([this] { return !daemon->bus().state(Uuid::parse(uuid).value()); });
                }};
  }
  std::optional<vfio_user::Client> user;
};

TEST_F(SysfsInUse, a_remove_waits_for_the_devices_user) {
  run("a_remove_waits_for_the_devices_user", begun(), used());
}

TEST_F(SysfsInUse, a_signal_ends_the_wait_and_the_removal_goes_on) {
  run("a_signal_ends_the_wait_and_the_removal_goes_on", begun(), used());
}

TEST_F(SysfsInUse, who_waits_for_a_removal_can_be_killed) {
  run("who_waits_for_a_removal_can_be_killed", begun(), used());
}

TEST_F(SysfsInUse, the_end_of_the_daemon_ends_the_wait) {
  ClientProgram client(root(), "a_remove_waits_for_the_devices_user");
  EXPECT_EQ(client.word(), "begun");
  begun().then();
  remove_parent("card");
  remove_parent("held");
  holding_registration = Registration();
  binary.remove();
  EXPECT_TRUE(daemon->stop());
}

TEST_F(Sysfs, a_driver_that_refuses_keeps_its_device) {
  script->remove_error = EBUSY;
  run("a_driver_that_refuses_keeps_its_device", Step{"refused", [&] { script->remove_error = 0; }});
}

// --- The parent.

TEST_F(Sysfs, a_parent_shows_its_types_and_a_class_link) {
  run("a_parent_shows_its_types_and_a_class_link", Step{"ready", [&] { ASSERT_TRUE(add_parent("late")); }},
      Step{"there", [&] {
             const auto ended = begin_removing_parent("late", RemovePolicy::wait);
             wait_until([&] { return ended->load(); });
           }});
}

TEST_F(Sysfs, a_type_that_cannot_be_undoes_all) {
  mdev::ParentSpec spec = card_spec();
  spec.types[1].name = spec.types[0].name;
  run("a_type_that_cannot_be_undoes_all",
      Step{"ready", [&] { EXPECT_FALSE(add_parent("late", std::move(spec))); }});
}

TEST_F(Sysfs, an_unregistration_takes_the_devices_along) {
  run("an_unregistration_takes_the_devices_along", Step{"made", [&] {
                                                          const auto ended = begin_removing_parent(
                                                              "card", RemovePolicy::wait);
                                                          wait_until([&] { return ended->load(); });
                                                        }});
}

TEST_F(Sysfs, an_unregistration_waits_for_a_device_in_use) {
  std::optional<vfio_user::Client> user;
  std::shared_ptr<std::atomic<bool>> ended;
  run("an_unregistration_waits_for_a_device_in_use",
      Step{"open",
           [&] {
             user = use(uuid);
             ended = begin_removing_parent("card", RemovePolicy::wait);
             wait_until([&] { return daemon->bus().instances().size() == 1; });
             wait_until([&] { return !is_there(std::string("bus/mdev/devices/") + uuid); });
           }},
      Step{"used", [&] {
             EXPECT_FALSE(ended->load());
             user.reset();
             wait_until([&] { return ended->load(); });
           }});
}

// --- Others go on.
UMDEV_PLAIN_CASE(a_reader_of_a_directory_holds_up_nobody)

// Readers cannot be interrupted then, and poll.
struct SysfsOfAProcessWithSigurg : Sysfs {
  void SetUp() override {
    struct sigaction own{};
    own.sa_handler = [](int) {};
    ASSERT_EQ(::sigaction(SIGURG, &own, &before), 0);
    Sysfs::SetUp();
  }
  void TearDown() override {
    Sysfs::TearDown();
    struct sigaction after{};
    ASSERT_EQ(::sigaction(SIGURG, &before, &after), 0);
    EXPECT_TRUE(after.sa_handler != before.sa_handler) << "the process's own handler has stayed";
  }
  struct sigaction before{};
};

TEST_F(SysfsOfAProcessWithSigurg, is_served_and_ends_as_any_other) {
  run("modes_sizes_and_owners");
}

// More calls hang than a handful of threads would bear.
TEST_F(Sysfs, others_go_on_beside_a_stuck_driver) {
  Barrier barrier;
  script->during_create = [&](const Uuid&) { barrier.wait(); };
  script->publish();
  script->during_available = [&] { barrier.wait(); };
  std::vector<std::thread> stuck;
  const auto write_create = [this](const char* text) {
    const os::UniqueFd fd(::open(path("devices/virtual/card/card/mdev_supported_types/card-1/create").c_str(),
                                 O_WRONLY | O_CLOEXEC));
    (void)::write(fd.get(), text, 36);
  };
  const auto read_available = [this] {
    const os::UniqueFd fd(
        ::open(path("devices/virtual/card/card/mdev_supported_types/card-2/available_instances").c_str(),
               O_RDONLY | O_CLOEXEC));
    char text[16];
    (void)::read(fd.get(), text, sizeof text);
  };
  stuck.emplace_back(write_create, "83b8f4f2-509f-382f-3c1e-e6bfe0fa1008");
  stuck.emplace_back(write_create, "83b8f4f2-509f-382f-3c1e-e6bfe0fa1009");
  for (int number = 0; number < 100; ++number) stuck.emplace_back(read_available);
  run("go_on_beside_a_stuck_driver",
      Step{"ready", [&] { wait_until([&] { return barrier.waiting() == 102; }); }});
  barrier.open();
  for (std::thread& thread : stuck) thread.join();
}

// A watcher that does not read loses events, and holds up nobody.
TEST_F(Sysfs, others_go_on_beside_a_watcher_that_never_reads) {
  const auto events = daemon->bus().model().events().subscribe(4);
  const auto changes = daemon->tree().subscribe(4);
  run("a_reader_of_a_directory_holds_up_nobody");
  EXPECT_GT(changes.lost(), 0U);
  EXPECT_GT(events.lost(), 0U);
}

}  // namespace
}  // namespace umdev::test
