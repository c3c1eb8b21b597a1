// SPDX-License-Identifier: Apache-2.0
#include "resolve/syscalls.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <csignal>
#include <cstring>

#include "base/text.h"

namespace iolens {
namespace {

/// Calls name() and kind() for each "name:kind" in turn, with its index from 0.
template <typename Each>
constexpr void each_argument(std::string_view arguments, Each&& each) {
    unsigned place = 0;
    while (!arguments.empty()) {
        const std::size_t end = std::min(arguments.find(' '), arguments.size());
        const std::string_view item = arguments.substr(0, end);
        each(place++, item.substr(0, item.size() - 2), item.back());
        arguments.remove_prefix(std::min(end + 1, arguments.size()));
    }
}

constexpr Syscall make_call(u16 id, u16 number, std::string_view name, iolens_call_shape shape,
                            iolens_direction direction, std::string_view arguments, iolens_operation operation) {
    Syscall call{id, number, name, {}, arguments, static_cast<u8>(operation)};
    call.info.id = id;
    call.info.shape = static_cast<u8>(shape);
    call.info.direction = static_cast<u8>(direction);
    each_argument(arguments, [&](unsigned place, std::string_view word, char kind) {
        if (kind == 'p' || kind == 's' || kind == 'a') call.info.texts = static_cast<u8>(call.info.texts | 1U << place);
        if (kind == 'a') call.info.vectors = static_cast<u8>(call.info.vectors | 1U << place);
        const bool flags = word == "flags" || kind == 'F' || kind == 'P' || kind == 'w' || kind == 'c';
        if (flags && call.info.flags == 0) call.info.flags = static_cast<u8>(place + 1);
    });
    return call;
}

#if defined(__x86_64__)
#define IOLENS_CALL_NUMBER(id, arm64) id
#elif defined(__aarch64__)
#define IOLENS_CALL_NUMBER(id, arm64) arm64
#endif
#define IOLENS_CALL(id, arm64, name, shape, direction, arguments, operation)                                     \
    make_call(id, IOLENS_CALL_NUMBER(id, arm64), #name, IOLENS_SHAPE_##shape, IOLENS_DIR_##direction, arguments, \
              IOLENS_OPERATION_##operation),
constexpr u16 NONE [[maybe_unused]] = IOLENS_CALLS;  // NOLINT(readability-identifier-naming): a word of the table
constexpr auto known = std::to_array<Syscall>({
#include "resolve/syscall_table.h"
});
#undef IOLENS_CALL
#undef IOLENS_CALL_NUMBER

constexpr u8 reads = IOLENS_REQUEST_READS;
constexpr u8 writes = IOLENS_REQUEST_WRITES;
constexpr u8 moves = IOLENS_REQUEST_MOVES;
constexpr u8 pieces = IOLENS_REQUEST_VECTOR;
constexpr u8 new_fd = IOLENS_REQUEST_NEW_FD;
constexpr u8 names = IOLENS_REQUEST_NAMES;
constexpr KnownRequest aio(u16 opcode, std::string_view name, iolens_operation operation, unsigned what = 0) {
    return {static_cast<u16>(IOLENS_CALL_AIO + opcode), name, static_cast<u8>(what), static_cast<u8>(operation)};
}
constexpr KnownRequest uring(u16 opcode, std::string_view name, iolens_operation operation, unsigned what = 0) {
    return {static_cast<u16>(IOLENS_CALL_URING + opcode), name, static_cast<u8>(what), static_cast<u8>(operation)};
}
// include/uapi/linux/aio_abi.h and include/uapi/linux/io_uring.h: the numbers never change
constexpr std::array requests{
    aio(0, "aio:pread", IOLENS_OPERATION_READ, reads | moves),
    aio(1, "aio:pwrite", IOLENS_OPERATION_WRITE, writes | moves),
    aio(2, "aio:fsync", IOLENS_OPERATION_SYNC),
    aio(3, "aio:fdsync", IOLENS_OPERATION_SYNC),
    aio(5, "aio:poll", IOLENS_OPERATION_NONE),
    aio(7, "aio:preadv", IOLENS_OPERATION_READ, reads | moves | pieces),
    aio(8, "aio:pwritev", IOLENS_OPERATION_WRITE, writes | moves | pieces),
    uring(1, "io_uring:readv", IOLENS_OPERATION_READ, reads | moves | pieces),
    uring(2, "io_uring:writev", IOLENS_OPERATION_WRITE, writes | moves | pieces),
    uring(3, "io_uring:fsync", IOLENS_OPERATION_SYNC),
    uring(4, "io_uring:read_fixed", IOLENS_OPERATION_READ, reads | moves),
    uring(5, "io_uring:write_fixed", IOLENS_OPERATION_WRITE, writes | moves),
    uring(6, "io_uring:poll_add", IOLENS_OPERATION_NONE),
    uring(8, "io_uring:sync_file_range", IOLENS_OPERATION_SYNC),
    uring(9, "io_uring:sendmsg", IOLENS_OPERATION_WRITE, writes),
    uring(10, "io_uring:recvmsg", IOLENS_OPERATION_READ, reads),
    uring(13, "io_uring:accept", IOLENS_OPERATION_ACCEPT, new_fd),
    uring(16, "io_uring:connect", IOLENS_OPERATION_CONNECT),
    uring(17, "io_uring:fallocate", IOLENS_OPERATION_ALLOCATE),
    uring(18, "io_uring:openat", IOLENS_OPERATION_OPEN, new_fd),
    uring(19, "io_uring:close", IOLENS_OPERATION_CLOSE),
    uring(21, "io_uring:statx", IOLENS_OPERATION_STAT, names),
    uring(22, "io_uring:read", IOLENS_OPERATION_READ, reads | moves),
    uring(23, "io_uring:write", IOLENS_OPERATION_WRITE, writes | moves),
    uring(26, "io_uring:send", IOLENS_OPERATION_WRITE, writes),
    uring(27, "io_uring:recv", IOLENS_OPERATION_READ, reads),
    uring(28, "io_uring:openat2", IOLENS_OPERATION_OPEN, new_fd),
    uring(30, "io_uring:splice", IOLENS_OPERATION_WRITE, writes),
    uring(33, "io_uring:tee", IOLENS_OPERATION_WRITE, writes),
    uring(34, "io_uring:shutdown", IOLENS_OPERATION_NONE),
    uring(35, "io_uring:renameat", IOLENS_OPERATION_RENAME, names),
    uring(36, "io_uring:unlinkat", IOLENS_OPERATION_UNLINK, names),
    uring(37, "io_uring:mkdirat", IOLENS_OPERATION_MKDIR, names),
    uring(38, "io_uring:symlinkat", IOLENS_OPERATION_LINK, names),
    uring(39, "io_uring:linkat", IOLENS_OPERATION_LINK, names),
    uring(41, "io_uring:fsetxattr", IOLENS_OPERATION_SETXATTR, names),
    uring(42, "io_uring:setxattr", IOLENS_OPERATION_SETXATTR, names),
    uring(43, "io_uring:fgetxattr", IOLENS_OPERATION_GETXATTR, names),
    uring(44, "io_uring:getxattr", IOLENS_OPERATION_GETXATTR, names),
    uring(45, "io_uring:socket", IOLENS_OPERATION_SOCKET, new_fd),
    uring(47, "io_uring:send_zc", IOLENS_OPERATION_WRITE, writes),
    uring(48, "io_uring:sendmsg_zc", IOLENS_OPERATION_WRITE, writes),
    uring(49, "io_uring:read_multishot", IOLENS_OPERATION_READ, reads),
    uring(55, "io_uring:ftruncate", IOLENS_OPERATION_TRUNCATE),
    uring(56, "io_uring:bind", IOLENS_OPERATION_BIND),
    uring(57, "io_uring:listen", IOLENS_OPERATION_LISTEN),
    uring(58, "io_uring:recv_zc", IOLENS_OPERATION_READ, reads),
    uring(60, "io_uring:readv_fixed", IOLENS_OPERATION_READ, reads | moves | pieces),
    uring(61, "io_uring:writev_fixed", IOLENS_OPERATION_WRITE, writes | moves | pieces),
};

constexpr std::array<u16, IOLENS_CALLS> by_id = [] {
    std::array<u16, IOLENS_CALLS> places{};
    places.fill(IOLENS_CALLS);
    for (std::size_t i = 0; i < known.size(); ++i) places.at(known[i].id) = static_cast<u16>(i);
    return places;
}();

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
constexpr std::array fcntl_names{Bit{F_DUPFD, "F_DUPFD"},   Bit{F_GETFD, "F_GETFD"},      Bit{F_SETFD, "F_SETFD"},
                                 Bit{F_GETFL, "F_GETFL"},   Bit{F_SETFL, "F_SETFL"},      Bit{F_GETLK, "F_GETLK"},
                                 Bit{F_SETLK, "F_SETLK"},   Bit{F_SETLKW, "F_SETLKW"},    Bit{F_SETOWN, "F_SETOWN"},
                                 Bit{F_GETOWN, "F_GETOWN"}, Bit{36, "F_OFD_GETLK"},       Bit{37, "F_OFD_SETLK"},
                                 Bit{38, "F_OFD_SETLKW"},   Bit{1024, "F_SETLEASE"},      Bit{1025, "F_GETLEASE"},
                                 Bit{1026, "F_NOTIFY"},     Bit{1030, "F_DUPFD_CLOEXEC"}, Bit{1031, "F_SETPIPE_SZ"},
                                 Bit{1032, "F_GETPIPE_SZ"}, Bit{1033, "F_ADD_SEALS"},     Bit{1034, "F_GET_SEALS"}};
constexpr std::array<std::string_view, 4> access_modes{"O_RDONLY", "O_WRONLY", "O_RDWR", "O_ACCMODE"};
constexpr std::array<std::string_view, 5> whences{"SEEK_SET", "SEEK_CUR", "SEEK_END", "SEEK_DATA", "SEEK_HOLE"};

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

/// Appends a C string literal, followed by "…" if it was truncated.
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

char kind_of_flags(const Syscall& call) {
    char kind = 'x';
    each_argument(call.arguments, [&](unsigned place, std::string_view, char argument_kind) {
        if (place + 1 == call.info.flags) kind = argument_kind;
    });
    return kind;
}

/// A flag by its name, or a number as strace prints it.
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

}  // namespace

std::span<const Syscall> syscalls() { return known; }

const Syscall* find_syscall(u64 id) {
    return id < by_id.size() && by_id[id] < known.size() ? &known[by_id[id]] : nullptr;
}

std::span<const KnownRequest> known_requests() { return requests; }

const KnownRequest* find_request(u64 id) {
    const auto* it = std::ranges::lower_bound(requests, id, {}, &KnownRequest::id);
    return it != requests.end() && it->id == id ? it : nullptr;
}

std::string_view syscall_name(u64 id) {
    if (id == IOLENS_CALL_FAULT) return fault_name;
    if (const Syscall* call = find_syscall(id)) return call->name;
    const KnownRequest* request = find_request(id);
    return request != nullptr ? request->name : std::string_view();
}

bool makes_fds(u64 id) {
    if (const KnownRequest* request = find_request(id)) return (request->what & IOLENS_REQUEST_NEW_FD) != 0;
    const Syscall* call = find_syscall(id);
    if (call == nullptr) return false;
    return call->info.shape == IOLENS_SHAPE_NEW_FD || call->info.shape == IOLENS_SHAPE_PAIR ||
           call->info.shape == IOLENS_SHAPE_PAIR_FIRST;
}

void append_flags(std::string& out, const Syscall& call, u64 flags) { append_value(out, kind_of_flags(call), flags); }

std::optional<u64> flags_of(const Syscall& call, std::string_view text) {
    const char kind = kind_of_flags(call);
    if (kind == 'w') {
        const auto* it = std::ranges::find(whences, text);
        if (it != whences.end()) return static_cast<u64>(it - whences.begin());
    }
    if (text == "AT_EMPTY_PATH") return AT_EMPTY_PATH;
    u64 flags = 0;
    while (true) {
        const std::size_t end = std::min(text.find('|'), text.size());
        const std::optional<u64> bits = flag_named(kind, text.substr(0, end));
        if (!bits) return {};
        flags |= *bits;
        if (end == text.size()) return flags;
        text.remove_prefix(end + 1);
    }
}

iolens_call_info traced_as(const Syscall& call) {
    iolens_call_info info = call.info;
    if (info.shape != IOLENS_SHAPE_OTHER) return info;
    if (call.arguments.starts_with("fd:f")) info.shape = IOLENS_SHAPE_FD;
    if (takes_directory(call)) info.shape = IOLENS_SHAPE_AT;
    return info;
}

void append_arguments(std::string& out, const Syscall& call, std::span<const u64, IOLENS_CALL_ARGUMENTS> values,
                      std::span<const std::string_view, IOLENS_CALL_ARGUMENTS> texts, u8 single) {
    bool creates = true;  // open has a mode only if it creates a file
    each_argument(call.arguments, [&](unsigned place, std::string_view, char kind) {
        if (kind == 'F') creates = (values[place] & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0;
        if (kind == 'o' && !creates) return;
        if (place != 0) out += ", ";
        if (texts[place].data() != nullptr && kind == 'a') {
            out += '[';
            append_quoted(out, texts[place]);
            out += (single >> place & 1) != 0 ? "]" : ", ...]";
        } else if (texts[place].data() != nullptr) {
            append_quoted(out, texts[place]);
        } else {
            append_value(out, kind, values[place]);
        }
    });
}

}  // namespace iolens
