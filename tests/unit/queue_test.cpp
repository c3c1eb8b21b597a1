// SPDX-License-Identifier: Apache-2.0
#include "sink/queue.h"

#include <gtest/gtest.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <thread>
#include <vector>

#include "base/failure.h"
#include "base/signals.h"
#include "run.h"

namespace iolens {
namespace {

constexpr std::array<std::string_view, 2> domains{"FILE_READ", "FILE_WRITE"};
constexpr std::array<std::string_view, 3> operations{"OPEN", "READ", "WRITE"};

// io-monitor's struct monitor_record_t, by offsets
constexpr std::size_t at_facility = 0;
constexpr std::size_t at_timestamp = 256;
constexpr std::size_t at_elapsed_ms = 260;
constexpr std::size_t at_pid = 264;
constexpr std::size_t at_domain = 268;
constexpr std::size_t at_op = 272;
constexpr std::size_t at_error = 276;
constexpr std::size_t at_fd = 280;
constexpr std::size_t at_bytes = 288;
constexpr std::size_t at_first = 296;
constexpr std::size_t at_second = 4392;
constexpr std::size_t record_size = 4648;

struct Message {
    long type;
    std::array<char, record_size + 1> bytes;  // one byte more, to detect a record that is too long

    template <typename T>
    [[nodiscard]] T at(std::size_t offset) const {
        T value;
        std::memcpy(&value, bytes.data() + offset, sizeof value);
        return value;
    }
    [[nodiscard]] std::string text(std::size_t offset) const { return bytes.data() + offset; }
};

/// The fields of a row, as set by a caller of the sink.
struct Fields {
    std::string_view facility = "u";
    u64 time_ns = 0;
    u64 duration_ns = 0;
    u64 pid = 1;
    std::string_view domain = domains[0];
    std::string_view op = operations[1];
    s64 error = 0;
    s64 fd = 3;
    u64 bytes = 0;
    std::string_view first = {};
    std::string_view second = {};
};

void put(QueueSink& sink, const Fields& f) {
    const std::array row{Value(f.facility),
                         Value(f.time_ns),
                         Value(f.duration_ns),
                         Value(f.pid),
                         Value(f.domain),
                         Value(f.op),
                         Value::signed_number(f.error),
                         Value::signed_number(f.fd),
                         Value(f.bytes),
                         Value(f.first),
                         Value(f.second)};
    sink.row(row);
}

class QueueTest : public testing::Test {
protected:
    void SetUp() override {
        test::spit(path_, "");
        queue_ = ::msgget(key(), 0600 | IPC_CREAT);
        if (queue_ == -1) GTEST_SKIP() << "no System V message queues here: " << strerror(errno);
    }
    void TearDown() override { remove_queue(); }

    void remove_queue() {
        if (queue_ != -1) ::msgctl(queue_, IPC_RMID, nullptr);
        queue_ = -1;
    }
    [[nodiscard]] key_t key() const { return ::ftok(path_.c_str(), 'm'); }
    /// Number of records that the kernel queues before a sender blocks.
    [[nodiscard]] std::size_t capacity() const {
        msqid_ds about{};
        ::msgctl(queue_, IPC_STAT, &about);
        return about.msg_qbytes / record_size;
    }
    [[nodiscard]] std::optional<Message> receive(int flags = IPC_NOWAIT) const {
        Message message{};
        const ssize_t size = ::msgrcv(queue_, &message, sizeof message.bytes, 0, flags);
        if (size < 0) return {};
        EXPECT_EQ(static_cast<std::size_t>(size), record_size);
        return message;
    }

