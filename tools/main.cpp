// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <span>
#include <string_view>

#include "base/failure.h"
#include "base/text.h"
#include "cli/cli.h"

namespace {

/// A descriptor of the first three that is closed would be that of the next file that is opened.
void open_standard_descriptors() {
    for (int fd = 0; fd < 3; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDWR) == fd);
    }
}

/// What a failure ends with, as in env(1): of a command that is traced, 1 to 3 could be its own.
int status_of(iolens::Exit status, bool traces_command) {
    const bool of_command = status == iolens::Exit::not_executable || status == iolens::Exit::not_found;
    return static_cast<int>(traces_command && !of_command ? iolens::Exit::own_failure : status);
}

}  // namespace

// The one place where an exception ends.
int main(int argc, char** argv) {
    const std::span words(argv, static_cast<std::size_t>(argc));
    const bool traces_command = std::ranges::find(words, std::string_view("--")) != words.end();
    open_standard_descriptors();
    try {
        return iolens::run_command_line(argc, argv);
    } catch (const iolens::ReaderGone&) {
        return 0;
    } catch (const iolens::Failure& failure) {
        std::fprintf(stderr, "iolens: %s\n", failure.what());
        if (!failure.hint().empty()) std::fprintf(stderr, "hint: %s\n", failure.hint().c_str());
        return status_of(failure.status(), traces_command);
    } catch (const std::bad_alloc&) {
        std::fputs("iolens: out of memory\nhint: take a smaller --ring-size\n", stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "iolens: %s\n", iolens::visible(error.what()).c_str());
    }
    return status_of(iolens::Exit::failed, traces_command);
}
