#!/usr/bin/env bash
# Builds the Debian package of this checkout's tracked files in build/package, looks at it with lintian, and prints
# the path of the binary package. Called by `./dev package`, which has installed what is needed.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

usage() { printf 'package.sh [--version VERSION] [--packed-anew] [--jobs N] [--output DIR] [--no-lintian]\n'; }
die() { printf 'package: %s\n' "$*" >&2; exit 1; }

version='' packed_anew='' jobs=$(nproc) output=$PWD/build/package lintian=yes
while [[ $# -gt 0 ]]; do
  case $1 in
    --version) version=${2:?"--version needs a version"}; shift ;;
    --packed-anew) packed_anew=yes ;; # of what the last call has compiled
    --jobs) jobs=${2:?"--jobs needs a number"}; shift ;;
    --output) output=$(realpath -m "${2:?"--output needs a directory"}"); shift ;;
    --no-lintian) lintian=no ;;
    *) usage >&2; die "there is no option $1" ;;
  esac
  shift
done

# The build's home is a scratch directory, so the compiler cache would be one too. One folder for all versions: what
# was compiled for the last package serves this one.
if command -v ccache > /dev/null; then
  CCACHE_DIR=$(ccache --get-config cache_dir)
  export CCACHE_DIR
fi
tree=$output/umdev
export CCACHE_BASEDIR=$tree CCACHE_NOHASHDIR=1
mkdir -p "$output"
rm -rf "$output"/umdev_* "$output"/umdev-dbgsym_*
build=(dpkg-buildpackage --unsigned-source --unsigned-changes)
if [[ $packed_anew && -e $tree/debian/debhelper-build-stamp ]]; then
  build+=(--build=binary --no-pre-clean)
else
  rm -rf "$tree"
  mkdir "$tree"
  git ls-files -z | tar --create --no-recursion --null --files-from=- | tar --extract --directory="$tree"
  cp -a "$tree/packaging/debian" "$tree/debian"
fi
if [[ $version ]]; then
  {
    printf 'umdev (%s) bookworm; urgency=medium\n\n  * Built of %s.\n\n' "$version" "$(git describe --always --dirty)"
    sed -n '/^ -- /{p;q}' packaging/debian/changelog
    printf '\n'
    cat packaging/debian/changelog
  } > "$tree/debian/changelog"
fi

log=$output/build.log
printf 'package: building in %s\n' "$tree" >&2
(cd "$tree" && DEB_BUILD_OPTIONS="parallel=$jobs" "${build[@]}") > "$log" 2>&1 || {
  tail -n 50 "$log" >&2
  die "the build has failed; all of it is in $log"
}
if [[ $lintian == yes ]]; then
  lintian --fail-on error --info "$output"/umdev_*.changes >&2 || die "lintian finds errors"
fi
printf '%s\n' "$output"/umdev_*_*.deb
