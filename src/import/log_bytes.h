// SPDX-License-Identifier: Apache-2.0
// The bytes of a log, which may be compressed.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "base/fd.h"
#include "base/output.h"

namespace iolens {

class LogBytes {
public:
    LogBytes() = default;
    LogBytes(const LogBytes&) = delete;
    LogBytes& operator=(const LogBytes&) = delete;
    virtual ~LogBytes() = default;

    /// Reads some bytes. Returns their number; 0 at the end, or if the run ends. Throws Failure.
    virtual std::size_t read(std::span<char> to) = 0;
};

/// A log file: plain, or compressed by gzip, xz or zstd, whatever its name.
class LogFile {
public:
    /// `path`: "-" for standard input. Throws Failure (usage) if it can't be read.
    explicit LogFile(std::string path);
    ~LogFile();
    LogFile(LogFile&&) noexcept;
    LogFile& operator=(LogFile&&) = delete;
    LogFile(const LogFile&) = delete;
    LogFile& operator=(const LogFile&) = delete;

    /// As LogBytes::read().
    std::size_t read(std::span<char> to);

    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::optional<FileIdentity> identity() const;
    /// The part of the file that was read, from 0 to 1; nothing if its size is unknown.
    [[nodiscard]] std::optional<double> done() const;

private:
    class Raw;
    std::string path_;
    std::unique_ptr<Raw> raw_;
    std::unique_ptr<LogBytes> bytes_;  // decompresses; null before the first read, and for a plain file
    bool opened_ = false;
};

}  // namespace iolens
