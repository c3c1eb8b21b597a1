/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/*
 * An operation of a process, as in io-monitor: with a domain and a type. System calls are operations (user space
 * derives them from iolens_call_event); others are process starts and exits, libc functions and HTTP messages.
 */
#ifndef IOLENS_EVENT_OPERATION_H
#define IOLENS_EVENT_OPERATION_H

#include "iolens/event/header.h"

/* Domains and operations: names, order and therefore numbers as in io-monitor's records. Those without a number
 * there come last. */
#define IOLENS_DOMAINS(X)                                                                                                \
	X(LINKS, "hard and symbolic links")                                                                              \
	X(XATTRS, "extended attributes")                                                                                 \
	X(DIRS, "directories")                                                                                           \
	X(FILE_SYSTEMS, "mounts")                                                                         \
	X(FILE_DESCRIPTORS, "file descriptors")                                                                          \
	X(SYNCS, "flushing cached data to disk")                                                              \
	X(SOCKETS, "sockets")                                                                                            \
	X(SEEKS, "file positions")                                                                               \
	X(FILE_SPACE, "file allocation and truncation")                                                                             \
	X(PROCESSES, "processes")                                                                                        \
	X(FILE_METADATA, "file attributes")                                                                      \
	X(FILE_WRITE, "writing and sending")                                                                             \
	X(FILE_READ, "reading and receiving")                                                                            \
	X(FILE_OPEN_CLOSE, "opening and closing files")                                                                  \
	X(MISC, "renaming, locks, device nodes, chroot")                                                                      \
	X(DIR_METADATA, "directory contents")                                                                        \
	X(START_STOP, "process start and exit")                                                                  \
	X(HTTP, "HTTP requests and responses; not part of ALL, because contents are private")

#define IOLENS_OPERATIONS(X)                                                                                             \
	X(OPEN, FILE_OPEN_CLOSE)                                                                                         \
	X(CLOSE, FILE_OPEN_CLOSE)                                                                                        \
	X(WRITE, FILE_WRITE)                                                                                             \
	X(READ, FILE_READ)                                                                                               \
	X(SYNC, SYNCS)                                                                                                   \
	X(SEEK, SEEKS)                                                                                                   \
	X(RENAME, MISC)                                                                                                  \
	X(LINK, LINKS)                                                                                                   \
	X(UNLINK, LINKS)                                                                                                 \
	X(FCNTL, FILE_DESCRIPTORS)                                                                                       \
	X(DUP, FILE_DESCRIPTORS)                                                                                         \
	X(STAT, FILE_METADATA)                                                                                           \
	X(ACCESS, FILE_METADATA)                                                                                         \
	X(CHMOD, FILE_METADATA)                                                                                          \
	X(CHOWN, FILE_METADATA)                                                                                          \
	X(FLOCK, MISC)                                                                                                   \
	X(READLINK, LINKS)                                                                                               \
	X(UTIME, FILE_METADATA)                                                                                          \
	X(GETXATTR, XATTRS)                                                                                              \
	X(SETXATTR, XATTRS)                                                                                              \
	X(LISTXATTR, XATTRS)                                                                                             \
	X(REMOVEXATTR, XATTRS)                                                                                           \
	X(MOUNT, FILE_SYSTEMS)                                                                                           \
	X(UMOUNT, FILE_SYSTEMS)                                                                                          \
	X(FORK, PROCESSES)                                                                                               \
	X(MKNOD, MISC)                                                                                                   \
	X(MKDIR, DIRS)                                                                                                   \
	X(RMDIR, DIRS)                                                                                                   \
	X(CHDIR, DIRS)                                                                                                   \
	X(CHROOT, MISC)                                                                                                  \
	X(SOCKET, SOCKETS)                                                                                               \
	X(FLUSH, SYNCS)                                                                                                  \
	X(ALLOCATE, FILE_SPACE)                                                                                          \
	X(TRUNCATE, FILE_SPACE)                                                                                          \
	X(OPENDIR, DIR_METADATA)                                                                                         \
	X(CLOSEDIR, DIR_METADATA)                                                                                        \
	X(READDIR, DIR_METADATA)                                                                                         \
	X(SEEKDIR, DIR_METADATA)                                                                                         \
	X(TELLDIR, DIR_METADATA)                                                                                         \
	X(REWINDDIR, DIR_METADATA)                                                                                       \
	X(SCANDIR, DIR_METADATA)                                                                                         \
	X(CONNECT, SOCKETS)                                                                                              \
	X(ACCEPT, SOCKETS)                                                                                               \
	X(LISTEN, SOCKETS)                                                                                               \
	X(BIND, SOCKETS)                                                                                                 \
	X(EXEC, PROCESSES)                                                                                               \
	X(KILL, PROCESSES)                                                                                               \
	X(START, START_STOP)                                                                                             \
	X(STOP, START_STOP)                                                                                              \
	X(HTTP_REQ_SEND, HTTP)                                                                                           \
	X(HTTP_REQ_RECV, HTTP)                                                                                           \
	X(HTTP_RESP_SEND, HTTP)                                                                                          \
	X(HTTP_RESP_RECV, HTTP)                                                                                          \
	X(HTTP_RESP_FINI_SEND, HTTP)                                                                                     \
	X(HTTP_RESP_FINI_RECV, HTTP)                                                                                     \
	X(DIRFD, DIR_METADATA)

