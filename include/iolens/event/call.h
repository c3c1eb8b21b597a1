/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * A system call on a file descriptor, at its return: struct iolens_call_event, and its columns.
 */
#ifndef IOLENS_EVENT_CALL_H
#define IOLENS_EVENT_CALL_H

#include "iolens/event/arguments.h"
#include "iolens/event/file.h"
#include "iolens/event/header.h"

#define IOLENS_CALLS 480 /* size of the system call table */
#define IOLENS_FOLLOWED_BUCKETS 16384 /* a power of two: followed processes are counted by the low bits of their ID */

/* Which arguments of a call hold the fd, buffer, count and so on. */
enum iolens_call_shape {
	IOLENS_SHAPE_FD = 1,  /* fd */
	IOLENS_SHAPE_MOVE,    /* fd, buffer, count */
	IOLENS_SHAPE_MOVE_AT, /* fd, buffer, count, offset */
	IOLENS_SHAPE_VECTOR,  /* fd, iovec, iovcnt */
	IOLENS_SHAPE_VECTOR_AT, /* fd, iovec, iovcnt, offset */
	IOLENS_SHAPE_SEND,    /* fd, buffer, count, flags, address, its length */
	IOLENS_SHAPE_RECEIVE, /* fd, buffer, count, flags, address, its length */
	IOLENS_SHAPE_MESSAGE, /* fd, struct msghdr */
	IOLENS_SHAPE_MESSAGES, /* fd, array of struct mmsghdr, its length: the result counts messages */
	IOLENS_SHAPE_MAP,     /* address, length, protection, flags, fd, offset */
	IOLENS_SHAPE_RANGE,   /* address, length of a mapping */
	IOLENS_SHAPE_COPY,    /* copy_file_range, splice: fd, offset, fd, offset, count */
	IOLENS_SHAPE_SENDFILE, /* to fd, from fd, offset, count */
	IOLENS_SHAPE_TEE,     /* fd, fd, count */
	IOLENS_SHAPE_CONNECT, /* fd, address, its length: the peer address */
	IOLENS_SHAPE_BIND,    /* fd, address, its length: the local address */
	IOLENS_SHAPE_ALLOCATE, /* fallocate: fd, mode, offset, length */
	IOLENS_SHAPE_EXTENT, /* fd, offset, length */
	IOLENS_SHAPE_AT,     /* directory fd, path: the fd itself if the path is empty or NULL */
	IOLENS_SHAPE_CLONE3,  /* struct clone_args; only with all calls selected */
	IOLENS_SHAPE_NEW_FD,  /* the result is a new fd; this shape and those below have no fd before the return */
	IOLENS_SHAPE_PAIR,    /* socketpair: the fourth argument receives two new fds */
	IOLENS_SHAPE_PAIR_FIRST, /* pipe: the first argument receives them */
	IOLENS_SHAPE_PLAIN,   /* no fd */
	IOLENS_SHAPE_SIGRETURN, /* a signal handler has returned: the interrupted call has ended */
	IOLENS_SHAPE_IO_SUBMIT, /* io_submit: context, count, array of struct iocb * */
	IOLENS_SHAPE_IO_GET,  /* io_getevents: context, min_nr, nr, array of struct io_event */
	IOLENS_SHAPE_IO_DESTROY, /* io_destroy: context */
	IOLENS_SHAPE_OTHER,   /* as PLAIN; only with all calls selected */
	IOLENS_SHAPE_NOT_DECODED, /* of 32-bit programs: only counted */
	IOLENS_SHAPE_RESTART, /* restart_syscall: the interrupted call goes on */
};

enum iolens_direction {
	IOLENS_DIR_NONE,
	IOLENS_DIR_READ,
	IOLENS_DIR_WRITE,
};

/* Requests of libaio and io_uring: their opcode is added to these numbers in `call`. */
#define IOLENS_CALL_AIO 0x1000
#define IOLENS_CALL_URING 0x2000
/* A page fault of a program's own access to its memory. Not recorded: made from the waits of the thread, for --why. */
#define IOLENS_CALL_FAULT 0x3000
#define IOLENS_AIO_OPS 16
#define IOLENS_URING_OPS 128
#define IOLENS_URING_UNKNOWN 127 /* of refused requests: an operation that the kernel does not know */

