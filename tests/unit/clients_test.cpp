// SPDX-License-Identifier: Apache-2.0
#include "sink/clients.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <array>
#include <filesystem>
#include <thread>

#include "base/failure.h"
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

class ClientsTest : public testing::Test {
protected:
    ClientsTest() { outlet_.begin("thing", pointers_, nullptr); }
    void row(u64 n, std::string_view who = "dd") {
        const std::array values{Value(n), Value(who)};
        outlet_.row(values);
    }
    static std::string line(u64 n) { return fmt::format("{{\"type\":\"thing\",\"n\":{},\"who\":\"dd\"}}\n", n); }

    test::Scratch scratch_;
    std::string path_ = scratch_.path("socket");
    const std::array<const Column*, 2> pointers_{&columns[0], &columns[1]};
    ClientsOutlet outlet_{path_};
};

TEST_F(ClientsTest, EachClientGetsTheRowsSinceItConnected) {
    row(1);
    outlet_.flush();
    const Fd first = connect_to(path_);
    outlet_.flush();
    row(2);
    outlet_.flush();
    const Fd second = connect_to(path_);
    row(3);  // the second client is not yet accepted
    outlet_.flush();
    row(4);
    EXPECT_EQ(outlet_.finish().count, 0U);
    EXPECT_EQ(received(first, true), line(2) + line(3) + line(4));
    EXPECT_EQ(received(second, true), line(4));
}

TEST_F(ClientsTest, LossIsWrittenAsALine) {
    const Fd client = connect_to(path_);
    outlet_.loss({.seen = 9, .delivered = 9, .filtered = 0, .causes = {}});
    outlet_.flush();
    EXPECT_EQ(received(client), "");
    outlet_.loss({.seen = 5, .delivered = 3, .filtered = 1, .causes = {{"ring_full", "events", 1}}});
    outlet_.finish();
    EXPECT_EQ(received(client, true),
              "{\"type\":\"loss\",\"seen\":5,\"delivered\":3,\"filtered\":1,\"ring_full\":1}\n");
}

TEST_F(ClientsTest, AClientThatDisconnectsIsNotALoss) {
    Fd leaver = connect_to(path_);
    const Fd client = connect_to(path_);
    outlet_.flush();
    leaver.reset();
    row(1);
    row(2);
    const LossCause loss = outlet_.finish();
    EXPECT_EQ(loss.name, "clients_cut_off");
    EXPECT_EQ(loss.count, 0U);
    EXPECT_EQ(received(client, true), line(1) + line(2));
}

TEST_F(ClientsTest, OnlyASlowClientIsDisconnected) {
    const Fd slow = connect_to(path_);
    const Fd quick = connect_to(path_);
    outlet_.flush();
    const std::string text(1 << 20, 'x');
    std::size_t got = 0;
    for (u64 n = 0; n < 40; ++n) {
        row(n, text);
        outlet_.flush();
        for (std::string some = received(quick); !some.empty(); some = received(quick)) {
            got += some.size();
            outlet_.flush();
        }
    }
    EXPECT_GT(got, 40 * text.size());
    EXPECT_FALSE(is_closed(quick));
    EXPECT_EQ(outlet_.finish().count, 1U);
    // it still gets what its socket holds
    EXPECT_LT(received(slow, true).size(), 40 * text.size());
}

TEST_F(ClientsTest, FinishWaitsForClientsThatRead) {
    const Fd client = connect_to(path_);
    outlet_.flush();
    const std::string text(1 << 20, 'x');
    for (u64 n = 0; n < 8; ++n) row(n, text);
    std::string all;
    std::thread reader([&] { all = received(client, true); });
    EXPECT_EQ(outlet_.finish().count, 0U);
    reader.join();
    EXPECT_GT(all.size(), 8 * text.size());
    EXPECT_EQ(std::ranges::count(all, '\n'), 8);
    EXPECT_TRUE(all.ends_with("\"}\n"));
}

TEST_F(ClientsTest, TheSocketIsPrivate) {
    struct stat info{};
    ASSERT_EQ(::stat(path_.c_str(), &info), 0);
    EXPECT_TRUE(S_ISSOCK(info.st_mode));
    EXPECT_EQ(info.st_mode & 0777, 0600U);
}

TEST_F(ClientsTest, ASocketInUseIsRefused) {
    try {
        const ClientsOutlet other(path_);
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
        const ClientsOutlet outlet(path);
    }
    EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Clients, ALeftoverSocketIsReplacedButAFileIsNot) {
    const test::Scratch scratch;
    const std::string path = scratch.path("socket");
    {
        // what a killed process leaves behind
        const ClientsOutlet killed(path);
        std::filesystem::rename(path, path + ".old");
    }
    std::filesystem::rename(path + ".old", path);
    EXPECT_FALSE(connect_to(path));
    {
        const ClientsOutlet outlet(path);
        EXPECT_TRUE(connect_to(path));
    }
    test::spit(path, "precious");
    EXPECT_THROW(ClientsOutlet{path}, Failure);
    EXPECT_EQ(test::slurp(path), "precious");
    // neither is a symbolic link
    std::filesystem::remove(path);
    std::filesystem::create_symlink("nowhere", path);
    EXPECT_THROW(ClientsOutlet{path}, Failure);
    EXPECT_TRUE(std::filesystem::is_symlink(path));
}

TEST(Clients, AnUnusablePathIsAFailure) {
    const test::Scratch scratch;
    constexpr std::size_t room = sizeof(sockaddr_un::sun_path);
    const std::string base = scratch.path("");
    const std::string longest = scratch.path(std::string(room - 1 - base.size() - 1, 'x'));
    ASSERT_EQ(longest.size(), room - 1);
    {
        const ClientsOutlet outlet(longest);
        EXPECT_TRUE(connect_to(longest));
    }
    for (const std::string& path : {longest + "x", scratch.path("missing/socket"), std::string(10'000, 'x')}) {
        try {
            const ClientsOutlet outlet(path);
            FAIL() << path;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.status(), Exit::usage) << path;
            EXPECT_NE(failure.hint(), "") << path;
        }
    }
}

}  // namespace
}  // namespace iolens
