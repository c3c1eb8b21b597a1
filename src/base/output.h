// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "base/text.h"

namespace iolens {

/// Which file it is, whatever its name.
struct FileIdentity {
    dev_t dev = 0;
    ino_t ino = 0;
    bool operator==(const FileIdentity&) const = default;
};

/// Of a regular file, since only such a file can be read and emptied in one run; nothing for what is not one.
std::optional<FileIdentity> identity_of(int fd);

/// Throws Failure (usage) if a file that is read is also one that is written: `output`, or the standard output.
void refuse_same_file(const std::vector<FileIdentity>& inputs, const std::optional<FileIdentity>& output,
                      std::string_view name);

/// `fd` if it is a pipe or a socket, which poll(2) reports an error on once nobody reads it any more; else -1.
int pipe_or_socket(int fd);

/// Sets the pipes and sockets for results whose readers wait_for_input() watches; -1 is none.
void watch_readers(std::vector<int> outputs);

/// Waits until one of the descriptors is readable (-1: no descriptor), a signal ends the run, or `ms` milliseconds have
/// passed (-1: no limit). Throws ReaderGone once nothing is to be read and nobody reads a watched output any more: a
/// row that shows it may never come.
void wait_for_input(std::span<const int> fds, int ms);
inline void wait_for_input(int fd, int ms) { wait_for_input(std::span(&fd, 1), ms); }

/// A file for results. Opening it changes nothing in it, so that what fails before the first result destroys nothing.
class ResultFile {
public:
    /// Creates it with mode 0600 if it doesn't exist. Throws Failure (usage) if it can't be written, or if somebody
    /// else may have put it there: in a directory that anyone may write to, it must be a regular file of ours with one
    /// name.
    explicit ResultFile(std::string path);
    /// Removes a file that was created and never started.
    ~ResultFile();
    ResultFile(const ResultFile&) = delete;
    ResultFile& operator=(const ResultFile&) = delete;

    /// Empties it, once; what is written goes to its end from now on. Throws Failure.
    void start();
    /// The same without emptying it. Returns true if it is empty.
    bool start_behind();

    [[nodiscard]] int fd() const { return fd_.get(); }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    void append_from_now_on() const;

    std::string path_;
    Fd fd_;
    bool created_ = false;
    bool started_ = false;
};

/// Where rows go: a buffer that reaches its file in whole rows, or not at all.
class Output {
public:
    /// A stream that is already open (standard output, standard error); it is not closed.
    static Output stream(int fd, std::string name);

    /// Opens a ResultFile, which start() or the first row empties. Throws Failure.
    static Output file(const std::string& path);

    /// Whole rows go to a function.
    static Output into(std::function<void(std::string_view)> take);

    /// Rows are appended here, then row_done() says that one is whole.
    [[nodiscard]] Buffer& buffer() { return buffer_; }
    void row_done() {
        whole_ = buffer_.size();
        if (whole_ >= flush_at) flush();
    }

    /// Empties the file. Rows may follow, or none.
    void start();

    /// Writes all whole rows, and waits for a reader that is slow, but not longer than end_overdue() allows. Throws
    /// ReaderGone if nobody reads any more, Failure if the file can't take them; a regular file is then cut back to its
    /// last whole row.
    void flush();

    /// Goes on with the file that has its path now, behind what is in it. Returns true if it is empty. Throws Failure;
    /// rows then go where they went before.
    bool reopen();

    /// Of a regular file.
    [[nodiscard]] std::optional<FileIdentity> identity() const { return identity_of(fd_); }
    [[nodiscard]] bool is_file() const { return file_ != nullptr; }
    /// For watch_readers().
    [[nodiscard]] int pipe() const { return pipe_or_socket(fd_); }

    [[nodiscard]] bool is_terminal() const { return terminal_; }
    /// /dev/null: nobody reads what is written.
    [[nodiscard]] bool is_null() const { return null_; }

private:
    Output(int fd, std::string name);
    Output() : fd_(-1), terminal_(false) {}

    void cut_back(std::size_t done) const;
    [[noreturn]] void give_up(int error);

    static constexpr std::size_t flush_at = 64 << 10;
    std::unique_ptr<ResultFile> file_;
    std::function<void(std::string_view)> take_;
    int fd_;
    std::string name_;
    bool terminal_;
    bool null_ = false;
    Buffer buffer_;
    std::size_t whole_ = 0;  // bytes of the buffer that are whole rows
};

/// A line on standard error: "iolens: " and what is to be said, which is made visible first where it isn't ours.
void log_line(std::string_view words);

/// The folder that holds `path`.
std::string directory_of(const std::string& path);

}  // namespace iolens
