#!/bin/sh
# Runs in the guest: gives a PCI function to vfio-pci, and runs the cases of the user API on it (/uapi_check).
#
#   MODULES  vfio-pci and what it needs, in /modules, in the order in which they are loaded
#   IDS      vendor and device id of the function
for module in $MODULES; do
  case $module in
    # QEMU's IOMMU does not remap interrupts here.
    vfio_iommu_type1) insmod "/modules/$module.ko" allow_unsafe_interrupts=1 ;;
    *) insmod "/modules/$module.ko" ;;
  esac
done
for function in /sys/bus/pci/devices/*; do
  [ "$(cat "$function/vendor") $(cat "$function/device")" = "$IDS" ] && name=$(basename "$function")
done
[ -n "$name" ] || { echo "@@FAIL there is no function $IDS"; exit 1; }
echo vfio-pci > "/sys/bus/pci/devices/$name/driver_override"
echo "$name" > /sys/bus/pci/drivers_probe
group=$(basename "$(readlink "/sys/bus/pci/devices/$name/iommu_group")")
echo "@@STEP function $name in group $group"
/uapi_check --before-7 "$group" "$name"