/* Properties of a request's operation; in read-only data, one per opcode: 0 = not selected. */
enum iolens_request_flag {
	IOLENS_REQUEST_READS = 1 << 0,  /* IOLENS_DIR_READ */
	IOLENS_REQUEST_WRITES = 1 << 1, /* IOLENS_DIR_WRITE */
	IOLENS_REQUEST_MOVES = 1 << 2,  /* has an offset and a length */
	IOLENS_REQUEST_VECTOR = 1 << 3, /* its length is a number of iovecs */
	IOLENS_REQUEST_NEW_FD = 1 << 4, /* its result is a new fd */
	IOLENS_REQUEST_ASKED = 1 << 5,
	IOLENS_REQUEST_NAMES = 1 << 6,  /* takes paths, moves no bytes: seen only as an operation (operation.h) */
};

/* One per system call number of this architecture, in read-only data: shape 0 = not selected. */
struct iolens_call_info {
	u16 id;       /* the number used in events: that of x86-64 */
	u8 shape;     /* enum iolens_call_shape */
	u8 direction; /* enum iolens_direction */
	u8 flags;     /* which argument holds the flags, from 1; 0: none */
	u8 texts;     /* bit n: argument n is a string, a path or a name */
	u8 vectors;   /* bit n: argument n is an array of strings */
	u8 actions;      /* enum iolens_call_action */
	u8 item;       /* enum iolens_item_kind: what argument item_place points to */
	u8 item_place;
	u8 reserved[6];
};

/* How a call is handled; set per run. */
enum iolens_call_action {
	IOLENS_CALL_EMIT = 1 << 0,  /* its arguments are emitted */
	IOLENS_CALL_OPENS = 1 << 1, /* its first string may be the path that --start-on-open waits for */
	IOLENS_CALL_HTTP = 1 << 2,  /* the data that it sends or receives on a socket may be HTTP */
	IOLENS_CALL_QUIET = 1 << 3, /* no row unless it fails; a failure may belong to a libc function */
};

enum iolens_call_flag {
	IOLENS_CALL_HAS_OFFSET = 1 << 0,
	IOLENS_CALL_HAS_REQUESTED = 1 << 1,
	IOLENS_CALL_NO_FILE = 1 << 2, /* the fd was not open */
	IOLENS_CALL_APPEND = 1 << 3,  /* O_APPEND or RWF_APPEND: a write is at the end of the file */
	IOLENS_CALL_DATAGRAM = 1 << 4, /* of a socket: SOCK_DGRAM */
	IOLENS_CALL_STREAM = 1 << 5,   /* of a socket: SOCK_STREAM */
	IOLENS_CALL_HAS_PEER = 1 << 6,
	IOLENS_CALL_HAS_LOCAL = 1 << 7,
	IOLENS_CALL_HAS_ADDRESS = 1 << 8,
	IOLENS_CALL_HAS_ASKED = 1 << 9,
	IOLENS_CALL_NO_TIME = 1 << 10, /* from an imported log without it */
	IOLENS_CALL_NO_DURATION = 1 << 11, /* likewise; with NO_RESULT: return not seen */
	IOLENS_CALL_NO_RESULT = 1 << 12, /* it never returned: exit, or the process was killed */
	IOLENS_CALL_WATCHED = 1 << 13,   /* on a watched file, if only those are traced */
	IOLENS_CALL_PENDING = 1 << 14,   /* in flight when tracing ended; NO_RESULT and NO_DURATION are set too */
};

struct iolens_call_event {
	struct iolens_header h; /* ts: return of the call */
	u64 start;     /* CLOCK_BOOTTIME, ns */
	u64 name_id;   /* of the file: iolens_file_fact; 0 = none */
	u64 ino;       /* inode.i_ino */
	u64 offset;    /* as given, or file.f_pos at the start of the call; of an append, where the data is */
	u64 requested; /* bytes */
	s64 result;    /* bytes transferred, or the return value; negative errno */
	u32 dev;       /* super_block.s_dev, the kernel's dev_t */
	u32 generation; /* inode.i_generation */
	u32 tgid; /* in the pid namespace of iolens; 0: the task is outside of it */
	u32 tid;
	s32 fd;
	u16 call; /* system call: its x86-64 number, on every architecture */
	u8 direction;
	u8 file; /* enum iolens_file_kind */
	u16 flags;
	u16 family; /* of the peer: AF_INET, AF_INET6, AF_UNIX … */
	u16 port;   /* of the peer, host order */
	u16 local_port;
	u8 peer[16];  /* IPv4: 4 bytes; IPv6: 16 */
	u8 local[16]; /* local address of a socket, likewise */
	u64 address;  /* of a mapping, in the process's memory */
	u64 asked;    /* flags of the call: open's O_…, mmap's PROT_…, lseek's whence … */
	u64 open_id;  /* ID of the open file description (struct file), shared by dup and fork; 0 = none */
	u32 host_tgid; /* tgid and tid in the initial pid namespace; 0: the same */
	u32 host_tid;
	u32 messages; /* result of sendmmsg and recvmmsg; 0 in older recordings */
	u32 sequence; /* of an imported log: the number of the call, the same in each of its rows; otherwise 0 */
};

