// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/output.h"
#include "iolens/event/header.h"

namespace iolens {

/// Writes records unchanged to a recording file (base/recording_format.h).
class Recorder {
public:
    /// Opens the file without changing it; "-" is standard output. Throws Failure (usage).
    explicit Recorder(const std::string& path);

    /// Truncates the file and writes its header. Throws Failure.
    void begin(std::string_view lens, std::string_view kernel, u64 wall_offset_ns);

    /// Throws Failure if the file can't be written: it then ends with its last complete frame. Throws ReaderGone if it
    /// is a pipe that nobody reads any more.
    void record(std::span<const std::byte> bytes);

    /// Writes what is buffered, and the mark that the recording is complete. Also possible after a failure, if there is
    /// space again: no complete frame is lost. Throws Failure.
    void finish();

    [[nodiscard]] std::optional<FileIdentity> identity() const { return identity_of(fd_); }
    /// For watch_readers().
    [[nodiscard]] int pipe() const { return pipe_or_socket(fd_); }

private:
    void flush();
    void write(std::span<const std::byte> bytes);

    std::string path_;
    std::unique_ptr<ResultFile> file_;
    int fd_;
    std::vector<std::byte> frame_;
    bool begun_ = false;
};

}  // namespace iolens
