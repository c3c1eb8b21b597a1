// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/own_output.h"

#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

#include "base/readers.h"
#include "base/text.h"
#include "resolve/tasks.h"

namespace iolens {
namespace {

/// The ancestors of this process: its shell, the shell's parent, and so on, without process 1.
std::vector<u32> ancestors() {
    std::vector<u32> items;
    for (u32 pid = static_cast<u32>(::getppid()); pid > 1 && items.size() < IOLENS_FILTER_SELF;) {
        items.push_back(pid);
        pid = static_cast<u32>(std::strtoul(process_status(pid, "PPid").c_str(), nullptr, 10));
    }
    return items;
}

bool writes_to_terminal(u32 pid) {
    constexpr unsigned first = 136;  // major numbers of Unix98 terminals: 136 to 143
    constexpr unsigned last = 143;
    constexpr unsigned console = 4;
    struct stat info{};
    if (::stat(fmt::format("/proc/{}/fd/1", pid).c_str(), &info) != 0 || !S_ISCHR(info.st_mode)) return false;
    const unsigned number = major(info.st_rdev);
    return number == console || (number >= first && number <= last);
}

}  // namespace

OwnOutput::OwnOutput(SyscallProbe::Options& options, const std::string& output) {
    struct stat info{};
    const int status = output.empty() ? ::fstat(STDOUT_FILENO, &info) : ::stat(output.c_str(), &info);
    if (status != 0) return;
    options.own_ino = info.st_ino;
    options.own_dev = major(info.st_dev) << 20 | minor(info.st_dev);
    pipe_ = S_ISFIFO(info.st_mode) ? info.st_ino : 0;
    to_terminal_ = S_ISCHR(info.st_mode) && ::isatty(STDOUT_FILENO) == 1;
}

void OwnOutput::find_readers() const {
    std::vector<PipeReader> readers;
    if (pipe_ != 0) readers = PipeReaders().behind(pipe_);
    const auto self = static_cast<u32>(::getpid());
    for (const PipeReader& reader : readers) {
        if (reader.pid != self) row_readers().add(reader.pid, reader.pipe);
    }
    // the terminal emulator is one of our ancestors
    if (!to_terminal_ && std::ranges::none_of(readers, writes_to_terminal, &PipeReader::pid)) return;
    for (const u32 pid : ancestors()) row_readers().add(pid);
}

OwnOutput::~OwnOutput() { row_readers().watch({}); }

void OwnOutput::leave_readers_out(SyscallProbe& probe) const {
    find_readers();
    row_readers().watch([&probe](const PipeReader& reader, bool reads) {
        reads ? probe.leave_out(reader.pid, reader.pipe) : probe.take_in(reader.pid);
    });
}

bool OwnOutput::is_reader(u32 tgid) { return row_readers().contains(tgid); }

}  // namespace iolens
