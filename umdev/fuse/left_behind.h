// Mounts that a process left behind when it was killed.
#pragma once

#include <string>
#include <string_view>

#include "umdev/support/error.h"

namespace umdev::fuse {

// How many mounts of the type fuse.<name> lie at the path, one over the other, by the text of
// /proc/self/mountinfo. (Looking at the path itself would wait for a server that hangs.)
std::size_t count_mounts(std::string_view mount_info, std::string_view path, std::string_view name);

// The path as /proc/self/mountinfo says it: no link and no ".." in it. Does not look at the last part, whose
// server may hang. ENOENT and the like of the directories above it.
Result<std::string> resolve_mount_point(const std::string& path);

// Takes them away, in use or not. The caller knows that none of them is served any more.
Result<> detach_left_behind(const std::string& path, std::string_view name);

// Takes the uppermost mount at the path away: umount2(MNT_DETACH), or fusermount3 for who may not.
Result<> detach_mount(const std::string& path);

}  // namespace umdev::fuse
