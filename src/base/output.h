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

/// Identifies a file independently of its name.
struct FileIdentity {
    dev_t dev = 0;
    ino_t ino = 0;
    bool operator==(const FileIdentity&) const = default;
};

/// The identity of a regular file, because only these can be read and truncated in one run; otherwise nothing.
std::optional<FileIdentity> identity_of(int fd);

/// Throws Failure (usage) if one of the inputs is also written to: as `output`, or as standard output.
void refuse_same_file(const std::vector<FileIdentity>& inputs, const std::optional<FileIdentity>& output,
                      std::string_view name);

/// `fd` if it is a pipe or a socket, for which poll(2) reports an error once it has no reader; otherwise -1.
int pipe_or_socket(int fd);

/// Sets the pipes and sockets whose readers wait_for_input() watches; -1 is ignored.
void watch_readers(std::vector<int> outputs);

/// Waits until one of the descriptors is readable (-1: no descriptor), a signal ends the run, or `ms` milliseconds have
/// passed (-1: no limit). Throws ReaderGone if there is no input and a watched output has lost its reader: without it,
/// this would only be noticed at the next row, which may never come.
void wait_for_input(std::span<const int> fds, int ms);
inline void wait_for_input(int fd, int ms) { wait_for_input(std::span(&fd, 1), ms); }

/// A file for results. Opening it does not change its contents, so that an error before the first result destroys
/// nothing.
class ResultFile {
public:
    /// Creates it with mode 0600 if it doesn't exist. Throws Failure (usage) if it can't be written, or if another user
    /// may have put it there: in a world-writable directory, it must be a regular file that we own, with one link.
    explicit ResultFile(std::string path);
    /// Removes a file that was created and never started.
    ~ResultFile();
    ResultFile(const ResultFile&) = delete;
    ResultFile& operator=(const ResultFile&) = delete;

    /// Truncates it, once; from now on writes are appended. Throws Failure.
    void start();
    /// Likewise without truncating it. Returns true if it is empty.
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

/// Output for rows: a buffer that writes only complete rows.
class Output {
public:
    /// A stream that is already open (standard output, standard error); it is not closed.
    static Output stream(int fd, std::string name);

    /// Opens a ResultFile, which start() or the first row empties. Throws Failure.
    static Output file(const std::string& path);

    /// Passes complete rows to a function.
    static Output into(std::function<void(std::string_view)> take);

    /// Append rows here, then call row_done() after each.
    [[nodiscard]] Buffer& buffer() { return buffer_; }
    void row_done() {
        whole_ = buffer_.size();
        if (whole_ >= flush_at) flush();
    }

    /// Truncates the file, even if no rows follow.
    void start();

    /// Writes all complete rows. Waits for a slow reader, but no longer than end_overdue() allows. Throws ReaderGone if
    /// there is no reader any more, Failure if writing fails; a regular file is then truncated to its last complete
    /// row.
    void flush();

    /// Reopens the path and appends to the file that is there now. Returns true if it is empty. Throws Failure; rows
    /// then continue to go to the old file.
    bool reopen();

    /// Set for a regular file.
    [[nodiscard]] std::optional<FileIdentity> identity() const { return identity_of(fd_); }
    [[nodiscard]] bool is_file() const { return file_ != nullptr; }
    /// For watch_readers().
    [[nodiscard]] int pipe() const { return pipe_or_socket(fd_); }

    [[nodiscard]] bool is_terminal() const { return terminal_; }
    /// /dev/null: the output is discarded.
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
    std::size_t whole_ = 0;  // bytes of the buffer that are complete rows
};

/// Will output to this file be on a terminal? "": standard output.
bool goes_to_terminal(const std::string& path);

/// Prints a line on standard error: "iolens: " and the text. Escape untrusted text with visible() first.
void log_line(std::string_view words);

/// The directory that contains `path`.
std::string directory_of(const std::string& path);

}  // namespace iolens
