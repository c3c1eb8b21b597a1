// SPDX-License-Identifier: Apache-2.0
// The records of a call of a log: its arguments, and an event for each file that it moves bytes from or to.
#include <sys/socket.h>

#include <algorithm>
#include <span>

#include "base/record.h"
#include "import/name_map.h"
#include "import/strace_import.h"
#include "import/strace_value.h"
#include "iolens/event/operation.h"

namespace iolens {
namespace {

/// Also finds calls that have other names on other architectures or kernel versions.
const Syscall* syscall_named(std::string_view name) {
    static const NameMap<const Syscall*> all = [] {
        NameMap<const Syscall*> names;
        for (const Syscall& call : syscalls()) {
            if (call.name != "restart_syscall") names.add(call.name, &call);
        }
        constexpr std::pair<std::string_view, std::string_view> others[] = {{"send", "sendto"},
                                                                            {"recv", "recvfrom"},
                                                                            {"_llseek", "lseek"},
                                                                            {"llseek", "lseek"},
                                                                            {"fcntl64", "fcntl"},
                                                                            {"mmap2", "mmap"},
                                                                            {"old_mmap", "mmap"},
                                                                            {"sendfile64", "sendfile"},
                                                                            {"ftruncate64", "ftruncate"},
                                                                            {"truncate64", "truncate"},
                                                                            {"pread", "pread64"},
                                                                            {"pwrite", "pwrite64"},
                                                                            {"fstat64", "fstat"},
                                                                            {"stat64", "stat"},
                                                                            {"lstat64", "lstat"},
                                                                            {"fstatat64", "newfstatat"},
                                                                            {"statfs64", "statfs"},
                                                                            {"fstatfs64", "fstatfs"},
                                                                            {"fadvise64_64", "fadvise64"},
                                                                            {"sync_file_range2", "sync_file_range"},
                                                                            {"umount", "umount2"},
                                                                            {"recvmmsg_time64", "recvmmsg"},
                                                                            {"getdents32", "getdents"},
                                                                            {"clone2", "clone"},
                                                                            {"_newselect", "select"},
                                                                            {"timerfd", "timerfd_create"},
                                                                            {"utimensat_time64", "utimensat"}};
        for (const auto& [other, own] : others) {
            if (const auto* call = names.find(own)) names.add(other, *call);
        }
        return names;
    }();
    const Syscall* const* call = all.find(name);
    return call == nullptr ? nullptr : *call;
}

void set_number(u64& field, u16& flags, iolens_call_flag flag, std::string_view text) {
    // "[4096]" is an offset in the caller's memory, "[4096] => [8192]" one that was advanced
    if (text.starts_with('[')) text.remove_prefix(1);
    const auto number = leading_number(text);
    if (!number) return;
    field = static_cast<u64>(*number);
    flags = static_cast<u16>(flags | flag);
}

void set_peer(iolens_call_event& event, const LoggedAddress& peer) {
    event.family = peer.family;
    event.port = peer.port;
    std::ranges::copy(peer.bytes, static_cast<u8*>(event.peer));
    event.flags |= IOLENS_CALL_HAS_PEER;
}

s32 fd_of(std::string_view given) { return static_cast<s32>(leading_number(given).value_or(-1)); }

constexpr std::string_view cut_mark = "…";

/// At most `max` bytes with cut_mark, which is for a text that is longer; no character is cut in two.
std::string_view cut_text(std::string_view text, std::size_t max) {
    if (text.size() <= max) return text;
    std::size_t size = max - cut_mark.size();
    while (size != 0 && (static_cast<unsigned char>(text[size]) & 0xc0) == 0x80) --size;
    return text.substr(0, size);
}

}  // namespace

/// Emits the arguments, the name and the result of a call as they are in the log. Arguments that are too long for a
/// record are cut.
void StraceImport::send_arguments(const LoggedCall& logged, u16 id, Receiver& receiver) {
    constexpr std::size_t max = IOLENS_PATH_LEN - 1;
    constexpr std::size_t max_name = 64;
    constexpr std::string_view end{"\0", 1};
    iolens_arguments arguments{};
    arguments.tid = logged.tid;
    arguments.call = id;
    arguments.texts = IOLENS_ARGUMENTS_WHOLE;
    arguments.h = {.ts = logged.start_ns, .kind = IOLENS_KIND_ARGUMENTS, .size = 0, .cpu = 0};
    const std::string_view text = cut_text(logged.all_arguments, max);
    const std::string_view mark = text.size() == logged.all_arguments.size() ? std::string_view() : cut_mark;
    set_record(record_, arguments,
               {text, mark, end, logged.name.substr(0, max_name), end, logged.result_text.substr(0, max_name), end});
    const auto bytes = std::as_writable_bytes(std::span(record_));
    if (text.find('\0') != std::string_view::npos) {
        std::ranges::replace(bytes.subspan(sizeof arguments, text.size()), std::byte{0}, std::byte{' '});
    }
    receiver.record(bytes);
}

void StraceImport::send_side(const LoggedCall& logged, iolens_call_event event, std::string_view fd, LoggedFile& file,
                             Receiver& receiver) {
    event.fd = fd_of(fd);
    event.file = file.kind;
    event.ino = file.ino;
    event.open_id = file.open_id;
    if (file.peer && (event.flags & IOLENS_CALL_HAS_PEER) == 0) set_peer(event, *file.peer);
    // a peer address that only this call shows
    if (file.kind != IOLENS_FILE_REGULAR && (event.flags & IOLENS_CALL_HAS_PEER) == 0 &&
        logged.all_arguments.find("{sa_family=") != std::string_view::npos) {
        std::string path;
        const auto address = address_of(logged.all_arguments, path);
        const bool of_call = logged.name != "bind" && logged.name != "getsockname";
        if (address && of_call && (address->family == AF_INET || address->family == AF_INET6)) {
            event.file = IOLENS_FILE_SOCKET;
            set_peer(event, *address);
        } else if (address && of_call && address->family == AF_UNIX && !path.empty() &&
                   event.direction != IOLENS_DIR_NONE && !file.is_path) {
            LoggedFile named;
            named.kind = IOLENS_FILE_SOCKET;
            named.name = std::move(path);
            named.is_path = true;
            event.file = IOLENS_FILE_SOCKET;
            event.name_id = add_name(named, receiver);
            deliver(event, receiver);
            return;
        }
    }
    event.name_id = add_name(file, receiver);
    deliver(event, receiver);
}

void StraceImport::deliver(iolens_call_event& event, Receiver& receiver) {
    ++delivered_;
    receiver.record(std::as_bytes(std::span(&event, 1)));
}

/// Sets the file of a call on a range of memory to the one that is mapped there.
void StraceImport::find_mapping(const LoggedCall& logged, iolens_call_event& event) {
    iolens_call_event keyed = event;
    keyed.host_tid = 1;
    keyed.host_tgid = tables_.space_of(logged.tid);
    mappings_.take(keyed);
    event.file = keyed.file;
    event.name_id = keyed.name_id;
    event.ino = keyed.ino;
    event.offset = keyed.offset;
    event.flags = keyed.flags;
}

/// mmap: also of anonymous memory, which replaces what was mapped there.
void StraceImport::send_mapping(const LoggedCall& logged, iolens_call_event& event, Receiver& receiver) {
    set_number(event.requested, event.flags, IOLENS_CALL_HAS_REQUESTED, logged.argument(1));
    const bool mapped = logged.has_result && logged.error == 0;
    if (mapped) {
        event.address = static_cast<u64>(logged.result);
        event.flags |= IOLENS_CALL_HAS_ADDRESS;
        event.result = static_cast<s64>(event.address & ~(u64{1} << 63));
    }
    const s32 fd = fd_of(logged.argument(4));
    const bool anonymous = fd < 0 || find_outside(logged.argument(3), "MAP_ANON") != std::string_view::npos;
    if (anonymous) {
        if (mapped) find_mapping(logged, event);
        deliver(event, receiver);
        return;
    }
    set_number(event.offset, event.flags, IOLENS_CALL_HAS_OFFSET, logged.argument(5));
    const FileRef file = tables_.row_file(logged, 4);
    if (mapped) {
        iolens_call_event of_file = event;
        of_file.file = file->kind;
        of_file.ino = file->ino;
        of_file.name_id = add_name(*file, receiver);
        find_mapping(logged, of_file);
    }
    send_side(logged, event, logged.argument(4), *file, receiver);
}

void StraceImport::send(const LoggedCall& logged, Receiver& receiver) {
    const Syscall* known = syscall_named(logged.name);
    // A call that is newer than this version, or of another architecture, has no row unless all calls are shown.
    if (known == nullptr && (!arguments_ || logged.name == "restart_syscall")) return;
    iolens_call_event event{};
    event.start = logged.start_ns;
    event.h = {.ts = logged.start_ns + logged.duration_ns.value_or(0),
               .kind = IOLENS_KIND_CALL,
               .size = sizeof event,
               .cpu = IOLENS_NO_CPU};
    event.tid = logged.tid;
    event.tgid = tables_.process_of(logged.tid);
    event.call = known != nullptr ? known->id : u16{IOLENS_NO_CALL};
    event.direction = known != nullptr ? known->info.direction : u8{IOLENS_DIR_NONE};
    event.fd = -1;
    event.sequence = ++sent_;
    event.result = logged.result;
    if (logged.result == -1 && logged.error != 0) event.result = -logged.error;
    if (logged.clock == LogClock::none) event.flags |= IOLENS_CALL_NO_TIME;
    if (!logged.duration_ns) event.flags |= IOLENS_CALL_NO_DURATION;
    if (!logged.has_result) event.flags |= IOLENS_CALL_NO_RESULT;
    if (!logged.has_result && event.direction != IOLENS_DIR_NONE) {  // killed during the call: no bytes were moved
        ++filtered_;
        return;
    }
    if (arguments_) send_arguments(logged, event.call, receiver);
    if (known == nullptr) {
        deliver(event, receiver);
        return;
    }
    if (known->info.flags != 0) {
        if (const auto flags = flags_of(*known, without_comments(logged.argument(known->info.flags - 1U)))) {
            event.asked = *flags;
            event.flags |= IOLENS_CALL_HAS_ASKED;
        }
    }
    send_sides(logged, *known, event, receiver);
}

void StraceImport::send_sides(const LoggedCall& logged, const Syscall& known, iolens_call_event& event,
                              Receiver& receiver) {
    const auto side = [&](std::size_t n, u8 direction) {
        iolens_call_event item = event;
        item.direction = direction;
        send_side(logged, item, logged.argument(n), *tables_.row_file(logged, n), receiver);
    };
    const auto new_fd = [&](std::string_view fd) {
        send_side(logged, event, fd, *tables_.row_file(logged.tid, fd), receiver);
    };
    const auto requested = [&](std::size_t n) {
        set_number(event.requested, event.flags, IOLENS_CALL_HAS_REQUESTED, logged.argument(n));
    };
    const auto offset = [&](std::size_t n) {
        set_number(event.offset, event.flags, IOLENS_CALL_HAS_OFFSET, logged.argument(n));
    };
    switch (known.info.shape) {
        case IOLENS_SHAPE_SENDFILE:
            requested(3);
            side(1, IOLENS_DIR_READ);
            side(0, IOLENS_DIR_WRITE);
            return;
        case IOLENS_SHAPE_COPY:
            requested(4);
            side(0, IOLENS_DIR_READ);
            side(2, IOLENS_DIR_WRITE);
            return;
        case IOLENS_SHAPE_TEE:
            requested(2);
            side(0, IOLENS_DIR_READ);
            side(1, IOLENS_DIR_WRITE);
            return;
        case IOLENS_SHAPE_PAIR:
        case IOLENS_SHAPE_PAIR_FIRST:
            for (const std::string_view fd : pair_of(logged.argument(known.info.shape == IOLENS_SHAPE_PAIR ? 3 : 0))) {
                new_fd(fd);
            }
            return;
        case IOLENS_SHAPE_NEW_FD:
            if (!logged.has_result || logged.result < 0) break;
            new_fd(std::to_string(logged.result));
            return;
        case IOLENS_SHAPE_MAP: send_mapping(logged, event, receiver); return;
        case IOLENS_SHAPE_RANGE:
            set_number(event.address, event.flags, IOLENS_CALL_HAS_ADDRESS, logged.argument(0));
            requested(1);
            find_mapping(logged, event);
            break;
        case IOLENS_SHAPE_EXTENT:
            offset(1);
            requested(2);
            break;
        case IOLENS_SHAPE_ALLOCATE:
            offset(2);
            requested(3);
            break;
        case IOLENS_SHAPE_MOVE_AT: offset(3); [[fallthrough]];
        case IOLENS_SHAPE_MOVE:
        case IOLENS_SHAPE_SEND:
        case IOLENS_SHAPE_RECEIVE: requested(2); break;
        case IOLENS_SHAPE_VECTOR_AT: offset(3); [[fallthrough]];
        case IOLENS_SHAPE_VECTOR:
        case IOLENS_SHAPE_MESSAGE: {
            std::string_view vector = logged.argument(1);
            if (known.info.shape == IOLENS_SHAPE_MESSAGE) {
                vector = member_of(vector, "msg_iov");  // before 4.22, "msg_iov(2)="
                vector = vector.substr(std::min(vector.find('='), vector.size()));
                vector = vector.substr(0, find_outside(vector, ", msg_"));
            }
            if (const auto bytes = vector_bytes(vector)) {
                event.requested = *bytes;
                event.flags |= IOLENS_CALL_HAS_REQUESTED;
            }
            break;
        }
        case IOLENS_SHAPE_MESSAGES:
            if (event.result >= 0) {
                event.messages = static_cast<u32>(event.result);
                event.result = static_cast<s64>(sum_of(logged.all_arguments, "msg_len="));
            }
            break;
        default: break;
    }
    // the result of _llseek is in its third argument
    if (logged.name.ends_with("llseek") && event.result == 0) offset(2);
    const bool on_fd = known.info.shape <= IOLENS_SHAPE_MAP || known.arguments.starts_with("fd:f") ||
                       (takes_directory(known) && is_fd_itself(logged));
    if (on_fd && known.info.shape != IOLENS_SHAPE_RANGE && !logged.argument(0).empty()) {
        side(0, event.direction);
        return;
    }
    deliver(event, receiver);
}

}  // namespace iolens
