// SPDX-License-Identifier: Apache-2.0
#include "enrich/calls.h"

#include <sys/syscall.h>

#include <array>

namespace iolens {
namespace {

// A name is the kernel's; older calls (open, pipe, dup2 …) have no number on newer architectures.
#define IOLENS_CALL(name, shape, direction)                                 \
    KnownCall {                                                             \
        SYS_##name, #name, { IOLENS_SHAPE_##shape, IOLENS_DIR_##direction } \
    }
constexpr std::array known{
    IOLENS_CALL(read, MOVE, READ),
    IOLENS_CALL(write, MOVE, WRITE),
    IOLENS_CALL(pread64, MOVE_AT, READ),
    IOLENS_CALL(pwrite64, MOVE_AT, WRITE),
    IOLENS_CALL(readv, VECTOR, READ),
    IOLENS_CALL(writev, VECTOR, WRITE),
    IOLENS_CALL(preadv, VECTOR_AT, READ),
    IOLENS_CALL(pwritev, VECTOR_AT, WRITE),
    IOLENS_CALL(preadv2, VECTOR_AT, READ),
    IOLENS_CALL(pwritev2, VECTOR_AT, WRITE),
    IOLENS_CALL(recvfrom, RECEIVE, READ),
    IOLENS_CALL(sendto, SEND, WRITE),
    IOLENS_CALL(recvmsg, MESSAGE, READ),
    IOLENS_CALL(sendmsg, MESSAGE, WRITE),
    IOLENS_CALL(recvmmsg, MESSAGES, READ),
    IOLENS_CALL(sendmmsg, MESSAGES, WRITE),
    IOLENS_CALL(sendfile, SENDFILE, READ),
    IOLENS_CALL(splice, COPY, READ),
    IOLENS_CALL(tee, TEE, READ),
    IOLENS_CALL(vmsplice, VECTOR, WRITE),
    IOLENS_CALL(copy_file_range, COPY, READ),
    IOLENS_CALL(mmap, MAP, NONE),
    IOLENS_CALL(pipe2, PLAIN, NONE),
    IOLENS_CALL(socketpair, PLAIN, NONE),
    IOLENS_CALL(fcntl, FD, NONE),
    IOLENS_CALL(close_range, PLAIN, NONE),
    IOLENS_CALL(openat, NEW_FD, NONE),
    IOLENS_CALL(openat2, NEW_FD, NONE),
    IOLENS_CALL(close, FD, NONE),
    IOLENS_CALL(dup, NEW_FD, NONE),
    IOLENS_CALL(dup3, NEW_FD, NONE),
    IOLENS_CALL(socket, NEW_FD, NONE),
    IOLENS_CALL(connect, FD, NONE),
    IOLENS_CALL(accept, NEW_FD, NONE),
    IOLENS_CALL(accept4, NEW_FD, NONE),
    IOLENS_CALL(bind, FD, NONE),
    IOLENS_CALL(listen, FD, NONE),
    IOLENS_CALL(shutdown, FD, NONE),
    IOLENS_CALL(lseek, FD, NONE),
    IOLENS_CALL(ftruncate, FD, NONE),
    IOLENS_CALL(fallocate, FD, NONE),
    IOLENS_CALL(fsync, FD, NONE),
    IOLENS_CALL(fdatasync, FD, NONE),
    IOLENS_CALL(sync_file_range, FD, NONE),
    IOLENS_CALL(eventfd2, NEW_FD, NONE),
    IOLENS_CALL(epoll_create1, NEW_FD, NONE),
    IOLENS_CALL(memfd_create, NEW_FD, NONE),
#ifdef SYS_open
    IOLENS_CALL(open, NEW_FD, NONE),
    IOLENS_CALL(creat, NEW_FD, NONE),
    IOLENS_CALL(dup2, NEW_FD, NONE),
    IOLENS_CALL(eventfd, NEW_FD, NONE),
    IOLENS_CALL(epoll_create, NEW_FD, NONE),
    IOLENS_CALL(pipe, PLAIN, NONE),
#endif
    IOLENS_CALL(rt_sigreturn, SIGRETURN, NONE),
};
#undef IOLENS_CALL

constexpr std::array<std::string_view, IOLENS_CALLS> by_number = [] {
    std::array<std::string_view, IOLENS_CALLS> names{};
    for (const KnownCall& call : known) names.at(call.number) = call.name;
    return names;
}();

}  // namespace

std::span<const KnownCall> known_calls() { return known; }

std::string_view call_name(u64 number) { return number < by_number.size() ? by_number[number] : std::string_view(); }

}  // namespace iolens
