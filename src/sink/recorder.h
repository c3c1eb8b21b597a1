// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "iolens/event/header.h"

namespace iolens {

/// Writes records as they came to a recording file (base/recording_format.h).
class Recorder {
public:
    /// Creates the file and writes its header. Throws Failure.
    Recorder(const std::string& path, std::string_view lens, std::string_view kernel, u64 wall_offset_ns);

    /// Throws Failure when the file can't take it.
    void record(std::span<const std::byte> bytes);

    /// Writes what is buffered and the mark that says that the recording is whole.
    void finish();

private:
    void flush();
    void write(const void* from, std::size_t size);

    std::string path_;
    Fd fd_;
    std::vector<std::byte> frame_;
};

}  // namespace iolens
