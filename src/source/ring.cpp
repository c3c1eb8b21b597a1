// SPDX-License-Identifier: Apache-2.0
#include "source/ring.h"

#include <bpf/libbpf.h>
#include <sys/epoll.h>

#include <cstring>

#include "base/clock.h"
#include "base/failure.h"

namespace iolens {
namespace {

/// Limit per read(): if events arrive faster than they are printed, the ring is never empty, and signals would not be
/// checked.
constexpr std::size_t max_records = 1 << 16;

/// How often to ask the probes for operations that were not seen to complete.
constexpr std::chrono::seconds look_again{5};

/// libbpf's own epoll set is readable while there is any data in the ring, so that poll() on it never sleeps when
/// events are frequent, and each read finds a handful. This one is edge-triggered: readable after a wakeup.
Fd wakes_of(int ring) {
    Fd set(::epoll_create1(EPOLL_CLOEXEC));
    epoll_event event{.events = EPOLLIN | EPOLLET, .data = {}};
    if (!set || ::epoll_ctl(set.get(), EPOLL_CTL_ADD, ring, &event) != 0) {
        throw Failure(Exit::failed, "can't wait for the ring buffer: " + error_text(errno));
    }
    return set;
}

}  // namespace

RingSource::RingSource(Probes probes) : probes_(std::move(probes)), ring_(nullptr, ring_buffer__free) {
    ring_.reset(ring_buffer__new(probes_.ring_fd, on_record, this, nullptr));
    if (!ring_) {
        throw Failure(Exit::failed, "can't map the ring buffer: " + error_text(errno), "use a smaller --ring-size");
    }
    wakes_ = wakes_of(probes_.ring_fd);
}

RingSource::~RingSource() = default;

int RingSource::on_record(void* self, void* data, std::size_t size) {
    auto& source = *static_cast<RingSource*>(self);
    try {
        ++source.count_;
        if (!source.receiver_->record(source.changed({static_cast<const std::byte*>(data), size}))) return -1;
        return source.count_ < max_records ? 0 : -1;
    } catch (...) {
        source.thrown_ = std::current_exception();
        return -1;
    }
}

std::size_t RingSource::deliver(const std::vector<std::vector<u64>>& records) {
    for (const std::vector<u64>& record : records) {
        if (!receiver_->record(std::as_bytes(std::span(record)))) break;
    }
    return records.size();
}

std::span<const std::byte> RingSource::changed(std::span<const std::byte> record) {
    iolens_header head{};
    if (!probes_.change || record.size() < sizeof head) return record;
    std::memcpy(&head, record.data(), sizeof head);
    if (head.kind != probes_.changed) return record;
    copy_.resize((record.size() + sizeof(u64) - 1) / sizeof(u64));
    std::memcpy(copy_.data(), record.data(), record.size());
    const std::span bytes = std::as_writable_bytes(std::span(copy_)).first(record.size());
    probes_.change(bytes);
    return bytes;
}

std::size_t RingSource::read(Receiver& receiver) {
    receiver_ = &receiver;
    count_ = 0;
    count_ += deliver(std::exchange(probes_.before, {}));
    if (probes_.tidy) probes_.tidy();
    epoll_event wake{};
    ::epoll_wait(wakes_.get(), &wake, 1, 0);  // this read answers it
    ring_buffer__consume(ring_.get());
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
    if (!probes_.unfinished) return count_;
    if (stopped_) {
        // after all records in the ring, because these operations have not ended
        if (count_ == 0 && !std::exchange(unfinished_delivered_, true)) count_ += deliver(probes_.unfinished());
    } else if (const auto now = std::chrono::steady_clock::now(); now - looked_ >= look_again) {
        looked_ = now;
        count_ += deliver(probes_.unfinished());
    }
    return count_;
}

void RingSource::stop() {
    if (probes_.detach) probes_.detach();
    stopped_ = true;
}

u64 RingSource::wall_offset_ns() const { return clock_wall_offset_ns(); }

}  // namespace iolens
