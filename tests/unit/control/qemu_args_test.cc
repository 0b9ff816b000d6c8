#include "umdev/control/qemu_args.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace umdev::control {
namespace {

std::string path_in(const std::vector<std::string>& words) {
  return nlohmann::json::parse(words.at(1))["socket"]["path"];
}

TEST(QemuArguments, Attach_the_socket_by_JSON) {
  const auto words = qemu_arguments("vfio-pci", {.path = "/run/umdev/vfio-user/x.sock", .short_path = {}});
  ASSERT_TRUE(words);
  EXPECT_EQ(
      *words,
      (std::vector<std::string>{
          "-device",
          R"({"driver":"vfio-user-pci","socket":{"type":"unix","path":"/run/umdev/vfio-user/x.sock"}})"}));
}

TEST(QemuArguments, A_path_is_quoted_for_JSON) {
  const std::string path = "/run/\"u\\m/x.sock";
  EXPECT_EQ(path_in(qemu_arguments("vfio-pci", {.path = path, .short_path = {}}).value()), path);
}

TEST(QemuArguments, The_longest_path_that_QEMU_takes_is_taken) {
  const std::string longest(qemu_path_max, 'x');
  EXPECT_EQ(path_in(qemu_arguments("vfio-pci", {.path = longest, .short_path = "/s"}).value()), longest);
  EXPECT_EQ(path_in(qemu_arguments("vfio-pci", {.path = longest + 'x', .short_path = "/s"}).value()), "/s");
}

TEST(QemuArguments, A_path_that_is_no_UTF_8_is_reached_by_the_short_one) {
  EXPECT_EQ(path_in(qemu_arguments("vfio-pci", {.path = "/run/\xff/x", .short_path = "/s"}).value()), "/s");
}

TEST(QemuArguments, Without_a_path_that_works_they_say_why) {
  const auto words =
      qemu_arguments("vfio-pci", {.path = std::string(qemu_path_max + 1, 'x'), .short_path = {}});
  ASSERT_FALSE(words);
  EXPECT_EQ(words.error().code, ENAMETOOLONG);
  EXPECT_NE(words.error().text.find("--runtime-dir"), std::string_view::npos);
}

TEST(QemuArguments, Other_devices_than_PCI_are_refused) {
  EXPECT_EQ(qemu_arguments("vfio-ccw", {.path = "/s", .short_path = {}}).error().code, EOPNOTSUPP);
  EXPECT_EQ(qemu_arguments("vfio-pci", {}).error().code, EOPNOTSUPP);
}

TEST(ShellLine, Plain_words_stay_as_they_are) {
  EXPECT_EQ(shell_line({"-device", "a=b,c=/d.e"}), "-device a=b,c=/d.e");
}

TEST(ShellLine, Everything_else_is_quoted) {
  EXPECT_EQ(shell_line({"", "a b", "it's", "$x", "\\"}), R"('' 'a b' 'it'\''s' '$x' '\')");
}

}  // namespace
}  // namespace umdev::control
