// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <cstring>

#include "base/failure.h"

namespace iolens {

std::string folder_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

Fd open_result(const std::string& path) {
    struct stat folder{};
    int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOCTTY;
    // In a folder like /tmp anyone could have put a link there that leads root elsewhere.
    if (::stat(folder_of(path).c_str(), &folder) == 0 && (folder.st_mode & S_IWOTH) != 0) flags |= O_NOFOLLOW;
    Fd fd(::open(path.c_str(), flags, 0600));
    struct stat info{};
    if (!fd || ::fstat(fd.get(), &info) != 0 || (S_ISREG(info.st_mode) && ::ftruncate(fd.get(), 0) != 0)) {
        const int error = errno;
        throw Failure(Exit::usage, fmt::format("can't write '{}': {}", visible(path), error_text(error)),
                      error == ELOOP ? "it is a symbolic link in a folder that anyone may write to; name its target"
                                     : "name a file in a folder that exists and that you may write to");
    }
    return fd;
}

Output::Output(int fd, std::string name) : fd_(fd), name_(std::move(name)), terminal_(::isatty(fd) == 1) {
    struct stat info{};
    null_ = ::fstat(fd, &info) == 0 && S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3);
}

Output Output::stream(int fd, std::string name) { return {fd, std::move(name)}; }

void say(std::string_view words) {
    Output err = Output::stream(STDERR_FILENO, "standard error");
    append(err.buffer(), "iolens: ");
    append(err.buffer(), words);
    err.buffer().push_back('\n');
    err.row_done();
    err.flush();
}

Output Output::file(const std::string& path) {
    Fd fd = open_result(path);
    Output out(fd.get(), path);
    struct stat info{};
    out.regular_ = ::fstat(fd.get(), &info) == 0 && S_ISREG(info.st_mode);
    out.owned_ = std::move(fd);
    return out;
}

Output Output::into(std::function<void(std::string_view)> take) {
    Output out;
    out.take_ = std::move(take);
    return out;
}

void Output::flush() {
    const char* at = buffer_.data();
    std::size_t left = whole_;
    if (take_) {
        take_({at, left});
        left = 0;
    }
    while (left > 0) {
        const ssize_t n = ::write(fd_, at, left);
        if (n > 0) {
            at += n;
            left -= static_cast<std::size_t>(n);
            continue;
        }
        if (n < 0 && errno == EINTR) continue;  // a second signal ends the process in its handler
        const int error = n < 0 ? errno : EIO;
        // Give back what got through only in part, up to the last row's end.
        if (regular_) {
            std::size_t done = whole_ - left;
            while (done > 0 && buffer_[done - 1] != '\n') --done;
            static_cast<void>(::ftruncate(fd_, written_ + static_cast<off_t>(done)) == 0);
        }
        buffer_.clear();
        whole_ = 0;
        if (error == EPIPE) throw ReaderGone();
        throw Failure(Exit::failed, fmt::format("can't write to {}: {}", visible(name_), error_text(error)),
                      error == ENOSPC ? "make room, or write elsewhere with -o; the rows up to here are whole"
                                      : "the rows up to here are whole");
    }
    written_ += static_cast<off_t>(whole_);
    const std::size_t rest = buffer_.size() - whole_;
    std::memmove(buffer_.data(), buffer_.data() + whole_, rest);
    buffer_.resize(rest);
    whole_ = 0;
}

}  // namespace iolens