    test::Scratch scratch_;
    std::string path_ = scratch_.path("named");
    int queue_ = -1;
};

TEST_F(QueueTest, ARowBecomesAnIoMonitorRecord) {
    QueueSink sink(path_, domains, operations);
    put(sink, {.facility = "f",
               .time_ns = 1'700'000'000'999'999'999,
               .duration_ns = 1'500'000,
               .pid = 1234,
               .domain = "FILE_WRITE",
               .op = "WRITE",
               .error = 28,
               .fd = -1,
               .bytes = u64{5} << 32,
               .first = "/a",
               .second = "b"});
    EXPECT_EQ(sink.finish().count, 0U);
    const auto message = receive();
    ASSERT_TRUE(message);
    EXPECT_GT(message->type, 0);
    EXPECT_EQ(message->text(at_facility), "f");
    EXPECT_EQ(message->at<s32>(at_timestamp), 1'700'000'000);
    EXPECT_EQ(message->at<float>(at_elapsed_ms), 1.5F);
    EXPECT_EQ(message->at<s32>(at_pid), 1234);
    EXPECT_EQ(message->at<s32>(at_domain), 1);
    EXPECT_EQ(message->at<s32>(at_op), 2);
    EXPECT_EQ(message->at<s32>(at_error), 28);
    EXPECT_EQ(message->at<s32>(at_fd), -1);
    EXPECT_EQ(message->at<u64>(at_bytes), u64{5} << 32);
    EXPECT_EQ(message->text(at_first), "/a");
    EXPECT_EQ(message->text(at_second), "b");
    EXPECT_FALSE(receive());
}

TEST_F(QueueTest, LongTextsAreTruncatedAndTerminated) {
    QueueSink sink(path_, domains, operations);
    const std::string text(10'000, 'x');
    put(sink, {.facility = text, .first = text, .second = text});
    put(sink, {.facility = {}, .first = {}, .second = {}});
    EXPECT_EQ(sink.finish().count, 0U);
    const auto cut = receive();
    ASSERT_TRUE(cut);
    EXPECT_EQ(cut->text(at_facility), text.substr(0, 255));
    EXPECT_EQ(cut->text(at_first), text.substr(0, 4095));
    EXPECT_EQ(cut->text(at_second), text.substr(0, 255));
    const auto empty = receive();
    ASSERT_TRUE(empty);
    for (const std::size_t at : {at_facility, at_first, at_second}) EXPECT_EQ(empty->text(at), "");
}

TEST_F(QueueTest, RowsOfUnknownDomainsOrOperationsAreCounted) {
    QueueSink sink(path_, domains, operations);
    put(sink, {.domain = "NETWORK"});
    put(sink, {.op = ""});
    put(sink, {.fd = 7});
    const LossCause loss = sink.finish();
    EXPECT_EQ(loss.name, "queue_given_up");
    EXPECT_EQ(loss.count, 2U);
    const auto message = receive();
    ASSERT_TRUE(message);
    EXPECT_EQ(message->at<s32>(at_fd), 7);
    EXPECT_FALSE(receive());
}

TEST_F(QueueTest, RowsWaitForASlowReaderInOrder) {
    QueueSink sink(path_, domains, operations);
    const std::size_t rows = 5 * capacity() + 3;
    for (u64 n = 0; n < rows; ++n) put(sink, {.bytes = n});
    std::vector<u64> seen;
    std::thread reader([&] {
        while (seen.size() < rows) {
            const auto message = receive(0);
            if (!message) break;
            seen.push_back(message->at<u64>(at_bytes));
        }
    });
    EXPECT_EQ(sink.finish().count, 0U);
    reader.join();
    ASSERT_EQ(seen.size(), rows);
    for (u64 n = 0; n < rows; ++n) ASSERT_EQ(seen[n], n);
}

TEST_F(QueueTest, RowsAreGivenUpWhenTheQueueIsRemoved) {
    QueueSink sink(path_, domains, operations);
    remove_queue();
    for (u64 n = 0; n < 20; ++n) put(sink, {.bytes = n});
    EXPECT_EQ(sink.finish().count, 20U);
}

TEST_F(QueueTest, AFullQueueDoesNotBlockDestruction) {
    const std::size_t rows = capacity() + 2;
    {
        QueueSink sink(path_, domains, operations);
        for (u64 n = 0; n < rows; ++n) put(sink, {.bytes = n});
    }
    // the records that the kernel queued, without a gap
    u64 n = 0;
    for (auto message = receive(); message; message = receive()) EXPECT_EQ(message->at<u64>(at_bytes), n++);
    EXPECT_LE(n, capacity());
}

TEST_F(QueueTest, AfterASignalAQueueWithoutAReaderTakesLessThanASecond) {
    // in a child process, because the signal state can't be reset
    const auto finish = [this] {
        QueueSink sink(path_, domains, operations);
        catch_signals();
        const std::string text(4000, 'x');
        ::raise(SIGINT);
        const auto start = std::chrono::steady_clock::now();
        constexpr u64 rows = 20'000;  // more than are buffered
        for (u64 n = 0; n < rows; ++n) put(sink, {.bytes = n, .first = text});
        const auto filled = std::chrono::steady_clock::now();
        const u64 lost = sink.finish().count;
        const auto took = std::chrono::steady_clock::now() - filled;
        u64 got = 0;
        while (receive()) ++got;
        const bool quick = filled - start < std::chrono::seconds(4) && took < std::chrono::milliseconds(900);
        std::_Exit(quick && got + lost == rows && got != 0 ? 0 : 1);
    };
    EXPECT_EXIT(finish(), testing::ExitedWithCode(0), "");
}

TEST_F(QueueTest, AReaderThatTakesNothingIsWaitedForOnlyOnce) {
    QueueSink sink(path_, domains, operations);
    const std::string text(4000, 'x');
    const auto start = std::chrono::steady_clock::now();
    constexpr u64 rows = 20'000;  // thousands more than are buffered
    for (u64 n = 0; n < rows; ++n) put(sink, {.bytes = n, .first = text});
    const u64 lost = sink.finish().count;
    EXPECT_LT(std::chrono::steady_clock::now() - start, std::chrono::seconds(9));
    u64 got = 0;
    while (receive()) ++got;
    EXPECT_EQ(got + lost, rows);
}

TEST_F(QueueTest, AQueueOfAnotherUserIsRefused) {
    const auto give_to = [&](uid_t uid) {
        msqid_ds about{};
        EXPECT_EQ(::msgctl(queue_, IPC_STAT, &about), 0);
        about.msg_perm.uid = uid;
        about.msg_perm.mode = 0666;
        EXPECT_EQ(::msgctl(queue_, IPC_SET, &about), 0);
    };
    give_to(::geteuid() + 1);
    try {
        const QueueSink sink(path_, domains, operations);
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::usage);
        EXPECT_NE(std::string(failure.what()).find("another user"), std::string::npos) << failure.what();
        EXPECT_NE(failure.hint(), "");
    }
    give_to(::geteuid());
    EXPECT_NO_THROW(QueueSink(path_, domains, operations));
    if (::geteuid() != 0) GTEST_SKIP() << "another user's queue given to this one is made by root alone";
    // created by another user and then given to this one: its creator could still read it
    remove_queue();
    const key_t name = key();  // the other user doesn't see the file
    ASSERT_NE(name, -1);
    const pid_t child = ::fork();
    if (child == 0) {
        if (::setuid(65534) != 0) std::_Exit(1);
        const int theirs = ::msgget(name, 0600 | IPC_CREAT);
        msqid_ds about{};
        if (::msgctl(theirs, IPC_STAT, &about) != 0) std::_Exit(1);
        about.msg_perm.uid = 0;
        std::_Exit(::msgctl(theirs, IPC_SET, &about) == 0 ? 0 : 1);
    }
    int status = -1;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    if (status != 0) GTEST_SKIP() << "another user can't make a queue here";
    queue_ = ::msgget(key(), 0);
    ASSERT_NE(queue_, -1);
    EXPECT_THROW(QueueSink(path_, domains, operations), Failure);
}

TEST_F(QueueTest, TheQueueIsPrivateAndPersists) {
    remove_queue();
    {
        const QueueSink sink(path_, domains, operations);
    }
    queue_ = ::msgget(key(), 0);
    ASSERT_NE(queue_, -1);
    msqid_ds about{};
    ASSERT_EQ(::msgctl(queue_, IPC_STAT, &about), 0);
    EXPECT_EQ(about.msg_perm.mode & 0777, 0600);
}

TEST_F(QueueTest, AMissingFileIsAFailure) {
    try {
        const QueueSink sink(scratch_.path("missing"), domains, operations);
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::usage);
        EXPECT_NE(failure.hint(), "");
    }
}

}  // namespace
}  // namespace iolens
