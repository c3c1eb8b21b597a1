// SPDX-License-Identifier: Apache-2.0
#include "sink/recorder.h"

#include <sys/stat.h>
#include <unistd.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/failure.h"
#include "base/recording_format.h"
#include "base/signals.h"

namespace iolens {
namespace {

constexpr std::size_t flush_at = 64 << 10;

u32 checksum(const void* bytes, std::size_t size) {
    return static_cast<u32>(::crc32(0, static_cast<const Bytef*>(bytes), static_cast<uInt>(size)));
}

}  // namespace

Recorder::Recorder(const std::string& path)
    : path_(path == "-" ? "standard output" : path),
      file_(path == "-" ? nullptr : std::make_unique<ResultFile>(path)),
      fd_(file_ ? file_->fd() : STDOUT_FILENO) {
    if (!file_ && ::isatty(fd_) == 1) {
        throw Failure(Exit::usage, "can't write a recording to a terminal",
                      "use a file, or a pipe: 'iolens block --record - | iolens replay -'");
    }
}

void Recorder::begin(std::string_view lens, std::string_view kernel, u64 wall_offset_ns) {
    if (file_) file_->start();
    RecordingHeader header;
    header.wall_offset_ns = wall_offset_ns;
    std::ranges::copy(lens.substr(0, header.lens.size()), header.lens.begin());
    std::ranges::copy(kernel.substr(0, header.kernel.size()), header.kernel.begin());
    header.crc = checksum(&header, offsetof(RecordingHeader, crc));
    frame_.reserve(sizeof(RecordingFrame) + flush_at + 4096);
    write(std::as_bytes(std::span(&header, 1)));
    begun_ = true;
    frame_.resize(sizeof(RecordingFrame));
}

void Recorder::record(std::span<const std::byte> bytes) {
    if (!begun_) return;
    frame_.insert(frame_.end(), bytes.begin(), bytes.end());
    if (frame_.size() >= flush_at) flush();
}

/// Writes the frame's header and its records in one piece, so that a failed write affects a whole frame.
void Recorder::flush() {
    const std::size_t size = frame_.size() - sizeof(RecordingFrame);
    if (size == 0) return;
    const RecordingFrame head{static_cast<u32>(size), checksum(frame_.data() + sizeof head, size)};
    std::memcpy(frame_.data(), &head, sizeof head);
    write(frame_);
    frame_.resize(sizeof head);
}

void Recorder::finish() {
    if (!begun_) return;
    flush();
    const RecordingFrame end;
    write(std::as_bytes(std::span(&end, 1)));
    begun_ = false;
}

void Recorder::write(std::span<const std::byte> bytes) {
    for (std::size_t done = 0; done < bytes.size();) {
        const ssize_t n = ::write(fd_, bytes.data() + done, bytes.size() - done);
        if (n > 0) {
            done += static_cast<std::size_t>(n);
            continue;
        }
        const int error = n < 0 ? errno : EIO;
        if ((error == EINTR || error == EAGAIN) && !end_overdue()) {
            if (error == EAGAIN) wait_until_writable(fd_);
            continue;
        }
        struct stat info{};
        if (::fstat(fd_, &info) == 0 && S_ISREG(info.st_mode) && ::lseek(fd_, 0, SEEK_CUR) == info.st_size) {
            const off_t whole = info.st_size - static_cast<off_t>(done);
            if (::ftruncate(fd_, whole) == 0) ::lseek(fd_, whole, SEEK_SET);
        } else if (done > 0) {
            begun_ = false;  // what follows could not be read
        }
        frame_.resize(sizeof(RecordingFrame));
        if (error == EPIPE) throw ReaderGone();
        throw Failure(Exit::failed, fmt::format("can't write to {}: {}", visible(path_), error_text(error)),
                      "free some space, or record elsewhere; the recording so far can be replayed");
    }
}

}  // namespace iolens
