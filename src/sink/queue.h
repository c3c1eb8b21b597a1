// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <span>
#include <string>
#include <thread>

#include "sink/stream.h"

namespace iolens {

/// Sends io-monitor's records to its System V message queue. Its rows have the columns of metrics_needs. Records that
/// the queue has no space for wait in memory. When that is full, row() waits, but not for a reader that receives
/// nothing, nor after SIGINT or SIGTERM.
class QueueSink final : public StreamSink {
public:
    /// `path` names the queue as io-monitor does: ftok(path, 'm'). The queue is created if it does not exist (mode
    /// 0600). The number of a domain or operation is its index in these lists. Throws Failure: usage if the queue
    /// belongs to another user, who could read and forge the records.
    QueueSink(const std::string& path, std::span<const std::string_view> domains,
              std::span<const std::string_view> operations);
    ~QueueSink() override;

    void row(Row values) override;
    LossCause finish() override;

private:
    struct Waiting {
        u64 time_ns;
        u64 duration_ns;
        u64 bytes;
        u32 pid;
        s32 error;
        s32 fd;
        u8 domain;
        u8 op;
        std::string facility;
        std::string first;
        std::string second;
        [[nodiscard]] std::size_t size() const {
            return sizeof(Waiting) + facility.capacity() + first.capacity() + second.capacity();
        }
    };
    void deliver();
    void start_thread();
    void end_thread();
    bool wait_for_space(std::unique_lock<std::mutex>& lock, std::size_t size);
    bool send(const Waiting& record);

    std::span<const std::string_view> domains_;
    std::span<const std::string_view> operations_;
    int queue_ = -1;
    u64 given_up_ = 0;
    // shared with the thread
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<Waiting> waiting_;
    std::size_t bytes_ = 0;  // of waiting_
    u64 delivered_ = 0;
    std::optional<u64> silent_at_;  // delivered_ when the reader was last found to receive nothing
    bool over_ = false;             // the thread is to end, even if records wait
    bool ended_ = false;            // the thread has ended
    std::thread thread_;
};

}  // namespace iolens