enum iolens_domain {
#define IOLENS_NAME(name, help) IOLENS_DOMAIN_##name,
	IOLENS_DOMAINS(IOLENS_NAME)
#undef IOLENS_NAME
	IOLENS_DOMAIN_COUNT
};

enum iolens_operation {
#define IOLENS_NAME(name, domain) IOLENS_OPERATION_##name,
	IOLENS_OPERATIONS(IOLENS_NAME)
#undef IOLENS_NAME
	IOLENS_OPERATION_COUNT,
	IOLENS_OPERATION_NONE = 0xff
};
/* operations after this one have no number in io-monitor's records */
#define IOLENS_OPERATION_LAST_OF_RECORDS IOLENS_OPERATION_HTTP_RESP_FINI_RECV

enum iolens_layer {
	IOLENS_LAYER_KERNEL,
	IOLENS_LAYER_LIBC,
};

/* libc functions: which argument holds the fd, and how to interpret the result. */
enum iolens_libc_place {
	IOLENS_LIBC_PATH,           /* the first argument is a path */
	IOLENS_LIBC_PATH_MODE,      /* … and the second a string */
	IOLENS_LIBC_STREAM,         /* the first is a FILE * */
	IOLENS_LIBC_STREAM_LAST,    /* buffer, size, count, FILE * */
	IOLENS_LIBC_STREAM_CHECKED, /* buffer, buffer size, size, count, FILE * */
	IOLENS_LIBC_DIR,            /* the first is a DIR * */
	IOLENS_LIBC_FD,
};
enum iolens_libc_result {
	IOLENS_LIBC_GIVES_STREAM, /* NULL: failure */
	IOLENS_LIBC_GIVES_DIR,    /* likewise */
	IOLENS_LIBC_GIVES_ITEMS,  /* in units of the given size */
	IOLENS_LIBC_GIVES_BYTES,  /* negative: failure */
	IOLENS_LIBC_GIVES_STATUS, /* nonzero: failure */
	IOLENS_LIBC_GIVES_NUMBER, /* negative: failure */
	IOLENS_LIBC_GIVES_NOTHING,
};
#define IOLENS_LIBC_FUNCTIONS(X)                                                                                         \
	X(fopen, OPEN, PATH_MODE, STREAM)                                                                                \
	X(fclose, CLOSE, STREAM, STATUS)                                                                                 \
	X(fread, READ, STREAM_LAST, ITEMS)                                                                               \
	X(__fread_chk, READ, STREAM_CHECKED, ITEMS)                                                                      \
	X(fscanf, READ, STREAM, NOTHING)                                                                                 \
	X(vfscanf, READ, STREAM, NOTHING)                                                                                \
	X(fwrite, WRITE, STREAM_LAST, ITEMS)                                                                             \
	X(fprintf, WRITE, STREAM, BYTES)                                                                                 \
	X(vfprintf, WRITE, STREAM, BYTES)                                                                                \
	X(fflush, FLUSH, STREAM, STATUS)                                                                                 \
	X(opendir, OPENDIR, PATH, DIR)                                                                                   \
	X(fdopendir, OPENDIR, FD, DIR)                                                                                   \
	X(closedir, CLOSEDIR, DIR, STATUS)                                                                               \
	X(readdir, READDIR, DIR, NOTHING)                                                                                \
	X(readdir_r, READDIR, DIR, STATUS)                                                                               \
	X(rewinddir, REWINDDIR, DIR, NOTHING)                                                                            \
	X(seekdir, SEEKDIR, DIR, NOTHING)                                                                                \
	X(telldir, TELLDIR, DIR, NOTHING)                                                                                \
	X(dirfd, DIRFD, DIR, NUMBER)                                                                                     \
	X(scandir, SCANDIR, PATH, NUMBER)

#define IOLENS_ERROR_UNKNOWN (-4095) /* failed for an unknown reason */
#define IOLENS_ERROR_NO_END (-4094)  /* end not seen: `ts` is the start */
#define IOLENS_ERROR_PENDING (-4093) /* in flight when tracing ended: likewise */
#define IOLENS_OPERATION_TEXT 4096   /* longest string copied, including its NUL */

