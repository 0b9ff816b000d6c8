#!/bin/sh
# enter.sh NEW-ROOT UNPACKED RUNTIME-DIR UMDEV: in namespaces of its own (mount, network, process numbers), where /sys
# has the tree already: a small machine of unpacked packages, whose shell reads commands from stdin.
set -e
new=$1 unpacked=$2 runtime=$3 umdev=$4

mount -t tmpfs -o mode=0755,dev umdev-test "$new"
cd "$new"
mkdir usr etc var var/lib var/log run tmp dev proc sys root
ln -s usr/bin usr/sbin usr/lib usr/lib64 .
ln -s ../run var/run
mount --rbind "$unpacked/usr" usr
cp -a "$unpacked/etc/." etc
mount --rbind /sys sys
mount -t proc proc proc
mknod dev/null c 1 3
mknod dev/zero c 1 5
mknod dev/random c 1 8
mknod dev/urandom c 1 9
chmod 666 dev/*
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
mkdir -p etc/mdevctl.d
mount --bind "$(readlink -f "$runtime/etc/mdevctl.d")" etc/mdevctl.d
echo 'root:x:0:0:root:/root:/bin/sh' > etc/passwd
echo 'root:x:0:' > etc/group
printf '%s\n' 'auth_unix_rw = "none"' 'unix_sock_group = "root"' 'log_outputs = "3:stderr"' \
  'host_uuid = "5e4a1e2c-7a8b-4c27-9d1d-0d5b1a3f6c01"' > etc/libvirt/libvirtd.conf

# The daemon's events, as the kernel's in this network namespace.
"$umdev" --runtime-dir "$runtime" watch --uevents > "$new/tmp/watch.log" 2>&1 < /dev/null &
export PATH=/usr/sbin:/usr/bin SYSTEMD_DEVICE_VERIFY_SYSFS=0 HOME=/root
exec chroot . /bin/sh
