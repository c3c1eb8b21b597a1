/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* Name of a disk: sent once, before its first request, and again when the device number is reused. Later events
 * carry only the number. */
#ifndef IOLENS_EVENT_DISK_H
#define IOLENS_EVENT_DISK_H

#include "iolens/event/header.h"

struct iolens_disk_fact {
	struct iolens_header h;
	u32 dev; /* the kernel's dev_t: major << 20 | minor */
	u32 reserved;
	u8 name[IOLENS_DISK_NAME_LEN]; /* gendisk.disk_name, NUL-terminated */
};

#endif
