// SPDX-License-Identifier: Apache-2.0
// A ring of io_uring, without liburing.
#pragma once

#include <linux/io_uring.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>

#include "iolens/event/header.h"

namespace iolens::test {

/// An io_uring with a few entries; closed by the destructor.
class Uring {
public:
    Uring() : ring_(static_cast<int>(::syscall(SYS_io_uring_setup, 8, &params_))) {
        if (ring_ < 0) return;
        queue_ = map(queue_bytes(), IORING_OFF_SQ_RING);  // of both queues: IORING_FEAT_SINGLE_MMAP, 5.4
        entries_ = map(entries_bytes(), IORING_OFF_SQES);
    }
    ~Uring() {
        if (ring_ < 0) return;
        ::munmap(queue_, queue_bytes());
        ::munmap(entries_, entries_bytes());
        ::close(ring_);
    }
    Uring(const Uring&) = delete;
    Uring& operator=(const Uring&) = delete;

    [[nodiscard]] bool here() const { return ring_ >= 0; }
    [[nodiscard]] int fd() const { return ring_; }
    /// Adds a request, which the caller completes before it is submitted.
    io_uring_sqe& add(u8 opcode, int fd) {
        const u32 tail = number(params_.sq_off.tail);
        const u32 place = tail & number(params_.sq_off.ring_mask);
        auto& entry = reinterpret_cast<io_uring_sqe*>(entries_)[place];
        entry = {};
        entry.opcode = opcode;
        entry.fd = fd;
        (&number(params_.sq_off.array))[place] = place;
        __atomic_store_n(&number(params_.sq_off.tail), tail + 1, __ATOMIC_RELEASE);
        return entry;
    }
    /// Submits `count` requests, and waits for `wait` results.
    void submit(u32 count, u32 wait) const {
        ::syscall(SYS_io_uring_enter, ring_, count, wait, IORING_ENTER_GETEVENTS, nullptr, 0);
    }
    /// Waits for the next result and takes it.
    io_uring_cqe result() {
        const u32 head = number(params_.cq_off.head);
        while (head == __atomic_load_n(&number(params_.cq_off.tail), __ATOMIC_ACQUIRE)) submit(0, 1);
        const u32 place = head & number(params_.cq_off.ring_mask);
        const io_uring_cqe found = reinterpret_cast<io_uring_cqe*>(queue_ + params_.cq_off.cqes)[place];
        __atomic_store_n(&number(params_.cq_off.head), head + 1, __ATOMIC_RELEASE);
        return found;
    }
    /// Submits a read, and waits for `wait` results.
    void read(int fd, u8 flags, u32 wait) {
        static std::array<char, 4096> buffer;
        io_uring_sqe& entry = add(IORING_OP_READ, fd);
        entry.flags = flags;
        entry.addr = reinterpret_cast<u64>(buffer.data());
        entry.len = buffer.size();
        submit(1, wait);
    }

private:
    [[nodiscard]] std::size_t queue_bytes() const {
        return std::max(params_.sq_off.array + params_.sq_entries * sizeof(u32),
                        params_.cq_off.cqes + params_.cq_entries * sizeof(io_uring_cqe));
    }
    [[nodiscard]] std::size_t entries_bytes() const { return params_.sq_entries * sizeof(io_uring_sqe); }
    char* map(std::size_t bytes, off_t what) const {
        return static_cast<char*>(
            ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, ring_, what));
    }
    u32& number(u32 at) { return *reinterpret_cast<u32*>(queue_ + at); }

    io_uring_params params_{};
    int ring_ = -1;
    char* queue_ = nullptr;
    char* entries_ = nullptr;
};

}  // namespace iolens::test
