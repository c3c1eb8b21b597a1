// SPDX-License-Identifier: Apache-2.0
#include "source/ring.h"

#include <bpf/bpf.h>
#include <gtest/gtest.h>
#include <linux/bpf.h>
#include <poll.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <functional>
#include <stdexcept>

#include "base/failure.h"
#include "base/fd.h"

namespace iolens {
namespace {

constexpr int ethernet_header = 14;  // removed before a socket filter sees the packet

/// A ring buffer, and a BPF program that appends an 8-byte record: the length of the packet it runs on.
class RingTest : public testing::Test {
protected:
    void SetUp() override {
        const auto size = static_cast<u32>(::getpagesize());
        ring_ = Fd(::bpf_map_create(BPF_MAP_TYPE_RINGBUF, "ring_test", 0, 0, size, nullptr));
        if (!ring_) GTEST_SKIP() << "can't make a BPF ring buffer: " << strerror(errno);
        // r1 = ctx: r0 = skb->len; *(u64 *)(r10 - 8) = r0; bpf_ringbuf_output(ring, r10 - 8, 8, 0); return 0
        const std::array<bpf_insn, 11> code{{
            {.code = BPF_LDX | BPF_MEM | BPF_W, .dst_reg = BPF_REG_0, .src_reg = BPF_REG_1, .off = 0, .imm = 0},
            {.code = BPF_STX | BPF_MEM | BPF_DW, .dst_reg = BPF_REG_10, .src_reg = BPF_REG_0, .off = -8, .imm = 0},
            {.code = BPF_LD | BPF_IMM | BPF_DW,
             .dst_reg = BPF_REG_1,
             .src_reg = BPF_PSEUDO_MAP_FD,
             .off = 0,
             .imm = ring_.get()},
            {.code = 0, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
            {.code = BPF_ALU64 | BPF_MOV | BPF_X, .dst_reg = BPF_REG_2, .src_reg = BPF_REG_10, .off = 0, .imm = 0},
            {.code = BPF_ALU64 | BPF_ADD | BPF_K, .dst_reg = BPF_REG_2, .src_reg = 0, .off = 0, .imm = -8},
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_3, .src_reg = 0, .off = 0, .imm = 8},
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_4, .src_reg = 0, .off = 0, .imm = 0},
            {.code = BPF_JMP | BPF_CALL, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = BPF_FUNC_ringbuf_output},
            {.code = BPF_ALU64 | BPF_MOV | BPF_K, .dst_reg = BPF_REG_0, .src_reg = 0, .off = 0, .imm = 0},
            {.code = BPF_JMP | BPF_EXIT, .dst_reg = 0, .src_reg = 0, .off = 0, .imm = 0},
        }};
        program_ =
            Fd(::bpf_prog_load(BPF_PROG_TYPE_SOCKET_FILTER, "ring_test", "GPL", code.data(), code.size(), nullptr));
        if (!program_) GTEST_SKIP() << "can't load a BPF program: " << strerror(errno);
    }

    /// Appends a record to the ring.
    void put(u64 n) {
        const std::vector<char> packet(n + ethernet_header);
        bpf_test_run_opts options{};
        options.sz = sizeof options;
        options.data_in = packet.data();
        options.data_size_in = static_cast<u32>(packet.size());
        options.repeat = 1;
        ASSERT_EQ(::bpf_prog_test_run_opts(program_.get(), &options), 0) << strerror(errno);
    }

    RingSource::Probes probes() const {
        return {.ring_fd = ring_.get(), .detach = {}, .ledger = [] { return iolens_loss{}; }};
    }

