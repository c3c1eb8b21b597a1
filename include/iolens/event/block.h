/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * One block request (or, on a disk without requests, one bio), at its completion.
 *
 *            created                 issued                      completed
 *  submit_bio() ──▶ queue_ns ────────▶ device driver ── device_ns ─▶ ts
 *
 * created:   block_bio_queue of the first bio, in the context of the submitting task
 * issued:    the last block_rq_issue (a requeued request is issued again)
 * completed: the block_rq_complete that finishes the last byte; block_bio_complete if the disk has no requests
 *
 * If the completion was not seen, or was pending when tracing ended, `ts` is the time of the issue, or of the
 * submission if it was not issued.
 */
#ifndef IOLENS_EVENT_BLOCK_H
#define IOLENS_EVENT_BLOCK_H

#include "iolens/event/file.h"
#include "iolens/event/header.h"
#include "iolens/event/target.h"

/* iolens numbering: the kernel's enum req_op has changed between versions. */
enum iolens_block_op {
	IOLENS_OP_READ,
	IOLENS_OP_WRITE,
	IOLENS_OP_FLUSH,
	IOLENS_OP_DISCARD,
	IOLENS_OP_SECURE_ERASE,
	IOLENS_OP_WRITE_ZEROES,
	IOLENS_OP_WRITE_SAME, /* until 5.17 */
	IOLENS_OP_ZONE_APPEND,
	IOLENS_OP_ZONE_OPEN,
	IOLENS_OP_ZONE_CLOSE,
	IOLENS_OP_ZONE_FINISH,
	IOLENS_OP_ZONE_RESET,
	IOLENS_OP_ZONE_RESET_ALL,
	IOLENS_OP_PASSTHROUGH, /* a command from outside the block layer: SG_IO, NVMe admin, SCSI */
	IOLENS_OP_OTHER,
	IOLENS_OP_COUNT
};

enum iolens_block_flag {
	IOLENS_BLOCK_PREFLUSH = 1 << 0,   /* REQ_PREFLUSH: flush the cache first */
	IOLENS_BLOCK_FUA = 1 << 1,        /* REQ_FUA: on stable media at completion */
	IOLENS_BLOCK_RAHEAD = 1 << 2,     /* REQ_RAHEAD: readahead */
	IOLENS_BLOCK_SYNC = 1 << 3,       /* REQ_SYNC: somebody waits for it */
	IOLENS_BLOCK_META = 1 << 4,       /* REQ_META: filesystem metadata */
	IOLENS_BLOCK_NO_SECTOR = 1 << 5,  /* flush, passthrough: `sector` is invalid */
	IOLENS_BLOCK_NO_CREATOR = 1 << 6, /* tgid, tid, comm, cgroup_id and queue_ns are invalid */
	IOLENS_BLOCK_NO_ISSUE = 1 << 7,   /* failed before it was issued: device_ns is invalid */
	IOLENS_BLOCK_BIO = 1 << 8,        /* a bio of a disk without requests (dm, md, zram, pmem …) */
	IOLENS_BLOCK_FILTERED = 1 << 9,   /* BPF only: submitted by a task that the filters exclude */
	IOLENS_BLOCK_REQUEUED = 1 << 10,  /* BPF only: back in the queue, to be issued again */
	IOLENS_BLOCK_STACKED = 1 << 11,   /* BPF only: contains a bio that another disk passed on unchanged */
	IOLENS_BLOCK_DONE = 1 << 12,      /* BPF only: already sent, kept for the flush that follows */
	IOLENS_BLOCK_NO_END = 1 << 13,    /* completion not seen: device_ns is invalid, `ts` is the issue time */
	IOLENS_BLOCK_PENDING = 1 << 14,   /* in flight when tracing ended: likewise */
};

