// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "base/text.h"

namespace iolens {

/// Where rows go: a buffer that reaches its file in whole rows, or not at all.
class Output {
public:
    /// A stream that is already open (standard output, standard error); it is not closed.
    static Output stream(int fd, std::string name);

    /// Opens `path` for writing, new ones with mode 0600, and empties it. Throws Failure where that can't be done, also
    /// when it is a symbolic link in a folder that anyone may write to.
    static Output file(const std::string& path);

    /// Whole rows go to a function.
    static Output into(std::function<void(std::string_view)> take);

    /// Rows are appended here, then row_done() says that one is whole.
    [[nodiscard]] Buffer& buffer() { return buffer_; }
    void row_done() {
        whole_ = buffer_.size();
        if (whole_ >= flush_at) flush();
    }

    /// Writes all whole rows. Throws ReaderGone when nobody reads any more, Failure when the file can't take them; a
    /// regular file is then cut back to its last whole row.
    void flush();

    [[nodiscard]] bool is_terminal() const { return terminal_; }
    /// /dev/null: nobody reads what is written.
    [[nodiscard]] bool is_null() const { return null_; }

private:
    Output(int fd, std::string name);
    Output() : fd_(-1), terminal_(false) {}

    static constexpr std::size_t flush_at = 64 << 10;
    Fd owned_;
    std::function<void(std::string_view)> take_;
    int fd_;
    std::string name_;
    bool terminal_;
    bool regular_ = false;
    bool null_ = false;
    off_t written_ = 0;  // bytes of whole rows in a regular file of ours
    Buffer buffer_;
    std::size_t whole_ = 0;  // bytes of the buffer that are whole rows
};

/// A line on standard error: "iolens: " and what is to be said, which is made visible first where it isn't ours.
void say(std::string_view words);

/// The folder that holds `path`.
std::string folder_of(const std::string& path);

/// Opens a file for our results as Output::file() does. Throws Failure.
Fd open_result(const std::string& path);

}  // namespace iolens
