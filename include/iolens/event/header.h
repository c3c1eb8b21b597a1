/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * Header and kinds of all records.
 *
 * Records are plain C, shared by BPF and C++. Fields are only ever appended, so a reader takes min(size, sizeof) bytes
 * and recognizes older and newer records by their size. New kinds go to the end of the enum.
 */
#ifndef IOLENS_EVENT_HEADER_H
#define IOLENS_EVENT_HEADER_H

#ifdef __cplusplus
#include <cstdint>
using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using s32 = std::int32_t;
using s64 = std::int64_t;
#endif

enum iolens_kind {
	IOLENS_KIND_NONE = 0,
	IOLENS_KIND_LOSS = 1,  /* struct iolens_loss: counts of operations seen, and of those not delivered */
	IOLENS_KIND_DISK = 2,  /* struct iolens_disk_fact: name of a disk, sent before its first request */
	IOLENS_KIND_BLOCK = 3, /* struct iolens_block_event: one block request, at its completion */
	IOLENS_KIND_CALL = 4,  /* struct iolens_call_event: one system call, at its return */
	IOLENS_KIND_FILE = 5,  /* struct iolens_file_fact: path of an open file, sent before the first call on it */
	IOLENS_KIND_TASK = 6,  /* struct iolens_task_fact: name and owner of a thread, sent before its first call */
	IOLENS_KIND_ARGUMENTS = 7, /* struct iolens_arguments: arguments of a call, sent at its start */
	IOLENS_KIND_OPERATION = 8, /* struct iolens_operation_event: an operation that is no system call, at its end */
	IOLENS_KIND_VFS = 9, /* struct iolens_vfs_event: an access to a watched file, at its end */
	IOLENS_KIND_WATCH = 10, /* struct iolens_watch_fact: a name of a watched file */
	IOLENS_KIND_FIXED_EXTRA_TARGETS = 11, /* of older versions: IOLENS_KIND_EXTRA_TARGETS without a size of the elements */
	IOLENS_KIND_WAIT = 12,   /* struct iolens_wait_event: a time that a thread did not run */
	IOLENS_KIND_SYMBOL = 13, /* struct iolens_symbol_fact: where a function of the kernel's lies */
	IOLENS_KIND_CLOCK = 14,  /* a header alone, of user space: time has advanced to `ts`. Never recorded */
	IOLENS_KIND_EXTRA_TARGETS = 15, /* struct iolens_extra_targets: what else a block request is for, sent before it */
};

#define IOLENS_COMM_LEN 16
#define IOLENS_DISK_NAME_LEN 32
#define IOLENS_NO_CPU 0xffffffffU /* from an imported log without CPUs */

struct iolens_header {
	u64 ts;   /* CLOCK_BOOTTIME, ns: when the record was made (the end of the operation) */
	u16 kind; /* enum iolens_kind */
	u16 size; /* of the whole record in bytes, including this header; a multiple of 8 */
	u32 cpu;  /* CPU that made the record */
};

#endif
