/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One access to a watched file, at its end: at the VFS (a read or write that entered the filesystem through any
 * interface), or at the block level (a bio with the file's data, as the filesystem submitted it to its device).
 */
#ifndef IOLENS_EVENT_VFS_H
#define IOLENS_EVENT_VFS_H

#include "iolens/event/header.h"
#include "iolens/watch.h"

enum iolens_vfs_level {
	IOLENS_LEVEL_VFS,
	IOLENS_LEVEL_BLK,
	IOLENS_LEVELS
};

enum iolens_vfs_op {
	IOLENS_VFS_READ,
	IOLENS_VFS_WRITE,
	IOLENS_VFS_FSYNC,
	IOLENS_VFS_FAULT,   /* page of a mapping that was not present, or not yet writable */
	IOLENS_VFS_DISCARD, /* fallocate that removes a range */
	IOLENS_VFS_OPS
};

enum iolens_vfs_flag {
	IOLENS_VFS_NO_END = 1 << 0,    /* only the start was seen: no duration and no result */
	IOLENS_VFS_STORE = 1 << 1,     /* for faults: write access */
	IOLENS_VFS_ASYNC = 1 << 2,     /* the call that issued it did not wait for completion */
	IOLENS_VFS_NO_ADDRESS = 1 << 3,
	IOLENS_VFS_BIO = 1 << 4,       /* inside the kernel only: of a disk without requests, ends at block_bio_complete */
	IOLENS_VFS_TRIED = 1 << 5,     /* inside the kernel only: io_uring tried it without waiting, and will try again */
	IOLENS_VFS_ENDED = 1 << 6,     /* inside the kernel only: its last bio has, or one before it */
	IOLENS_VFS_PENDING = 1 << 7,   /* with NO_END: not over when tracing ended */
	IOLENS_VFS_MISSED = 1 << 8,    /* with NO_END: its end was not seen; without either, nobody looks for ends of its kind */
	IOLENS_VFS_EMITTED = IOLENS_VFS_NO_END | IOLENS_VFS_STORE | IOLENS_VFS_ASYNC | IOLENS_VFS_NO_ADDRESS |
			  IOLENS_VFS_PENDING | IOLENS_VFS_MISSED,
};

struct iolens_vfs_event {
	struct iolens_header h; /* ts: the end */
	u64 start;              /* CLOCK_BOOTTIME, ns */
	struct iolens_file_id id;
	u64 name_id;            /* ID of the name that it was opened by: iolens_file_fact; 0 = unknown */
	u64 address;            /* VFS: byte offset in the file; BLK: 512-byte sector on the whole disk */
	u64 first_sector;       /* BLK: of the filesystem's partition on that disk */
	u64 requested;          /* bytes */
	s64 result;             /* bytes transferred; negative errno */
	u64 cgroup_id;          /* of the task, see below: bpf_get_current_cgroup_id() */
	u32 disk;               /* BLK: the whole disk, the kernel's dev_t */
	u32 tgid;               /* VFS: the caller's process; BLK: the bio's submitter, possibly a kernel thread */
	u32 tid;
	u16 flags; /* enum iolens_vfs_flag */
	u8 level;  /* enum iolens_vfs_level */
	u8 op;     /* enum iolens_vfs_op */
	u8 comm[IOLENS_COMM_LEN];
	u32 host_tgid; /* tgid and tid in the initial pid namespace; 0: the same */
	u32 host_tid;
};

/* Name of a watched file, for bios, which only have the inode. The path itself is an iolens_file_fact. */
struct iolens_watch_fact {
	struct iolens_header h;
	struct iolens_file_id id;
	u64 name_id;
};

#ifdef __cplusplus
#include <type_traits>

#include "iolens/schema.h"

namespace iolens {

static_assert(std::has_unique_object_representations_v<iolens_vfs_event>);
static_assert(sizeof(iolens_vfs_event) % 8 == 0);
static_assert(std::has_unique_object_representations_v<iolens_watch_fact>);

/// Name of each operation, as in --op and JSON, and its letter.
struct VfsOpName {
    std::string_view word;
    std::string_view letter;
};
inline constexpr std::array<VfsOpName, IOLENS_VFS_OPS> vfs_ops{
    {{"read", "R"}, {"write", "W"}, {"fsync", "F"}, {"fault", "M"}, {"discard", "D"}}};
inline constexpr std::array<std::string_view, IOLENS_LEVELS> vfs_levels{"VFS", "BLK"};

inline const iolens_vfs_event& as_vfs(const iolens_header& h) { return reinterpret_cast<const iolens_vfs_event&>(h); }
/// Process ID in the initial pid namespace.
inline u32 host_tgid(const iolens_vfs_event& e) { return e.host_tid != 0 ? e.host_tgid : e.tgid; }
inline bool vfs_has(const iolens_vfs_event& e, unsigned flag) { return (e.flags & flag) != 0; }
/// Are operation and level known to this version? A recording of a later version may have others.
inline bool vfs_is_known(const iolens_vfs_event& e) { return e.op < IOLENS_VFS_OPS && e.level < IOLENS_LEVELS; }
inline const VfsOpName& vfs_op(const iolens_vfs_event& e) { return vfs_ops[e.op < IOLENS_VFS_OPS ? e.op : 0U]; }
inline std::string_view vfs_level(const iolens_vfs_event& e) {
    return vfs_levels[e.level == IOLENS_LEVEL_BLK ? 1U : 0U];
}
inline bool vfs_moves(const iolens_vfs_event& e) { return e.op <= IOLENS_VFS_WRITE; }
/// Relative to the filesystem's device, if the level has sectors.
inline u64 vfs_address(const iolens_vfs_event& e) {
    return e.level == IOLENS_LEVEL_BLK ? e.address - e.first_sector : e.address;
}

// clang-format off
inline constexpr std::array vfs_columns{
    Column{.name = "time_ns", .header = "TIME(s)", .unit = Unit::nanoseconds, .role = Role::time, .width = -11,
           .help = "completion time, CLOCK_BOOTTIME; in a table, seconds since the first row",
           .get = [](const iolens_header& h) { return Value(h.ts); }},
    Column{.name = "unix_ns", .header = "TIMESTAMP", .unit = Unit::nanoseconds, .role = Role::wall, .width = -12,
           .help = "time_ns as wall-clock time since 1970; in a table, local HH:MM:SS.mmm",
           .get = [](const iolens_header& h) { return Value(h.ts); }},
    Column{.name = "start_ns", .header = "START(s)", .unit = Unit::nanoseconds, .role = Role::time, .width = -11,
           .help = "start time, CLOCK_BOOTTIME",
           .get = [](const iolens_header& h) { return Value(as_vfs(h).start); }},
    Column{.name = "level", .header = "LVL", .width = -3,
           .help = "VFS: access that enters the filesystem; BLK: bio that the filesystem submits for the file",
           .get = [](const iolens_header& h) { return Value(vfs_level(as_vfs(h))); }},
    Column{.name = "op", .header = "OP", .width = -7,
           .help = "operation: read, write, fsync, fault, discard",
           .get = [](const iolens_header& h) { return Value(vfs_op(as_vfs(h)).word); }},
    Column{.name = "rw", .header = "T", .width = -1,
           .help = "operation letter: R read, W write, F fsync, M fault of a mapped page, D discarded range",
           .get = [](const iolens_header& h) { return Value(vfs_op(as_vfs(h)).letter); }},
    Column{.name = "address", .header = "ADDRESS", .width = -12,
           .help = "VFS: byte offset in the file; BLK: 512-byte sector from the start of the filesystem's device, or of "
                   "the disk with --absolute",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return vfs_has(e, IOLENS_VFS_NO_ADDRESS) ? Value() : Value(vfs_address(e));
           }},
    Column{.name = "sector", .header = "SECTOR", .unit = Unit::sectors, .width = -10,
           .help = "BLK: first 512-byte sector from the start of the whole disk",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return e.level == IOLENS_LEVEL_BLK ? Value(e.address) : Value();
           }},
    Column{.name = "requested", .header = "ASKED", .unit = Unit::bytes, .width = -9,
           .help = "bytes requested",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return e.op == IOLENS_VFS_FSYNC ? Value() : Value(e.requested);
           }},
    Column{.name = "bytes", .header = "BYTES", .unit = Unit::bytes, .width = -9,
           .help = "bytes transferred; for a fault or discard, the length of its range",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               if (e.op == IOLENS_VFS_FSYNC) return Value();
               if (!vfs_moves(e)) return Value(e.requested);
               return vfs_has(e, IOLENS_VFS_NO_END) || e.result < 0 ? Value() : Value(static_cast<u64>(e.result));
           }},
    Column{.name = "duration_ns", .header = "LAT(ms)", .unit = Unit::nanoseconds, .role = Role::duration, .width = 8,
           .help = "VFS: duration of the access; BLK: time from submission of the bio to its completion",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return vfs_has(e, IOLENS_VFS_NO_END) ? Value() : Value(h.ts - e.start);
           }},
    Column{.name = "comm", .header = "COMM", .role = Role::name, .width = -14, .cut = 14, .missing = '?',
           .help = "name of the thread that issued the access; BLK: that submitted the bio, for writeback a kernel "
                   "thread",
           .get = [](const iolens_header& h) {
               const std::string_view name = text_of(as_vfs(h).comm);
               return name.empty() ? Value() : Value(name);
           }},
    Column{.name = "pid", .header = "PID", .width = -7,
           .help = "process of that thread; 0 outside the pid namespace that iolens ran in",
           .get = [](const iolens_header& h) { return Value(u64{as_vfs(h).tgid}); }},
    Column{.name = "tid", .header = "TID", .width = -7,
           .help = "thread",
           .get = [](const iolens_header& h) { return Value(u64{as_vfs(h).tid}); }},
    Column{.name = "disk", .header = "DISK", .role = Role::disk, .width = -7,
           .help = "BLK: whole disk",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return e.level == IOLENS_LEVEL_BLK ? Value(u64{e.disk}) : Value();
           }},
    Column{.name = "dev", .header = "MAJ:MIN", .role = Role::device, .width = -7,
           .help = "device number of the filesystem (super_block.s_dev)",
           .get = [](const iolens_header& h) { return Value(u64{as_vfs(h).id.dev}); }},
    Column{.name = "ino", .header = "INODE", .width = -9,
           .help = "inode number of the file (inode.i_ino)",
           .get = [](const iolens_header& h) { return Value(as_vfs(h).id.ino); }},
    Column{.name = "generation", .header = "GEN", .width = -10,
           .help = "inode generation (inode.i_generation); differs between files that reuse an inode number",
           .get = [](const iolens_header& h) { return Value(u64{as_vfs(h).id.generation}); }},
    Column{.name = "store", .header = "S", .width = 1,
           .help = "for a fault, 1: write access",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return e.op == IOLENS_VFS_FAULT ? Value(u64{vfs_has(e, IOLENS_VFS_STORE) ? 1U : 0U}) : Value();
           }},
    Column{.name = "async", .header = "A", .width = 1,
           .help = "VFS, 1: the submitting call did not wait for completion (libaio, io_uring)",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return e.level == IOLENS_LEVEL_VFS ? Value(u64{vfs_has(e, IOLENS_VFS_ASYNC) ? 1U : 0U}) : Value();
           }},
    Column{.name = "cgroup_id", .header = "CGROUP", .width = -7,
           .help = "cgroup v2 ID of the thread (inode number of the cgroup directory)",
           .get = [](const iolens_header& h) {
               return as_vfs(h).cgroup_id == 0 ? Value() : Value(as_vfs(h).cgroup_id);
           }},
    Column{.name = "error", .header = "ERR", .role = Role::error, .width = -9,
           .help = "errno name of a failed access; empty on success",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return e.result >= 0 ? Value() : Value(negated(e.result));
           }},
    Column{.name = "cpu", .header = "CPU", .width = 3,
           .help = "CPU of the completion",
           .get = [](const iolens_header& h) { return Value(u64{h.cpu}); }},
    Column{.name = "file", .header = "FILE", .role = Role::file, .width = -10,
           .help = "path of the file",
           .get = [](const iolens_header& h) { return Value(as_vfs(h).name_id); }},
    Column{.name = "end", .header = "END", .width = -7,
           .help = "missed: completion not seen; pending: in flight when tracing ended; empty otherwise",
           .get = [](const iolens_header& h) {
               const auto& e = as_vfs(h);
               return end_word(vfs_has(e, IOLENS_VFS_PENDING), vfs_has(e, IOLENS_VFS_MISSED));
           }},
    Column{.name = "host_pid", .header = "HOSTPID", .width = -7,
           .help = "process ID in the initial pid namespace",
           .get = [](const iolens_header& h) { return Value(u64{host_tgid(as_vfs(h))}); }},
};

