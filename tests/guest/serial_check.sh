#!/bin/sh
# Runs in the guest: finds PCI serial cards, and sends a pattern through each port of them and back.
#
# What is expected comes from the environment; an empty value is not checked:
#   VENDOR DEVICE               PCI ids of the cards, e.g. 0x4348 0x3253
#   CLASS SUBVENDOR SUBDEVICE   e.g. 0x070002 0x4348 0x3253
#   PORTS                       number of ports of each card in PCI order, e.g. "2", or "1 2" for two cards
#   BYTES CHUNK                 how much to send through a port, and how much at a time (not above the FIFO)
#   FLOW                        "rtscts" for hardware flow control
#   PATIENCE                    milliseconds that a chunk may take to come back
: "${VENDOR:=0x4348}" "${DEVICE:=0x3253}" "${PORTS:=2}" "${BYTES:=65536}" "${CHUNK:=16}" "${PATIENCE:=5000}"
failures=0

step() { echo "@@STEP $*"; }
fail() { echo "@@FAIL $*"; failures=$((failures + 1)); }

# expect WHAT SEEN WANTED
expect() {
  [ -z "$3" ] || [ "$2" = "$3" ] || fail "$1 is $2, expected $3"
}

# The addresses of the functions with the wanted ids.
find_cards() {
  for function in /sys/bus/pci/devices/*; do
    [ "$(cat "$function/vendor"):$(cat "$function/device")" = "$VENDOR:$DEVICE" ] && basename "$function"
  done
}

# The names of the ttys of the card at address $1. They lie in its folder, how deep differs between kernels.
find_ports() {
  for port in /sys/class/tty/ttyS*; do
    case "$(readlink -f "$port")" in */"$1"/*) basename "$port" ;; esac
  done
}

# How many interrupts of line $1 the guest has taken. A line is listed only while one of its ports is open.
interrupts() {
  awk -v line="$1:" '$1 == line { for (i = 2; $i ~ /^[0-9]+$/; i++) sum += $i } END { print sum + 0 }' \
    /proc/interrupts
}

check_identity() {
  local path="/sys/bus/pci/devices/$1" class subvendor subdevice driver
  class=$(cat "$path/class")
  subvendor=$(cat "$path/subsystem_vendor")
  subdevice=$(cat "$path/subsystem_device")
  step "pci $1 vendor $VENDOR device $DEVICE class $class subsystem $subvendor:$subdevice"
  expect "class of $1" "$class" "$CLASS"
  expect "subsystem vendor of $1" "$subvendor" "$SUBVENDOR"
  expect "subsystem device of $1" "$subdevice" "$SUBDEVICE"
  driver=$(basename "$(readlink "$path/driver")")
  step "driver $1 ${driver:-none}"
  expect "driver of $1" "$driver" serial
}

# uart_type NAME: the kernel's name of the UART that it has found there; the numbers are serial_core.h's.
uart_type() {
  local type
  type=$(cat "/sys/class/tty/$1/type")
  case "$type" in 4) echo 16550A ;; *) echo "type-$type" ;; esac
}

check_port() {
  local name="$1" seed="$2" path="/sys/class/tty/$1" uart line before after words
  uart=$(uart_type "$name") line=$(cat "$path/irq")
  step "port $name uart $uart io $(cat "$path/port") irq $line"
  expect "UART of $name" "$uart" 16550A
  exec 3<>"/dev/$name"
  before=$(interrupts "$line")
  if words=$(/serial_loop "/dev/$name" "$BYTES" "$CHUNK" "$seed" "$PATIENCE" $FLOW); then
    step "loop $name $words"
  else
    fail "loop $name $words"
  fi
  after=$(interrupts "$line")
  exec 3>&-
  step "interrupts $name line $line before $before after $after"
  [ "$after" -gt "$before" ] || fail "$name worked without an interrupt on line $line"
}

# check_card ADDRESS PORTS
check_card() {
  local ports port
  check_identity "$1"
  ports=$(find_ports "$1")
  expect "number of ports of $1" "$(echo $ports | wc -w)" "$2"
  for port in $ports; do
    seed=$((seed + 1))
    check_port "$port" "$seed"
  done
}

cards=$(find_cards)
seed=0
step "cards $(echo $cards | wc -w) with ids ${VENDOR#0x}:${DEVICE#0x}"
expect "number of cards with ids ${VENDOR#0x}:${DEVICE#0x}" "$(echo $cards | wc -w)" "$(echo $PORTS | wc -w)"
set -- $PORTS
for card in $cards; do
  check_card "$card" "$1"
  [ $# -gt 1 ] && shift
done
[ "$failures" -eq 0 ]
