// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>

extern "C" void __sanitizer_set_report_fd(void* fd);

namespace iolens {

/// While it lives, what is written to standard error is lost: messages would bury those of the fuzzer. Reports of the
/// sanitizers still get there.
class Quiet {
public:
    Quiet() {
        static const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        ::dup2(null, STDERR_FILENO);
    }
    ~Quiet() { ::dup2(saved_, STDERR_FILENO); }
    Quiet(const Quiet&) = delete;
    Quiet& operator=(const Quiet&) = delete;

private:
    static int save() {
        const int fd = ::fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
        __sanitizer_set_report_fd(reinterpret_cast<void*>(static_cast<std::intptr_t>(fd)));
        return fd;
    }
    static inline const int saved_ = save();
};

}  // namespace iolens
