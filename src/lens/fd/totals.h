// SPDX-License-Identifier: Apache-2.0
// Totals of the fd lens.
#pragma once

#include <array>
#include <deque>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>

#include "iolens/event/call.h"
#include "lens/lens.h"
#include "stats/histogram.h"

namespace iolens {

/// Calls, bytes and time in one direction.
struct MovedTotals {
    u64 calls = 0;
    u64 bytes = 0;
    u64 time_ns = 0;
    void add(const iolens_call_event& e);
};

/// The call with its peer as IPv4, if that is an IPv4 address in IPv6 (::ffff:192.0.2.1): the same peer.
iolens_call_event with_ipv4(const iolens_call_event& e);

/// Per file or peer: `--summary`. Reads and writes are one row, each other call has its own.
class FileTotals {
public:
    /// `name` is the text of the file column.
    void add(const iolens_call_event& e, std::string_view name);
    [[nodiscard]] Summary summary() const;

private:
    struct Times {
        u64 calls = 0;
        u64 errors = 0;
        u64 time_ns = 0;
        SmallHistogram times;
        void add(const iolens_call_event& e);
        void add(const Times& other);
    };
    struct Totals {
        u64 opens = 0;
        std::array<MovedTotals, 2> moved;         // read, write
        Times moving;                             // of both
        std::deque<std::pair<u16, Times>> calls;  // the others, by call: a few, most of them seen at once
        Times& times_of(u16 call);
    };
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
    };
    Totals& totals_of(std::string_view file);

    std::unordered_map<std::string, std::unique_ptr<Totals>, TextHash, std::equal_to<>> totals_;
};

/// Per open file, from its open (or the first call seen on it) to its close: `--summary=open`.
class OpenTotals {
public:
    void add(const iolens_call_event& e, std::string_view name);
    [[nodiscard]] Summary summary() const;

private:
    struct Open {
        std::string name;
        u32 tid = 0;
        u32 host_tid = 0;
        u32 fds = 1;        // fds of the opening process that refer to it
        u64 opened_ns = 0;  // 0: before tracing
        u64 closed_ns = 0;  // 0: not yet
        u64 errors = 0;
        std::array<MovedTotals, 2> moved;
    };
    Open& find(const iolens_call_event& e, std::string_view name);

    std::deque<Open> all_;                 // in the order of their opens
    std::unordered_map<u64, Open*> open_;  // by open_id
    u64 not_listed_ = 0;
};

}  // namespace iolens
