// SPDX-License-Identifier: Apache-2.0
// The recording file format, for writer and reader.
//
//   RecordingHeader, then frames: RecordingFrame, `size` bytes of complete records. The last frame has size 0: without
//   it the recording was truncated. All numbers have the writer's byte order, which is marked in the header.
#pragma once

#include <array>

#include "iolens/event/header.h"

namespace iolens {

inline constexpr std::array<char, 8> recording_magic{'I', 'O', 'L', 'E', 'N', 'S', '\r', '\n'};
inline constexpr u32 recording_byte_order = 0x01020304;
/// Incremented for incompatible changes only: appended fields and new kinds are compatible.
inline constexpr u32 recording_version = 1;
inline constexpr u32 recording_frame_max = 1 << 20;

struct RecordingHeader {
    std::array<char, 8> magic = recording_magic;
    u32 byte_order = recording_byte_order;
    u32 version = recording_version;
    u64 wall_offset_ns = 0;         ///< add to an event's time to get nanoseconds since 1970
    std::array<char, 16> lens{};    ///< the lens that recorded it
    std::array<char, 64> kernel{};  ///< uname -r
    u32 crc = 0;                    ///< zlib's crc32 of all preceding bytes
    u32 reserved = 0;
};
static_assert(sizeof(RecordingHeader) == 112);

struct RecordingFrame {
    u32 size = 0;
    u32 crc = 0;  ///< zlib's crc32 of the bytes that follow; 0 in the end frame
};
static_assert(sizeof(RecordingFrame) == 8);

}  // namespace iolens
