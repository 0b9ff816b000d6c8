// libfuse's low-level interface, of the version that this folder is written for. Only its own files include
// this.
#pragma once

#define FUSE_USE_VERSION 312
#include <fuse_lowlevel.h>
