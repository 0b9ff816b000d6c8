"""`cmake --install` puts everything where it belongs, and what is installed refers to what is installed."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import tomllib
import unittest
from pathlib import Path

repository = Path(__file__).resolve().parents[2]
build = Path(os.environ["UMDEV_BUILD_DIR"])
sys.path.insert(0, str(repository / "tests" / "e2e"))
import harness  # noqa: E402

# Below the prefix that the build was configured with, which stands in the units.
expected = {
    "bin/umdev": 0o755,
    "sbin/umdevd": 0o755,
    "lib/systemd/system/umdevd.service": 0o644,
    "lib/systemd/user/umdevd.service": 0o644,
    "lib/sysusers.d/umdev.conf": 0o644,
    "lib/tmpfiles.d/umdev.conf": 0o644,
    "etc/umdev/umdevd.toml": 0o644,
    "share/bash-completion/completions/umdev": 0o644,
    "share/bash-completion/completions/umdevd": 0o644,
    "share/man/man1/umdev.1": 0o644,
    "share/man/man5/umdevd.toml.5": 0o644,
    "share/man/man8/umdevd.8": 0o644,
    "share/doc/umdev/README.md": 0o644,
}


class Install(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.scratch = tempfile.TemporaryDirectory(prefix="umdev-install-")
        cache = (build / "CMakeCache.txt").read_text()
        cls.prefix = re.search(r"^CMAKE_INSTALL_PREFIX:PATH=(.*)$", cache, re.MULTILINE)[1]
        cls.root = Path(cls.scratch.name) / cls.prefix.lstrip("/")
        subprocess.run(
            ["cmake", "--install", str(build)],
            check=True,
            capture_output=True,
            timeout=100,
            env=os.environ | {"DESTDIR": cls.scratch.name},
        )

    @classmethod
    def tearDownClass(cls):
        cls.scratch.cleanup()

    def test_every_file_is_there_with_its_mode(self):
        for name, mode in expected.items():
            with self.subTest(name=name):
                self.assertEqual(oct((self.root / name).stat().st_mode & 0o7777), oct(mode))

    def test_nothing_else_is_there_but_documents_and_the_kernels_headers(self):
        found = {str(path.relative_to(self.root)) for path in self.root.rglob("*") if not path.is_dir()}
        others = ("share/doc/umdev/", "include/umdev/kernel/")
        self.assertEqual(sorted(f for f in found - expected.keys() if not f.startswith(others)), [])

    def test_the_kernels_headers_are_all_there(self):
        headers = "include/umdev/kernel"
        for header in (repository / headers).rglob("*"):
            if header.is_file():
                with self.subTest(header=header.name):
                    installed = self.root / headers / header.relative_to(repository / headers)
                    self.assertEqual(installed.read_bytes(), header.read_bytes())

    def test_the_installed_umdev_makes_drivers_that_a_daemon_loads(self):
        """With the headers that are installed, wherever it is called from."""
        folder = Path(self.scratch.name) / "drivers"
        folder.mkdir()
        umdev = [self.root / "bin/umdev"]
        for name, source, options in (("one", "one/one.c", []), ("two", "two/two.cc", ["--language", "c++"])):
            module = folder / f"{name}.so"
            for words in (["module", "new", name, *options], ["cc", "-v", source, "-o", module]):
                done = subprocess.run(umdev + words, cwd=folder, capture_output=True, text=True, timeout=100)
                self.assertEqual(done.returncode, 0, done.stderr)
            self.assertIn(f"-I {self.root}/include/umdev/kernel ", done.stderr)
            arguments = ("--no-tree", "--module", str(module))
            with self.subTest(source), harness.Daemon(build, arguments=arguments) as daemon:
                uuid = daemon.umdev("create", name, f"{name}-1").strip()
                self.assertIn("vfio-pci", daemon.umdev("show", uuid))
                self.assertEqual(daemon.stop(), 0, daemon.said())

    def test_programs_named_by_the_units_are_installed(self):
        for unit in self.root.rglob("*.service"):
            text = unit.read_text()
            with self.subTest(unit=unit):
                self.assertNotIn("@", re.sub(r"modprobe@|@[a-z-]+", "", text))
                command = re.search(r"^ExecStart=(.*)$", text, re.MULTILINE)[1].split()
                paths = [word for word in command if word.startswith("/")]
                self.assertEqual(command[0], paths[0])
                self.assertEqual([path for path in paths if path.removeprefix(f"{self.prefix}/") not in expected], [])

    def test_manual_pages_named_by_the_units_are_installed(self):
        for unit in self.root.rglob("*.service"):
            for page, section in re.findall(r"man:([\w.]+)\((\d)\)", unit.read_text()):
                with self.subTest(unit=unit, page=page):
                    self.assertIn(f"share/man/man{section}/{page}.{section}", expected)

    def test_the_daemon_serves_with_the_installed_configuration(self):
        file = self.root / "etc/umdev/umdevd.toml"
        with harness.Daemon(build, arguments=("--config", str(file))) as daemon:
            names = {parent["name"] for parent in tomllib.loads(file.read_text())["parent"]}
            shown = {row.split()[0] for row in daemon.umdev("parents").splitlines()[1:]}
            self.assertEqual(shown, names)
            self.assertEqual(daemon.stop(), 0)


if __name__ == "__main__":
    unittest.main()