/* Target of a request. */
struct iolens_block_target {
	u64 name_id;    /* for a file: ID of its path, iolens_file_fact; 0: no dentry is cached */
	struct iolens_file_id id; /* for other targets only `dev`: the block device, 0: unknown */
	u8 kind;      /* enum iolens_target_kind, of the first bio */
	u8 source;         /* enum iolens_target_source */
	u8 more;        /* number of other targets; 255: that many or more */
	u8 authors;     /* for writeback: 0 unknown, 1, or 2: several, of which the last is reported */
	u32 author;     /* process that dirtied a clean page of the file */
	u8 author_comm[IOLENS_COMM_LEN];
};

struct iolens_block_event {
	struct iolens_header h;
	u64 queue_ns;  /* creation to (last) issue */
	u64 device_ns; /* last issue to completion; of a bio: submission to completion */
	u64 sector;    /* first 512-byte sector on the whole disk: request.__sector at issue */
	u64 cgroup_id; /* cgroup v2 ID of the submitter: bpf_get_current_cgroup_id() */
	u32 dev;       /* whole disk, the kernel's dev_t: gendisk.major << 20 | first_minor */
	u32 bytes;     /* bytes completed: the sum of partial completions */
	u32 tgid;      /* process of the submitter */
	u32 tid;       /* thread of the submitter */
	u16 flags;     /* enum iolens_block_flag */
	u16 error;     /* positive errno, 0 = none */
	u16 requeues;  /* block_rq_requeue events */
	u8 op;         /* enum iolens_block_op */
	u8 bios;       /* bios in the request at issue; 255 = that many or more */
	u8 comm[IOLENS_COMM_LEN];
	struct iolens_block_target target; /* this and what follows: only if something of it is selected */
	u32 host_tgid; /* tgid and tid in the initial pid namespace; 0: the same */
	u32 host_tid;
	u32 partition; /* number of the partition that the first bio was submitted to; 0: the whole disk, or not recorded */
	u32 reserved;
};

/* A partition that the kernel does not tell: its number is lost when the bio is remapped to the whole disk (before
 * 5.12). */
#define IOLENS_PARTITION_UNKNOWN 0xffffffffU

/* Further targets of a merged request, in bio order. Sent right before its iolens_block_event, with the same time
 * and CPU. The remaining bytes belong to the request's own target; `others` bytes to targets that did not fit. */
#define IOLENS_EXTRA_TARGETS 63
struct iolens_extra_target {
	struct iolens_block_target target;
	u64 bytes;
};
struct iolens_extra_targets {
	struct iolens_header h; /* size: up to the last element */
	u64 others;             /* bytes of those that found no place */
	u16 offset;             /* of the first element, from the start of the record */
	u16 element_size;       /* bytes */
	u32 reserved;
	struct iolens_extra_target targets[IOLENS_EXTRA_TARGETS];
};

#ifdef __cplusplus
#include <span>
#include <type_traits>

#include "iolens/schema.h"

