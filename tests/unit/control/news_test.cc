#include "umdev/control/news.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace umdev::control {
namespace {

using Json = nlohmann::json;

constexpr std::string_view uuid = "83b8f4f2-509f-382f-3c1e-e6bfe0fa1001";

class NewsTest : public testing::Test {
 public:
  void emit(const std::string& devpath, device::Action action = device::Action::add) {
    events.emit(device::make_uevent(action, devpath, "mdev"));
  }
  static Json next(News::Reader& reader) {
    const auto item = reader.next();
    return item ? Json::parse(**item) : Json(item.error().code);
  }

  device::Events events;
  News news{events, {.watchers = 3, .watch_queue = 4}};
};

TEST_F(NewsTest, An_uevent_is_told_with_its_instance_and_its_whole_environment) {
  auto reader = news.subscribe().value();
  const std::string path = "/devices/virtual/mtty/mtty/" + std::string(uuid);
  emit(path);
  EXPECT_EQ(next(reader),
            (Json{{"event", "add"},
                  {"seqnum", 1},
                  {"devpath", path},
                  {"subsystem", "mdev"},
                  {"uuid", uuid},
                  {"parent", "mtty"},
                  {"environment", {"ACTION=add", "DEVPATH=" + path, "SUBSYSTEM=mdev", "SEQNUM=1"}}}));
  EXPECT_EQ(next(reader), EAGAIN);
}

TEST_F(NewsTest, What_lies_below_an_instance_is_about_it_and_what_has_none_says_none) {
  auto reader = news.subscribe().value();
  emit("/devices/card/" + std::string(uuid) + "/vfio-dev/vfio0");
  emit("/devices/virtual/vfio/0");
  EXPECT_EQ(next(reader)["uuid"], uuid);
  EXPECT_FALSE(next(reader).contains("uuid"));
}

TEST_F(NewsTest, Words_of_the_daemon_stand_where_they_were_said) {
  auto reader = news.subscribe().value();
  emit("/a");
  news.tell("defined", Uuid::parse(uuid).value(), "mtty", "");
  emit("/b");
  EXPECT_EQ(next(reader)["devpath"], "/a");
  EXPECT_EQ(next(reader), (Json{{"event", "defined"}, {"uuid", uuid}, {"parent", "mtty"}}));
  EXPECT_EQ(next(reader)["devpath"], "/b");
}

TEST_F(NewsTest, Who_does_not_read_loses_is_told_how_many_and_goes_on_in_order) {
  auto silent = news.subscribe().value();
  auto reading = news.subscribe().value();
  for (int number = 0; number < 10; ++number) {
    emit("/" + std::to_string(number));
    EXPECT_EQ(next(reading)["devpath"], "/" + std::to_string(number));
  }
  for (int number = 0; number < 4; ++number) EXPECT_EQ(next(silent)["devpath"], "/" + std::to_string(number));
  EXPECT_EQ(next(silent), (Json{{"event", "lost"}, {"count", 6}}));
  EXPECT_EQ(next(silent), EAGAIN);
  for (int number = 0; number < 6; ++number) emit("/again");
  for (int number = 0; number < 4; ++number) EXPECT_EQ(next(silent)["devpath"], "/again");
  EXPECT_EQ(next(silent), (Json{{"event", "lost"}, {"count", 2}}));
}

TEST_F(NewsTest, A_watcher_sees_nothing_from_before_it_came) {
  emit("/before");
  auto first = news.subscribe().value();
  emit("/between");
  auto second = news.subscribe().value();
  emit("/after");
  EXPECT_EQ(next(first)["devpath"], "/between");
  EXPECT_EQ(next(second)["devpath"], "/after");
}

TEST_F(NewsTest, Watchers_above_the_limit_are_refused_until_one_ends) {
  std::vector<News::Reader> readers;
  for (int count = 0; count < 3; ++count) readers.push_back(news.subscribe().value());
  EXPECT_EQ(news.subscribe().error().code, EUSERS);
  readers.pop_back();
  EXPECT_EQ(news.watchers(), 2U);
  EXPECT_TRUE(news.subscribe());
  readers.clear();
  EXPECT_EQ(news.watchers(), 0U);
}

TEST_F(NewsTest, It_is_told_again_after_everybody_had_gone) {
  for (int round = 0; round < 3; ++round) {
    auto reader = news.subscribe().value();
    emit("/here");
    EXPECT_EQ(next(reader)["devpath"], "/here");
    reader = {};
    for (int number = 0; number < 20; ++number) emit("/unseen");
  }
}

TEST_F(NewsTest, A_watcher_is_woken_once_for_what_waits_for_it) {
  int woken = 0;
  auto reader = news.subscribe([&woken] { ++woken; }).value();
  emit("/1");
  emit("/2");
  EXPECT_EQ(woken, 1);
  while (reader.next()) {
  }
  news.tell("defined", Uuid::parse(uuid).value(), "", "");
  EXPECT_EQ(woken, 2);
}

TEST(NewsEnd, A_reader_may_outlive_it) {
  device::Events events;
  auto news = std::make_unique<News>(events);
  auto reader = news->subscribe().value();
  news.reset();
  events.emit(device::make_uevent(device::Action::add, "/late", "mdev"));
  EXPECT_EQ(reader.next().error().code, EAGAIN);
}

}  // namespace
}  // namespace umdev::control
