// SPDX-License-Identifier: Apache-2.0
#include "lens/fd/why/why.h"

#include <fmt/compile.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <iterator>
#include <ranges>
#include <set>
#include <tuple>

#include "base/text.h"
#include "resolve/syscalls.h"
#include "resolve/target.h"

namespace iolens {
namespace {

/// How long a call is held back: by then, most requests that shared the disk with its own have completed.
constexpr u64 hold_ns = 200'000'000;
constexpr u64 kept_waits_ns = 600'000'000'000;
constexpr std::size_t max_requests = 1 << 18;
constexpr std::size_t max_calls = 1 << 16;
/// Requests of a call that have lines without -v, and processes listed alongside each request.
constexpr std::size_t max_lines = 10;
constexpr std::size_t max_beside = 4;

double ms(u64 ns) { return static_cast<double>(ns) / 1e6; }

bool has(const iolens_block_event& e, unsigned flag) { return (e.flags & flag) != 0; }

/// Calls that wait for I/O that others submit: journal blocks, a flush.
bool is_commit(u16 id) {
    constexpr std::array<std::string_view, 10> names{
        "fsync", "fdatasync", "sync",       "syncfs",         "sync_file_range",
        "msync", "aio:fsync", "aio:fdsync", "io_uring:fsync", "io_uring:sync_file_range"};
    return std::ranges::find(names, syscall_name(id)) != names.end();
}

/// The process that a request is attributed to: the one that dirtied its pages, or else the one that created it.
std::pair<std::string_view, u32> author_of(const iolens_block_event& e) {
    if (e.target.authors != 0) return {text_of(e.target.author_comm), e.target.author};
    if (has(e, IOLENS_BLOCK_NO_CREATOR)) return {"?", 0};
    return {text_of(e.comm), e.tgid};
}

void append_if(Buffer& out, bool known, u64 n) {
    if (known) {
        fmt::format_to(std::back_inserter(out), FMT_COMPILE("{}"), n);
    } else {
        append(out, "null");
    }
}

}  // namespace

bool Why::Request::is_for(const iolens_file_id& file) const {
    return (e.target.kind == IOLENS_TARGET_FILE && e.target.id == file) ||
           std::ranges::find(others, file) != others.end();
}

bool Why::is_of(const iolens_header& head) {
    return head.kind == IOLENS_KIND_BLOCK || is_extra_targets(head) || head.kind == IOLENS_KIND_WAIT;
}

std::optional<iolens_call_event> Why::take(const iolens_header& head) {
    switch (head.kind) {
        case IOLENS_KIND_WAIT: {
            const auto* wait = decoder_.as<iolens_wait_event>(head, IOLENS_KIND_WAIT);
            if (wait == nullptr) return {};
            const WaitReasons::Reason reason = resolver_.wait_reasons().find(wait->frames);
            waits_.forget_before(head.ts - std::min(head.ts, kept_waits_ns));
            waits_.add(wait->tid, {.start = wait->start, .woken = wait->woken, .end = wait->h.ts, .reason = reason});
            return reason.fault ? fault_of(*wait, head.size >= sizeof *wait) : std::nullopt;
        }
        case IOLENS_KIND_FIXED_EXTRA_TARGETS:
        case IOLENS_KIND_EXTRA_TARGETS: extra_targets_.add(head, resolver_.files()); return {};
        case IOLENS_KIND_BLOCK: {
            const auto* event = decoder_.as<iolens_block_event>(head, IOLENS_KIND_BLOCK);
            if (event == nullptr) return {};
            const iolens_block_target& target = event->target;
            if (target.name_id != 0) {
                resolver_.files().named(target.id, target.name_id);
                static_cast<void>(resolver_.files().find(target.name_id));  // keeps it for calls of the next minute
            }
            if (target.kind == IOLENS_TARGET_FILE) disks_of_[target.id.dev] = event->dev;
            if (requests_.size() >= max_requests) requests_.pop_front();
            while (!requests_.empty() && requests_.front().e.h.ts + kept_ns < head.ts) requests_.pop_front();
            Request& request = requests_.emplace_back(Request{.e = *event, .others = {}});
            if (const iolens_extra_targets* extras = extra_targets_.of(*event)) {
                for (const iolens_extra_target& extra : targets_in(*extras)) {
                    if (extra.target.kind == IOLENS_TARGET_FILE) request.others.push_back(extra.target.id);
                }
            }
            return {};
        }
        default: return {};
    }
}

const iolens_call_event* Why::release(u64 now_ns) {
    const u64 oldest_deferred = deferred_.empty() ? now_ns : deferred_.front().h.ts;
    for (; !ended_.empty() && ended_.front().second + hold_ns < oldest_deferred; ended_.pop_front()) {
        const auto [tid, ns] = ended_.front();
        waits_.after(tid, ns);
    }
    if (deferred_.empty() || (deferred_.size() < max_calls && now_ns < deferred_.front().h.ts + hold_ns))
        return nullptr;
    explain(deferred_.front());
    if (summing_) add_to_totals();
    deferred_.pop_front();
    return &explained_.call;
}

std::map<WaitFor, Why::Waited> Why::waits_of(const iolens_call_event& call) {
    std::map<WaitFor, Waited> sums;
    const auto add = [&](WaitFor what, std::string_view function, u64 from, u64 to) {
        from = std::max(from, call.start);
        to = std::min(to, call.h.ts);
        if (to <= from) return;
        Waited& sum = sums[what];
        sum.times++;
        sum.ns += to - from;
        if (to - from > sum.longest) {
            sum.longest = to - from;
            sum.function = function;
        }
    };
    // calls of a thread don't overlap
    for (const Waits::Wait& wait : waits_.after(host_tid(call), call.start)) {
        if (wait.start >= call.h.ts) break;
        const u64 woken =
            wait.woken == 0 ? wait.end : std::clamp(wait.woken, wait.start, std::max(wait.start, wait.end));
        add(wait.reason.what, wait.reason.function, wait.start, woken);
        add(WaitFor::processor, {}, woken, wait.end);
    }
    return sums;
}

/// The whole disk that a filesystem is on; 0: unknown.
u32 Why::disk_of(u32 dev) {
    if (const auto it = disks_of_.find(dev); it != disks_of_.end()) return it->second;
    const std::optional<Disk> disk = here_ ? resolver_.disks().find(dev) : std::nullopt;
    return disks_of_[dev] = disk ? disk->whole_dev : 0;
}

/// Did the explained call create this request?
bool Why::caused(const Request& request) const {
    return !has(request.e, IOLENS_BLOCK_NO_CREATOR) && host_tid(request.e) == host_tid(explained_.call) &&
           request.created() >= explained_.call.start;
}

std::vector<const Why::Request*> Why::requests_of(const iolens_call_event& call, bool commits) {
    std::vector<const Request*> items;
    const iolens_file_id file{.ino = call.ino, .dev = call.dev, .generation = call.generation};
    const u32 disk = call.dev == 0 ? 0 : disk_of(call.dev);
    u32 opened = 0;  // block device that the call is on
    if (call.file == IOLENS_FILE_DISK && here_) {
        const Files::Name* name = resolver_.files().find(call.name_id);
        const std::optional<Disk> device = name != nullptr ? resolver_.disks().find(name->text) : std::nullopt;
        if (device) opened = device->dev;
    }
    for (auto it = std::ranges::lower_bound(requests_, call.start, {}, [](const Request& r) { return r.e.h.ts; });
         it != requests_.end(); ++it) {
        const iolens_block_event& e = it->e;
        const u64 created = it->created();
        if (created > call.h.ts) continue;
        const bool ended = e.h.ts <= call.h.ts;
        const bool others = e.target.kind == IOLENS_TARGET_JOURNAL || e.target.kind == IOLENS_TARGET_FLUSH ||
                            e.target.kind == IOLENS_TARGET_METADATA;
        const bool raw = opened != 0 && e.target.kind == IOLENS_TARGET_RAW && e.target.id.dev == opened;
        const bool awaited = ended && (it->is_for(file) || raw || (commits && others && (disk == 0 || disk == e.dev)));
        if (awaited || caused(*it)) items.push_back(&*it);
    }
    return items;
}

/// Requests of others that were on the disk at the same time as a request.
std::vector<const Why::Request*> Why::requests_beside(const Request& request) const {
    std::vector<const Request*> items;
    const auto mine = author_of(request.e);
    for (auto it =
             std::ranges::lower_bound(requests_, request.created(), {}, [](const Request& r) { return r.e.h.ts; });
         it != requests_.end(); ++it) {
        if (it->e.dev != request.e.dev || it->created() >= request.e.h.ts || author_of(it->e) == mine) continue;
        items.push_back(&*it);
    }
    return items;
}

/// The same per process; most requests first.
std::vector<Why::Beside> Why::beside(const Request& request) const {
    std::vector<Beside> items;
    for (const Request* other : requests_beside(request)) {
        const auto [comm, pid] = author_of(other->e);
        const auto known = std::ranges::find_if(items, [&](const Beside& b) { return b.pid == pid && b.comm == comm; });
        if (known != items.end()) {
            known->requests++;
        } else {
            items.push_back({std::string(comm), pid, 1});
        }
    }
    std::ranges::sort(items, [](const Beside& a, const Beside& b) {
        return a.requests != b.requests ? a.requests > b.requests : std::tie(a.comm, a.pid) < std::tie(b.comm, b.pid);
    });
    return items;
}

u64 Why::count_of(const std::vector<Beside>& others) {
    u64 count = 0;
    for (const Beside& b : others) count += b.requests;
    return count;
}

void Why::append_request(Buffer& out, const Request& request) {
    const iolens_block_event& e = request.e;
    const bool known = !has(e, IOLENS_BLOCK_NO_CREATOR);
    const std::vector<Beside> others = beside(request);
    auto to = std::back_inserter(out);
    append(out, R"({"disk":)");
    append_json_or_null(out, resolver_.disks().name(e.dev));
    fmt::format_to(to, R"(,"op":"{}","rwbs":"{}","sector":)", block_op(e.op).word, block_letters(e).text());
    append_if(out, !has(e, IOLENS_BLOCK_NO_SECTOR), e.sector);
    fmt::format_to(to, R"(,"bytes":{},"end_ns":{},"queue_ns":)", e.bytes, e.h.ts);
    append_if(out, known, e.queue_ns);
    fmt::format_to(to, R"(,"device_ns":{},"caused":{},"within":{},"held_back":{},"comm":)", e.device_ns,
                   caused(request), e.h.ts <= explained_.call.h.ts, !known);
    known ? append_json(out, text_of(e.comm)) : append(out, "null");
    append(out, R"(,"pid":)");
    append_if(out, known, e.tgid);
    append_author_json(out, e.target);
    append(out, R"(,"file":)");
    Buffer target;
    append_target(target, e.target, resolver_.files(), resolver_.disks());
    append_json_or_null(out, {target.data(), target.size()});
    fmt::format_to(to, R"(,"beside":{},"beside_whose":[)", count_of(others));
    for (std::size_t i = 0; i < others.size(); ++i) {
        append(out, i == 0 ? R"({"comm":)" : R"(,{"comm":)");
        append_json(out, others[i].comm);
        fmt::format_to(to, R"(,"pid":{},"requests":{}}})", others[i].pid, others[i].requests);
    }
    append(out, "]}");
}

std::string Why::request_line(const Request& request) {
    const iolens_block_event& e = request.e;
    const std::string_view disk = resolver_.disks().name(e.dev);
    std::string words =
        fmt::format("{:>12.3f} ms {} {} ", ms(e.device_ns), disk.empty() ? "?" : disk, block_letters(e).text());
    auto to = std::back_inserter(words);
    if (!has(e, IOLENS_BLOCK_NO_SECTOR)) fmt::format_to(to, "{} +", e.sector);
    fmt::format_to(to, "{}", counted(e.bytes, "byte"));
    if (has(e, IOLENS_BLOCK_NO_CREATOR)) {
        words += ", throttled by a cgroup or submitted before tracing";
    } else {
        fmt::format_to(to, ", {:.3f} ms queued, issued by {} ({})", ms(e.queue_ns), text_of(e.comm), e.tgid);
    }
    if (e.target.authors != 0) {
        fmt::format_to(to, ", dirtied by {} ({})", text_of(e.target.author_comm), e.target.author);
    }
    Buffer target;
    append_target(target, e.target, resolver_.files(), resolver_.disks());
    if (target.size() != 0) fmt::format_to(to, ", for {}", std::string_view(target.data(), target.size()));
    if (e.h.ts > explained_.call.h.ts) words += ", not waited for";
    const std::vector<Beside> others = beside(request);
    if (others.empty()) return words;
    fmt::format_to(to, "; alongside {}:", counted(count_of(others), "other request"));
    for (std::size_t i = 0; i < std::min(others.size(), max_beside); ++i) {
        fmt::format_to(to, "{} {} by {} ({})", i == 0 ? "" : ",", others[i].requests, others[i].comm, others[i].pid);
    }
    if (others.size() > max_beside) words += ", …";
    return words;
}

void Why::explain(const iolens_call_event& call) {
    explained_ = {.call = call,
                  .of_thread = find_syscall(call.call) != nullptr || call.call == IOLENS_CALL_FAULT,
                  .waits = {},
                  .requests = {}};
    const std::map<WaitFor, Waited> waits = explained_.of_thread ? waits_of(call) : std::map<WaitFor, Waited>();
    explained_.requests = requests_of(call, is_commit(call.call) || waits.contains(WaitFor::journal));
    explained_.waits.assign(waits.begin(), waits.end());
    std::ranges::sort(explained_.waits, [](const auto& a, const auto& b) {
        return a.second.ns != b.second.ns ? a.second.ns > b.second.ns : a.first < b.first;
    });
    explained_.running = call.h.ts - call.start;
    for (const auto& [what, sum] : explained_.waits) explained_.running -= std::min(explained_.running, sum.ns);
}

void Why::add_to_totals() {
    RowArena text;
    const Value file = resolver_.file_of(explained_.call, text);
    const u64 ns = explained_.call.h.ts - explained_.call.start;
    totals_.add_call(file.is_null() ? std::string_view("?") : file.text(), ns, explained_.requests.size());
    for (const auto& [what, sum] : explained_.waits) totals_.add_reason(words_of(what).word, sum.ns);
    // no thread waits for a request of libaio or io_uring
    totals_.add_reason(explained_.of_thread ? "running" : "request in flight",
                       explained_.of_thread ? explained_.running : ns);
    std::set<const Request*> others;
    for (const Request* request : explained_.requests) {
        for (const Request* other : requests_beside(*request)) others.insert(other);
    }
    for (const Request* own : explained_.requests) others.erase(own);
    std::map<std::pair<std::string_view, u32>, u64> processes;
    for (const Request* other : others) ++processes[author_of(other->e)];
    for (const auto& [process, number] : processes) totals_.add_beside(process.first, process.second, ns, number);
}

void Why::append_report(Buffer& out) {
    append(out, R"({"waits":[)");
    for (const auto& [what, sum] : explained_.waits) {
        append(out, what == explained_.waits.front().first ? R"({"for":")" : R"(,{"for":")");
        append(out, words_of(what).word);
        append(out, R"(","function":)");
        append_json_or_null(out, sum.function);
        fmt::format_to(std::back_inserter(out), R"(,"times":{},"ns":{}}})", sum.times, sum.ns);
    }
    append(out, R"(],"running_ns":)");
    append_if(out, explained_.of_thread, explained_.running);
    append(out, R"(,"requests":[)");
    for (const Request* request : explained_.requests) {
        if (request != explained_.requests.front()) append(out, ',');
        append_request(out, *request);
    }
    append(out, "]}");
}

std::span<const std::string> Why::lines() {
    lines_.clear();
    for (const auto& [what, sum] : explained_.waits) {
        std::string line = fmt::format("{:>12.3f} ms waiting for {}", ms(sum.ns), words_of(what).words);
        if (!sum.function.empty()) line += fmt::format(": {}", sum.function);
        if (sum.times > 1) line += fmt::format(", {} times", sum.times);
        lines_.push_back(std::move(line));
    }
    if (explained_.of_thread) lines_.push_back(fmt::format("{:>12.3f} ms running", ms(explained_.running)));
    // the longest requests have lines, in order of completion
    std::vector<const Request*> longest = explained_.requests;
    std::ranges::sort(longest, [](const Request* a, const Request* b) {
        const auto time = [](const Request* r) { return r->e.device_ns + r->e.queue_ns; };
        return time(a) != time(b) ? time(a) > time(b) : a->e.h.ts < b->e.h.ts;
    });
    if (!all_) longest.resize(std::min(longest.size(), max_lines));
    u64 more_bytes = 0;
    for (const Request* request : explained_.requests) {
        if (std::ranges::find(longest, request) != longest.end()) {
            lines_.push_back(request_line(*request));
        } else {
            more_bytes += request->e.bytes;
        }
    }
    if (explained_.requests.size() > longest.size()) {
        lines_.push_back(fmt::format("             and {}, {} (-v shows them)",
                                     counted(explained_.requests.size() - longest.size(), "shorter request"),
                                     counted(more_bytes, "byte")));
    }
    if (explained_.requests.empty()) lines_.emplace_back("             no block requests");
    return lines_;
}

}  // namespace iolens
