// SPDX-License-Identifier: Apache-2.0
// Types shared by events and sinks. Nothing here depends on an event or does any output.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

/// Unit of a number. CSV and JSON keys carry it (device_ns); tables show times as seconds or ms.
enum class Unit : u8 { none, nanoseconds, bytes, sectors };

/// How a column is resolved and printed.
enum class Role : u8 {
    // printed as stored in the event
    plain,     /// a number or a fixed word
    time,      ///< CLOCK_BOOTTIME ns of the event
    duration,  ///< nanoseconds
    seconds,   /// nanoseconds; always printed as seconds with six decimals
    name,      /// untrusted bytes: a comm, a path. Never printed raw
    device,    ///< dev_t; printed as major:minor
    error,     ///< errno, 0 = none; printed by name
    // resolved first: see Resolver::value()
    wall,             ///< in: CLOCK_BOOTTIME ns; resolved: nanoseconds since 1970
    clock,            /// likewise; always printed as local HH:MM:SS.uuuuuu
    since,            /// in: CLOCK_BOOTTIME ns; resolved: ns since the start of the log
    disk,             ///< in: dev_t (major << 20 | minor); resolved: the disk's name
    partition,        ///< in: its number; resolved: its name
    comm,             /// name of the event's thread
    uid,              /// its user ID
    cgroup,           /// its cgroup
    container,        /// its container ID
    host_pid,         /// its process ID in the initial pid namespace
    call,             ///< in: system call number; resolved: its name
    file,             /// path of the file
    file_csv,         /// likewise, as a CSV field with its own quoting
    file_and_more,    /// of a block request: path of the file, and " +N" for N other targets
    author_and_more,  /// in: a comm; resolved: the same, with "+" if there are other authors
    peer,             /// peer address of a socket
    local,            /// local address of a socket
    flags,            /// in: flags of a call; resolved: their names
    arguments,        /// arguments of the call
    facility,         /// facility ID
    pattern,          /// computed by the lens: S sequential, R random, ? first on its disk
    json,             /// built by the lens: JSON, printed verbatim
};
constexpr bool is_resolved(Role role) { return role >= Role::wall; }

/// One cell. `null` means "unknown", which is not zero: an empty CSV field, JSON null, `?` or `-` in a table.
class Value {
public:
    enum class Kind : u8 { null, number, text };

    constexpr Value() = default;
    constexpr explicit Value(u64 n) : about_(about(Kind::number, 0, 0)), number_(n) {}

    /// Text that outlives the row (a static table, a cache, the record itself).
    constexpr explicit Value(std::string_view s) : about_(about(Kind::text, s.size(), 0)), text_(s.data()) {}

    /// A short text built on the fly and stored in the cell itself; truncated to 8 bytes.
    static constexpr Value small(std::string_view s) {
        s = s.substr(0, small_size);
        std::array<char, small_size> bytes{};
        for (std::size_t i = 0; i < s.size(); ++i) bytes[i] = s[i];
        Value v;
        v.about_ = about(Kind::text, s.size(), held);
        v.small_ = bytes;
        return v;
    }

    /// A number that may be negative.
    static constexpr Value signed_number(s64 n) {
        if (n >= 0) return Value(static_cast<u64>(n));
        Value v(~static_cast<u64>(n) + 1);
        v.about_ |= negative;
        return v;
    }

    /// A number that a table shows in hexadecimal or octal.
    [[nodiscard]] constexpr Value in_base(u64 base) const {
        Value v = *this;
        v.about_ |= base == 16 ? hexadecimal : octal;
        return v;
    }

    [[nodiscard]] constexpr Kind kind() const { return static_cast<Kind>(about_ & 0xff); }
    [[nodiscard]] constexpr bool is_null() const { return kind() == Kind::null; }
    /// Absolute value; 0 if not a number.
    [[nodiscard]] constexpr u64 number() const { return kind() == Kind::number ? number_ : 0; }
    [[nodiscard]] constexpr bool is_negative() const { return (about_ & negative) != 0; }
    /// 10, 16 or 8: that of a number in a table.
    [[nodiscard]] constexpr u64 base() const {
        return (about_ & hexadecimal) != 0 ? 16 : (about_ & octal) != 0 ? 8 : 10;
    }
    /// "" if not text.
    [[nodiscard]] constexpr std::string_view text() const {
        if (kind() != Kind::text) return {};
        return {(about_ & held) != 0 ? small_.data() : text_, about_ >> 32};
    }

private:
    static constexpr std::size_t small_size = 8;
    static constexpr u64 held = 0x100;
    static constexpr u64 negative = 0x200;
    static constexpr u64 hexadecimal = 0x400;
    static constexpr u64 octal = 0x800;
    static constexpr u64 about(Kind kind, std::size_t length, u64 flags) {
        return static_cast<u64>(kind) | flags | u64{length} << 32;
    }

    // Each event creates a row of these. Two words are passed in registers; a larger cell goes through memory, and its
    // wide copy stalls on the preceding narrow stores: that was half of the time per row.
    u64 about_ = 0;  // kind, flags, text length
    union {
        u64 number_ = 0;
        const char* text_;
        std::array<char, small_size> small_;
    };
};
static_assert(sizeof(Value) == 16);

/// Column `end`: why the end of an operation is unknown.
inline Value end_word(bool pending, bool missed) {
    if (pending) return Value(std::string_view("pending"));
    return missed ? Value(std::string_view("missed")) : Value();
}

/// One column of an event: the single place that defines its name, unit, width and meaning.
struct Column {
    std::string_view name;    /// CSV and JSON key, and the name for --columns; ends in the unit
    std::string_view header;  /// table heading
    Unit unit = Unit::none;
    Role role = Role::plain;
    Value::Kind kind = Value::Kind::null;  /// of its values: set if a sink needs the column
    int width = 0;                         /// of a table cell: negative = left-aligned
    int cut = 0;                           /// longest text shown in a table; 0 = no limit
    char missing = '-';                    /// shown for null in a table
    std::string_view help;
    /// Extracts the value from a record of the column's event. The record is at least sizeof(event) bytes long.
    Value (*get)(const iolens_header&) = nullptr;
};

/// One operation as passed to a sink: a value for each selected column, in order.
using Columns = std::span<const Column* const>;
using Row = std::span<const Value>;

/// The errno of a negative result. A recording may contain any number, including the one whose negation overflows.
constexpr u64 negated(s64 result) { return u64{0} - static_cast<u64>(result); }

/// An array of bytes, NUL-terminated or full, as text.
template <std::size_t N>
std::string_view text_of(const u8 (&bytes)[N]) {
    const auto* p = reinterpret_cast<const char*>(static_cast<const u8*>(bytes));
    return {p, ::strnlen(p, N)};
}

}  // namespace iolens
