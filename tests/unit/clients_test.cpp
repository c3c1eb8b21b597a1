// SPDX-License-Identifier: Apache-2.0
#include "sink/clients.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <thread>
#include <vector>

#include "base/failure.h"
#include "base/readers.h"
#include "base/signals.h"
#include "run.h"

namespace iolens {
namespace {

const std::array columns{Column{.name = "n", .header = "N", .help = "x"},
                         Column{.name = "who", .header = "WHO", .role = Role::name, .help = "x"}};

/// Connects to a socket. Returns no fd if nobody listens.
Fd connect_to(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    Fd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    if (::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd.reset();
    return fd;
}

/// What a client has received so far, or everything until the connection is closed.
std::string received(const Fd& client, bool to_end = false) {
    std::string all;
    std::array<char, 65536> bytes;
    while (true) {
        const ssize_t n = ::recv(client.get(), bytes.data(), bytes.size(), to_end ? 0 : MSG_DONTWAIT);
        if (n <= 0) return all;
        all.append(bytes.data(), static_cast<std::size_t>(n));
    }
}

bool is_closed(const Fd& client) {
    char byte = 0;
    return ::recv(client.get(), &byte, 1, MSG_DONTWAIT | MSG_PEEK) == 0;
}

/// True if the other side has closed the connection. Data that it sent before may still be unread.
bool is_cut_off(const Fd& client) {
    pollfd one{client.get(), POLLRDHUP, 0};
    return ::poll(&one, 1, 0) == 1 && (one.revents & (POLLRDHUP | POLLHUP)) != 0;
}

std::chrono::milliseconds time_of(const std::function<void()>& work) {
    const auto start = std::chrono::steady_clock::now();
    work();
    return std::chrono::duration_cast<std::chrono::milliseconds>(std::chrono::steady_clock::now() - start);
}

class ClientsTest : public testing::Test {
protected:
    ClientsTest() { sink_.begin("thing", pointers_, nullptr); }
    void row(u64 n, std::string_view who = "dd") {
        const std::array values{Value(n), Value(who)};
        sink_.row(values);
    }
    static std::string line(u64 n) { return fmt::format("{{\"type\":\"thing\",\"n\":{},\"who\":\"dd\"}}\n", n); }

    /// The result of finish() with eight large rows for two clients, one of which reads nothing.
    struct End {
        std::chrono::milliseconds took{};
        u64 lost = 0;
        s64 lines = 0;  ///< received by the other one
        std::string text;
        Fd silent;
    };
    /// Sends eight rows of 1 MiB to a client that reads them during finish().
    End finish_while_read() {
        End end;
        const Fd client = connect_to(path_);
        sink_.flush();
        const std::string text(1 << 20, 'x');
        for (u64 n = 0; n < 8; ++n) row(n, text);
        std::thread reader([&] { end.text = received(client, true); });
        end.took = time_of([&] { end.lost = sink_.finish().count; });
        reader.join();
        end.lines = std::ranges::count(end.text, '\n');
        return end;
    }
    End finish_beside_a_silent_client() {
        Fd silent = connect_to(path_);
        End end = finish_while_read();
        end.silent = std::move(silent);
        return end;
    }

    test::Scratch scratch_;
    std::string path_ = scratch_.path("socket");
    const std::array<const Column*, 2> pointers_{&columns[0], &columns[1]};
    ClientsSink sink_{path_};
};

TEST_F(ClientsTest, EachClientGetsTheRowsSinceItConnected) {
    row(1);
    sink_.flush();
    const Fd first = connect_to(path_);
    sink_.flush();
    row(2);
    sink_.flush();
    const Fd second = connect_to(path_);
    row(3);  // the second client is not yet accepted
    sink_.flush();
    row(4);
    EXPECT_EQ(sink_.finish().count, 0U);
    EXPECT_EQ(received(first, true), line(2) + line(3) + line(4));
    EXPECT_EQ(received(second, true), line(4));
}

TEST_F(ClientsTest, LossIsWrittenAsALine) {
    const Fd client = connect_to(path_);
    sink_.loss({.seen = 9, .delivered = 9, .filtered = 0, .causes = {}});
    sink_.flush();
    EXPECT_EQ(received(client), "");
    sink_.loss({.seen = 5, .delivered = 3, .filtered = 1, .causes = {{"ring_full", "event", "ring buffer full", 1}}});
    sink_.finish();
    EXPECT_EQ(received(client, true),
              "{\"type\":\"loss\",\"seen\":5,\"delivered\":3,\"filtered\":1,\"ring_full\":1}\n");
}

TEST_F(ClientsTest, AClientThatDisconnectsIsNotALoss) {
    Fd leaver = connect_to(path_);
    const Fd client = connect_to(path_);
    sink_.flush();
    leaver.reset();
    row(1);
    row(2);
    const LossCause loss = sink_.finish();
    EXPECT_EQ(loss.name, "clients_cut_off");
    EXPECT_EQ(loss.count, 0U);
    EXPECT_EQ(received(client, true), line(1) + line(2));
}

TEST_F(ClientsTest, OnlyASlowClientIsDisconnected) {
    const Fd slow = connect_to(path_);
    const Fd quick = connect_to(path_);
    sink_.flush();
    const std::string text(1 << 20, 'x');
    std::size_t got = 0;
    for (u64 n = 0; n < 80; ++n) {
        row(n, text);
        sink_.flush();
        for (std::string some = received(quick); !some.empty(); some = received(quick)) {
            got += some.size();
            sink_.flush();
        }
    }
    EXPECT_GT(got, 80 * text.size());
    EXPECT_FALSE(is_closed(quick));
    EXPECT_EQ(sink_.finish().count, 1U);
    // it still receives what its socket buffer holds
    EXPECT_LT(received(slow, true).size(), 80 * text.size());
}

TEST_F(ClientsTest, FinishWaitsForClientsThatRead) {
    const End end = finish_while_read();
    EXPECT_EQ(end.lost, 0U);
    EXPECT_GT(end.text.size(), 8U << 20);
    EXPECT_EQ(end.lines, 8);
    EXPECT_TRUE(end.text.ends_with("\"}\n"));
}

TEST_F(ClientsTest, AClientThatDisconnectsIsDroppedThoughNoRowIsWritten) {
    std::vector<Fd> leavers;
    for (int i = 0; i < 5; ++i) leavers.push_back(connect_to(path_));
    const Fd half = connect_to(path_);
    sink_.flush();
    EXPECT_EQ(sink_.clients(), 6U);
    leavers.clear();
    ::shutdown(half.get(), SHUT_WR);  // like a client that has nothing to send: it continues to read
    sink_.flush();
    EXPECT_EQ(sink_.clients(), 1U);
    row(1);
    EXPECT_EQ(sink_.finish().count, 0U);
    EXPECT_EQ(received(half, true), line(1));
}

TEST_F(ClientsTest, TheProcessOfAClientIsARowReaderWhileItIsConnected) {
    const auto pid = static_cast<u32>(::getpid());
    EXPECT_FALSE(row_readers().contains(pid));
    Fd first = connect_to(path_);
    Fd second = connect_to(path_);
    sink_.flush();
    EXPECT_TRUE(row_readers().contains(pid));
    first.reset();
    sink_.flush();
    EXPECT_TRUE(row_readers().contains(pid));
    second.reset();
    sink_.flush();
    EXPECT_FALSE(row_readers().contains(pid));
}

TEST_F(ClientsTest, ThousandsOfClientsThatComeAndGoLeaveNothingBehind) {
    const std::string text(1 << 16, 'x');
    const Fd stays = connect_to(path_);
    std::size_t got = 0;
    for (u64 n = 0; n < 30; ++n) {
        std::vector<Fd> leavers;
        for (int i = 0; i < 100; ++i) leavers.push_back(connect_to(path_));
        sink_.flush();
        for (int i = 0; i < 8; ++i) row(n, text);
        sink_.flush();
        leavers.clear();
        got += received(stays).size();
    }
    std::thread reader([&] { got += received(stays, true).size(); });
    sink_.flush();
    EXPECT_EQ(sink_.clients(), 1U);
    const auto took = time_of([&] { EXPECT_EQ(sink_.finish().count, 0U); });
    EXPECT_LT(took, std::chrono::seconds(1));
    reader.join();
    EXPECT_GT(got, 240 * text.size());
    EXPECT_EQ(sink_.backlog(), 0U);
    EXPECT_EQ(sink_.refused().count, 0U);
}

TEST_F(ClientsTest, TheBacklogIsLimitedWhileRowsAreAppended) {
    std::vector<Fd> silent;
    for (int i = 0; i < 50; ++i) silent.push_back(connect_to(path_));
    sink_.flush();
    const std::string text(1 << 20, 'x');
    for (u64 n = 0; n < 80; ++n) {  // without flushing in between
        row(n, text);
        ASSERT_LE(sink_.backlog(), ClientsSink::max_backlog + 2 * text.size());
    }
    for (const Fd& client : silent) EXPECT_TRUE(is_cut_off(client));
    EXPECT_EQ(sink_.clients(), 0U);
    EXPECT_EQ(sink_.backlog(), 0U);
    EXPECT_EQ(sink_.finish().count, 50U);
}

TEST_F(ClientsTest, TooManyClientsAreRefusedAndCounted) {
    constexpr std::size_t many = ClientsSink::max_clients;
    std::vector<Fd> all;
    for (std::size_t i = 0; i < many + 10; ++i) all.push_back(connect_to(path_));
    sink_.flush();
    EXPECT_EQ(sink_.clients(), many);
    EXPECT_TRUE(is_closed(all.back()));
    EXPECT_FALSE(is_closed(all.front()));
    all.front().reset();  // its slot is free again
    sink_.flush();
    const Fd late = connect_to(path_);
    sink_.flush();
    row(1);
    EXPECT_EQ(sink_.finish().count, 0U);
    EXPECT_EQ(received(late, true), line(1));
    EXPECT_EQ(received(all[1], true), line(1));
    const LossCause loss = sink_.refused();
    EXPECT_EQ(loss.name, "clients_refused");
    EXPECT_EQ(loss.count, 10U);
}

TEST_F(ClientsTest, FinishDoesNotWaitForASilentClient) {
    const End end = finish_beside_a_silent_client();
    EXPECT_EQ(end.lost, 1U);
    EXPECT_LT(end.took, std::chrono::seconds(3));
    EXPECT_EQ(end.lines, 8);
    EXPECT_TRUE(is_cut_off(end.silent));
}

TEST_F(ClientsTest, AfterASignalFinishTakesLessThanASecond) {
    // in a child process, because the signal state can't be reset
    const auto finish = [this] {
        catch_signals();
        ::raise(SIGINT);
        const End end = finish_beside_a_silent_client();
        const bool good = end.took < std::chrono::milliseconds(900) && end.lines == 8;
        std::_Exit(good ? 0 : 1);
    };
    EXPECT_EXIT(finish(), testing::ExitedWithCode(0), "");
}

TEST_F(ClientsTest, TheSocketIsPrivate) {
    struct stat info{};
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_TRUE(S_ISSOCK(info.st_mode));
    EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(ClientsTest, ASocketInUseIsRefused) {
    try {
        const ClientsSink other(path_);
        FAIL();
    } catch (const Failure& failure) {
        EXPECT_EQ(failure.status(), Exit::usage);
        EXPECT_NE(std::string(failure.what()).find("Address already in use"), std::string::npos) << failure.what();
    }
    EXPECT_TRUE(connect_to(path_));  // the first one still listens
}

TEST(Clients, TheSocketIsRemovedAtTheEnd) {
    const test::Scratch scratch;
    const std::string path = scratch.path("socket");
    {
        const ClientsSink sink(path);
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Clients, ALeftoverSocketIsReplacedButAFileIsNot) {
    const test::Scratch scratch;
    const std::string path = scratch.path("socket");
    {
        // left behind by a killed process
        const ClientsSink killed(path);
        std::filesystem::rename(path, path + ".old");
    }
    std::filesystem::rename(path + ".old", path);
    EXPECT_FALSE(connect_to(path));
    {
        const ClientsSink sink(path);
        EXPECT_TRUE(connect_to(path));
    }
    test::spit(path, "precious");
    EXPECT_THROW(ClientsSink{path}, Failure);
    EXPECT_EQ(test::slurp(path), "precious");
    // nor is a symbolic link
    std::filesystem::remove(path);
    std::filesystem::create_symlink("nowhere", path);
    EXPECT_THROW(ClientsSink{path}, Failure);
    EXPECT_TRUE(std::filesystem::is_symlink(path));
}

TEST(Clients, AnUnusablePathIsAFailure) {
    const test::Scratch scratch;
    constexpr std::size_t buffer = sizeof(sockaddr_un::sun_path);
    const std::string base = scratch.path("");
    const std::string longest = scratch.path(std::string(buffer - 1 - base.size() - 1, 'x'));
    ASSERT_EQ(longest.size(), buffer - 1);
    {
        const ClientsSink sink(longest);
        EXPECT_TRUE(connect_to(longest));
    }
    for (const std::string& path : {longest + "x", scratch.path("missing/socket"), std::string(10'000, 'x')}) {
        try {
            const ClientsSink sink(path);
            FAIL() << path;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.status(), Exit::usage) << path;
            EXPECT_NE(failure.hint(), "") << path;
        }
    }
}

}  // namespace
}  // namespace iolens
