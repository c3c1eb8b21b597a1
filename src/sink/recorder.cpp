// SPDX-License-Identifier: Apache-2.0
#include "sink/recorder.h"

#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>

#include "base/failure.h"
#include "base/output.h"
#include "base/recording_format.h"

namespace iolens {
namespace {

constexpr std::size_t flush_at = 64 << 10;

u32 checksum(const void* bytes, std::size_t size) {
    return static_cast<u32>(::crc32(0, static_cast<const Bytef*>(bytes), static_cast<uInt>(size)));
}

}  // namespace

Recorder::Recorder(const std::string& path, std::string_view lens, std::string_view kernel, u64 wall_offset_ns)
    : path_(path), fd_(open_result(path)) {
    RecordingHeader header;
    header.wall_offset_ns = wall_offset_ns;
    std::ranges::copy(lens.substr(0, header.lens.size()), header.lens.begin());
    std::ranges::copy(kernel.substr(0, header.kernel.size()), header.kernel.begin());
    header.crc = checksum(&header, offsetof(RecordingHeader, crc));
    frame_.reserve(flush_at + 4096);
    write(&header, sizeof header);
}

void Recorder::record(std::span<const std::byte> bytes) {
    frame_.insert(frame_.end(), bytes.begin(), bytes.end());
    if (frame_.size() >= flush_at) flush();
}

void Recorder::flush() {
    if (frame_.empty()) return;
    const RecordingFrame frame{static_cast<u32>(frame_.size()), checksum(frame_.data(), frame_.size())};
    write(&frame, sizeof frame);
    write(frame_.data(), frame_.size());
    frame_.clear();
}

void Recorder::finish() {
    flush();
    const RecordingFrame end;
    write(&end, sizeof end);
}

void Recorder::write(const void* from, std::size_t size) {
    const auto* at = static_cast<const char*>(from);
    while (size > 0) {
        const ssize_t n = ::write(fd_.get(), at, size);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            throw Failure(Exit::failed, fmt::format("can't write to {}: {}", visible(path_), error_text(errno)),
                          "make room, or record elsewhere; the recording can be replayed up to here");
        }
        at += n;
        size -= static_cast<std::size_t>(n);
    }
}

}  // namespace iolens
