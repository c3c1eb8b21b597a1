// SPDX-License-Identifier: Apache-2.0
#include "resolve/syscalls.h"

#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>

#include "resolve/argument_values.h"

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

/// What an argument of this kind points to: enum iolens_item_kind.
constexpr u8 item_of_kind(char kind) {
    switch (kind) {
        case 'A': return IOLENS_ITEM_ADDRESS;
        case 'R': return IOLENS_ITEM_ADDRESS_BACK;
        case 'M': return IOLENS_ITEM_MESSAGE;
        case 'v': return IOLENS_ITEM_VECTOR;
        case 't': return IOLENS_ITEM_STAT;
        case 'T': return IOLENS_ITEM_STATX;
        case 'i': return IOLENS_ITEM_FDS;
        case 'g': return IOLENS_ITEM_SIGNALS;
        default: return IOLENS_ITEM_NONE;
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
        if (const u8 item = item_of_kind(kind); item != IOLENS_ITEM_NONE) {
            call.info.item = item;
            call.info.item_place = static_cast<u8>(place);
        }
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
    uring(IOLENS_URING_UNKNOWN, "io_uring:unknown", IOLENS_OPERATION_NONE),
};

constexpr std::array<u16, IOLENS_CALLS> by_id = [] {
    std::array<u16, IOLENS_CALLS> places{};
    places.fill(IOLENS_CALLS);
    for (std::size_t i = 0; i < known.size(); ++i) places.at(known[i].id) = static_cast<u16>(i);
    return places;
}();

char kind_of_flags(const Syscall& call) {
    char kind = 'x';
    each_argument(call.arguments, [&](unsigned place, std::string_view, char argument_kind) {
        if (place + 1 == call.info.flags) kind = argument_kind;
    });
    return kind;
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
                      std::span<const std::string_view, IOLENS_CALL_ARGUMENTS> texts, u8 single,
                      std::span<const ArgumentItem, IOLENS_CALL_ARGUMENTS> items) {
    bool creates = true;                   // open has a mode only if it creates a file
    const ArgumentItem* before = nullptr;  // of the argument before
    each_argument(call.arguments, [&](unsigned place, std::string_view, char kind) {
        const ArgumentItem& item = items[place];
        if (kind == 'F') creates = (values[place] & (O_CREAT | (O_TMPFILE & ~O_DIRECTORY))) != 0;
        if (kind == 'o' && !creates) return;
        if (place != 0) out += ", ";
        if (kind == 'a' && (texts[place].data() != nullptr || item.kind == IOLENS_ITEM_STRINGS)) {
            append_strings(out, texts[place], (single >> place & 1) != 0, item);
        } else if (texts[place].data() != nullptr) {
            append_quoted(out, texts[place]);
        } else if (item.kind != IOLENS_ITEM_NONE) {
            append_item(out, item, values[place]);
        } else if (before != nullptr && before->kind == IOLENS_ITEM_ADDRESS_BACK) {
            append_lengths(out, *before);
        } else {
            append_value(out, kind, values[place]);
        }
        before = &item;
    });
}

}  // namespace iolens
