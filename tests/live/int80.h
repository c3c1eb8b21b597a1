// SPDX-License-Identifier: Apache-2.0
// System calls of 32-bit programs, made by a 64-bit one.
#pragma once

#include <sys/wait.h>
#include <unistd.h>

#include <array>

#include "iolens/event/header.h"

#if defined(__x86_64__)
namespace iolens::test {

using Words = std::array<u32, 6>;

/// A system call of i386, with its number and registers. Its pointers must be below 4 GiB. Returns a negative errno.
inline long int80(long number, const Words& words) {
    long result = 0;
    u64 sixth = words[5];
    asm volatile("xchgq %%rbp, %[sixth]\n\tint $0x80\n\txchgq %%rbp, %[sixth]"
                 : "=a"(result), [sixth] "+r"(sixth)
                 : "a"(number), "b"(u64{words[0]}), "c"(u64{words[1]}), "d"(u64{words[2]}), "S"(u64{words[3]}),
                   "D"(u64{words[4]})
                 : "memory", "cc", "r8", "r9", "r10", "r11");
    return static_cast<s32>(result);
}

/// True if the kernel has these calls (CONFIG_IA32_EMULATION). Without them, they kill the process.
inline bool has_int80() {
    const pid_t pid = ::fork();
    if (pid == 0) ::_exit(int80(20, {}) == ::getpid() ? 0 : 1);  // getpid
    int status = 0;
    return ::waitpid(pid, &status, 0) == pid && status == 0;
}

}  // namespace iolens::test
#endif