/// Line format of iotracer: only reads and writes, at their starts.
inline constexpr std::array iotracer_columns{
    Column{.name = "timestamp", .header = "TIMESTAMP", .unit = Unit::nanoseconds, .role = Role::since,
           .kind = Value::Kind::number,
           .help = "start time, in seconds since the start of the log",
           .get = [](const iolens_header& h) { return Value(as_vfs(h).start); }},
    Column{.name = "access_type", .header = "T", .kind = Value::Kind::text, .help = "R or W",
           .get = [](const iolens_header& h) { return Value(vfs_op(as_vfs(h)).letter); }},
    Column{.name = "address", .header = "ADDRESS", .kind = Value::Kind::number,
           .help = "VFS: byte offset in the file; BLK: 512-byte sector from the start of the filesystem's device",
           .get = [](const iolens_header& h) { return Value(vfs_address(as_vfs(h))); }},
    Column{.name = "size", .header = "SIZE", .unit = Unit::bytes, .kind = Value::Kind::number,
           .help = "bytes requested",
           .get = [](const iolens_header& h) { return Value(as_vfs(h).requested); }},
    Column{.name = "level", .header = "LEVEL", .kind = Value::Kind::text, .help = "VFS or BLK",
           .get = [](const iolens_header& h) { return Value(vfs_level(as_vfs(h))); }},
    Column{.name = "comm", .header = "COMM", .role = Role::name, .kind = Value::Kind::text,
           .help = "name of the thread",
           .get = [](const iolens_header& h) { return Value(text_of(as_vfs(h).comm)); }},
    Column{.name = "pid", .header = "PID", .kind = Value::Kind::number, .help = "process",
           .get = [](const iolens_header& h) { return Value(u64{as_vfs(h).tgid}); }},
};
// clang-format on

}  // namespace iolens
#endif

#endif
