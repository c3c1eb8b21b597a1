// SPDX-License-Identifier: Apache-2.0
// libaio's completions, which a program may read from the ring in its own memory.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/aio_abi.h>
#include <linux/fs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <fstream>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "json.h"
#include "machine.h"
#include "rows.h"

namespace iolens::test {
namespace {

class Aio : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// A context, and its completion ring (struct aio_ring of fs/aio.c).
class Context {
public:
    Context() {
        if (::syscall(SYS_io_setup, 32, &id_) != 0) ::_exit(10);
    }
    void submit(std::vector<iocb*> blocks) const {
        const auto count = static_cast<long>(blocks.size());
        if (::syscall(SYS_io_submit, id_, count, blocks.data()) != count) ::_exit(11);
    }
    /// Takes the next result without a system call.
    [[nodiscard]] s64 take() const {
        struct Ring {
            u32 id, number, head, tail, magic, compatible, incompatible, header_length;
        };
        auto* ring = reinterpret_cast<Ring*>(id_);  // NOLINT(performance-no-int-to-ptr): that is what it is
        if (ring->magic != 0xa10a10a1) ::_exit(12);
        while (ring->head == __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE)) continue;
        const s64 result = reinterpret_cast<const io_event*>(ring + 1)[ring->head].res;
        __atomic_store_n(&ring->head, (ring->head + 1) % ring->number, __ATOMIC_RELEASE);
        return result;
    }
    [[nodiscard]] s64 get() const {
        io_event done{};
        if (::syscall(SYS_io_getevents, id_, 1, 1, &done, nullptr) != 1) ::_exit(13);
        return done.res;
    }

private:
    aio_context_t id_ = 0;
};

std::array<char, 4096> bytes;

iocb block(u16 opcode, int fd, u64 count, s64 offset) {
    iocb b{};
    b.aio_lio_opcode = opcode;
    b.aio_fildes = static_cast<u32>(fd);
    b.aio_buf = reinterpret_cast<u64>(bytes.data());
    b.aio_nbytes = count;
    b.aio_offset = offset;
    return b;
}

void expect(s64 result, s64 wanted) {
    if (result != wanted) ::_exit(14);
}

/// True if the kernel has kprobes, and the function that completes reads and writes.
bool sees_completions() {
    static const bool seen = [] {
        if (::access("/sys/bus/event_source/devices/kprobe/type", R_OK) != 0) return false;
        std::ifstream symbols("/proc/kallsyms");
        for (std::string line; std::getline(symbols, line);) {
            if (line.ends_with(" aio_complete_rw")) return true;
        }
        return false;
    }();
    return seen;
}

/// The ways to see completions here, and whether each sees any.
std::map<std::string, bool> ways() {
    std::map<std::string, bool> items{{"syscalls", false}, {"", sees_completions()}};
    if (sees_completions()) items.insert({"kprobe", true});
    return items;
}

TRACED_TEST_F(Aio, AResultThatIsTakenFromTheRingIsARow) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    for (const auto& [way, seen] : ways()) {
        const Variable forced("IOLENS_PROBE", way.c_str());
        spit(path, std::string(1000, 'x'));
        const std::vector<Json> rows = rows_of("aio", [&] {
            const Context context;
            const int fd = ::open(path.c_str(), O_RDWR | O_APPEND);
            iocb first = block(IOCB_CMD_PREAD, fd, 512, 0);
            iocb second = block(IOCB_CMD_PREAD, fd, 512, 512);
            context.submit({&first, &second});
            expect(context.take() + context.take(), 1000);
            first = block(IOCB_CMD_PREAD, fd, 512, 4096);
            second = block(IOCB_CMD_PWRITE, fd, 7, 1);
            context.submit({&first, &second});  // the same ones again
            expect(context.take() + context.take(), 7);
            iocb fails = block(IOCB_CMD_PREAD, fd, 512, 0);
            fails.aio_buf = 16;
            context.submit({&fails});
            expect(context.take(), -EFAULT);
        });
        ASSERT_EQ(rows.size(), 5U) << way;
        const std::vector<std::string> results{"512", "488", "0", "7", "-1"};
        std::map<std::string, int> found;
        for (const Json& row : rows) {
            EXPECT_EQ(row.at("file"), path);
            EXPECT_EQ(row.at("end").dump(), seen ? "null" : "\"missed\"") << way;
            EXPECT_EQ(row.at("duration_ns").is_null(), !seen) << way;
            ++found[row.at("result").dump()];
            if (row.at("call") == "aio:pwrite" && seen) {
                EXPECT_EQ(row.at("offset"), 1000);
            }
            if (row.at("result") == -1) {
                EXPECT_EQ(row.at("error"), "EFAULT");
            }
        }
        for (const std::string& result : results)
            EXPECT_EQ(found[seen ? result : "null"], seen ? 1 : 5) << way << result;
    }
}

