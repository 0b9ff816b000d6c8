/* What one module gives to others: nothing, each is loaded alone. */
#pragma once

#include <umdev/entry.h>

#define EXPORT_SYMBOL(symbol) UMDEV_DECLARATION
#define EXPORT_SYMBOL_GPL(symbol) UMDEV_DECLARATION