/* A libaio or io_uring request in flight: an entry of the BPF map `requests`. */
struct iolens_request {
	struct iolens_call_event e;
	u64 process; /* distinguishes its process from a later one with the same ID */
	u64 context; /* likewise its libaio context: the key's owner; 0 = none */
	u64 counted; /* it was counted as seen */
	u64 ring;    /* io_uring: of a request in the map `multishots`, with user_data; 0: not in there */
	u64 user_data;
	u64 at_position; /* io_uring: no offset was given: it is the position of the file */
	u64 slot; /* io_uring: slot of the file table that it opens, from 1; 0: it opens an fd, or nothing */
	u64 capacity;/* io_uring: space for the address of the sender */
	u64 shared; /* number of requests with this key in flight; `e` and the others have been sent. 0: one request */
};

#ifdef __cplusplus
#include <type_traits>

#include "iolens/event/call_values.h"
#include "iolens/schema.h"

namespace iolens {

static_assert(std::has_unique_object_representations_v<iolens_call_event>);
static_assert(sizeof(iolens_call_event) % 8 == 0);

inline constexpr std::array<std::string_view, IOLENS_FILE_KINDS> file_kinds{
    "none", "file", "directory", "character", "disk", "fifo", "pipe", "socket", "anon", "other"};

// clang-format off
/// The default CSV: the columns of iomonitor, for calls that transfer bytes.
inline constexpr std::array call_csv_columns{
    Column{.name = "time", .header = "TIME", .role = Role::clock,
           .help = "start time of the call, local HH:MM:SS.uuuuuu",
           .get = [](const iolens_header& h) { return call_start(as_call(h)); }},
    Column{.name = "dt", .header = "DT", .unit = Unit::nanoseconds, .role = Role::seconds,
           .help = "duration of the call in seconds",
           .get = [](const iolens_header& h) { return call_duration(as_call(h)); }},
    Column{.name = "pid", .header = "PID", .help = "thread that made the call, as in strace -f",
           .get = [](const iolens_header& h) { return call_task_id(as_call(h), as_call(h).tid); }},
    Column{.name = "fd", .header = "FD", .help = "file descriptor",
           .get = [](const iolens_header& h) { return Value::signed_number(as_call(h).fd); }},
    Column{.name = "dir", .header = "DIR", .help = "direction: R or W",
           .get = [](const iolens_header& h) { return call_direction(as_call(h)); }},
    Column{.name = "bytes", .header = "BYTES", .help = "bytes transferred; -1 on error",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               if ((e.flags & IOLENS_CALL_NO_RESULT) != 0) return Value();
               return Value::signed_number(e.result < 0 ? -1 : e.result);
           }},
    Column{.name = "file", .header = "FILE", .role = Role::file_csv,
           .help = "path in double quotes; pipe:[inode]; peer address of a socket",
           .get = [](const iolens_header& h) { return Value(as_call(h).name_id); }},
    Column{.name = "port", .header = "PORT", .help = "peer port",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return (e.flags & IOLENS_CALL_HAS_PEER) != 0 && e.port != 0 ? Value(u64{e.port}) : Value();
           }},
};

