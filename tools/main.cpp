// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>

#include <algorithm>
#include <cstdio>
#include <new>
#include <span>
#include <string_view>

#include "base/failure.h"
#include "base/text.h"
#include "commands.h"

namespace {

/// If one of the first three descriptors is closed, the next file that is opened would get its number.
void open_standard_descriptors() {
    for (int fd = 0; fd < 3; ++fd) {
        if (::fcntl(fd, F_GETFD) < 0) static_cast<void>(::open("/dev/null", O_RDWR) == fd);
    }
}

/// The exit status for a failure, as in env(1): for a traced command, 1 to 3 could be the command's own.
int status_of(iolens::Exit status, bool traces_command) {
    const bool of_command = status == iolens::Exit::not_executable || status == iolens::Exit::not_found;
    return static_cast<int>(traces_command && !of_command ? iolens::Exit::own_failure : status);
}

iolens::Command program(std::span<char* const> args) {
    iolens::Command items{.name = "iolens",
                          .about = "iolens: trace Linux I/O live, with the files and processes behind it",
                          .examples =
                              "sudo iolens block -Q 10  trace block requests for 10 seconds, with queue times\n"
                              "sudo iolens fd -- git status  trace what a command reads and writes\n"
                              "sudo iolens file /var/lib/db  trace accesses to the files of a directory\n"
                              "sudo iolens doctor  check what works on this kernel\n"
                              "iolens replay day.iol  show a recording\n"
                              "iolens block --help  show the options of a command"};
    for (auto& lens : iolens::make_lenses()) items.commands.push_back(iolens::lens_command(std::move(lens)));
    items.commands.push_back(iolens::replay_command(args));
    items.commands.push_back(iolens::metrics_command());
    items.commands.push_back(iolens::doctor_command());
    items.commands.push_back(iolens::schema_command());
    return items;
}

}  // namespace

// The top-level exception handler.
int main(int argc, char** argv) {
    const std::span args(argv, static_cast<std::size_t>(argc));
    const bool traces_command = std::ranges::find(args, std::string_view("--")) != args.end();
    open_standard_descriptors();
    try {
        return iolens::run_command_line(args, program(args));
    } catch (const iolens::ReaderGone&) {
        return 0;
    } catch (const iolens::Failure& failure) {
        std::fprintf(stderr, "iolens: %s\n", failure.what());
        if (!failure.hint().empty()) std::fprintf(stderr, "hint: %s\n", failure.hint().c_str());
        return status_of(failure.status(), traces_command);
    } catch (const std::bad_alloc&) {
        std::fputs("iolens: out of memory\nhint: use a smaller --ring-size\n", stderr);
    } catch (const std::exception& error) {
        std::fprintf(stderr, "iolens: %s\n", iolens::visible(error.what()).c_str());
    }
    return status_of(iolens::Exit::failed, traces_command);
}
