"""The installed client library is enough to build a program with, by CMake and by pkg-config, and the program works."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

repository = Path(__file__).resolve().parents[2]
build = Path(os.environ["UMDEV_BUILD_DIR"])
compiler = os.environ.get("CXX", "c++")
sys.path.insert(0, str(repository / "tests" / "e2e"))
import harness  # noqa: E402

program = r"""
#include <umdev/vfio_user/client.h>

#include <cstdio>

int main(int, char** arguments) {
  auto client = umdev::vfio_user::Client::connect(arguments[1]);
  if (!client) return client.error().code;
  if (const auto version = client->negotiate(); !version) return version.error().code;
  const auto first = client->submit_read(7, 0, 2);
  const auto second = client->submit_read(7, 2, 2);
  if (!first || !second || !client->flush()) return 1;
  for (int i = 0; i < 2; ++i) {
    const auto done = client->collect();
    if (!done || !done->reply) return 1;
    const auto id = umdev::load_le<std::uint16_t>(umdev::vfio_user::Client::read_data(*done->reply).value(), 0);
    std::printf("%04x%c", id.value_or(0), i == 0 ? ':' : '\n');
  }
}
"""

lists = """
cmake_minimum_required(VERSION 3.25)
project(consumer LANGUAGES CXX)
find_package(umdev 0.1 REQUIRED)
add_executable(consumer main.cc)
target_link_libraries(consumer PRIVATE umdev::vfio_user_client)
"""


def run(*command, **options):
    done = subprocess.run(command, capture_output=True, text=True, timeout=250, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


class ClientLibrary(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="umdev-client-")
        cls.root = Path(cls.scratch.name)
        cls.prefix = cls.root / "prefix"
        run("cmake", "--install", str(build), "--component", "client", "--prefix", str(cls.prefix))
        cls.source = cls.root / "source"
        cls.source.mkdir()
        (cls.source / "main.cc").write_text(program)
        (cls.source / "CMakeLists.txt").write_text(lists)

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def check(self, consumer):
        missing = subprocess.run([consumer, str(self.root / "nobody.sock")], timeout=60)
        self.assertEqual(missing.returncode, 2)  # ENOENT
        with harness.Daemon(build) as daemon:
            uuid = daemon.umdev("create", "mtty", "mtty-1").strip()
            socket = daemon.socket_of(uuid)
            self.assertEqual(run(str(consumer), str(socket)), "4348:3253\n")

    def test_a_program_is_built_by_cmake(self):
        out = self.root / "cmake"
        flags = [f"-DCMAKE_PREFIX_PATH={self.prefix}", f"-DCMAKE_CXX_COMPILER={compiler}"]
        run("cmake", "-G", "Ninja", "-S", str(self.source), "-B", str(out), *flags)
        run("cmake", "--build", str(out))
        self.check(out / "consumer")

    @unittest.skipUnless(shutil.which("pkg-config"), "pkg-config is not installed")
    def test_a_program_is_built_by_pkg_config(self):
        found = next(self.prefix.rglob("umdev-vfio-user-client.pc"))
        environment = os.environ | {"PKG_CONFIG_PATH": str(found.parent)}
        flags = run("pkg-config", "--cflags", "--libs", "umdev-vfio-user-client", env=environment).split()
        out = self.root / "by-pkg-config"
        run(compiler, "-std=gnu++23", str(self.source / "main.cc"), "-o", str(out), *flags)
        self.check(out)

    def test_nothing_of_the_server_is_installed(self):
        headers = sorted(path.name for path in (self.prefix / "include").rglob("*.h"))
        self.assertIn("client.h", headers)
        for name in ("session.h", "server.h", "connection.h", "quirks.h"):
            self.assertNotIn(name, headers)


if __name__ == "__main__":
    unittest.main()
