// SPDX-License-Identifier: Apache-2.0
#include "resolve/resolver.h"

#include <fmt/compile.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/text.h"
#include "iolens/event/disk.h"
#include "iolens/event/operation.h"
#include "iolens/event/symbol.h"
#include "iolens/event/vfs.h"
#include "resolve/socket_address.h"
#include "resolve/syscalls.h"
#include "resolve/target.h"

namespace iolens {
namespace {

/// A fact; null if the record is too short.
template <typename Fact>
const Fact* fact_in(const iolens_header& record) {
    return record.size < sizeof(Fact) ? nullptr : reinterpret_cast<const Fact*>(&record);
}

/// A text; null if "".
Value text_or_null(std::string_view text) { return text.empty() ? Value() : Value(text); }

/// A path; null if unknown.
Value path_of(const Files::Name* name) { return name == nullptr ? Value() : Value(std::string_view(name->text)); }

}  // namespace

Resolver::Learned Resolver::learn(const iolens_header& record) {
    const auto learned = [](bool whole) { return whole ? Learned::yes : Learned::damaged; };
    switch (record.kind) {
        case IOLENS_KIND_FILE: {
            const auto* fact = fact_in<iolens_file_fact>(record);
            return learned(fact != nullptr &&
                           files_.add(*fact, {reinterpret_cast<const std::byte*>(&record), record.size}));
        }
        case IOLENS_KIND_TASK: {
            const auto* fact = decoder_.as<iolens_task_fact>(record, IOLENS_KIND_TASK);
            tasks_.add(*fact);
            last_task_ = nullptr;
            if ((fact->flags & IOLENS_TASK_ENDED) != 0) arguments_.spent(host_tid(*fact));
            if ((fact->flags & IOLENS_TASK_PROCESS_ENDED) != 0) mappings_.forget(host_tgid(*fact));
            return Learned::yes;
        }
        case IOLENS_KIND_DISK: {
            const auto* fact = decoder_.as<iolens_disk_fact>(record, IOLENS_KIND_DISK);
            disks_.add(fact->dev, text_of(fact->name));
            return Learned::yes;
        }
        case IOLENS_KIND_WATCH: {
            const auto* fact = decoder_.as<iolens_watch_fact>(record, IOLENS_KIND_WATCH);
            files_.given(fact->id, fact->name_id);
            return Learned::yes;
        }
        case IOLENS_KIND_SYMBOL: {
            wait_reasons_.add(*decoder_.as<iolens_symbol_fact>(record, IOLENS_KIND_SYMBOL));
            return Learned::yes;
        }
        case IOLENS_KIND_ARGUMENTS: {
            const auto* given = fact_in<iolens_arguments>(record);
            if (given != nullptr) arguments_.add(*given);
            return learned(given != nullptr);
        }
        default: return Learned::no;
    }
}

// Returned by value: storing cells in memory first costs more than formatting them.
Value Resolver::resolve(const Column& column, const RawRow& row, RowArena& arena) {
    const Value raw = column.get != nullptr ? column.get(*row.event) : Value();
    switch (column.role) {
        case Role::wall:
        case Role::clock: return time_of(column.role, raw, arena);
        case Role::since: return Value(raw.number() - std::min(log_start_ns_, raw.number()));
        case Role::disk: return raw.is_null() ? raw : text_or_null(disks_.name(static_cast<u32>(raw.number())));
        case Role::partition: return text_or_null(partition_of(as_block(*row.event), arena));
        case Role::comm:
        case Role::uid:
        case Role::cgroup:
        case Role::container:
        case Role::host_pid: return of_thread(column.role, *row.event);
        case Role::call: {
            const std::string_view name = raw.is_null() ? std::string_view() : syscall_name(raw.number());
            if (!name.empty()) return Value(name);
            if (row.event->kind != IOLENS_KIND_CALL) return raw;
            const LoggedTexts logged = logged_texts(as_call(*row.event));
            return logged.name.empty() ? raw : Value(arena.copy(logged.name));
        }
        case Role::file: return file_of(row, false, arena);
        case Role::file_csv: return file_of(row, true, arena);
        case Role::file_and_more: {
            const Value file = file_of(row, false, arena);
            const u8 more = as_block(*row.event).target.more;
            if (more == 0 || file.is_null()) return file;
            return Value(arena.format(FMT_COMPILE("{} +{}"), file.text(), more));
        }
        case Role::author_and_more:
            if (as_block(*row.event).target.authors <= 1) return raw;
            return Value(arena.format(FMT_COMPILE("{}+"), raw.text()));
        case Role::peer: return raw.is_null() ? raw : peer_of(as_call(*row.event), arena);
        case Role::local: {
            const iolens_call_event& call = as_call(*row.event);
            return raw.is_null() ? raw : Value(arena.copy(SocketAddress(call.family, call.local).text()));
        }
        case Role::flags: {
            const Syscall* call = raw.is_null() ? nullptr : find_syscall(as_call(*row.event).call);
            if (call == nullptr) return raw;
            return Value(arena.build([&](std::string& out) { append_flags(out, *call, raw.number()); }));
        }
        case Role::arguments: return arguments_of(as_call(*row.event), arena);
        case Role::pattern: return row.pattern;
        case Role::json: return row.json;
        case Role::facility: return Value(std::string_view(facility_));
        default: return raw;
    }
}

void Resolver::set_recorded() {
    recorded_ = true;
    disks_.set_recorded();
}

std::string_view Resolver::partition_of(const iolens_block_event& event, RowArena& arena) {
    if (event.partition == 0) return {};
    if (event.partition == IOLENS_PARTITION_UNKNOWN) {
        if (block_has(event, IOLENS_BLOCK_NO_SECTOR)) return {};
        return disks_.partition_at(event.dev, event.sector);
    }
    const std::string_view disk = disks_.name(event.dev);
    if (disk.empty()) return {};
    // as disk_name() in the kernel's block/partitions/core.c
    const bool digit = disk.back() >= '0' && disk.back() <= '9';
    return arena.format(FMT_COMPILE("{}{}{}"), disk, digit ? "p" : "", event.partition);
}

std::string_view Resolver::cgroup_path(u64 cgroup_id) {
    return recorded_ ? std::string_view() : containers_.path_of(cgroup_id);
}

const Tasks::Task* Resolver::task_of(const iolens_header& event) {
    const u32 thread = event.kind == IOLENS_KIND_OPERATION ? host_tid(as_operation(event)) : host_tid(as_call(event));
    if (last_task_ == nullptr || last_thread_ != thread) last_task_ = tasks_.find(last_thread_ = thread);
    return last_task_;
}

/// The value of a column about the thread of a call or an operation; null if unknown.
Value Resolver::of_thread(Role role, const iolens_header& event) {
    const Tasks::Task* task = task_of(event);
    if (task == nullptr) return {};
    const bool of_log = event.cpu == IOLENS_NO_CPU;  // which has names only
    if (of_log && role != Role::comm) return {};
    switch (role) {
        case Role::comm: return Value(std::string_view(task->comm));
        case Role::uid: return Value(u64{task->uid});
        case Role::cgroup: return Value(task->cgroup_id);
        case Role::host_pid: return Value(u64{task->host_tgid});
        default: return recorded_ ? Value() : text_or_null(containers_.find(task->cgroup_id));
    }
}

Value Resolver::file_of(const RawRow& row, bool csv, RowArena& arena) {
    switch (row.event->kind) {
        case IOLENS_KIND_BLOCK: return target_of(as_block(*row.event).target, arena);
        case IOLENS_KIND_VFS: return file_of(as_vfs(*row.event).id, as_vfs(*row.event).name_id);
        case IOLENS_KIND_OPERATION: return path_of(files_.find(as_operation(*row.event).name_id));
        default: return file_of(as_call(*row.event), csv, arena);
    }
}

Value Resolver::file_of(const iolens_file_id& file, u64 name_id) { return path_of(files_.find(file, name_id)); }

Value Resolver::target_of(const iolens_block_target& target, RowArena& arena) {
    if (target.kind == IOLENS_TARGET_FILE) {  // nearly always: return it without a copy
        const Files::Name* name = files_.find(target.id, target.name_id);
        if (name != nullptr) return path_of(name);
    }
    Buffer out;
    append_target(out, target, files_, disks_);
    return out.size() == 0 ? Value() : Value(arena.copy(out));
}

Value Resolver::file_of(const iolens_call_event& call, bool csv, RowArena& arena) {
    switch (call.file) {
        case IOLENS_FILE_NONE:
            return call.fd < 0 && !csv ? Value() : Value(arena.format(FMT_COMPILE("fd={}"), call.fd));
        case IOLENS_FILE_PIPE: return Value(arena.format(FMT_COMPILE("pipe:[{}]"), call.ino));
        case IOLENS_FILE_SOCKET: return socket_of(call, csv, arena);
        default: {
            const Files::Name* name = files_.find(call.name_id);
            if (name == nullptr) return csv ? Value(std::string_view("?")) : Value();
            return Value(std::string_view(csv ? name->csv : name->text));
        }
    }
}

/// The peer of a socket: an address, the path or @name of a unix socket, or as "ROUTE:1234" the protocol and port ID of
/// a netlink socket.
Value Resolver::peer_of(const iolens_call_event& call, RowArena& arena) {
    if (call.family == AF_UNIX) return path_of(files_.find(call.name_id));
    if (call.family == AF_NETLINK) return Value(arena.copy(NetlinkAddress(call.peer).text()));
    return Value(arena.copy(SocketAddress(call.family, call.peer).text()));
}

/// A socket by its peer's address, else by its own, else by its inode.
Value Resolver::socket_of(const iolens_call_event& call, bool csv, RowArena& arena) {
    if ((call.flags & IOLENS_CALL_HAS_PEER) != 0 && call.family == AF_NETLINK) {
        return Value(arena.format(FMT_COMPILE("netlink:[{}]"), NetlinkAddress(call.peer).text()));
    }
    if ((call.flags & IOLENS_CALL_HAS_PEER) != 0 && call.family != AF_UNIX) {
        const SocketAddress peer(call.family, call.peer);
        if (csv) return peer.text().empty() ? Value() : Value(arena.copy(peer.text()));
        Buffer out;
        peer.append_with_port(out, call.port);
        return Value(arena.copy(out));
    }
    if (call.family == AF_INET || call.family == AF_INET6) {
        return Value(std::string_view((call.flags & IOLENS_CALL_DATAGRAM) != 0 ? "udp:" : "tcp:"));
    }
    if (const Files::Name* name = files_.find(call.name_id); call.name_id != 0 && name != nullptr) {
        return Value(std::string_view(csv ? name->csv : name->text));
    }
    const std::string_view family = call.family == AF_UNIX      ? "unix"
                                    : call.family == AF_NETLINK ? "netlink"
                                    : call.family == AF_PACKET  ? "packet"
                                                                : "socket";
    return Value(arena.format(FMT_COMPILE("{}:[{}]"), family, call.ino));
}

/// The arguments of a call; null if they could not be delivered: those at hand are an earlier call's.
const iolens_arguments* Resolver::given_to(const iolens_call_event& call) const {
    const iolens_arguments* given = arguments_.find(host_tid(call));
    if (given == nullptr || given->call != call.call) return nullptr;
    const bool earlier = given->h.ts < call.start && (call.flags & IOLENS_CALL_NO_TIME) == 0;
    return earlier ? nullptr : given;
}

LoggedTexts Resolver::logged_texts(const iolens_call_event& call) const {
    const iolens_arguments* given = given_to(call);
    return given == nullptr ? LoggedTexts{} : texts_in_log(*given);
}

Value Resolver::arguments_of(const iolens_call_event& call, RowArena& arena) {
    const iolens_arguments* given = given_to(call);
    if (given == nullptr) return {};
    if (given->texts == IOLENS_ARGUMENTS_WHOLE) return Value(arena.copy(texts_in_log(*given).arguments));
    const Syscall* known = find_syscall(call.call);
    if (known == nullptr) return {};
    ArgumentTexts texts;
    argument_texts(*given, texts);
    return Value(arena.build([&](std::string& out) {
        append_arguments(out, *known, given->values, texts, given->single, argument_items(*given));
    }));
}

/// A time of day. A log's times are shown as they are in the log; null if it has none.
Value Resolver::time_of(Role role, const Value& time, RowArena& arena) {
    if (time.is_null()) return {};
    if (log_clock_ == LogClock::boot) return Value(time.number() + wall_offset_ns_);
    if (role == Role::wall) return log_clock_ == LogClock::epoch ? time : Value();
    const u64 second = time.number() / 1'000'000'000;
    const u64 micros = time.number() % 1'000'000'000 / 1000;
    if (log_clock_ == LogClock::epoch || log_clock_ == LogClock::relative)
        return Value(arena.format(FMT_COMPILE("{}.{:06}"), second, micros));
    Buffer out;
    const auto to = std::back_inserter(out);
    fmt::format_to(to, FMT_COMPILE("{:02}:{:02}:{:02}"), second / 3600 % 24, second / 60 % 60, second % 60);
    if (log_clock_ == LogClock::microseconds) fmt::format_to(to, FMT_COMPILE(".{:06}"), micros);
    return Value(arena.copy(out));
}

void Resolver::age(const std::function<void()>& begin_period,
                   const std::function<std::vector<u64>()>& names_in_flight) {
    periods_.look(
        files_.evicted() + tasks_.evicted(), [&] { begin_period(); },
        [&] {
            files_.age(names_in_flight());
            tasks_.age();
            last_task_ = nullptr;
            containers_.age();
        });
}

std::vector<std::string> Resolver::diagnostics() const {
    std::vector<std::string> items{
        fmt::format("cached at the end: {}, {}", counted(files_.size(), "name"), counted(tasks_.size(), "thread"))};
    if (files_.evicted() + tasks_.evicted() + arguments_.evicted() != 0) {
        items.push_back(fmt::format("evicted from caches: {} names, {} threads, arguments of {} calls",
                                    files_.evicted(), tasks_.evicted(), arguments_.evicted()));
    }
    return items;
}

}  // namespace iolens
