// SPDX-License-Identifier: Apache-2.0
#include "import/strace_log.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/failure.h"
#include "base/output.h"
#include "base/record.h"
#include "base/signals.h"
#include "base/text.h"
#include "import/strace_value.h"
#include "resolve/syscalls.h"

namespace iolens {
namespace {

constexpr std::size_t lines_at_once = 256;
constexpr int first_restart = 512;

/// Also finds calls that have other names on other architectures or kernel versions.
const Syscall* syscall_named(std::string_view name) {
    if (name == "send") name = "sendto";
    if (name == "recv") name = "recvfrom";
    if (name == "_llseek") name = "lseek";
    if (name == "fcntl64") name = "fcntl";
    if (name == "mmap2") name = "mmap";
    if (name == "sendfile64") name = "sendfile";
    if (name == "ftruncate64") name = "ftruncate";
    if (name == "pread") name = "pread64";
    if (name == "pwrite") name = "pwrite64";
    if (name == "restart_syscall") return nullptr;
    const auto known = syscalls();
    const auto it = std::ranges::find(known, name, &Syscall::name);
    return it == known.end() ? nullptr : &*it;
}

void set_number(u64& field, u16& flags, iolens_call_flag flag, std::string_view text) {
    // "[4096]" is an offset in the caller's memory, "[4096] => [8192]" one that was advanced
    if (text.starts_with('[')) text.remove_prefix(1);
    const auto number = leading_number(text);
    if (!number) return;
    field = static_cast<u64>(*number);
    flags = static_cast<u16>(flags | flag);
}

/// Sends the arguments of a call as they are in the log, cut if they are too long for a record.
void send_arguments(const LoggedCall& logged, const Syscall& call, u64 start, Receiver& receiver) {
    constexpr std::size_t max = IOLENS_PATH_LEN - 1;
    constexpr std::string_view mark = "…";
    iolens_arguments arguments{};
    arguments.tid = logged.tid;
    arguments.call = call.id;
    arguments.texts = IOLENS_ARGUMENTS_WHOLE;
    arguments.h = {.ts = start, .kind = IOLENS_KIND_ARGUMENTS, .size = 0, .cpu = 0};
    std::string text(logged.all_arguments);
    if (text.size() > max) text.replace(max - mark.size(), std::string::npos, mark);
    const Record record = make_record(arguments, {text});
    receiver.record(std::as_bytes(std::span(record)));
}

void set_peer(iolens_call_event& event, const LoggedAddress& peer) {
    event.family = peer.family;
    event.port = peer.port;
    std::ranges::copy(peer.bytes, static_cast<u8*>(event.peer));
    event.flags |= IOLENS_CALL_HAS_PEER;
}

}  // namespace

void StraceImport::line(std::string_view text, Receiver& receiver) {
    ++line_;
    LoggedCall logged;
    const bool unnamed = lines_.main_tid() == 0;
    const LineKind kind = lines_.take(text, logged);
    if (unnamed && lines_.main_tid() != 0) tables_.name_main(lines_.main_tid());
    if (logged.clock != LogClock::none && clock_ == LogClock::none) clock_ = logged.clock;
    switch (kind) {
        case LineKind::call: call(std::move(logged), receiver); break;
        case LineKind::begun: tables_.meet(logged, true); break;
        case LineKind::ended:
            restarted_.erase(logged.tid);
            tables_.forget(logged.tid);
            break;
        case LineKind::comment: break;
        case LineKind::unreadable:
            ++unreadable_lines_;
            if (unreadable_) unreadable_(line_, text);
            break;
    }
}

void StraceImport::end(Receiver& receiver) {
    for (const auto& [tid, logged] : restarted_) send(logged, receiver);
    restarted_.clear();
}

void StraceImport::call(LoggedCall logged, Receiver& receiver) {
    tables_.meet(logged, false);
    // A call that was interrupted by a signal is either restarted, and then counts as one call, or failed with EINTR.
    if (const auto before = restarted_.find(logged.tid); before != restarted_.end() && logged.name != "rt_sigreturn") {
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
            whole.duration_ns = logged.duration_ns;
            if (whole.duration_ns) *whole.duration_ns += earlier;
            logged = std::move(whole);
        } else {
            send(first, receiver);
        }
    }
    if (!logged.has_result && logged.error >= first_restart) {
        logged.has_result = true;
        logged.result = -1;
        logged.error = EINTR;
        restarted_[logged.tid] = std::move(logged);
        return;
    }
    // A call changes the fd table when it ends; a close still refers to the file that it closes.
    const bool closes = logged.name == "close";
    if (!closes) tables_.apply(logged);
    send(logged, receiver);
    if (closes) tables_.apply(logged);
    // strace -qq doesn't print that a thread has exited
    if (logged.name == "exit" || logged.name == "exit_group") tables_.forget(logged.tid);
}

