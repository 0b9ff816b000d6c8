// Which of the kernel's driver interfaces a driver's source was written for.
//
// The interface has changed several times, and each change brought names or took some away (or gave a
// function another number of arguments). A source is for the oldest interface that has all the names it uses;
// the table in vintage.cc says since when and until when there is each of them. Text only: no file is read
// here.
#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace umdev::compile {

// Named after the kernel that began it; in their order.
enum class Vintage : std::uint8_t {
  v4_10,     // to 5.12: parent ops, opaque device_data
  v5_13_rc,  // vfio_init_group_dev() with device_data; never in a release
  v5_13,     // to 5.15: struct vfio_device is embedded
  v5_16,     // to 6.0: devices without an IOMMU are registered as such
  v6_1,      // the core allocates devices; parents are structures
  v6_12,     // from 6.2 on: iommufd, and what came later
  v7_0,      // the core asks for regions by a callback of their own
};

// As `umdev cc --api` takes it: "4.10", "5.13-rc", ...
std::string_view name_of(Vintage vintage);
std::optional<Vintage> find_vintage(std::string_view name);
// The same as the headers compare it: UMDEV_KERNEL_API.
std::uint32_t number_of(Vintage vintage);
std::span<const Vintage> all_vintages();

struct SourceText {
  std::string name;  // of the file, for messages
  std::string text;
};

// A name in a source that there was not in every vintage.
struct Evidence {
  std::string file;
  std::uint32_t line = 0;
  std::string name;
  std::string note;  // "with 4 arguments", or empty
  Vintage first = Vintage::v4_10;
  Vintage last = Vintage::v7_0;
};

struct Choice {
  Vintage vintage = Vintage::v7_0;
  // What decided: the name that came last, and the one that went first; none where nothing tells, and the
  // newest is taken.
  std::vector<Evidence> because;
};

// Each name once, where it is used first, in the order of the text. What stands in comments and texts does
// not count.
std::vector<Evidence> find_evidence(std::span<const SourceText> sources);

// The error says which two names exclude each other.
std::expected<Choice, std::string> choose_vintage(std::span<const SourceText> sources);

// One line for people: "interface 6.1: mtty.c:1301 uses vfio_alloc_device (since 6.1), ...".
std::string describe(const Choice& choice);

}  // namespace umdev::compile
