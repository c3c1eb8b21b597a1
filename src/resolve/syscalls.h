// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <span>
#include <string>
#include <string_view>

#include "iolens/event/call.h"
#include "iolens/event/operation.h"

namespace iolens {

/// A system call, as src/resolve/syscall_table.h has it.
struct Syscall {
    u16 id;      ///< x86-64's number, on every architecture
    u16 number;  ///< this architecture's; IOLENS_CALLS where it has none
    std::string_view name;
    iolens_call_info info;
    std::string_view arguments;  ///< "name:kind" with blanks between
    u8 operation;                ///< enum iolens_operation; IOLENS_OPERATION_NONE

    /// Does it move bytes or change what fds are? The others are followed only with -v.
    [[nodiscard]] constexpr bool is_io() const {
        return info.shape != IOLENS_SHAPE_OTHER && info.shape != IOLENS_SHAPE_SIGRETURN;
    }
};

std::span<const Syscall> syscalls();

/// The call of an id, or null.
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

/// The request of an id, or null.
const KnownRequest* find_request(u64 id);

/// The name of a call or a request by its id; "" for others.
std::string_view syscall_name(u64 id);

/// Does a call or a request make new fds?
bool makes_fds(u64 id);

/// A call's flags by name ("O_RDWR|O_CREAT"), as the kind of the argument that has them says; a number in hexadecimal
/// where they have no names here.
void append_flags(std::string& out, const Syscall& call, u64 flags);

/// What a call was given, as C would have it: `AT_FDCWD, "/etc/hosts", O_RDONLY`. A text is null where it could not be
/// read; one that is too long ends in "…".
void append_arguments(std::string& out, const Syscall& call, std::span<const u64, IOLENS_CALL_ARGUMENTS> values,
                      std::span<const std::string_view, IOLENS_CALL_ARGUMENTS> texts);

}  // namespace iolens
