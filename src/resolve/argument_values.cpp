// SPDX-License-Identifier: Apache-2.0
#include "resolve/argument_values.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>
#include <span>

#include "base/text.h"
#include "iolens/event/arguments.h"

namespace iolens {
namespace {

struct Bit {
    u64 bits;
    std::string_view name;
};
// glibc defines it as 0 if every file may be large
#if defined(__aarch64__)
constexpr u64 large_file = 0400000;
#else
constexpr u64 large_file = 0100000;
#endif
// flags that include others come first
constexpr std::array open_bits{
    Bit{O_TMPFILE, "O_TMPFILE"},   Bit{O_SYNC, "O_SYNC"},          Bit{O_DSYNC, "O_DSYNC"},
    Bit{O_CREAT, "O_CREAT"},       Bit{O_EXCL, "O_EXCL"},          Bit{O_NOCTTY, "O_NOCTTY"},
    Bit{O_TRUNC, "O_TRUNC"},       Bit{O_APPEND, "O_APPEND"},      Bit{O_NONBLOCK, "O_NONBLOCK"},
    Bit{O_DIRECT, "O_DIRECT"},     Bit{large_file, "O_LARGEFILE"}, Bit{O_DIRECTORY, "O_DIRECTORY"},
    Bit{O_NOFOLLOW, "O_NOFOLLOW"}, Bit{O_NOATIME, "O_NOATIME"},    Bit{O_CLOEXEC, "O_CLOEXEC"},
    Bit{O_PATH, "O_PATH"},         Bit{O_ASYNC, "O_ASYNC"}};
constexpr std::array protection_bits{Bit{PROT_READ, "PROT_READ"}, Bit{PROT_WRITE, "PROT_WRITE"},
                                     Bit{PROT_EXEC, "PROT_EXEC"}};
// include/linux/socket.h
constexpr std::array message_bits{Bit{0x1, "MSG_OOB"},
                                  Bit{0x2, "MSG_PEEK"},
                                  Bit{0x4, "MSG_DONTROUTE"},
                                  Bit{0x8, "MSG_CTRUNC"},
                                  Bit{0x10, "MSG_PROBE"},
                                  Bit{0x20, "MSG_TRUNC"},
                                  Bit{0x40, "MSG_DONTWAIT"},
                                  Bit{0x80, "MSG_EOR"},
                                  Bit{0x100, "MSG_WAITALL"},
                                  Bit{0x200, "MSG_FIN"},
                                  Bit{0x400, "MSG_SYN"},
                                  Bit{0x800, "MSG_CONFIRM"},
                                  Bit{0x1000, "MSG_RST"},
                                  Bit{0x2000, "MSG_ERRQUEUE"},
                                  Bit{0x4000, "MSG_NOSIGNAL"},
                                  Bit{0x8000, "MSG_MORE"},
                                  Bit{0x10000, "MSG_WAITFORONE"},
                                  Bit{0x40000, "MSG_BATCH"},
                                  Bit{0x80000, "MSG_NO_SHARED_FRAGS"},
                                  Bit{0x2000000, "MSG_SOCK_DEVMEM"},
                                  Bit{0x4000000, "MSG_ZEROCOPY"},
                                  Bit{0x20000000, "MSG_FASTOPEN"},
                                  Bit{0x40000000, "MSG_CMSG_CLOEXEC"}};
constexpr std::array fcntl_names{
    Bit{F_DUPFD, "F_DUPFD"},   Bit{F_GETFD, "F_GETFD"},   Bit{F_SETFD, "F_SETFD"},  Bit{F_GETFL, "F_GETFL"},
    Bit{F_SETFL, "F_SETFL"},   Bit{F_GETLK, "F_GETLK"},   Bit{F_SETLK, "F_SETLK"},  Bit{F_SETLKW, "F_SETLKW"},
    Bit{F_SETOWN, "F_SETOWN"}, Bit{F_GETOWN, "F_GETOWN"}, Bit{12, "F_GETLK64"},     Bit{13, "F_SETLK64"},
    Bit{14, "F_SETLKW64"},     Bit{36, "F_OFD_GETLK"},    Bit{37, "F_OFD_SETLK"},   Bit{38, "F_OFD_SETLKW"},
    Bit{1024, "F_SETLEASE"},   Bit{1025, "F_GETLEASE"},   Bit{1026, "F_NOTIFY"},    Bit{1030, "F_DUPFD_CLOEXEC"},
    Bit{1031, "F_SETPIPE_SZ"}, Bit{1032, "F_GETPIPE_SZ"}, Bit{1033, "F_ADD_SEALS"}, Bit{1034, "F_GET_SEALS"}};
constexpr std::array<std::string_view, 4> access_modes{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};

/// Appends the names of the bits that are set, after `first` if that isn't empty; unknown bits as a number.
void append_bits(std::string& out, u64 value, std::span<const Bit> bits, std::string_view first) {
    std::string_view separator = first.empty() ? "" : "|";
    out += first;
    for (const Bit& bit : bits) {
        if ((value & bit.bits) != bit.bits) continue;
        (out += separator) += bit.name;
        separator = "|";
        value &= ~bit.bits;
    }
    if (value != 0 || separator.empty()) out += fmt::format("{}{:#x}", separator, value);
}

}  // namespace

void append_quoted(std::string& out, std::string_view text) {
    out += '"';
    for (const char c : visible(text)) {
        if (c == '"') out += '\\';
        out += c;
    }
    out += '"';
    if (text.size() >= IOLENS_ARGUMENT_TEXT - 1) out += "…";
}

void append_value(std::string& out, char kind, u64 value) {
    const auto number = static_cast<s32>(value);
    switch (kind) {
        case 'f':
        case 'd': out += std::to_string(number); return;
        case 'D': out += number == AT_FDCWD ? "AT_FDCWD" : std::to_string(number); return;
        case 'u': out += std::to_string(value); return;
        case 'l': out += std::to_string(static_cast<s64>(value)); return;
        case 'o': out += fmt::format("{:#o}", static_cast<u32>(value)); return;
        case 'F': {
            append_bits(out, static_cast<u32>(value) & ~u64{O_ACCMODE}, open_bits, access_modes.at(value & O_ACCMODE));
            return;
        }
        case 'P':
            if (value == 0) {
                out += "PROT_NONE";
            } else {
                append_bits(out, value, protection_bits, "");
            }
            return;
        case 'm':
            if (value == 0) break;
            append_bits(out, static_cast<u32>(value), message_bits, "");
            return;
        case 'w':
            if (value < whences.size()) {
                out += whences.at(value);
                return;
            }
            break;
        case 'c': {
            const auto* it = std::ranges::find(fcntl_names, value, &Bit::bits);
            if (it != fcntl_names.end()) {
                out += it->name;
                return;
            }
            break;
        }
        case 'S': {
            const char* name = ::sigabbrev_np(number);
            out += name != nullptr ? "SIG" + std::string(name) : std::to_string(number);
            return;
        }
        case 'A':
        case 'M':
        case 'R':
        case 'T':
        case 'i':
        case 't':
        case 'v':
        case '*':
        case 'a':
        case 'p':
        case 's':
            if (value == 0) {
                out += "NULL";
                return;
            }
            break;
        default: break;
    }
    out += value == 0 ? "0" : fmt::format("{:#x}", value);
}

std::optional<u64> flag_named(char kind, std::string_view name) {
    if (!name.empty() && name[0] >= '0' && name[0] <= '9') {
        const bool hexadecimal = name.starts_with("0x");
        u64 n = 0;
        const char* const end = name.data() + name.size();
        const auto [rest, error] = std::from_chars(name.data() + (hexadecimal ? 2 : 0), end, n,
                                                   hexadecimal      ? 16
                                                   : name[0] == '0' ? 8
                                                                    : 10);
        return error == std::errc() && rest == end ? std::optional(n) : std::nullopt;
    }
    std::span<const Bit> bits;
    switch (kind) {
        case 'F':
            for (const u64 access : {u64{O_RDONLY}, u64{O_WRONLY}, u64{O_RDWR}}) {
                if (name == access_modes.at(access)) return access;
            }
            bits = open_bits;
            break;
        case 'P':
            if (name == "PROT_NONE") return 0;
            bits = protection_bits;
            break;
        case 'm': bits = message_bits; break;
        case 'c': bits = fcntl_names; break;
        default: return {};
    }
    const auto it = std::ranges::find(bits, name, &Bit::name);
    return it == bits.end() ? std::nullopt : std::optional(it->bits);
}

}  // namespace iolens
