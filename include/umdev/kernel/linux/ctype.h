/* Characters. */
#pragma once

#include <ctype.h>