u64 StraceImport::add_name(const LoggedFile& file, Receiver& receiver) {
    constexpr std::size_t max = 1 << 17;  // half the capacity of Files: a name that is here is there, too
    if (names_.size() >= max) names_.clear();
    const auto [at, fresh] = names_.try_emplace((file.is_path ? '"' : '=') + file.name, names_added_ + 1);
    if (!fresh) return at->second;
    ++names_added_;
    const std::string_view name = std::string_view(file.name).substr(0, IOLENS_PATH_LEN);
    iolens_file_fact fact{};
    fact.name_id = at->second;
    fact.kind = file.kind;
    fact.flags = static_cast<u16>(IOLENS_FILE_LITERAL | (file.is_path ? 0 : IOLENS_FILE_PSEUDO));
    fact.length = static_cast<u16>(name.size() + 1);
    fact.h.kind = IOLENS_KIND_FILE;
    const Record record = make_record(fact, {name});
    receiver.record(std::as_bytes(std::span(record)));
    return at->second;
}

void StraceImport::send_side(const LoggedCall& logged, iolens_call_event event, const LoggedFile& file,
                             Receiver& receiver) {
    event.file = file.kind;
    event.ino = file.ino;
    event.open_id = file.open_id;
    if (file.peer && (event.flags & IOLENS_CALL_HAS_PEER) == 0) set_peer(event, *file.peer);
    // a peer address that only this call shows
    if (file.kind == IOLENS_FILE_SOCKET && (event.flags & IOLENS_CALL_HAS_PEER) == 0) {
        std::string path;
        if (const auto address = FdTables::address_of(logged.all_arguments, path);
            address && (address->family == AF_INET || address->family == AF_INET6)) {
            set_peer(event, *address);
        }
    }
    event.name_id = add_name(file, receiver);
    deliver(event, receiver);
}

void StraceImport::deliver(const iolens_call_event& event, Receiver& receiver) {
    ++delivered_;
    receiver.record(std::as_bytes(std::span(&event, 1)));
}

