// SPDX-License-Identifier: Apache-2.0
#include "sink/queue.h"

#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstring>
#include <type_traits>

#include "base/failure.h"
#include "base/signals.h"
#include "base/text.h"
#include "sink/metrics.h"

namespace iolens {
namespace {

using namespace std::chrono_literals;

constexpr std::size_t max_bytes = 64 << 20;
constexpr int wake_signal = SIGURG;  // ignored by default
// A reader that receives nothing for this long is considered gone: while rows come, and at the end.
constexpr auto max_silence = 5s;
constexpr auto max_silence_at_end = 1s;
constexpr auto max_wait_signalled = 250ms;  // for all records, after a signal
constexpr auto look_again = 20ms;           // a signal is noticed within this time

using Clock = std::chrono::steady_clock;

/// What a listener for io-monitor receives: io-monitor's struct monitor_record_t, byte by byte.
struct MonitorRecord {
    std::array<char, 256> facility;
    s32 timestamp;  ///< seconds since 1970
    float elapsed_ms;
    s32 pid;
    s32 domain;
    s32 op;
    s32 error;
    s32 fd;
    s32 reserved;
    u64 bytes;
    std::array<char, 4096> first;
    std::array<char, 256> second;
};
static_assert(sizeof(MonitorRecord) == 4648 && std::is_trivially_copyable_v<MonitorRecord>);

struct Message {
    long type;
    MonitorRecord record;
};

/// The creator of a queue keeps the owner's rights on it, even after giving it away.
bool is_ours(const msqid_ds& queue) { return queue.msg_perm.uid == ::geteuid() && queue.msg_perm.cuid == ::geteuid(); }

template <std::size_t N>
void put(std::array<char, N>& to, const std::string& from) {
    std::copy_n(from.data(), std::min(from.size(), N - 1), to.data());
}

}  // namespace

QueueSink::QueueSink(const std::string& path, std::span<const std::string_view> domains,
                     std::span<const std::string_view> operations)
    : domains_(domains), operations_(operations) {
    const key_t key = ::ftok(path.c_str(), 'm');
    if (key == -1) {
        throw Failure(Exit::usage,
                      fmt::format("can't get a message queue key for '{}': {}", visible(path), error_text(errno)),
                      "use an existing file, the same one as the listener");
    }
    queue_ = ::msgget(key, 0600 | IPC_CREAT);
    msqid_ds about{};
    const bool foreign = queue_ == -1 ? errno == EACCES : ::msgctl(queue_, IPC_STAT, &about) != 0 || !is_ours(about);
    if (foreign) {
        throw Failure(Exit::usage, fmt::format("the message queue of '{}' belongs to another user", visible(path)),
                      "run the listener as the user that iolens runs as, or use another file; 'ipcs -q' lists queues");
    }
    if (queue_ == -1) {
        throw Failure(Exit::failed,
                      fmt::format("can't open the message queue of '{}': {}", visible(path), error_text(errno)),
                      "'ipcs -q' lists the queues and their owners");
    }
}

/// Called for the first row, after the process has dropped the capabilities that only attaching needs: a thread keeps
/// the capabilities that it starts with.
void QueueSink::start_thread() {
    struct sigaction wake{};
    wake.sa_handler = [](int) {};
    ::sigaction(wake_signal, &wake, nullptr);
    // all other signals are for the thread that prints
    sigset_t items;
    sigset_t before;
    sigfillset(&items);
    sigdelset(&items, wake_signal);
    ::pthread_sigmask(SIG_SETMASK, &items, &before);
    thread_ = std::thread([this] { deliver(); });
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}

QueueSink::~QueueSink() { end_thread(); }

void QueueSink::end_thread() {
    if (!thread_.joinable()) return;
    {
        std::unique_lock lock(mutex_);
        over_ = true;
        changed_.notify_all();
        // it may be about to wait for space: signal it again until it has noticed
        while (!ended_) {
            ::pthread_kill(thread_.native_handle(), wake_signal);
            changed_.wait_for(lock, 5ms);
        }
    }
    thread_.join();
}

/// Waits for space. False: it was interrupted, or the queue was removed (errno).
bool QueueSink::send(const Waiting& from) {
    Message message{};
    message.type = 1;
    MonitorRecord& record = message.record;
    put(record.facility, from.facility);
    record.timestamp = static_cast<s32>(from.time_ns / 1'000'000'000);
    record.elapsed_ms = static_cast<float>(static_cast<double>(from.duration_ns) / 1e6);
    record.pid = static_cast<s32>(from.pid);
    record.domain = from.domain;
    record.op = from.op;
    record.error = from.error;
    record.fd = from.fd;
    record.bytes = from.bytes;
    put(record.first, from.first);
    put(record.second, from.second);
    return ::msgsnd(queue_, &message, sizeof record, 0) == 0;
}

/// The thread: sends the waiting records to the queue, in order.
void QueueSink::deliver() {
    std::unique_lock lock(mutex_);
    while (!over_) {
        if (waiting_.empty()) {
            changed_.wait(lock);
            continue;
        }
        const Waiting& next = waiting_.front();  // stays valid: only this thread removes records
        lock.unlock();
        const bool sent = send(next);
        const int error = errno;
        lock.lock();
        if (!sent) {
            if (error != EINTR) over_ = true;  // the queue was removed
            continue;
        }
        bytes_ -= waiting_.front().size();
        waiting_.pop_front();
        ++delivered_;
        if (waiting_.empty() || bytes_ < max_bytes) changed_.notify_all();
    }
    ended_ = true;
    changed_.notify_all();
}

/// Waits for space in memory. False: the queue was removed, the reader receives nothing, or the end was requested.
bool QueueSink::wait_for_space(std::unique_lock<std::mutex>& lock, std::size_t size) {
    u64 before = delivered_;
    auto progress = Clock::now();
    while (!over_ && bytes_ + size > max_bytes) {
        if (end_asked() || silent_at_ == delivered_) return false;
        const auto now = Clock::now();
        if (delivered_ != before) {
            before = delivered_;
            progress = now;
        } else if (now - progress >= max_silence) {
            silent_at_ = delivered_;  // further rows don't wait until the reader receives something
            return false;
        }
        changed_.wait_for(lock, look_again);
    }
    return !over_;
}

void QueueSink::row(Row values) {
    const MetricsRow row(values);
    const auto place_of = [](std::span<const std::string_view> names, std::string_view name) {
        return static_cast<std::size_t>(std::ranges::find(names, name) - names.begin());
    };
    const std::size_t domain_number = place_of(domains_, row.text("domain"));
    const std::size_t op_number = place_of(operations_, row.text("op"));
    if (domain_number == domains_.size() || op_number == operations_.size()) {
        ++given_up_;  // io-monitor has no number for it
        return;
    }
    if (!thread_.joinable()) start_thread();
    Waiting record{.time_ns = row.number("unix_ns"),
                   .duration_ns = row.number("duration_ns"),
                   .bytes = row.number("bytes"),
                   .pid = static_cast<u32>(row.number("pid")),
                   .error = static_cast<s32>(row.signed_number("error_code")),
                   .fd = static_cast<s32>(row.signed_number("fd")),
                   .domain = static_cast<u8>(domain_number),
                   .op = static_cast<u8>(op_number),
                   .facility = std::string(row.text("facility")),
                   .first = std::string(row.text("arg1")),
                   .second = std::string(row.text("arg2"))};
    std::unique_lock lock(mutex_);
    if (!wait_for_space(lock, record.size())) {
        ++given_up_;
        return;
    }
    bytes_ += record.size();
    waiting_.push_back(std::move(record));
    if (waiting_.size() == 1) changed_.notify_all();
}

LossCause QueueSink::finish() {
    {
        std::unique_lock lock(mutex_);
        u64 before = delivered_;
        auto progress = Clock::now();
        auto deadline = Clock::time_point::max();
        while (!waiting_.empty() && !over_ && silent_at_ != delivered_) {
            const auto now = Clock::now();
            if (end_asked()) deadline = std::min(deadline, now + max_wait_signalled);
            if (delivered_ != before) {
                before = delivered_;
                progress = now;
            }
            if (now >= deadline || now - progress >= max_silence_at_end) break;
            changed_.wait_for(lock, look_again);
        }
    }
    end_thread();
    given_up_ += waiting_.size();
    waiting_.clear();
    return {"queue_given_up", "record",
            "not sent to the message queue, whose reader was too slow or has no number for them", given_up_};
}

}  // namespace iolens
