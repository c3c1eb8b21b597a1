// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/call.h"
#include "iolens/event/operation.h"
#include "resolve/argument_items.h"

namespace iolens {

/// A system call, from src/resolve/syscall_table.h.
struct Syscall {
    u16 id;      ///< x86-64's number, on every architecture
    u16 number;  ///< this architecture's; IOLENS_CALLS if it has none
    std::string_view name;
    iolens_call_info info;
    std::string_view arguments;  ///< "name:kind" separated by blanks
    u8 operation;                ///< enum iolens_operation; IOLENS_OPERATION_NONE

    /// True if the call moves bytes or changes the fd table. Others are traced only with -v.
    [[nodiscard]] constexpr bool is_io() const { return info.shape != IOLENS_SHAPE_OTHER && !continues(); }
    /// True for rt_sigreturn and restart_syscall, which are always traced: interrupted calls end or go on there.
    [[nodiscard]] constexpr bool continues() const {
        return info.shape == IOLENS_SHAPE_SIGRETURN || info.shape == IOLENS_SHAPE_RESTART;
    }
};

std::span<const Syscall> syscalls();

/// The call with this id, or null.
const Syscall* find_syscall(u64 id);

/// An operation of libaio ("aio:pread") or io_uring ("io_uring:read"): a request that outlives the call that submits
/// it.
struct KnownRequest {
    u16 id;  ///< IOLENS_CALL_AIO or IOLENS_CALL_URING and the opcode, the same on every architecture
    std::string_view name;
    u8 what;  ///< enum iolens_request_flag, without IOLENS_REQUEST_ASKED
    u8 operation;
};

std::span<const KnownRequest> known_requests();

/// The request with this id, or null.
const KnownRequest* find_request(u64 id);

/// The name of page faults (IOLENS_CALL_FAULT), which --why shows among the calls.
inline constexpr std::string_view fault_name = "fault";

/// The name of a call, a request or a page fault by its id; "" for others.
std::string_view syscall_name(u64 id);

/// True if a call or a request creates fds.
bool makes_fds(u64 id);

/// Appends a call's flags by name ("O_RDWR|O_CREAT"), according to the kind of its flags argument; as a hexadecimal
/// number if that kind has no names here.
void append_flags(std::string& out, const Syscall& call, u64 flags);

/// The value of a call's flags as strace prints them; none if it has a name that is not known here.
std::optional<u64> flags_of(const Syscall& call, std::string_view text);

/// A call as the kernel side traces it when it is selected: calls that are not I/O get the shape of their fd, too.
iolens_call_info traced_as(const Syscall& call);

/// Does the call take the fd of a directory and a path? The file is the fd itself if the path is empty.
constexpr bool takes_directory(const Syscall& call) {
    return call.arguments.starts_with("dirfd:D path:p") || call.arguments.starts_with("old_dirfd:D old:p");
}

/// Appends a call's arguments in C syntax: `AT_FDCWD, "/etc/hosts", O_RDONLY`. A text is null if it could not be read;
/// one that was truncated ends in "…". `single`: as in iolens_arguments. `items`: what the arguments point to.
void append_arguments(std::string& out, const Syscall& call, std::span<const u64, IOLENS_CALL_ARGUMENTS> values,
                      std::span<const std::string_view, IOLENS_CALL_ARGUMENTS> texts, u8 single = 0,
                      std::span<const ArgumentItem, IOLENS_CALL_ARGUMENTS> items = no_items);

}  // namespace iolens
