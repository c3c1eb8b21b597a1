// SPDX-License-Identifier: Apache-2.0
// The words that events and sinks share. No event is named here, and nothing here prints.
#pragma once

#include <array>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "iolens/event/header.h"

namespace iolens {

/// What a number counts. The csv and json key carries it (device_ns); a table shows times as seconds or ms.
enum class Unit : u8 { none, nanoseconds, bytes, sectors };

/// What a column means, as far as resolving and printing it go.
enum class Role : u8 {
    // printed as the event has it
    plain,     ///< a number or a word of our own
    time,      ///< CLOCK_BOOTTIME ns of the event
    duration,  ///< nanoseconds
    seconds,   ///< nanoseconds, printed as seconds with six digits everywhere
    name,      ///< bytes from outside: a comm, a path. Never printed raw
    device,    ///< dev_t; printed as major:minor
    error,     ///< errno, 0 = none; printed by name
    // resolved first: see Resolver::value()
    wall,             ///< in: CLOCK_BOOTTIME ns; resolved: nanoseconds since 1970
    clock,            ///< the same, printed as local HH:MM:SS.uuuuuu everywhere
    since,            ///< in: CLOCK_BOOTTIME ns; resolved: ns since the log began
    disk,             ///< in: dev_t (major << 20 | minor); resolved: the disk's name
    comm,             ///< of the event's thread: its name
    uid,              ///< its user
    cgroup,           ///< its cgroup
    container,        ///< the id of its container
    host_pid,         ///< its process's id in the initial pid namespace
    call,             ///< in: system call number; resolved: its name
    file,             ///< the file's path
    file_csv,         ///< the same as a csv field of its own quoting
    file_and_more,    ///< of a block request: the file's path, and " +N" for N others
    author_and_more,  ///< in: a comm; resolved: the same, and "+" where there are other authors
    peer,             ///< the address that a socket is connected to
    local,            ///< a socket's own address
    flags,            ///< in: a call's flags; resolved: their names
    arguments,        ///< what its call was given
    facility,         ///< who measures
    pattern,          ///< made by the lens: S sequential, R random, ? first of its disk
    json,             ///< made by the lens: JSON, which json prints as it is
};
constexpr bool is_resolved(Role role) { return role >= Role::wall; }

/// One cell. `null` is "not known", which is not zero: an empty csv field, json null, `?` or `-` in a table.
class Value {
public:
    enum class Kind : u8 { null, number, text };

    constexpr Value() = default;
    constexpr explicit Value(u64 n) : about_(about(Kind::number, 0, 0)), number_(n) {}

    /// Text that outlives the row (a table of our own, a cache, the record itself).
    constexpr explicit Value(std::string_view s) : about_(about(Kind::text, s.size(), 0)), text_(s.data()) {}

    /// A short text made on the fly, held in the cell itself; cut at 8 bytes.
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

    [[nodiscard]] constexpr Kind kind() const { return static_cast<Kind>(about_ & 0xff); }
    [[nodiscard]] constexpr bool is_null() const { return kind() == Kind::null; }
    /// Without its sign; 0 where it is none.
    [[nodiscard]] constexpr u64 number() const { return kind() == Kind::number ? number_ : 0; }
    [[nodiscard]] constexpr bool is_negative() const { return (about_ & negative) != 0; }
    /// "" where it is none.
    [[nodiscard]] constexpr std::string_view text() const {
        if (kind() != Kind::text) return {};
        return {(about_ & held) != 0 ? small_.data() : text_, about_ >> 32};
    }

private:
    static constexpr std::size_t small_size = 8;
    static constexpr u64 held = 0x100;
    static constexpr u64 negative = 0x200;
    static constexpr u64 about(Kind kind, std::size_t length, u64 flags) {
        return static_cast<u64>(kind) | flags | u64{length} << 32;
    }

    // A row is made of these for every event. Two words are handed over in registers; a larger cell goes through
    // memory, and its wide copy waits for the narrow stores before it: that was half of the time that a row took.
    u64 about_ = 0;  // kind, flags, length of a text
    union {
        u64 number_ = 0;
        const char* text_;
        std::array<char, small_size> small_;
    };
};
static_assert(sizeof(Value) == 16);

/// Column `end`: why an operation has none.
inline Value end_word(bool pending, bool missed) {
    if (pending) return Value(std::string_view("pending"));
    return missed ? Value(std::string_view("missed")) : Value();
}

/// One column of one kind of event: the only place that says its name, unit, width and meaning.
struct Column {
    std::string_view name;    ///< csv and json key, and the word for --columns; ends in the unit
    std::string_view header;  ///< a table's heading
    Unit unit = Unit::none;
    Role role = Role::plain;
    Value::Kind kind = Value::Kind::null;  ///< of its values: declared where a sink needs the column
    int width = 0;                         ///< of a table's cell: negative = left-aligned
    int cut = 0;                           ///< longest text that a table shows; 0 = all of it
    char missing = '-';                    ///< what a table shows for null
    std::string_view help;
    /// Takes the value from a record of the column's own event. The record is at least sizeof(event) long.
    Value (*get)(const iolens_header&) = nullptr;
};

/// One operation as a sink sees it: a value for each selected column, in their order.
using Columns = std::span<const Column* const>;
using Row = std::span<const Value>;

/// The errno of a negative result. A recording may have any number, also the one whose negation overflows.
constexpr u64 negated(s64 result) { return u64{0} - static_cast<u64>(result); }

/// A NUL-terminated or full array of bytes, as text.
template <std::size_t N>
std::string_view text_of(const u8 (&bytes)[N]) {
    const auto* p = reinterpret_cast<const char*>(static_cast<const u8*>(bytes));
    return {p, ::strnlen(p, N)};
}

}  // namespace iolens