/// All columns of a call.
inline constexpr std::array call_columns{
    Column{.name = "time_ns", .header = "TIME(s)", .unit = Unit::nanoseconds, .role = Role::time, .width = -11,
           .help = "start time of the call, CLOCK_BOOTTIME; in a table, seconds since the first row",
           .get = [](const iolens_header& h) { return call_start(as_call(h)); }},
    Column{.name = "unix_ns", .header = "TIMESTAMP", .unit = Unit::nanoseconds, .role = Role::wall, .width = -12,
           .help = "time_ns as wall-clock time since 1970; in a table, local HH:MM:SS.mmm",
           .get = [](const iolens_header& h) { return call_start(as_call(h)); }},
    Column{.name = "end_ns", .header = "END(s)", .unit = Unit::nanoseconds, .role = Role::time, .width = -11,
           .help = "return time of the call, CLOCK_BOOTTIME",
           .get = [](const iolens_header& h) { return (as_call(h).flags & no_end) != 0 ? Value() : Value(h.ts); }},
    Column{.name = "duration_ns", .header = "LAT(ms)", .unit = Unit::nanoseconds, .role = Role::duration, .width = 8,
           .help = "duration of the call",
           .get = [](const iolens_header& h) { return call_duration(as_call(h)); }},
    Column{.name = "comm", .header = "COMM", .role = Role::comm, .width = -15, .missing = '?',
           .help = "name of the thread",
           .get = [](const iolens_header& h) { return Value(u64{as_call(h).tid}); }},
    Column{.name = "pid", .header = "PID", .width = -7,
           .help = "process that made the call; 0 outside the pid namespace that iolens ran in",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return host_tgid(e) != 0 ? Value(u64{e.tgid}) : Value();
           }},
    Column{.name = "tid", .header = "TID", .width = -7, .help = "thread that made the call",
           .get = [](const iolens_header& h) { return call_task_id(as_call(h), as_call(h).tid); }},
    Column{.name = "uid", .header = "UID", .role = Role::uid, .width = -5, .help = "user ID of the thread",
           .get = [](const iolens_header& h) { return Value(u64{as_call(h).tid}); }},
    Column{.name = "cgroup_id", .header = "CGROUP", .role = Role::cgroup, .width = -7,
           .help = "cgroup v2 ID of the thread (inode number of the cgroup directory)",
           .get = [](const iolens_header& h) { return Value(u64{as_call(h).tid}); }},
    Column{.name = "container", .header = "CONTAINER", .role = Role::container, .width = -12, .cut = 12,
           .help = "container ID of the thread: the 64 hexadecimal digits in its cgroup path; empty in a replay",
           .get = [](const iolens_header& h) { return Value(u64{as_call(h).tid}); }},
    Column{.name = "call", .header = "CALL", .role = Role::call, .width = -12, .help = "name of the system call, or of the libaio or io_uring request",
           .get = [](const iolens_header& h) { return Value(u64{as_call(h).call}); }},
    Column{.name = "fd", .header = "FD", .width = 4, .help = "file descriptor; for open and similar calls, the new one",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return e.fd < 0 ? Value() : Value(static_cast<u64>(e.fd));
           }},
    Column{.name = "dir", .header = "D", .width = -1, .help = "direction of the transfer: R in, W out; empty for other calls",
           .get = [](const iolens_header& h) { return call_direction(as_call(h)); }},
    Column{.name = "offset", .header = "OFFSET", .unit = Unit::bytes, .width = 10,
           .help = "offset in the file: as given, or the file position at the start of the call (file.f_pos); of "
                   "an append, where the data is; empty if other writes make that uncertain",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               if ((e.flags & IOLENS_CALL_HAS_OFFSET) == 0) return Value();
               return Value::signed_number(static_cast<s64>(e.offset));
           }},
    Column{.name = "requested", .header = "WANTED", .unit = Unit::bytes, .width = 8,
           .help = "bytes requested; empty for calls without a single count",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return (e.flags & IOLENS_CALL_HAS_REQUESTED) != 0 ? Value(e.requested) : Value();
           }},
    Column{.name = "bytes", .header = "BYTES", .unit = Unit::bytes, .width = 8,
           .help = "bytes transferred; empty on error; 0 with MSG_PEEK",
           .get = [](const iolens_header& h) { return call_bytes(as_call(h)); }},
    Column{.name = "result", .header = "RESULT", .width = 8, .help = "return value; -1 on error",
           .get = [](const iolens_header& h) { return call_result(as_call(h)); }},
    Column{.name = "error", .header = "ERR", .role = Role::error, .width = -9,
           .help = "errno name of a failed call; empty on success",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return e.result < 0 ? Value(negated(e.result)) : Value();
           }},
    Column{.name = "kind", .header = "KIND", .width = -9,
           .help = "type of the file: file, directory, character, disk, fifo, pipe, socket, anon, other; none for a "
                   "closed fd",
           .get = [](const iolens_header& h) {
               const u8 kind = as_call(h).file;
               return Value(file_kinds[kind < IOLENS_FILE_KINDS ? kind : std::size_t{IOLENS_FILE_OTHER}]);
           }},
    Column{.name = "file", .header = "FILE", .role = Role::file, .width = -20, .missing = '?',
           .help = "path of the file; pipe:[inode]; anon_inode:[…]; peer of a socket, address:port",
           .get = [](const iolens_header& h) { return Value(as_call(h).name_id); }},
    Column{.name = "dev", .header = "MAJ:MIN", .role = Role::device, .width = -7, .help = "device number of the filesystem (super_block.s_dev)",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return call_has_file(e) ? Value(u64{e.dev}) : Value();
           }},
    Column{.name = "ino", .header = "INODE", .width = -9, .help = "inode number of the file (inode.i_ino)",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return call_has_file(e) ? Value(e.ino) : Value();
           }},
    Column{.name = "generation", .header = "GEN", .width = -10, .help = "inode generation (inode.i_generation); differs between files that reuse an inode number",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return call_has_file(e) ? Value(u64{e.generation}) : Value();
           }},
    Column{.name = "open_id", .header = "OPEN", .width = -20,
           .help = "ID of the open file description (struct file), shared by dup and fork; reused after the last close",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return e.open_id != 0 ? Value(e.open_id) : Value();
           }},
    Column{.name = "peer", .header = "PEER", .role = Role::peer, .width = -15, .help = "peer address of a socket: the address that a datagram was sent to or came from; path or @name of a "
                   "unix socket; protocol and port ID of a netlink socket",
           .get = [](const iolens_header& h) {
               return (as_call(h).flags & IOLENS_CALL_HAS_PEER) != 0 ? Value(u64{1}) : Value();
           }},
    Column{.name = "peer_port", .header = "PORT", .width = 5, .help = "peer port of a socket",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return (e.flags & IOLENS_CALL_HAS_PEER) != 0 && call_has_port(e) ? Value(u64{e.port}) : Value();
           }},
    Column{.name = "local", .header = "LOCAL", .role = Role::local, .width = -15, .help = "local address of a socket",
           .get = [](const iolens_header& h) {
               return (as_call(h).flags & IOLENS_CALL_HAS_LOCAL) != 0 ? Value(u64{1}) : Value();
           }},
    Column{.name = "local_port", .header = "LPORT", .width = 5, .help = "local port of a socket",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return e.local_port != 0 ? Value(u64{e.local_port}) : Value();
           }},
    Column{.name = "address", .header = "ADDRESS", .width = 15,
           .help = "address of a mapping in the process (mmap, munmap, msync); requested is its length",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return (e.flags & IOLENS_CALL_HAS_ADDRESS) != 0 ? Value(e.address).in_base(16) : Value();
           }},
    Column{.name = "flags", .header = "FLAGS", .role = Role::flags, .width = -18,
           .help = "flags of the call: open flags, mmap protection, lseek whence, MSG_… flags; numeric if they have no names here",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return (e.flags & IOLENS_CALL_HAS_ASKED) != 0 ? Value(e.asked) : Value();
           }},
    Column{.name = "arguments", .header = "ARGUMENTS", .role = Role::arguments, .width = -20,
           .help = "arguments of the call in C notation (with -v)",
           .get = [](const iolens_header& h) { return Value(u64{as_call(h).tid}); }},
    Column{.name = "why", .header = "WHY", .role = Role::json, .width = -4,
           .help = "with --why, as JSON: what the call waited for, how long it ran, and the block requests that it "
                   "caused or waited for, with other requests on the disk at the same time",
           .get = [](const iolens_header&) { return Value(); }},
    Column{.name = "cpu", .header = "CPU", .width = 3, .help = "CPU of the return",
           .get = [](const iolens_header& h) { return h.cpu != IOLENS_NO_CPU ? Value(u64{h.cpu}) : Value(); }},
    Column{.name = "end", .header = "END", .width = -7,
           .help = "missed: completion not seen; pending: in flight when tracing ended; empty otherwise",
           .get = [](const iolens_header& h) {
               const auto& e = as_call(h);
               return end_word((e.flags & IOLENS_CALL_PENDING) != 0, call_is_unended(e) && e.h.cpu != IOLENS_NO_CPU);
           }},
    Column{.name = "host_pid", .header = "HOSTPID", .width = -7,
           .help = "process ID in the initial pid namespace",
           .get = [](const iolens_header& h) {
               const u32 id = host_tgid(as_call(h));
               return id != 0 ? Value(u64{id}) : Value();
           }},
};
// clang-format on

}  // namespace iolens
#endif

#endif
