#!/bin/sh
# Runs in the guest: loads the stock driver of DMA engines, whose own self test decides whether it keeps an engine,
# looks at what it made of each, and then drives the engines by hand (/dma_copy).
#
#   MODULES   the driver and what it needs, in /modules, in the order in which they are loaded
#   CHANNELS  channels of each engine, in PCI order
#   IOMMU     not empty: there is an IOMMU, and the engines are in groups
#   PORTS     ports of serial cards beside them, as /serial_check wants them; empty: there are none
: "${PATIENCE:=10000}"
failures=0

step() { echo "@@STEP $*"; }
fail() { echo "@@FAIL $*"; failures=$((failures + 1)); }

find_engines() {
  for function in /sys/bus/pci/devices/*; do
    [ "$(cat "$function/vendor" "$function/device" "$function/class")" = "0x8086
0x2021
0x088000" ] && basename "$function"
  done
}

# The driver's channels of an engine: folders named dma0chan0.
find_channels() { ls "/sys/bus/pci/devices/$1/dma" 2> /dev/null | wc -w; }

# How often an engine's vectors have interrupted.
count_interrupts() {
  total=0
  for vector in $(ls "/sys/bus/pci/devices/$1/msi_irqs" 2> /dev/null); do
    count=$(awk -v "irq=$vector:" '$1 == irq { print $2 }' /proc/interrupts)
    total=$((total + count))
  done
  echo "$total"
}

# check_engine ADDRESS CHANNELS
check_engine() {
  local path="/sys/bus/pci/devices/$1" driver
  driver=$(basename "$(readlink "$path/driver")")
  [ "$driver" = ioatdma ] || fail "the driver of $1 is $driver"
  [ "$(find_channels "$1")" = "$2" ] || fail "$1 has $(find_channels "$1") channels"
  step "engine $1 driver $driver channels $(find_channels "$1") interrupts $(count_interrupts "$1")" \
    "vectors $(ls "$path/msi_irqs" | wc -w) $(cat "$path/msi_irqs/"* | sort -u)"
  [ "$(count_interrupts "$1")" -gt 0 ] || fail "$1 has never interrupted"
  [ -z "$IOMMU" ] || step "iommu $1 $(cat "$path/iommu_group/type")"
}

# drive ADDRESS CHANNELS
drive() {
  local path="/sys/bus/pci/devices/$1" expected=copied
  [ -z "$IOMMU" ] || expected=refused
  echo "$1" > "$path/driver/unbind"
  [ ! -e "$path/driver" ] || fail "the driver keeps $1"
  echo 1 > "$path/reset" || fail "$1 cannot be reset"
  echo 1 > "$path/enable"
  /dma_copy "$path" "$2" "$expected" || fail "$1 does not copy as it should"
  echo "$1" > /sys/bus/pci/drivers/ioatdma/bind || fail "the driver does not come back to $1"
  check_engine "$1" "$2"
}

for module in $MODULES; do
  insmod "/modules/$module.ko" || fail "cannot load $module"
done
engines=$(find_engines)
[ "$(echo $engines | wc -w)" = "$(echo $CHANNELS | wc -w)" ] || fail "there are not as many engines: $engines"
set -- $CHANNELS
for engine in $engines; do
  check_engine "$engine" "$1"
  drive "$engine" "$1"
  shift
done
dmesg | grep -i "ioatdma\|self-test\|dmar.*fault" | while read -r line; do step "dmesg $line"; done
dmesg | grep -qi "self-test\|ioatdma.*\(fail\|timed out\|halted\|err(\)" && fail "the driver complains"
[ -z "$PORTS" ] || /serial_check || fail "a serial card does not work"
[ "$failures" -eq 0 ]