/// A request ends when it has completed, not when its result is fetched, and has one row.
TRACED_TEST_F(Aio, ARequestEndsWithItsCompletion) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(1000, 'x'));
    for (const auto& [way, seen] : ways()) {
        const Variable forced("IOLENS_PROBE", way.c_str());
        const std::vector<Json> rows = rows_of("aio", [&] {
            const Context context;
            const int fd = ::open(path.c_str(), O_RDONLY);
            iocb read = block(IOCB_CMD_PREAD, fd, 100, 0);
            iocb sync = block(IOCB_CMD_FSYNC, fd, 0, 0);  // no read or write
            sync.aio_buf = 0;
            context.submit({&read, &sync});
            std::this_thread::sleep_for(std::chrono::milliseconds(500));
            expect(context.get() + context.get(), 100);
        });
        ASSERT_EQ(rows.size(), 2U) << way;
        for (const Json& row : rows) {
            const bool reads = row.at("call") == "aio:pread";
            EXPECT_EQ(row.at("result"), reads ? 100 : 0);
            EXPECT_TRUE(row.at("end").is_null());
            if (reads && seen) {
                EXPECT_LT(row.at("duration_ns").get<u64>(), 400'000'000U) << way;
            } else {
                EXPECT_GE(row.at("duration_ns").get<u64>(), 400'000'000U) << way;
            }
        }
    }
}

/// The addresses of contexts and requests are the same in both processes.
TRACED_TEST_F(Aio, ProcessesWithEqualAddressesAreDistinguished) {
    const Scratch scratch;
    const std::string path = scratch.path("data");
    spit(path, std::string(4096, 'x'));
    constexpr int times = 50;
    for (const auto& [way, seen] : ways()) {
        const Variable forced("IOLENS_PROBE", way.c_str());
        const std::vector<Json> rows = rows_of("aio", [&] {
            const bool second = ::fork() == 0;
            const Context context;
            const int fd = ::open(path.c_str(), O_RDONLY);
            for (int i = 0; i < times; ++i) {
                iocb read = block(IOCB_CMD_PREAD, fd, second ? 200 : 100, i);
                context.submit({&read});
                expect(i % 2 == 0 ? context.take() : context.get(), second ? 200 : 100);
            }
            if (second) ::_exit(0);
            int status = 0;
            ::wait(&status);
            expect(status, 0);
        });
        ASSERT_EQ(rows.size(), 2U * times) << way;
        std::map<u64, std::map<u64, int>> offsets;
        for (const Json& row : rows) {
            const u64 size = row.at("requested").get<u64>();
            const u64 offset = row.at("offset").get<u64>();
            ++offsets[size][offset];
            EXPECT_EQ(row.at("result").is_null(), !seen && offset % 2 == 0);
            if (!row.at("result").is_null()) {
                EXPECT_EQ(row.at("result"), size);
            }
        }
        for (const u64 size : {100U, 200U}) EXPECT_EQ(offsets[size].size(), std::size_t{times}) << way;
    }
}

}  // namespace
}  // namespace iolens::test
