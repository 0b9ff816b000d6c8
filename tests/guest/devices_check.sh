#!/bin/sh
# Runs in the guest: looks at serial cards (by /serial_check, whose environment it shares) and at null devices, and with
# HOTPLUG set asks the host to take one card away and to bring it back.
#
#   PORTS     ports of each serial card, as /serial_check wants them
#   NULLS     number of null devices
#   HOTPLUG   ports of each serial card while one is away; empty: none goes
#   IOMMU     not empty: there is an IOMMU, and the devices are in groups
#   PATIENCE  milliseconds that one may take to go or to come, as well as what it means to /serial_check
: "${NULLS:=0}" "${PATIENCE:=5000}"
failures=0

step() { echo "@@STEP $*"; }
fail() { echo "@@FAIL $*"; failures=$((failures + 1)); }

# The addresses of the functions with vendor $1 and device $2.
find_functions() {
  for function in /sys/bus/pci/devices/*; do
    [ "$(cat "$function/vendor" "$function/device" 2> /dev/null)" = "$1
$2" ] && basename "$function"
  done
}

# The memory that a null device decodes reads zero, whatever was written. (busybox maps a second page, which is not the
# device's, for the last 32 bytes of one.)
check_null() {
  local path="/sys/bus/pci/devices/$1" begin end flags before after
  read -r begin end flags < "$path/resource"
  echo 1 > "$path/enable"
  before=$(devmem "$begin" 32)
  devmem "$begin" 32 0x5a5a5a5a
  devmem $((begin + 4064)) 32 0xffffffff
  after=$(devmem "$begin" 32):$(devmem $((begin + 4064)) 32)
  step "null $1 class $(cat "$path/class") size $((end - begin + 1)) before $before after $after"
  [ "$before:$after" = 0x00000000:0x00000000:0x00000000 ] || fail "null $1 keeps what was written"
}

# wait_for_cards NUMBER
wait_for_cards() {
  local left=$((PATIENCE / 100))
  while [ "$(find_functions 0x4348 0x3253 | wc -l)" != "$1" ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { fail "there are not $1 serial cards"; return 1; }
    sleep 0.1
  done
}

# check_serial PORTS
check_serial() {
  PORTS="$1" /serial_check || fail "a serial card does not work"
}

# The group of each of our devices, where the guest's kernel has an IOMMU.
check_groups() {
  for function in $(find_functions 0x4348 0x3253) $(find_functions 0x1234 0x6e75); do
    group=$(basename "$(readlink "/sys/bus/pci/devices/$function/iommu_group")")
    type=$(cat "/sys/kernel/iommu_groups/$group/type" 2> /dev/null)
    if [ -n "$type" ]; then step "iommu $function group $group $type"; else fail "$function has no IOMMU group"; fi
  done
}

[ -z "$IOMMU" ] || check_groups
nulls=$(find_functions 0x1234 0x6e75)
[ "$(echo $nulls | wc -w)" = "$NULLS" ] || fail "there are not $NULLS null devices"
for function in $nulls; do
  check_null "$function"
done
[ -z "$PORTS" ] || check_serial "$PORTS"

if [ -n "$HOTPLUG" ]; then
  step "take one"
  wait_for_cards "$(echo $HOTPLUG | wc -w)" && step "gone" && check_serial "$HOTPLUG"
  step "bring it"
  wait_for_cards "$(echo $PORTS | wc -w)" && step "back" && check_serial "$PORTS"
fi
[ "$failures" -eq 0 ]
