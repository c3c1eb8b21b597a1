// SPDX-License-Identifier: Apache-2.0
#include "lens/file/io_profile.h"

#include <fmt/format.h>

#include <cmath>
#include <cstdlib>

namespace iolens {
namespace {

/// The nearest number to a time in seconds, as float("12.345678901") is.
double seconds_of(u64 ns) {
    constexpr u64 second = 1'000'000'000;
    return std::strtod(fmt::format("{}.{:09}", ns / second, ns % second).c_str(), nullptr);
}

/// round(number, 4)
double rounded(double number) { return std::strtod(fmt::format("{:.4f}", number).c_str(), nullptr); }

}  // namespace

std::string python_number(double number) {
    std::string text = fmt::format("{}", number);
    if (text.find_first_of(".e") == std::string::npos) text += ".0";
    return text;
}

void IoProfile::add(const iolens_vfs_event& e) {
    const u64 unit = e.level == IOLENS_LEVEL_BLK ? 512 : 1;
    const u64 address = vfs_address(e);
    Direction& direction = directions_.at(e.op == IOLENS_VFS_WRITE ? 1 : 0);
    const bool sequential = events_ == 0 || (address - previous_) * unit == previous_bytes_;
    ++(sequential ? direction.sequential : direction.random);
    direction.bytes += e.requested;
    ++sizes_[e.requested];
    if (events_ == 0) first_ns_ = e.start;
    last_ns_ = e.start;
    previous_ = address;
    previous_bytes_ = e.requested;
    ++events_;
}

std::string IoProfile::text(std::string_view level) const {
    if (events_ == 0) return {};
    const auto events = static_cast<double>(events_);
    const double time = seconds_of(last_ns_) - seconds_of(first_ns_);
    const auto bytes = static_cast<double>(directions_[0].bytes + directions_[1].bytes);
    double rate = 0;
    double blocks = 0;
    if (time > 0) {
        // to the nearest integer, ties to even, like round()
        rate = std::nearbyint(bytes / 1024 / time);
        const double ns = std::trunc(1e9 * time);
        if (ns > 0) blocks = std::nearbyint(1e9 * (bytes / 4096) / ns);
    }
    std::string text = fmt::format("---- {} ----\nevents={}\ntime={} dtr={:.0f} iops={:.0f}\n", level, events_,
                                   python_number(time), rate, blocks);
    for (std::size_t i = 0; i < directions_.size(); ++i) {
        const Direction& d = directions_.at(i);
        text += fmt::format("{}: io={} seq={} rand={}\n", i == 0 ? "read" : "write", d.bytes,
                            python_number(rounded(static_cast<double>(d.sequential) / events)),
                            python_number(rounded(static_cast<double>(d.random) / events)));
    }
    text += "size distribution:\n";
    for (const auto& [size, count] : sizes_) {
        const double share = static_cast<double>(count) / events;
        if (share >= 0.01) text += fmt::format("{}\t{:.4f}\n", size, share);
    }
    return text;
}

}  // namespace iolens
