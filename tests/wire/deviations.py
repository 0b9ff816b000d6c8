"""Where servers are known to differ from what is tested here, by name: options of the suite.

Tested is the specification, with the kernel's answers where it leaves them open: the kernel's errno, and type1's second
version of unmapping. QEMU needs that version: it unmaps ranges in which nothing is mapped, and several maps in one go.
"""

table = {
    "unmap-exactly": "DMA_UNMAP must name one mapping, and is ENOENT otherwise (libvfio-user)",
    "no-flags-on-short-info": "REGION_INFO that does not fit argsz leaves MMAP and its descriptor out, not only CAPS",
    "error-payload": "error replies bring a payload (libvfio-user with REGION_READ and REGION_WRITE)",
    "map-again": "mapping the same once more succeeds (libvfio-user)",
}

present: set[str] = set()


def deviates(name: str) -> bool:
    assert name in table
    return name in present