    Fd ring_;
    Fd program_;
};

/// Collects records with one number each, and stops the read after `limit` of them.
class Numbers final : public Receiver {
public:
    explicit Numbers(std::size_t limit = ~std::size_t{0}) : limit_(limit) {}
    bool record(std::span<const std::byte> bytes) override {
        if (throws) throw std::runtime_error("from the receiver");
        EXPECT_EQ(bytes.size(), 8U);
        EXPECT_EQ(reinterpret_cast<std::uintptr_t>(bytes.data()) % 8, 0U);
        u64 n = 0;
        std::memcpy(&n, bytes.data(), sizeof n);
        seen.push_back(n);
        if (on_record) on_record();
        return seen.size() < limit_;
    }
    std::vector<u64> seen;
    bool throws = false;
    std::function<void()> on_record;

private:
    std::size_t limit_;
};

bool readable(const RingSource& source) {
    pollfd waiting{source.descriptor(), POLLIN, 0};
    return ::poll(&waiting, 1, 0) == 1;
}

TEST_F(RingTest, RecordsAreReadOnceAndInOrder) {
    RingSource source(probes());
    Numbers numbers;
    EXPECT_EQ(source.read(numbers), 0U);
    EXPECT_FALSE(readable(source));
    for (const u64 n : {u64{1}, u64{2}, u64{3}}) put(n);
    EXPECT_TRUE(readable(source));
    EXPECT_EQ(source.read(numbers), 3U);
    EXPECT_EQ(numbers.seen, (std::vector<u64>{1, 2, 3}));
    EXPECT_EQ(source.read(numbers), 0U);
    EXPECT_FALSE(readable(source));
    put(4);
    EXPECT_EQ(source.read(numbers), 1U);
    EXPECT_EQ(numbers.seen.back(), 4U);
}

TEST_F(RingTest, ReadReturnsWhileRecordsKeepComing) {
    RingSource source(probes());
    Numbers numbers;
    std::size_t more = 200'000;
    numbers.on_record = [&] {
        if (more-- > 0) put(1);
    };
    put(1);
    const std::size_t first = source.read(numbers);
    EXPECT_GT(more, 0U);
    EXPECT_EQ(first, numbers.seen.size());
    numbers.on_record = nullptr;
    EXPECT_EQ(source.read(numbers), 1U);  // no record is lost between two reads
    EXPECT_EQ(source.read(numbers), 0U);
}

TEST_F(RingTest, PrependedRecordsAreReadFirstAndOnce) {
    RingSource::Probes before = probes();
    before.before = {{100}, {200}};
    RingSource source(std::move(before));
    put(1);
    Numbers numbers;
    EXPECT_EQ(source.read(numbers), 3U);
    EXPECT_EQ(numbers.seen, (std::vector<u64>{100, 200, 1}));
    EXPECT_EQ(source.read(numbers), 0U);
}

TEST_F(RingTest, ReadStopsWhenTheReceiverRefusesMore) {
    RingSource source(probes());
    for (const u64 n : {u64{1}, u64{2}, u64{3}}) put(n);
    Numbers two(2);
    EXPECT_EQ(source.read(two), 2U);
    EXPECT_EQ(two.seen, (std::vector<u64>{1, 2}));
    Numbers rest;
    EXPECT_EQ(source.read(rest), 1U);
    EXPECT_EQ(rest.seen, (std::vector<u64>{3}));
}

TEST_F(RingTest, ReadRethrowsAnExceptionOnce) {
    RingSource source(probes());
    put(1);
    put(2);
    Numbers numbers;
    numbers.throws = true;
    EXPECT_THROW(source.read(numbers), std::runtime_error);
    numbers.throws = false;
    EXPECT_EQ(source.read(numbers), 1U);
    EXPECT_EQ(numbers.seen, (std::vector<u64>{2}));
}

TEST_F(RingTest, AFullRingDropsNewRecords) {
    RingSource source(probes());
    const auto more = static_cast<u64>(::getpagesize()) / 16 + 1;  // each takes 8 bytes and an 8-byte header
    for (u64 n = 1; n <= more; ++n) put(n);
    Numbers numbers;
    const std::size_t count = source.read(numbers);
    EXPECT_GT(count, 0U);
    EXPECT_LT(count, more);
    for (u64 n = 0; n < count; ++n) ASSERT_EQ(numbers.seen[n], n + 1);
    put(7);
    EXPECT_EQ(source.read(numbers), 1U);
}

TEST_F(RingTest, DelegatesToTheProbes) {
    RingSource::Probes all = probes();
    int detached = 0;
    bool gone = false;
    all.detach = [&] { ++detached; };
    all.ended = [&] { return gone; };
    all.ledger = [] {
        iolens_loss loss{};
        loss.n.seen = 42;
        return loss;
    };
    RingSource source(std::move(all));
    EXPECT_FALSE(source.ended());
    gone = true;
    EXPECT_TRUE(source.ended());
    EXPECT_EQ(source.ledger().n.seen, 42U);
    EXPECT_EQ(detached, 0);
    put(1);
    source.stop();
    EXPECT_EQ(detached, 1);
    // what is already in the ring can still be read
    Numbers numbers;
    EXPECT_EQ(source.read(numbers), 1U);

    RingSource bare(probes());
    EXPECT_FALSE(bare.ended());
    bare.stop();
}

TEST(Ring, AnFdThatIsNotARingIsAFailure) {
    for (const int fd : {-1, 0}) {
        try {
            const RingSource source({.ring_fd = fd, .detach = {}, .ledger = {}});
            FAIL() << fd;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.status(), Exit::failed);
            EXPECT_NE(failure.hint(), "");
        }
    }
}

}  // namespace
}  // namespace iolens
