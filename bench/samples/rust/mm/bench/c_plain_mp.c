// SPDX-License-Identifier: GPL-2.0

/* c_plain with a map_pages that maps nothing: faults are handled under the VMA lock. */

#define PLAIN_MAP_PAGES

#include "c_plain.c"