void StraceImport::send(const LoggedCall& logged, Receiver& receiver) {
    const Syscall* known = syscall_named(logged.name);
    if (known == nullptr) {
        // an unknown call, newer than this version or of another architecture, has no row; the log is not at fault
        return;
    }
    iolens_call_event event{};
    event.start = logged.start_ns;
    event.h = {.ts = logged.start_ns + logged.duration_ns.value_or(0),
               .kind = IOLENS_KIND_CALL,
               .size = sizeof event,
               .cpu = IOLENS_NO_CPU};
    event.tid = logged.tid;
    event.call = known->id;
    event.direction = known->info.direction;
    event.fd = -1;
    event.result = logged.result;
    if (logged.result == -1 && logged.error != 0) event.result = -logged.error;
    if (logged.clock == LogClock::none) event.flags |= IOLENS_CALL_NO_TIME;
    if (!logged.duration_ns) event.flags |= IOLENS_CALL_NO_DURATION;
    if (!logged.has_result) event.flags |= IOLENS_CALL_NO_RESULT;
    if (!logged.has_result && event.direction != IOLENS_DIR_NONE) {  // killed during the call: no bytes were moved
        ++filtered_;
        return;
    }

    send_arguments(logged, *known, event.start, receiver);

    const auto fd_number = [](std::string_view given) { return static_cast<s32>(leading_number(given).value_or(-1)); };
    const auto side = [&](std::string_view given, u8 direction) {
        iolens_call_event item = event;
        item.fd = fd_number(given);
        item.direction = direction;
        send_side(logged, item, tables_.file_of(logged.tid, given), receiver);
    };
    const auto requested = [&](std::size_t n) {
        set_number(event.requested, event.flags, IOLENS_CALL_HAS_REQUESTED, logged.argument(n));
    };
    const auto offset = [&](std::size_t n) {
        set_number(event.offset, event.flags, IOLENS_CALL_HAS_OFFSET, logged.argument(n));
    };
    if (known->info.flags != 0) {
        if (const auto flags = flags_of(*known, logged.argument(known->info.flags - 1U))) {
            event.asked = *flags;
            event.flags |= IOLENS_CALL_HAS_ASKED;
        }
    }
    switch (known->info.shape) {
        case IOLENS_SHAPE_SENDFILE:
            requested(3);
            side(logged.argument(1), IOLENS_DIR_READ);
            side(logged.argument(0), IOLENS_DIR_WRITE);
            return;
        case IOLENS_SHAPE_COPY:
            requested(4);
            side(logged.argument(0), IOLENS_DIR_READ);
            side(logged.argument(2), IOLENS_DIR_WRITE);
            return;
        case IOLENS_SHAPE_TEE:
            requested(2);
            side(logged.argument(0), IOLENS_DIR_READ);
            side(logged.argument(1), IOLENS_DIR_WRITE);
            return;
        case IOLENS_SHAPE_PAIR:
        case IOLENS_SHAPE_PAIR_FIRST:
            for (const std::string_view end :
                 FdTables::pair_of(logged.argument(known->info.shape == IOLENS_SHAPE_PAIR ? 3 : 0))) {
                side(end, IOLENS_DIR_NONE);
            }
            return;
        case IOLENS_SHAPE_NEW_FD: {
            if (logged.result < 0) break;
            const std::string made = std::to_string(logged.result);
            side(made, IOLENS_DIR_NONE);
            return;
        }
        case IOLENS_SHAPE_MAP:
            if (leading_number(logged.argument(4)).value_or(-1) < 0) return;
            requested(1);
            offset(5);
            if (logged.result >= 0) {
                event.address = static_cast<u64>(logged.result);
                event.flags |= IOLENS_CALL_HAS_ADDRESS;
            }
            side(logged.argument(4), IOLENS_DIR_NONE);
            return;
        case IOLENS_SHAPE_RANGE:
            set_number(event.address, event.flags, IOLENS_CALL_HAS_ADDRESS, logged.argument(0));
            requested(1);
            break;
        case IOLENS_SHAPE_EXTENT:
            offset(1);
            requested(2);
            break;
        case IOLENS_SHAPE_MOVE_AT: offset(3); [[fallthrough]];
        case IOLENS_SHAPE_MOVE:
        case IOLENS_SHAPE_SEND:
        case IOLENS_SHAPE_RECEIVE: requested(2); break;
        case IOLENS_SHAPE_VECTOR_AT: offset(3); [[fallthrough]];
        case IOLENS_SHAPE_VECTOR:
        case IOLENS_SHAPE_MESSAGE:
            event.requested = sum_of(logged.all_arguments, "iov_len=");
            event.flags |= IOLENS_CALL_HAS_REQUESTED;
            break;
        case IOLENS_SHAPE_MESSAGES:
            if (event.result >= 0) {
                event.messages = static_cast<u32>(event.result);
                event.result = static_cast<s64>(sum_of(logged.all_arguments, "msg_len="));
            }
            break;
        default: break;
    }
    const bool on_fd = known->info.shape <= IOLENS_SHAPE_MAP || known->arguments.starts_with("fd:f") ||
                       (takes_directory(*known) && is_fd_itself(logged));
    if (on_fd && known->info.shape != IOLENS_SHAPE_RANGE) {
        side(logged.argument(0), event.direction);
        return;
    }
    deliver(event, receiver);
}