namespace iolens {

static_assert(std::has_unique_object_representations_v<iolens_block_event>);
static_assert(sizeof(iolens_block_event) % 8 == 0);
static_assert(std::has_unique_object_representations_v<iolens_extra_targets>);

/// IDs in the initial pid namespace, which also distinguish tasks outside of ours.
inline u32 host_tgid(const iolens_block_event& e) { return e.host_tid != 0 ? e.host_tgid : e.tgid; }
inline u32 host_tid(const iolens_block_event& e) { return e.host_tid != 0 ? e.host_tid : e.tid; }

/// Name of each operation, as in --op and JSON, and its letters as in rwbs.
struct BlockOpName {
    std::string_view word;
    std::string_view letters;
};
inline constexpr std::array<BlockOpName, IOLENS_OP_COUNT> block_ops{{
    {"read", "R"},
    {"write", "W"},
    {"flush", "F"},
    {"discard", "D"},
    {"secure_erase", "DE"},
    {"write_zeroes", "WZ"},
    {"write_same", "WX"},
    {"zone_append", "ZA"},
    {"zone_open", "ZO"},
    {"zone_close", "ZC"},
    {"zone_finish", "ZF"},
    {"zone_reset", "ZR"},
    {"zone_reset_all", "ZRA"},
    {"passthrough", "N"},
    {"other", "?"},
}};

/// Names of an operation; accepts any number, since a recording may contain any.
inline const BlockOpName& block_op(u8 op) {
    return op < IOLENS_OP_COUNT ? block_ops[op] : block_ops[IOLENS_OP_OTHER];
}

inline const iolens_block_event& as_block(const iolens_header& h) {
    return reinterpret_cast<const iolens_block_event&>(h);
}

/// Letters as in the kernel's rwbs: F for a preflush, the operation, then F (FUA) A (readahead) S (sync) M (metadata).
inline Value block_letters(const iolens_block_event& e) {
    std::array<char, 12> out{};
    std::size_t n = 0;
    if ((e.flags & IOLENS_BLOCK_PREFLUSH) != 0) out[n++] = 'F';
    for (char c : block_op(e.op).letters) out[n++] = c;
    if ((e.flags & IOLENS_BLOCK_FUA) != 0) out[n++] = 'F';
    if ((e.flags & IOLENS_BLOCK_RAHEAD) != 0) out[n++] = 'A';
    if ((e.flags & IOLENS_BLOCK_SYNC) != 0) out[n++] = 'S';
    if ((e.flags & IOLENS_BLOCK_META) != 0) out[n++] = 'M';
    return Value::small({out.data(), n});
}

inline constexpr std::array<std::string_view, IOLENS_TARGET_KINDS> target_kind_words{
    "", "file", "journal", "metadata", "swap", "raw", "discard", "flush", "", ""};
inline constexpr std::array<std::string_view, IOLENS_TARGET_SOURCES> target_source_words{"", "page", "dio", "uring", "aio", "fs"};

inline Value target_kind_word(u8 kind) {
    const std::string_view word = kind < IOLENS_TARGET_KINDS ? target_kind_words.at(kind) : std::string_view();
    return word.empty() ? Value() : Value(word);
}

inline bool block_has(const iolens_block_event& e, unsigned flag) { return (e.flags & flag) != 0; }
/// With any of these, device_ns is invalid.
inline constexpr unsigned block_no_latency = IOLENS_BLOCK_NO_ISSUE | IOLENS_BLOCK_NO_END | IOLENS_BLOCK_PENDING;

// clang-format off
inline constexpr std::array block_columns{
    Column{.name = "time_ns", .header = "TIME(s)", .unit = Unit::nanoseconds, .role = Role::time, .width = -11,
           .help = "completion time, CLOCK_BOOTTIME (block_rq_complete); in a table, seconds since the first row",
           .get = [](const iolens_header& h) { return Value(h.ts); }},
    Column{.name = "unix_ns", .header = "TIMESTAMP", .unit = Unit::nanoseconds, .role = Role::wall, .width = -12,
           .help = "time_ns as wall-clock time since 1970; in a table, local HH:MM:SS.mmm",
           .get = [](const iolens_header& h) { return Value(h.ts); }},
    Column{.name = "comm", .header = "COMM", .role = Role::name, .width = -14, .cut = 14, .missing = '?',
           .help = "name of the thread that submitted the first bio; empty if the submission was not seen",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_CREATOR) ? Value() : Value(text_of(e.comm));
           }},
    Column{.name = "pid", .header = "PID", .width = -7, .missing = '0',
           .help = "process that submitted the first bio; 0 outside the pid namespace that iolens ran in",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_CREATOR) ? Value() : Value(u64{e.tgid});
           }},
    Column{.name = "tid", .header = "TID", .width = -7, .missing = '0',
           .help = "thread that submitted the first bio",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_CREATOR) ? Value() : Value(u64{e.tid});
           }},
    Column{.name = "disk", .header = "DISK", .role = Role::disk, .width = -7, .missing = '?',
           .help = "whole disk that completed the request",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).dev}); }},
    Column{.name = "dev", .header = "MAJ:MIN", .role = Role::device, .width = -7,
           .help = "device number of the whole disk",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).dev}); }},
    Column{.name = "op", .header = "OP", .width = -12,
           .help = "operation (REQ_OP_*): read, write, flush, discard, secure_erase, write_zeroes, write_same, zone_*, "
                   "passthrough, other",
           .get = [](const iolens_header& h) {
               return Value(block_op(as_block(h).op).word);
           }},
    Column{.name = "rwbs", .header = "T", .width = -4,
           .help = "operation and flags as in the rwbs field of block tracepoints: F preflush, then R read, W write, F "
                   "flush, D discard, DE secure erase, WZ write zeroes, WX write same, Z. zone command, N passthrough, "
                   "then F FUA, A readahead, S sync, M metadata",
           .get = [](const iolens_header& h) { return block_letters(as_block(h)); }},
    Column{.name = "sector", .header = "SECTOR", .unit = Unit::sectors, .width = -10,
           .help = "first 512-byte sector from the start of the whole disk; empty for flush and passthrough",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_SECTOR) ? Value() : Value(e.sector);
           }},
    Column{.name = "bytes", .header = "BYTES", .unit = Unit::bytes, .width = -7,
           .help = "size of the request; the sum of its partial completions",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).bytes}); }},
    Column{.name = "pattern", .header = "P", .role = Role::pattern, .width = -1, .missing = '?',
           .help = "S: starts where the previous row on this disk ended; R: elsewhere; ?: first on this disk",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_SECTOR) ? Value() : Value(e.sector);
           }},
    Column{.name = "queue_ns", .header = "QUE(ms)", .unit = Unit::nanoseconds, .role = Role::duration, .width = 7,
           .help = "time from submission of the first bio (block_bio_queue) to the last issue (block_rq_issue)",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_CREATOR) ? Value() : Value(e.queue_ns);
           }},
    Column{.name = "device_ns", .header = "LAT(ms)", .unit = Unit::nanoseconds, .role = Role::duration, .width = 7,
           .help = "time from the last issue (block_rq_issue) to completion; on a disk without requests, from "
                   "submission to completion",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, block_no_latency) ? Value() : Value(e.device_ns);
           }},
    Column{.name = "error", .header = "ERR", .role = Role::error, .width = -9,
           .help = "errno name of a failed request; empty on success",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return e.error == 0 ? Value() : Value(u64{e.error});
           }},
    Column{.name = "requeues", .header = "REQ", .width = 3,
           .help = "number of times that the driver requeued the request (block_rq_requeue)",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).requeues}); }},
    Column{.name = "bios", .header = "BIOS", .width = 4,
           .help = "number of bios merged into the request; 0 for flush and passthrough; 255: that many or more",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).bios}); }},
    Column{.name = "cgroup_id", .header = "CGROUP", .width = -7,
           .help = "cgroup v2 ID of the submitter (inode number of the cgroup directory)",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_CREATOR) ? Value() : Value(e.cgroup_id);
           }},
    Column{.name = "cpu", .header = "CPU", .width = 3,
           .help = "CPU of the completion",
           .get = [](const iolens_header& h) { return Value(u64{h.cpu}); }},
    Column{.name = "end", .header = "END", .width = -7,
           .help = "missed: completion not seen; pending: in flight when tracing ended, with time_ns of its issue or "
                   "submission; empty otherwise",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return end_word(block_has(e, IOLENS_BLOCK_PENDING), block_has(e, IOLENS_BLOCK_NO_END));
           }},
    Column{.name = "host_pid", .header = "HOSTPID", .width = -7,
           .help = "process ID in the initial pid namespace",
           .get = [](const iolens_header& h) {
               const auto& e = as_block(h);
               return block_has(e, IOLENS_BLOCK_NO_CREATOR) ? Value() : Value(u64{host_tgid(e)});
           }},
    Column{.name = "partition", .header = "PART", .role = Role::partition, .width = -9,
           .help = "partition that the first bio was submitted to (block_device.bd_partno), such as nvme0n1p1; empty if "
                   "the whole disk",
           .get = [](const iolens_header& h) {
               const u32 number = as_block(h).partition;
               return number == 0 ? Value() : Value(u64{number});
           }},
    Column{.name = "file_kind", .header = "FOR", .width = -9, .missing = '?',
           .help = "target of the request: file, journal, metadata, swap, raw, discard, flush; empty if unknown",
           .get = [](const iolens_header& h) { return target_kind_word(as_block(h).target.kind); }},
    Column{.name = "file_how", .header = "HOW", .width = -5,
           .help = "source of the target: page (page cache), dio, uring, aio (direct I/O), fs (bio of the filesystem "
                   "itself)",
           .get = [](const iolens_header& h) {
               const u8 source = as_block(h).target.source;
               return source == IOLENS_TARGET_SOURCE_NONE || source >= IOLENS_TARGET_SOURCES ? Value() : Value(target_source_words.at(source));
           }},
    Column{.name = "file_dev", .header = "FILEDEV", .role = Role::device, .width = -7,
           .help = "device number of the file's filesystem (super_block.s_dev); for other targets, of the block device",
           .get = [](const iolens_header& h) {
               const auto& t = as_block(h).target;
               return t.id.dev == 0 ? Value() : Value(u64{t.id.dev});
           }},
    Column{.name = "ino", .header = "INODE", .width = -9,
           .help = "inode number of the file (inode.i_ino)",
           .get = [](const iolens_header& h) {
               const auto& t = as_block(h).target;
               return t.kind == IOLENS_TARGET_FILE ? Value(t.id.ino) : Value();
           }},
    Column{.name = "generation", .header = "GEN", .width = -10,
           .help = "inode generation (inode.i_generation); differs between files that reuse an inode number",
           .get = [](const iolens_header& h) {
               const auto& t = as_block(h).target;
               return t.kind == IOLENS_TARGET_FILE ? Value(u64{t.id.generation}) : Value();
           }},
    Column{.name = "file_more", .header = "MORE", .width = 4,
           .help = "number of further targets of a merged request; 255: that many or more",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).target.more}); }},
    Column{.name = "files", .header = "FILES", .role = Role::json, .width = -5,
           .help = "JSON list of the targets of a merged request, up to eight in bio order: file, file_kind, file_dev, "
                   "ino, generation, author, author_pid, bytes",
           .get = [](const iolens_header& h) {
               const u8 more = as_block(h).target.more;
               return more == 0 ? Value() : Value(u64{more});
           }},
    Column{.name = "author", .header = "AUTHOR", .role = Role::name, .width = -14, .cut = 14,
           .help = "for writeback, name of the thread that dirtied a page of the file; in a table, + if there were "
                   "others",
           .get = [](const iolens_header& h) {
               const auto& t = as_block(h).target;
               return t.authors == 0 ? Value() : Value(text_of(t.author_comm));
           }},
    Column{.name = "author_pid", .header = "APID", .width = -7,
           .help = "process of the author",
           .get = [](const iolens_header& h) {
               const auto& t = as_block(h).target;
               return t.authors == 0 ? Value() : Value(u64{t.author});
           }},
    Column{.name = "authors", .header = "N", .width = 1,
           .help = "number of threads that dirtied the file: 1, or 2 for two or more, of which the author is the last",
           .get = [](const iolens_header& h) {
               const auto& t = as_block(h).target;
               return t.authors == 0 ? Value() : Value(u64{t.authors});
           }},
    Column{.name = "file", .header = "FILE", .role = Role::file, .width = -4, .missing = '?',
           .help = "path of the target file, or MAJ:MIN:INODE if the kernel has evicted its name; [journal] [metadata] "
                   "[swap] [raw DEVICE] [discard] [flush]; in a table, +N for N further targets; empty if unknown",
           .get = [](const iolens_header& h) { return Value(u64{as_block(h).target.name_id}); }},
};
// clang-format on

}  // namespace iolens
#endif

#endif
