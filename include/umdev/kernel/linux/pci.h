/* Names of configuration space. Devices are not found here: mdevs have no PCI function of their own. */
#pragma once

#include <linux/device.h>
#include <linux/pci_ids.h>
#include <linux/pci_regs.h>
