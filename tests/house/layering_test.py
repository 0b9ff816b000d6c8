"""The layering rule catches each kind of breach and nothing else."""

import unittest

from fixture import RuleTest
from house.layering import layering

GROUND = {
    "umdev/support/error.h": "#pragma once\n",
    "umdev/os/event_fd.h": '#pragma once\n#include <unistd.h>\n#include "umdev/support/error.h"\n',
    "umdev/vfio/user.h": '#pragma once\n#include "umdev/support/error.h"\n',
    "umdev/vfio_user/session.h": '#pragma once\n#include "umdev/vfio/user.h"\n',
    "drivers/mtty/uart.h": '#pragma once\n#include "umdev/vfio/user.h"\n',
}


def with_include(path: str, included: str) -> dict[str, str]:
    return GROUND | {included: "#pragma once\n", path: f'#include "{included}"\n'}


class Includes(RuleTest):
    def test_folders_above_may_be_included(self):
        self.clean(layering, GROUND)

    def test_programs_and_tests_may_include_every_room(self):
        text = '#include "drivers/mtty/uart.h"\n#include "umdev/vfio_user/session.h"\n'
        self.clean(layering, GROUND | {"apps/umdevd/main.cc": text, "tests/e2e/mtty_test.cc": text})

    def test_a_folder_below_is_refused(self):
        self.caught(layering, with_include("umdev/support/a.cc", "umdev/vfio/user.h"), "not the other way round")

    def test_a_door_never_sees_a_door(self):
        files = with_include("umdev/control/a.cc", "umdev/vfio_user/session.h")
        self.caught(layering, files, "never sees another door")

    def test_the_mounts_share_their_plumbing(self):
        self.clean(layering, with_include("umdev/sysfs/mount.cc", "umdev/fuse/channel.h"))

    def test_a_driver_never_sees_a_driver(self):
        files = with_include("drivers/null/a.cc", "drivers/mtty/uart.h")
        self.caught(layering, files, "never sees another driver")

    def test_a_driver_never_sees_the_system_or_a_door(self):
        self.caught(layering, with_include("drivers/mtty/a.cc", "umdev/os/event_fd.h"), "nothing else")
        self.caught(layering, with_include("drivers/mtty/a.cc", "umdev/vfio_user/session.h"), "nothing else")

    def test_no_room_knows_a_driver(self):
        files = with_include("umdev/manage/a.cc", "drivers/mtty/uart.h")
        self.caught(layering, files, "knows no driver")

    def test_a_program_uses_no_other(self):
        files = with_include("apps/umdev/a.cc", "apps/umdevd/world.h")
        self.caught(layering, files, "one program uses no other")

    def test_a_room_without_a_place_in_the_order_is_refused(self):
        files = with_include("umdev/cellar/a.cc", "umdev/support/error.h")
        self.caught(layering, files, "has no place")

    def test_what_is_shipped_includes_no_test(self):
        files = with_include("umdev/vfio/a.cc", "tests/support/test_host.h")
        self.caught(layering, files, "is for tests")

    def test_includes_are_written_from_the_root(self):
        files = GROUND | {"umdev/vfio/user.cc": '#include "user.h"\n'}
        self.caught(layering, files, "from the repository's root")

    def test_headers_for_others_may_name_their_neighbours(self):
        files = GROUND | {"include/umdev/a.h": "#pragma once\n", "include/umdev/b.h": '#pragma once\n#include "a.h"\n'}
        self.clean(layering, files)
        self.caught(layering, files | {"include/umdev/c.h": '#include "d.h"\n'}, "from the repository's root")

    def test_pure_rooms_make_no_system_calls(self):
        for header in ("unistd.h", "sys/mman.h", "linux/vfio.h", "filesystem"):
            for room in ("support", "abi", "tree", "ioctl"):
                files = {f"umdev/{room}/a.cc": f"#include <{header}>\n"}
                self.caught(layering, files, "makes no system calls")

    def test_an_include_in_a_comment_is_none(self):
        self.clean(layering, GROUND | {"umdev/support/a.cc": '// #include "umdev/vfio/user.h"\n'})


class Links(RuleTest):
    def test_edges_that_follow_the_order_are_fine(self):
        self.clean(layering, GROUND | {
            "umdev/support/CMakeLists.txt": "umdev_library(support)\n",
            "umdev/os/CMakeLists.txt": "umdev_library(os DEPENDS umdev_support)\n",
            "umdev/vfio/CMakeLists.txt": "umdev_library(vfio DEPENDS umdev_os)\n",
        })

    def test_an_edge_to_a_room_below_is_refused(self):
        self.caught(layering, {
            "umdev/support/CMakeLists.txt": "umdev_library(support DEPENDS umdev_vfio)\n",
            "umdev/vfio/CMakeLists.txt": "umdev_library(vfio)\n",
        }, "umdev/support must not link umdev/vfio")

    def test_an_edge_from_a_driver_to_the_system_is_refused(self):
        self.caught(layering, {
            "umdev/os/CMakeLists.txt": "umdev_library(os)\n",
            "drivers/mtty/CMakeLists.txt": "umdev_library(mtty DEPENDS umdev_os)\n",
        }, "drivers/mtty must not link umdev/os")

    def test_an_include_needs_a_link_edge(self):
        self.caught(layering, GROUND | {
            "umdev/support/CMakeLists.txt": "umdev_library(support)\n",
            "umdev/os/CMakeLists.txt": "umdev_library(os)  # DEPENDS umdev_support\n",
        }, "without a link edge to umdev/support")


if __name__ == "__main__":
    unittest.main()
