// SPDX-License-Identifier: Apache-2.0
// Where the functions of the C library are that programs call.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "iolens/event/header.h"

namespace iolens {

/// A place to watch: a function of a library's file.
struct LibcFunction {
    std::string path;       ///< of the file, as this process can open it
    u64 offset = 0;         ///< of its first instruction in the file, bytes
    std::string_view name;  ///< of IOLENS_LIBC_FUNCTIONS
    u64 number = 0;         ///< its place there, from 0
    std::shared_ptr<const Fd> file{};

    /// The file that was read, whatever has its path by now: offsets of another file would break its programs.
    [[nodiscard]] std::string attach_path() const { return "/proc/self/fd/" + std::to_string(file->get()); }
};

/// What a process or a program calls its C library.
struct Libc {
    std::string path;  ///< of glibc's file; "" where there is none that can be watched
    std::string why;   ///< then: why not, as the end of a sentence
};

/// The C library that a process has mapped, also one of another mount namespace.
Libc libc_of_process(u32 pid);

/// The C library that a program will be given: of an ELF file, or of a script the one that its interpreter will be
/// given.
Libc libc_of_program(const std::string& path);

/// The functions of IOLENS_LIBC_FUNCTIONS whose operation is wanted (bit 1 << op), each place once: several names may
/// stand for one. Empty where the file is not what it should be: anybody may have made it.
std::vector<LibcFunction> find_functions(const std::string& path, u64 operations);

}  // namespace iolens
