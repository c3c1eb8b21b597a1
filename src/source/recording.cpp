// SPDX-License-Identifier: Apache-2.0
#include "source/recording.h"

#include <fcntl.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>

#include "base/failure.h"
#include "base/signals.h"
#include "base/text.h"

namespace iolens {

RecordingSource::RecordingSource(const std::string& path)
    : path_(path == "-" ? "standard input" : path),
      fd_(path == "-" ? ::dup(STDIN_FILENO) : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY)) {
    if (!fd_) {
        throw Failure(Exit::failed, fmt::format("can't read '{}': {}", visible(path), error_text(errno)),
                      "use a file that --record wrote");
    }
    const bool whole = fill(&header_, sizeof header_);
    if (!whole || header_.magic != recording_magic) {
        throw Failure(Exit::failed, fmt::format("'{}' is not a recording of iolens", visible(path)),
                      "use a file that --record wrote");
    }
    if (header_.byte_order != recording_byte_order) {
        throw Failure(Exit::failed,
                      fmt::format("'{}' was recorded on a machine with another byte order", visible(path)),
                      "replay it on a machine with the same byte order");
    }
    if (header_.version != recording_version) {
        throw Failure(Exit::failed,
                      fmt::format("'{}' has format version {}, and this iolens reads version {}", visible(path),
                                  header_.version, recording_version),
                      "replay it with the iolens that recorded it");
    }
    if (::crc32(0, reinterpret_cast<const Bytef*>(&header_), offsetof(RecordingHeader, crc)) != header_.crc) {
        damaged("corrupt header");
    }
}

std::string RecordingSource::lens() const {
    return {header_.lens.data(), ::strnlen(header_.lens.data(), header_.lens.size())};
}

std::string RecordingSource::kernel() const {
    return {header_.kernel.data(), ::strnlen(header_.kernel.data(), header_.kernel.size())};
}

std::vector<FileIdentity> RecordingSource::inputs() const {
    const auto file = identity_of(fd_.get());
    return file ? std::vector{*file} : std::vector<FileIdentity>();
}

bool RecordingSource::fill(void* to, std::size_t size) {
    auto* at = static_cast<char*>(to);
    while (size > 0) {
        wait_for_input(fd_.get(), -1);
        const ssize_t n = ::read(fd_.get(), at, size);
        if (n < 0 && (errno == EINTR || errno == EAGAIN)) {
            if (!end_asked()) continue;
            ended_ = true;
            return false;
        }
        if (n < 0) {
            throw Failure(Exit::failed, fmt::format("can't read '{}': {}", visible(path_), error_text(errno)),
                          "use a file that --record wrote");
        }
        if (n == 0) return false;
        at += n;
        offset_ += static_cast<u64>(n);
        size -= static_cast<std::size_t>(n);
    }
    return true;
}

void RecordingSource::damaged(const char* how) const {
    throw Failure(Exit::failed, fmt::format("recording '{}' is damaged at byte {}: {}", visible(path_), offset_, how),
                  "the events before it were shown");
}

/// Reads the ledger from a record of this or an earlier version.
iolens_loss RecordingSource::ledger_in(std::span<const std::byte> record) {
    iolens_loss loss{};
    constexpr std::size_t around = sizeof loss.h + sizeof loss.missed;
    if (record.size() < around) return loss;
    std::memcpy(&loss.h, record.data(), sizeof loss.h);
    std::memcpy(&loss.missed, record.last(sizeof loss.missed).data(), sizeof loss.missed);
    const std::size_t counters = std::min(record.size() - around, sizeof loss.n);
    std::memcpy(&loss.n, record.data() + sizeof loss.h, counters);
    if (counters <= offsetof(iolens_counters, in_flight)) {
        const u64 no_space = std::min(loss.n.orphan, loss.n.state_full);
        loss.n.seen -= std::min(loss.n.seen, loss.n.orphan - no_space);
        loss.n.state_full = no_space;
    }
    return loss;
}

std::size_t RecordingSource::read(Receiver& receiver) {
    RecordingFrame frame;
    const u64 start = offset_;
    if (!fill(&frame, sizeof frame)) {
        if (ended_) return 0;
        offset_ = start;
        damaged("truncated");
    }
    if (frame.size == 0) {
        if (frame.crc != 0) damaged("corrupt frame size");
        ended_ = true;
        return 0;
    }
    if (frame.size > recording_frame_max || frame.size % 8 != 0) damaged("corrupt frame size");
    frame_.resize(frame.size / 8);
    if (!fill(frame_.data(), frame.size)) {
        if (ended_) return 0;
        damaged("truncated");
    }
    const auto* bytes = reinterpret_cast<const std::byte*>(frame_.data());
    if (::crc32(0, reinterpret_cast<const Bytef*>(frame_.data()), frame.size) != frame.crc) {
        offset_ = start;
        damaged("wrong frame checksum");
    }

    std::size_t count = 0;
    for (std::size_t at = 0; at < frame.size;) {
        iolens_header head{};
        if (frame.size - at < sizeof head) damaged("truncated record");
        std::memcpy(&head, bytes + at, sizeof head);
        if (head.size < sizeof head || head.size % 8 != 0 || head.size > frame.size - at) {
            damaged("corrupt record size");
        }
        ++count;
        if (head.kind == IOLENS_KIND_LOSS) {
            loss_ = ledger_in({bytes + at, head.size});
        } else if (!receiver.record({bytes + at, head.size})) {
            ended_ = true;
            break;
        }
        at += head.size;
    }
    return count;
}

}  // namespace iolens