namespace {

/// Prints the first unreadable lines only: in a file that is not a log, every line is unreadable.
StraceImport::Unreadable unreadable_lines() {
    return [count = 0](u64 line, std::string_view text) mutable {
        constexpr std::size_t shown = 120;
        constexpr int max_lines = 20;
        if (++count > max_lines + 1) return;
        if (count > max_lines) {
            log_line("further unreadable lines are only counted");
            return;
        }
        Buffer start;
        append_visible(start, text, shown);
        log_line(fmt::format("can't read line {}: {}", line, std::string_view(start.data(), start.size())));
    };
}

}  // namespace

StraceLog::StraceLog(const std::string& path) : path_(path), import_(unreadable_lines()) {
    file_ = Fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
    struct stat info{};
    if (!file_ || ::fstat(file_.get(), &info) != 0) {
        throw Failure(Exit::usage, fmt::format("can't read '{}': {}", visible(path), error_text(errno)),
                      "use a log of 'strace -f -T -tt -o FILE'");
    }
    if (S_ISDIR(info.st_mode)) {
        throw Failure(Exit::usage, fmt::format("'{}' is a directory", visible(path)),
                      "use a log of 'strace -f -T -tt -o FILE'");
    }
}

std::vector<FileIdentity> StraceLog::inputs() const {
    const auto file = identity_of(file_.get());
    return file ? std::vector{*file} : std::vector<FileIdentity>();
}

/// Reads the next block. Returns false at the end of the file or of the run.
bool StraceLog::fill() {
    buffer_.resize(64 << 10);
    at_ = end_ = 0;
    while (!end_asked()) {
        wait_for_input(file_.get(), -1);
        const ssize_t n = ::read(file_.get(), buffer_.data(), buffer_.size());
        if (n >= 0) {
            end_ = static_cast<std::size_t>(n);
            return n != 0;
        }
        if (errno == EINTR || errno == EAGAIN) continue;
        throw Failure(Exit::failed, fmt::format("can't read '{}': {}", visible(path_), error_text(errno)),
                      "the calls before it were shown");
    }
    return false;
}

bool StraceLog::next_line() {
    line_.clear();
    // a file that is not a log may have no newlines at all
    constexpr std::size_t longest = 1 << 20;
    while (at_ != end_ || fill()) {
        const std::string_view rest(buffer_.data() + at_, end_ - at_);
        const std::size_t length = std::min(rest.find('\n'), rest.size());
        line_.append(rest.substr(0, std::min(length, longest - line_.size())));
        at_ += length;
        if (length == rest.size()) continue;
        ++at_;
        return true;
    }
    return !end_asked() && !line_.empty();
}

std::size_t StraceLog::read(Receiver& receiver) {
    std::size_t lines = 0;
    for (; !ended_ && lines < lines_at_once; ++lines) {
        if (lines != 0 && at_ == end_) break;  // the next line may take long to arrive
        if (next_line()) {
            import_.line(line_, receiver);
        } else {
            import_.end(receiver);
            ended_ = true;
        }
    }
    return lines;
}

iolens_loss StraceLog::ledger() const {
    iolens_loss loss{};
    loss.n.seen = import_.delivered() + import_.filtered();
    loss.n.delivered = import_.delivered();
    loss.n.filtered = import_.filtered();
    return loss;
}

}  // namespace iolens