#define IOLENS_NO_CALL 0xffff

struct iolens_operation_event {
	struct iolens_header h; /* ts: the end */
	u64 start;   /* CLOCK_BOOTTIME, ns */
	u64 bytes;   /* transferred */
	u64 name_id; /* of the file, or of START's working directory: iolens_file_fact; 0 = none */
	u32 tgid;
	u32 tid;
	u32 ppid;  /* for START: the parent process; for STOP: tgid in the initial pid namespace, 0: the same */
	s32 error; /* 0, a negative errno, or an IOLENS_ERROR_… */
	s32 fd;    /* -1: none */
	u16 call;  /* the system call, as in iolens_call_event; IOLENS_NO_CALL: none */
	u8 op;     /* enum iolens_operation */
	u8 layer;  /* enum iolens_layer */
	u16 length1; /* bytes of the first string that follows, without NUL */
	u16 length2; /* … and of the second, which follows the first */
	u32 host_tid; /* tid in the initial pid namespace; 0: the same */
	/* followed by the strings, zero-padded to a multiple of 8 */
};

#ifdef __cplusplus
#include <array>
#include <type_traits>

#include "iolens/schema.h"

namespace iolens {

static_assert(std::has_unique_object_representations_v<iolens_operation_event>);
static_assert(sizeof(iolens_operation_event) == 72);  // texts follow, so no field can be appended

struct KnownDomain {
    std::string_view name;
    std::string_view help;
};
struct KnownOperation {
    std::string_view name;
    iolens_domain domain;
};

inline constexpr std::array<KnownDomain, IOLENS_DOMAIN_COUNT> known_domains{{
#define IOLENS_NAME(name, help) {#name, help},
    IOLENS_DOMAINS(IOLENS_NAME)
#undef IOLENS_NAME
}};
inline constexpr std::array<KnownOperation, IOLENS_OPERATION_COUNT> known_operations{{
#define IOLENS_NAME(name, domain) {#name, IOLENS_DOMAIN_##domain},
    IOLENS_OPERATIONS(IOLENS_NAME)
#undef IOLENS_NAME
}};

inline const iolens_operation_event& as_operation(const iolens_header& h) {
    return reinterpret_cast<const iolens_operation_event&>(h);
}
/// IDs in the initial pid namespace, which also distinguish tasks outside of ours.
inline u32 host_tid(const iolens_operation_event& e) { return e.host_tid != 0 ? e.host_tid : e.tid; }
/// Identifies the process of a START or STOP, even outside of the pid namespace, where its tgid is 0.
inline u64 process_key(const iolens_operation_event& e) {
    if (e.tgid != 0) return e.tgid;
    return u64{1} << 32 | (e.op == IOLENS_OPERATION_STOP ? e.ppid : e.host_tid);
}
inline bool is_unended(const iolens_operation_event& e) {
    return e.error == IOLENS_ERROR_NO_END || e.error == IOLENS_ERROR_PENDING;
}
inline const char* operation_text(const iolens_operation_event& e) {
    return reinterpret_cast<const char*>(&e) + sizeof e;
}

// clang-format off
inline constexpr std::array operation_columns{
    Column{.name = "facility", .header = "FACILITY", .role = Role::facility, .kind = Value::Kind::text, .width = -8,
           .help = "facility ID (--facility, default u)"},
    Column{.name = "unix_ns", .header = "TIME", .unit = Unit::nanoseconds, .role = Role::wall,
           .kind = Value::Kind::number, .width = -12,
           .help = "end time of the operation since 1970",
           .get = [](const iolens_header& h) { return Value(h.ts); }},
    Column{.name = "duration_ns", .header = "DUR(ms)", .unit = Unit::nanoseconds, .role = Role::duration,
           .kind = Value::Kind::number, .width = 9,
           .help = "duration of the operation",
           .get = [](const iolens_header& h) {
               return is_unended(as_operation(h)) ? Value() : Value(h.ts - as_operation(h).start);
           }},
    Column{.name = "pid", .header = "PID", .kind = Value::Kind::number, .width = -7,
           .help = "process; 0 outside the pid namespace that iolens ran in",
           .get = [](const iolens_header& h) { return Value(u64{as_operation(h).tgid}); }},
    Column{.name = "domain", .header = "DOMAIN", .kind = Value::Kind::text, .width = -16,
           .help = "domain of the operation ('iolens schema --domains' lists them)",
           .get = [](const iolens_header& h) {
               return Value(known_domains[known_operations[as_operation(h).op].domain].name);
           }},
    Column{.name = "op", .header = "OP", .kind = Value::Kind::text, .width = -14, .help = "operation",
           .get = [](const iolens_header& h) { return Value(known_operations[as_operation(h).op].name); }},
    Column{.name = "error_code", .header = "CODE", .kind = Value::Kind::number, .width = 4,
           .help = "errno; 0 on success; -1: failed with an unknown errno",
           .get = [](const iolens_header& h) {
               const s32 error = as_operation(h).error;
               if (is_unended(as_operation(h))) return Value();
               return error == IOLENS_ERROR_UNKNOWN ? Value::signed_number(-1) : Value(negated(error));
           }},
    Column{.name = "fd", .header = "FD", .kind = Value::Kind::number, .width = 4,
           .help = "file descriptor; for OPEN, the new one; -1: none",
           .get = [](const iolens_header& h) { return Value::signed_number(as_operation(h).fd); }},
    Column{.name = "bytes", .header = "BYTES", .unit = Unit::bytes, .kind = Value::Kind::number, .width = 8,
           .help = "bytes transferred",
           .get = [](const iolens_header& h) {
               return is_unended(as_operation(h)) ? Value() : Value(as_operation(h).bytes);
           }},
    Column{.name = "arg1", .header = "ARG1", .role = Role::name, .kind = Value::Kind::text, .width = -20,
           .help = "first argument: path, command line, address …, depending on the operation",
           .get = [](const iolens_header& h) {
               const auto& e = as_operation(h);
               return Value(std::string_view(operation_text(e), e.length1));
           }},
    Column{.name = "arg2", .header = "ARG2", .role = Role::name, .kind = Value::Kind::text, .width = -10,
           .help = "second argument: second path, attribute name, signal, parent process …",
           .get = [](const iolens_header& h) {
               const auto& e = as_operation(h);
               return Value(std::string_view(operation_text(e) + e.length1, e.length2));
           }},
    Column{.name = "layer", .header = "LAYER", .width = -6, .help = "kernel, or libc for a function of libc",
           .get = [](const iolens_header& h) {
               return Value(std::string_view(as_operation(h).layer == IOLENS_LAYER_LIBC ? "libc" : "kernel"));
           }},
    Column{.name = "time_ns", .header = "TIME(s)", .unit = Unit::nanoseconds, .role = Role::time, .width = -11,
           .help = "start time of the operation, CLOCK_BOOTTIME; in a table, seconds since the first row",
           .get = [](const iolens_header& h) { return Value(as_operation(h).start); }},
    Column{.name = "tid", .header = "TID", .width = -7, .help = "thread",
           .get = [](const iolens_header& h) { return Value(u64{as_operation(h).tid}); }},
    Column{.name = "comm", .header = "COMM", .role = Role::comm, .width = -15, .help = "name of the thread"},
    Column{.name = "uid", .header = "UID", .role = Role::uid, .width = -5, .help = "user ID of the thread"},
    Column{.name = "cgroup_id", .header = "CGROUP", .role = Role::cgroup, .width = -7,
           .help = "cgroup v2 ID of the thread (inode number of the cgroup directory)"},
    Column{.name = "container", .header = "CONTAINER", .role = Role::container, .width = -12, .cut = 12,
           .help = "container ID of the thread: the 64 hexadecimal digits in its cgroup path; empty in a replay"},
    Column{.name = "call", .header = "CALL", .role = Role::call, .width = -12, .help = "system call of the operation",
           .get = [](const iolens_header& h) {
               const auto& e = as_operation(h);
               return e.call != IOLENS_NO_CALL ? Value(u64{e.call}) : Value();
           }},
    Column{.name = "error", .header = "ERR", .role = Role::error, .width = -9, .help = "errno name of a failed operation; empty on success",
           .get = [](const iolens_header& h) {
               const s32 error = as_operation(h).error;
               const bool known = error != 0 && error != IOLENS_ERROR_UNKNOWN && !is_unended(as_operation(h));
               return known ? Value(negated(error)) : Value();
           }},
    Column{.name = "file", .header = "FILE", .role = Role::file, .width = -20, .missing = '-',
           .help = "what the fd refers to: path, pipe, peer",
           .get = [](const iolens_header& h) { return Value(as_operation(h).name_id); }},
    Column{.name = "end", .header = "END", .width = -7,
           .help = "missed: completion not seen; pending: in flight when tracing ended; empty otherwise",
           .get = [](const iolens_header& h) {
               const s32 error = as_operation(h).error;
               return end_word(error == IOLENS_ERROR_PENDING, error == IOLENS_ERROR_NO_END);
           }},
    Column{.name = "host_pid", .header = "HOSTPID", .role = Role::host_pid, .width = -7,
           .help = "process ID in the initial pid namespace"},
};
// clang-format on

}  // namespace iolens
#endif

#endif
