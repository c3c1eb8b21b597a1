// SPDX-License-Identifier: Apache-2.0
// Locates the C library functions that programs call.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "iolens/event/header.h"

namespace iolens {

/// A function in a library's file, to be probed.
struct LibcFunction {
    std::string path;       ///< of the file, as this process can open it
    u64 offset = 0;         ///< of its first instruction in the file, bytes
    std::string_view name;  ///< one of IOLENS_LIBC_FUNCTIONS
    u64 number = 0;         ///< its index there, from 0
    std::shared_ptr<const Fd> file{};

    /// The file that was read, even if the path now names another one: these offsets in another file would break its
    /// programs.
    [[nodiscard]] std::string attach_path() const { return "/proc/self/fd/" + std::to_string(file->get()); }
};

/// The C library of a process or program.
struct Libc {
    std::string path;  ///< path of glibc's file; "" if there is none that can be probed
    std::string why;   ///< the reason in that case, as the end of a sentence
};

/// The C library that a process has mapped, also in another mount namespace.
Libc libc_of_process(u32 pid);

/// The C library that a program will load: of an ELF file, or, for a script, of its interpreter.
Libc libc_of_program(const std::string& path);

/// The functions of IOLENS_LIBC_FUNCTIONS whose operation is selected (bit 1 << op), each offset once: several names
/// may be aliases. Empty if the file is malformed: it is untrusted.
std::vector<LibcFunction> find_functions(const std::string& path, u64 operations);

}  // namespace iolens
