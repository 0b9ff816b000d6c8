#!/usr/bin/env bash
# What a fresh clone does on a machine that has nothing yet: Debian 12's smallest system (debootstrap's minbase) with
# git and ca-certificates, in a directory, with mounts and processes of its own. Needs root and debootstrap.
set -euo pipefail

usage() {
  cat <<'TEXT'
tools/bare-machine.sh [OPTIONS] [COMMAND...]

Makes a bare Debian 12, clones the last commit of this repository into it, and runs COMMAND there, in the clone
(default: ./dev test, then ./dev demo --no-guest). What is not committed is not part of it. Packages come from
where this machine's apt sources say.

  --directory DIR   where the machine is made; it stays, and is used again when it is there, with the packages that
                    are installed by then. Default: a scratch directory, removed in the end
  --again           go on with the clone that is in DIR already
  --ccache DIR      share this compiler cache, as `ccache --get-config cache_dir` names it
  --cache DIR       begin with what the guest tests have downloaded: a clone's .cache
  --user            run COMMAND as an ordinary user, who has sudo, instead of root
TEXT
}

say() { printf '\n=== bare-machine: %s\n' "$*" >&2; }
die() { printf 'bare-machine: %s\n' "$*" >&2; exit 1; }

script=$(readlink -f "${BASH_SOURCE[0]}")
repository=$(dirname "$(dirname "$script")")
export LC_ALL=C.UTF-8

# --- the machine, as it is when it is switched on

install_machine() {
  local mirror
  [[ -e $root/etc/debian_version ]] && return
  # shellcheck disable=SC2016  # apt expands it
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(CODENAME) $(COMPONENT)' |
    awk '$2 == "bookworm" && $3 == "main" { print $1; exit }')
  say "Debian 12, minbase with git and ca-certificates, in $root"
  debootstrap --variant=minbase --include=git,ca-certificates bookworm "$root" \
    "${mirror:-http://deb.debian.org/debian}" > "$root.log" 2>&1 && return
  tail -n 20 "$root.log" >&2
  die "debootstrap failed"
}

# apt in the machine reads the same archives, by the same proxy, as apt outside.
copy_apt_sources() {
  rm -f "$root/etc/apt/sources.list"
  cp -a /etc/apt/sources.list /etc/apt/sources.list.d /etc/apt/trusted.gpg.d "$root/etc/apt/" 2> /dev/null || true
  cp -a --update /usr/share/keyrings "$root/usr/share/"
  apt-config dump | grep -E '^Acquire::.* "[^"]+";$' > "$root/etc/apt/apt.conf.d/90machine" || true
  cp -L /etc/resolv.conf "$root/etc/resolv.conf" 2> /dev/null || true
}

# What an earlier clone has downloaded is kept for the new one.
clone() {
  local here=$root/srv/umdev kept=$root/srv/cache
  say "a fresh clone of $(git -C "$repository" log -1 --format='%h (%s)')"
  if [[ -d $here/.cache ]]; then mv "$here/.cache" "$kept"; fi
  rm -rf "$here"
  git clone --quiet --no-local "$repository" "$here"
  if [[ -d $kept ]]; then
    mv "$kept" "$here/.cache"
  elif [[ $cache ]]; then
    cp -a "$cache" "$here/.cache"
  fi
}

# --- inside its namespaces: what is mounted here ends with them

switch_on() {
  local node
  mount --bind "$root" "$root"
  mount -t proc proc "$root/proc"
  mount -t sysfs sysfs "$root/sys"
  mount -t tmpfs -o mode=755 dev "$root/dev"
  for node in null zero full random urandom tty fuse; do
    [[ -e /dev/$node ]] || continue
    cp -a "/dev/$node" "$root/dev/$node"
  done
  ln -s /proc/self/fd "$root/dev/fd"
  for node in in:0 out:1 err:2; do ln -s "/proc/self/fd/${node#*:}" "$root/dev/std${node%:*}"; done
  mkdir "$root/dev/pts" "$root/dev/shm"
  mount -t devpts -o newinstance,ptmxmode=666,mode=620,gid=5 devpts "$root/dev/pts"
  ln -s pts/ptmx "$root/dev/ptmx"
  mount -t tmpfs -o mode=1777 shm "$root/dev/shm"
  mount -t tmpfs -o mode=755 run "$root/run"
  if [[ $ccache ]]; then
    mkdir -p "$root/var/cache/ccache"
    mount --bind "$ccache" "$root/var/cache/ccache"
  fi
}

run_inside() {
  local name=$1 home=/root
  shift
  local environment=(HOME="$home" USER="$name" PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
    TERM="${TERM:-dumb}")
  if [[ $ccache ]]; then environment+=(CCACHE_DIR=/var/cache/ccache); fi
  if [[ $name != root ]]; then environment[0]=HOME=/home/$name; fi
  # Not a chroot, in which there are no user namespaces, and no mount at the root.
  cd "$root"
  mkdir -p .outside
  pivot_root . .outside
  cd /
  umount -l /.outside
  # shellcheck disable=SC2016  # the shell inside expands it
  exec chroot --userspec="$name:$name" --groups='' / env -i "${environment[@]}" \
    sh -c 'cd /srv/umdev && exec "$@"' sh "$@"
}

# An ordinary user who may install packages.
add_user() {
  local name=$1
  chroot "$root" sh -c 'apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq sudo' > /dev/null
  chroot "$root" id "$name" > /dev/null 2>&1 || chroot "$root" useradd --create-home "$name"
  printf '%s ALL=(ALL) NOPASSWD: ALL\n' "$name" > "$root/etc/sudoers.d/$name"
  chroot "$root" chown -R "$name:$name" /srv/umdev
}

inside() {
  root=$1 ccache=$2 user=$3
  shift 3
  switch_on
  if [[ $user != root ]]; then add_user "$user"; fi
  say "$user: $*"
  run_inside "$user" "$@"
}

main() {
  local directory='' scratch='' again='' status=0
  root='' ccache='' cache='' user=root
  while [[ $# -gt 0 ]]; do
    case $1 in
      --directory) directory=${2:?"$1 needs a directory"}; shift ;;
      --again) again=yes ;;
      --ccache) ccache=$(readlink -f "${2:?"$1 needs a directory"}"); shift ;;
      --cache) cache=$(readlink -f "${2:?"$1 needs a directory"}"); shift ;;
      --user) user=somebody ;;
      -h | --help) usage; exit ;;
      --) shift; break ;;
      -*) usage >&2; die "there is no option $1" ;;
      *) break ;;
    esac
    shift
  done
  [[ $# -gt 0 ]] || set -- sh -c './dev test && ./dev demo --no-guest'
  [[ $EUID -eq 0 ]] || die "it needs root"
  command -v debootstrap > /dev/null || die "it needs debootstrap"
  if [[ -z $directory ]]; then
    scratch=$(mktemp -d --tmpdir umdev-bare.XXXXXX)
    # shellcheck disable=SC2064  # the name of now
    trap "rm -rf --one-file-system '$scratch'" EXIT
    directory=$scratch
  fi
  mkdir -p "$directory"
  root=$(readlink -f "$directory")/root
  install_machine
  copy_apt_sources
  [[ $again && -d $root/srv/umdev ]] || clone
  unshare --mount --propagation private --pid --fork --kill-child \
    "$script" --inside "$root" "$ccache" "$user" "$@" || status=$?
  say "ended with status $status"
  exit "$status"
}

if [[ ${1:-} == --inside ]]; then shift; inside "$@"; else main "$@"; fi
