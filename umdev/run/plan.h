// What has to be done in a private mount namespace so that a program sees the daemon's tree in /sys: a list
// of steps, computed from what exists. Making a plan changes nothing and needs no privilege.
//
// sysfs takes no new names, so a directory that lacks one is covered by a *skeleton*: a small tmpfs in which
// everything that was there is put back as bind mounts, and what was missing is added. What is put back stays
// the real thing: its attributes can be written, and what appears below it later is seen. Only names that
// appear later in a covered directory itself are not.
#pragma once

#include <string>
#include <variant>
#include <vector>

#include "umdev/run/filesystem.h"

namespace umdev::run {

// Covers a directory with an empty skeleton of the same permissions.
struct Cover {
  std::string path;
  friend bool operator==(const Cover&, const Cover&) = default;
};
// Puts back what a skeleton has covered, with all that is mounted below it.
struct Keep {
  std::string path;
  EntryType type = EntryType::directory;  // never a link
  friend bool operator==(const Keep&, const Keep&) = default;
};
// Makes a directory in a skeleton.
struct Make {
  std::string path;
  friend bool operator==(const Make&, const Make&) = default;
};
// Makes a link in a skeleton.
struct Link {
  std::string path;
  std::string target;
  friend bool operator==(const Link&, const Link&) = default;
};
// Shows one thing in the place of another, with all that is mounted below it. `make`: the place is missing
// and has to be made, in a skeleton or in a directory of one.
struct Show {
  std::string path;
  std::string source;  // as it is found before the first step is taken
  EntryType type = EntryType::directory;
  bool make = false;
  friend bool operator==(const Show&, const Show&) = default;
};
// Takes no more names into a skeleton: whoever tries is told (EROFS), instead of losing what it wrote.
struct Seal {
  std::string path;
  friend bool operator==(const Seal&, const Seal&) = default;
};

using Step = std::variant<Cover, Keep, Make, Link, Show, Seal>;

// One line for people.
std::string describe(const Step& step);

// Something outside the tree that is to be seen at a place of the host: mdevctl's definitions, device nodes.
struct Place {
  std::string path;
  std::string source;  // with the type link: where the link leads
  EntryType type = EntryType::directory;
  bool may_cover = false;  // where the place is missing: cover the directory above it; else leave it out
  friend bool operator==(const Place&, const Place&) = default;
};

struct Request {
  std::string tree;  // the directory that looks like /sys
  std::vector<Place> places;
};

struct Plan {
  std::vector<Step> steps;
  std::vector<std::string> hidden;   // real things that the program does not see
  std::vector<std::string> missing;  // places that the host does not have, and that were left out
};

// ENOENT when the tree shows nothing; EACCES and the like when the host cannot be looked at.
Result<Plan> make_plan(const Filesystem& host, const Request& request);

}  // namespace umdev::run
