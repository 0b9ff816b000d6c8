#!/bin/sh
# Runs in the guest: draws on a display (/draw), by its stock driver or by hand, and shows the picture until the host
# has taken the display away.
#
#   IDS       vendor and device id of the display's function
#   MODULES   its driver and what that needs, in /modules, in the order in which they are loaded; empty: it has none
#   PATIENCE  seconds until the host must have taken it
: "${PATIENCE:=120}"
failures=0

step() { echo "@@STEP $*"; }
fail() { echo "@@FAIL $*"; failures=$((failures + 1)); }

find_function() {
  for function in /sys/bus/pci/devices/*; do
    [ "$(cat "$function/vendor") $(cat "$function/device")" = "$IDS" ] && basename "$function"
  done
}

# Where BAR $2 of the function $1 begins.
begin_of_bar() { awk -v "row=$(($2 + 1))" 'NR == row { print $1 }' "/sys/bus/pci/devices/$1/resource"; }

wait_until_taken() {
  left=$((PATIENCE * 10))
  while [ -e "/sys/bus/pci/devices/$1" ]; do
    left=$((left - 1))
    [ "$left" -gt 0 ] || { fail "the host does not take $1"; return; }
    sleep 0.1
  done
  step "taken $1"
}

for module in $MODULES; do
  insmod "/modules/$module.ko" || fail "cannot load $module"
done
name=$(find_function)
[ -n "$name" ] || { fail "there is no function $IDS"; exit 1; }
path="/sys/bus/pci/devices/$name"
if [ -n "$MODULES" ]; then
  step "display $name class $(cat "$path/class") driver $(basename "$(readlink "$path/driver")")" \
    "frame $(cat /sys/class/graphics/fb0/name)"
  words=$(/draw frame /dev/fb0 2>&1) || fail "draw: $words"
else
  step "display $name class $(cat "$path/class")"
  echo 1 > "$path/enable"
  words=$(/draw bar "$path" 2>&1) || fail "draw: $words"
fi
step "drawn $words bars $(begin_of_bar "$name" 0) $(begin_of_bar "$name" 2)"
wait_until_taken "$name"
[ "$failures" -eq 0 ]
