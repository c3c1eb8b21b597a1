// SPDX-License-Identifier: Apache-2.0
#include "base/output.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <span>
#include <utility>

#include "base/failure.h"
#include "base/signals.h"

namespace iolens {

std::string directory_of(const std::string& path) {
    const auto slash = path.rfind('/');
    if (slash == std::string::npos) return ".";
    return slash == 0 ? "/" : path.substr(0, slash);
}

std::optional<FileIdentity> identity_of(int fd) {
    struct stat info{};
    if (::fstat(fd, &info) != 0 || !S_ISREG(info.st_mode)) return {};
    return FileIdentity{.dev = info.st_dev, .ino = info.st_ino};
}

int pipe_or_socket(int fd) {
    struct stat info{};
    return ::fstat(fd, &info) == 0 && (S_ISFIFO(info.st_mode) || S_ISSOCK(info.st_mode)) ? fd : -1;
}

namespace {
std::vector<int> watched_outputs;

bool is_null_device(const struct stat& info) { return S_ISCHR(info.st_mode) && info.st_rdev == makedev(1, 3); }
}  // namespace

void watch_readers(std::vector<int> outputs) {
    std::erase(outputs, -1);
    watched_outputs = std::move(outputs);
}

void wait_for_input(std::span<const int> fds, int ms) {
    std::vector<pollfd> items;
    items.reserve(1 + fds.size() + watched_outputs.size());
    items.push_back({end_descriptor(), POLLIN, 0});
    for (const int fd : fds) items.push_back({fd, POLLIN, 0});
    const std::size_t first_output = items.size();
    for (const int output : watched_outputs) items.push_back({output, 0, 0});
    if (::poll(items.data(), items.size(), ms) <= 0) return;
    for (const pollfd& input : std::span(items).subspan(1, fds.size())) {
        if (input.revents != 0) return;  // pending input is processed first
    }
    for (const pollfd& output : std::span(items).subspan(first_output)) {
        if (output.revents != 0) throw ReaderGone();
    }
}

void refuse_same_file(const std::vector<FileIdentity>& inputs, const std::optional<FileIdentity>& output,
                      std::string_view name) {
    if (!output || std::ranges::find(inputs, *output) == inputs.end()) return;
    throw Failure(Exit::usage, fmt::format("{} is also an input of this run", name),
                  "use another file; nothing was changed");
}

namespace {

/// Why a file in a world-writable directory is rejected; "" if it is not.
std::string_view why_suspect(const struct stat& info) {
    if (!S_ISREG(info.st_mode) && !S_ISCHR(info.st_mode)) return "not a regular file";
    if (S_ISREG(info.st_mode) && info.st_nlink > 1) return "other hard links to it exist";
    if (info.st_uid != ::geteuid()) return "it belongs to another user";
    return {};
}

[[noreturn]] void refuse_result(const std::string& path, std::string_view why, std::string_view hint) {
    throw Failure(Exit::usage, fmt::format("can't write '{}': {}", visible(path), why), std::string(hint));
}

constexpr std::string_view for_everybody =
    "its directory is world-writable: use a file elsewhere, or one that does not exist";

}  // namespace

ResultFile::ResultFile(std::string path) : path_(std::move(path)) {
    struct stat directory{};
    struct stat info{};
    const bool shared = ::stat(directory_of(path_).c_str(), &directory) == 0 && (directory.st_mode & S_IWOTH) != 0;
    int flags = O_WRONLY | O_CLOEXEC | O_NOCTTY;
    if (shared) {
        flags |= O_NOFOLLOW;
        // before opening it: opening another user's FIFO would block
        if (::lstat(path_.c_str(), &info) == 0) {
            if (S_ISLNK(info.st_mode)) refuse_result(path_, "it is a symbolic link", for_everybody);
            if (const auto why = why_suspect(info); !why.empty()) refuse_result(path_, why, for_everybody);
        }
    }
    fd_ = Fd(::open(path_.c_str(), flags | O_CREAT | O_EXCL, 0600));
    created_ = static_cast<bool>(fd_);
    if (!fd_ && errno == EEXIST) fd_ = Fd(::open(path_.c_str(), flags));
    // a symbolic link whose target doesn't exist yet
    if (!fd_ && errno == ENOENT && !shared) fd_ = Fd(::open(path_.c_str(), flags | O_CREAT, 0600));
    if (!fd_ || ::fstat(fd_.get(), &info) != 0) {
        refuse_result(path_, error_text(errno), "use a file in an existing directory that you can write to");
    }
    if (const auto why = shared ? why_suspect(info) : std::string_view(); !why.empty()) {
        refuse_result(path_, why, for_everybody);
    }
}

ResultFile::~ResultFile() {
    if (!created_ || started_) return;
    struct stat there{};
    const auto ours = identity_of(fd_.get());
    if (::lstat(path_.c_str(), &there) == 0 && ours == FileIdentity{.dev = there.st_dev, .ino = there.st_ino}) {
        ::unlink(path_.c_str());
    }
}

void ResultFile::append_from_now_on() const {
    const int flags = ::fcntl(fd_.get(), F_GETFL);
    if (identity_of(fd_.get()) && ::fcntl(fd_.get(), F_SETFL, flags | O_APPEND) != 0) {
        refuse_result(path_, error_text(errno), "use another file");
    }
}

void ResultFile::start() {
    if (std::exchange(started_, true)) return;
    if (identity_of(fd_.get()) && ::ftruncate(fd_.get(), 0) != 0) {
        refuse_result(path_, error_text(errno), "use another file");
    }
    append_from_now_on();
}

bool ResultFile::start_behind() {
    started_ = true;
    append_from_now_on();
    struct stat info{};
    return ::fstat(fd_.get(), &info) == 0 && info.st_size == 0;
}

Output::Output(int fd, std::string name) : fd_(fd), name_(std::move(name)), terminal_(::isatty(fd) == 1) {
    struct stat info{};
    null_ = ::fstat(fd, &info) == 0 && is_null_device(info);
}

Output Output::stream(int fd, std::string name) { return {fd, std::move(name)}; }

bool goes_to_terminal(const std::string& path) {
    if (path.empty()) return ::isatty(STDOUT_FILENO) == 1;
    struct stat info{};
    return ::stat(path.c_str(), &info) == 0 && S_ISCHR(info.st_mode) && !is_null_device(info);
}

void log_line(std::string_view words) {
    Output err = Output::stream(STDERR_FILENO, "standard error");
    append(err.buffer(), "iolens: ");
    append(err.buffer(), words);
    err.buffer().push_back('\n');
    err.row_done();
    err.flush();
}

Output Output::file(const std::string& path) {
    auto file = std::make_unique<ResultFile>(path);
    Output out(file->fd(), path);
    out.file_ = std::move(file);
    return out;
}

Output Output::into(std::function<void(std::string_view)> take) {
    Output out;
    out.take_ = std::move(take);
    return out;
}

void Output::start() {
    if (file_) file_->start();
}

void Output::flush() {
    const char* at = buffer_.data();
    std::size_t left = whole_;
    if (take_) {
        take_({at, left});
        left = 0;
    }
    if (left > 0) start();
    while (left > 0) {
        const ssize_t n = ::write(fd_, at, left);
        if (n > 0) {
            at += n;
            left -= static_cast<std::size_t>(n);
            continue;
        }
        const int error = n < 0 ? errno : EIO;
        if ((error == EINTR || error == EAGAIN) && !end_overdue()) {
            if (error == EAGAIN) wait_until_writable(fd_);
            continue;
        }
        cut_back(whole_ - left);
        give_up(error);
    }
    const std::size_t rest = buffer_.size() - whole_;
    std::memmove(buffer_.data(), buffer_.data() + whole_, rest);
    buffer_.resize(rest);
    whole_ = 0;
}

/// Removes an incomplete last row from a regular file. `done`: bytes of the buffer that were written. Also applies to a
/// standard output that is a file, if no other process has written to it since.
void Output::cut_back(std::size_t done) const {
    std::size_t rows = done;
    while (rows > 0 && buffer_[rows - 1] != '\n') --rows;
    struct stat info{};
    if (rows == done || ::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return;
    if (::lseek(fd_, 0, SEEK_CUR) != info.st_size) return;
    const off_t end = info.st_size - static_cast<off_t>(done - rows);
    if (::ftruncate(fd_, end) == 0) ::lseek(fd_, end, SEEK_SET);
}

void Output::give_up(int error) {
    const auto rows = std::count(buffer_.data(), buffer_.data() + whole_, '\n');
    buffer_.clear();
    whole_ = 0;
    if (error == EPIPE) throw ReaderGone();
    if (error == EINTR || error == EAGAIN) {
        throw Failure(Exit::failed,
                      fmt::format("{} not written: nobody reads {}", counted(static_cast<std::uint64_t>(rows), "row"),
                                  visible(name_)),
                      "stop its reader first, or write to a file with -o");
    }
    throw Failure(Exit::failed, fmt::format("can't write to {}: {}", visible(name_), error_text(error)),
                  error == ENOSPC ? "free some space, or write elsewhere with -o; the rows so far are complete"
                                  : "the rows so far are complete");
}

bool Output::reopen() {
    flush();
    auto next = std::make_unique<ResultFile>(file_->path());
    const bool empty = next->start_behind();
    fd_ = next->fd();
    file_ = std::move(next);
    return empty;
}

}  // namespace iolens
