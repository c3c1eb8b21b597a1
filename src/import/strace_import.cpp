// SPDX-License-Identifier: Apache-2.0
#include "import/strace_import.h"

#include <algorithm>
#include <cerrno>
#include <span>
#include <utility>

#include "base/record.h"
#include "import/strace_value.h"
#include "iolens/event/task.h"

namespace iolens {
namespace {

constexpr int first_restart = 512;

}  // namespace

void StraceImport::add_input(const std::string& path, u32 tid) { inputs_.push_back({path, StraceLines(tid)}); }

u64 StraceImport::unfinished() const {
    u64 count = 0;
    for (const Input& input : inputs_) count += input.lines.unfinished();
    return count;
}

void StraceImport::report(const Input& input, const StraceLines::Abandoned& cut) {
    unreadable_lines_ += cut.lines;
    if (unreadable_) unreadable_(input.path, cut.line, cut.text);
}

void StraceImport::line(std::string_view text, Receiver& receiver, std::size_t input) {
    if (inputs_.empty()) add_input("", 0);
    Input& from = inputs_.at(input);
    ++from.line;
    StraceLines& lines = from.lines;
    const bool unnamed = lines.main_tid() == 0;
    const LineKind kind = lines.take(text, logged_);
    if (lines.abandoned()) report(from, *lines.abandoned());
    if (unnamed && lines.main_tid() != 0) tables_.name_main(lines.main_tid());
    if (logged_.clock != LogClock::none && clock_ == LogClock::none && kind != LineKind::unreadable)
        clock_ = logged_.clock;
    switch (kind) {
        case LineKind::call:
        case LineKind::begun:
        case LineKind::ended: read(kind, lines.moved_to(), receiver); break;
        case LineKind::moved: tables_.move(logged_.tid, lines.moved_to()); break;
        case LineKind::detached: ++calls_; break;
        case LineKind::headless: ++headless_; break;
        case LineKind::comment: break;
        case LineKind::unreadable:
            ++unreadable_lines_;
            if (unreadable_) unreadable_(from.path, from.line, text);
            break;
    }
}

void StraceImport::read(LineKind kind, u32 moved_to, Receiver& receiver) {
    const bool timed = logged_.clock != LogClock::none;
    if (!endings_.empty()) {
        if (timed) end_calls(logged_.start_ns, receiver);
        end_call_of(logged_.tid, receiver);
    }
    if (kind != LineKind::ended) ++calls_;
    const bool waits = !deferred_.empty() && deferred_.contains(logged_.tid);
    if (waits || (kind != LineKind::ended && !tables_.meet(logged_.tid))) {
        defer(kind, logged_, receiver);
        return;
    }
    learn_comm(logged_.tid, logged_.comm, receiver);
    if (kind == LineKind::call && inputs_.size() > 1 && timed && logged_.duration_ns.value_or(0) != 0 &&
        !logged_.joined) {
        end_later(logged_);
    } else {
        take(kind, logged_, receiver);
    }
    if (moved_to != 0) tables_.move(logged_.tid, moved_to);
    if (!deferred_.empty()) release(receiver, false);
}

/// Begins a call whose end is known, too.
void StraceImport::end_later(LoggedCall& logged) {
    tables_.begin(logged);
    logged.own();
    logged.joined = true;
    endings_.push_back({logged.start_ns + logged.duration_ns.value_or(0), calls_, logged});
    std::push_heap(endings_.begin(), endings_.end());
}

/// Ends the calls that have ended by then.
void StraceImport::end_calls(u64 until_ns, Receiver& receiver) {
    while (!endings_.empty() && endings_.front().end_ns <= until_ns) {
        std::pop_heap(endings_.begin(), endings_.end());
        LoggedCall ended = std::move(endings_.back().call);
        endings_.pop_back();
        call(ended, receiver);
    }
}

/// Ends the call of a thread of which there is another line: durations and times are rounded.
void StraceImport::end_call_of(u32 tid, Receiver& receiver) {
    const auto it = std::ranges::find_if(endings_, [tid](const Ending& ending) { return ending.call.tid == tid; });
    if (it == endings_.end()) return;
    LoggedCall ended = std::move(it->call);
    endings_.erase(it);
    std::make_heap(endings_.begin(), endings_.end());
    call(ended, receiver);
}

void StraceImport::take(LineKind kind, LoggedCall& logged, Receiver& receiver) {
    if (kind == LineKind::call) {
        call(logged, receiver);
    } else if (kind == LineKind::begun) {
        tables_.begin(logged);
    } else {
        restarted_.erase(logged.tid);
        comms_.erase(logged.tid);
        tables_.forget(logged.tid);
    }
}

void StraceImport::defer(LineKind kind, LoggedCall& logged, Receiver& receiver) {
    constexpr std::size_t max = 4096;
    std::string comm(logged.comm);
    logged.own();
    deferred_[logged.tid].push_back({kind, logged, std::move(comm)});
    if (++deferred_lines_ > max) release(receiver, true);
}

/// Processes the lines of threads whose parent is known by now. `all`: also of those that nobody seems to have started.
void StraceImport::release(Receiver& receiver, bool all) {
    for (auto at = deferred_.begin(); at != deferred_.end();) {
        if (!tables_.is_known(at->first) && !tables_.meet(at->first)) {
            if (!all) {
                ++at;
                continue;
            }
            tables_.adopt(at->first);
        }
        std::vector<Deferred> lines = std::move(at->second);
        at = deferred_.erase(at);
        deferred_lines_ -= lines.size();
        for (Deferred& line : lines) {
            learn_comm(line.call.tid, line.comm, receiver);
            take(line.kind, line.call, receiver);
        }
        at = deferred_.begin();  // one of the calls may have been a clone
    }
}

void StraceImport::end(Receiver& receiver) {
    for (Input& input : inputs_) {
        input.lines.end();
        if (input.lines.abandoned()) report(input, *input.lines.abandoned());
    }
    end_calls(~u64{0}, receiver);
    release(receiver, true);
    for (const auto& [tid, logged] : restarted_) send(logged, receiver);
    restarted_.clear();
}

void StraceImport::call(LoggedCall& logged, Receiver& receiver) {
    tables_.resume(logged);
    // A call that was interrupted by a signal is either restarted, and then counts as one call, or failed with EINTR.
    if (!restarted_.empty()) {
        const auto before = restarted_.find(logged.tid);
        if (before != restarted_.end() && logged.name != "rt_sigreturn" && logged.name != "sigreturn") {
            const LoggedCall first = std::move(before->second);
            restarted_.erase(before);
            const bool resumed = logged.name == "restart_syscall";
            if (resumed || (logged.name == first.name && logged.all_arguments == first.all_arguments)) {
                const u64 earlier = logged.start_ns - std::min(first.start_ns, logged.start_ns);
                LoggedCall whole = resumed ? first : logged;
                whole.start_ns = first.start_ns;
                whole.has_result = logged.has_result;
                whole.result = logged.result;
                whole.error = logged.error;
                whole.result_text = logged.result_text;
                whole.duration_ns = logged.duration_ns;
                if (whole.duration_ns) *whole.duration_ns += earlier;
                // its texts must outlive this call
                const std::shared_ptr<const std::string> owner = first.owner;
                logged.own();
                restart_owner_ = logged.owner;
                logged = std::move(whole);
                logged.owner = resumed ? owner : restart_owner_;
            } else {
                send(first, receiver);
            }
        }
    }
    if (!logged.has_result && logged.error >= first_restart) {
        logged.own();
        logged.has_result = true;
        logged.result = -1;
        logged.result_text = "-1";
        logged.error = EINTR;
        restarted_[logged.tid] = logged;
        tables_.done();
        return;
    }
    // A call changes the fd table when it ends; a close still refers to the file that it closes.
    const Effect effect = effect_of(logged.name);
    const bool closes = effect == Effect::close || effect == Effect::close_range;
    if (!closes) tables_.apply(logged, effect);
    send(logged, receiver);
    if (closes) tables_.apply(logged, effect);
    tables_.done();
    // strace -qq doesn't print that a thread has exited
    if (effect == Effect::exit) tables_.forget(logged.tid);
}

/// Emits a thread's name if it is another one than before. `comm`: as in the log; "" if it isn't there.
void StraceImport::learn_comm(u32 tid, std::string_view comm, Receiver& receiver) {
    if (comm.empty()) return;
    constexpr std::size_t max = 1 << 16;  // as many as Tasks has
    if (comms_.size() >= max) comms_.clear();
    std::string& known = comms_[tid];
    if (known == comm) return;
    known = comm;
    const std::string name = unquoted('"' + known + '"').value_or(known);  // strace escapes < and >
    iolens_task_fact fact{};
    fact.h = {.ts = logged_.start_ns, .kind = IOLENS_KIND_TASK, .size = sizeof fact, .cpu = IOLENS_NO_CPU};
    fact.tid = tid;
    fact.tgid = tables_.process_of(tid);
    std::copy_n(name.begin(), std::min(name.size(), sizeof fact.comm - 1), &fact.comm[0]);
    receiver.record(std::as_bytes(std::span(&fact, 1)));
}

u64 StraceImport::add_name(LoggedFile& file, Receiver& receiver) {
    if (file.name_id != 0 && file.name_epoch == name_epoch_) return file.name_id;
    constexpr std::size_t max = 1 << 16;  // a quarter of the capacity of Files: a name that is here is there, too
    if (names_.size() >= max) {
        // Ids are used again, so that names need no more memory than these.
        names_.clear();
        ++name_epoch_;
        mappings_ = Mappings();
    }
    std::string key = (file.is_path ? '"' : '=') + file.name;
    if (!file.path.empty()) (key += '\0') += file.path;
    const auto [at, fresh] = names_.try_emplace(std::move(key), names_.size() + 1);
    file.name_id = at->second;
    file.name_epoch = name_epoch_;
    if (!fresh) return at->second;
    const std::string_view name = std::string_view(file.name).substr(0, IOLENS_PATH_LEN);
    const std::string_view path = std::string_view(file.path).substr(0, IOLENS_PATH_LEN);
    iolens_file_fact fact{};
    fact.name_id = at->second;
    fact.kind = file.kind;
    fact.flags = static_cast<u16>(IOLENS_FILE_LITERAL | (file.is_path ? 0 : IOLENS_FILE_PSEUDO));
    fact.length = static_cast<u16>(name.size() + 1 + (path.empty() ? 0 : path.size() + 1));
    fact.h.kind = IOLENS_KIND_FILE;
    const Record record =
        path.empty() ? make_record(fact, {name}) : make_record(fact, {name, std::string_view("\0", 1), path});
    receiver.record(std::as_bytes(std::span(record)));
    return at->second;
}

}  // namespace iolens
