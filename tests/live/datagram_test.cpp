// SPDX-License-Identifier: Apache-2.0
// The addresses of datagrams on sockets that are not connected.
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

#include "json.h"
#include "machine.h"
#include "rows.h"
#include "uring.h"

namespace iolens::test {
namespace {

class Datagrams : public testing::Test {
protected:
    void SetUp() override { NEEDS(missing_for_tracing().empty(), missing_for_tracing()); }
};

/// An address with its length.
struct Address {
    sockaddr_storage storage{};
    socklen_t length = 0;

    sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

/// `name`: a path, or an abstract name behind a NUL.
Address unix_address(std::string_view name) {
    Address address;
    auto& to = reinterpret_cast<sockaddr_un&>(address.storage);
    to.sun_family = AF_UNIX;
    std::memcpy(static_cast<char*>(to.sun_path), name.data(), name.size());
    address.length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    return address;
}

/// The loopback address; `mapped`: of IPv4 in IPv6.
Address loopback(int family, u16 port = 0, bool mapped = false) {
    Address address;
    if (family == AF_INET) {
        auto& to = reinterpret_cast<sockaddr_in&>(address.storage);
        to.sin_family = AF_INET;
        to.sin_port = htons(port);
        to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        address.length = sizeof to;
    } else {
        auto& to = reinterpret_cast<sockaddr_in6&>(address.storage);
        to.sin6_family = AF_INET6;
        to.sin6_port = htons(port);
        ::inet_pton(AF_INET6, mapped ? "::ffff:127.0.0.1" : "::1", &to.sin6_addr);
        address.length = sizeof to;
    }
    return address;
}

int bound(Address address) {
    const int fd = ::socket(address.storage.ss_family, SOCK_DGRAM, 0);
    if (::bind(fd, address.get(), address.length) != 0) ::_exit(3);
    return fd;
}

u16 port_of(int fd) {
    Address address;
    address.length = sizeof address.storage;
    ::getsockname(fd, address.get(), &address.length);
    return ntohs(reinterpret_cast<sockaddr_in&>(address.storage).sin_port);  // at the same place in sockaddr_in6
}

/// Sends with each call to `to`, and receives with each call.
void exchange(int sender, int receiver, Address to) {
    std::array<char, 8> bytes{};
    iovec piece{bytes.data(), bytes.size()};
    const auto message_to = [&](Address& address) {
        msghdr message{};
        message.msg_name = address.get();
        message.msg_namelen = address.length;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        return message;
    };
    const msghdr out = message_to(to);
    if (::sendto(sender, "abc", 3, 0, to.get(), to.length) != 3) ::_exit(4);
    if (::sendmsg(sender, &out, 0) != 8) ::_exit(5);
    mmsghdr many{out, 0};
    if (::sendmmsg(sender, &many, 1, 0) != 1) ::_exit(6);
    Address from;
    from.length = sizeof from.storage;
    socklen_t length = from.length;
    if (::recvfrom(receiver, bytes.data(), bytes.size(), 0, from.get(), &length) != 3) ::_exit(7);
    msghdr in = message_to(from);
    if (::recvmsg(receiver, &in, 0) != 8) ::_exit(8);
    mmsghdr many_in{message_to(from), 0};
    if (::recvmmsg(receiver, &many_in, 1, 0, nullptr) != 1) ::_exit(9);
}

constexpr const char* all_calls = "sendto,sendmsg,sendmmsg,recvfrom,recvmsg,recvmmsg";

TRACED_TEST_F(Datagrams, OfUnixHaveTheAddressGiven) {
    const Scratch scratch;
    const std::string first = scratch.path("first");
    const std::string second = scratch.path("second");
    const std::string abstract = "iolens-" + std::to_string(::getpid());
    for (const bool plain : {false, true}) {
        if (plain) ::setenv("IOLENS_PROBE", "plain", 1);
        ::unlink(first.c_str());
        ::unlink(second.c_str());
        const std::vector<Json> rows = rows_of(all_calls, [&] {
            // with bytes behind the NUL of the path, which do not count
            exchange(bound(unix_address(first)), bound(unix_address(second)),
                     unix_address(second + std::string("\0rest", 5)));
        });
        EXPECT_EQ(values_of(rows, "file"), (Values{Json(second).dump(), Json(second).dump(), Json(second).dump(),
                                                   Json(first).dump(), Json(first).dump(), Json(first).dump()}));
        EXPECT_EQ(values_of(rows, "peer"), values_of(rows, "file"));
        EXPECT_EQ(values_of(rows, "peer_port"), (Values{"null", "null", "null", "null", "null", "null"}));

        const std::vector<Json> names = rows_of(all_calls, [&] {
            const std::string name = std::string(1, '\0') + abstract + "\x1b\n";
            exchange(bound(unix_address(name + "1")), bound(unix_address(name + "2")), unix_address(name + "2"));
        });
        const std::string to = Json("@" + abstract + "\x1b\n2").dump();
        const std::string from = Json("@" + abstract + "\x1b\n1").dump();
        EXPECT_EQ(values_of(names, "file"), (Values{to, to, to, from, from, from}));
        EXPECT_EQ(values_of(names, "peer"), values_of(names, "file"));
        ::unsetenv("IOLENS_PROBE");
    }
}

/// The sender may have no address, and the receiver may not ask for it: FILE is then the socket's own.
TRACED_TEST_F(Datagrams, WithoutAnAddressHaveTheSocketsOwn) {
    const Scratch scratch;
    const std::string path = scratch.path("own");
    const std::string nowhere = scratch.path("nowhere");
    const std::vector<Json> rows = rows_of(all_calls, [&] {
        const int receiver = bound(unix_address(path));
        const int sender = ::socket(AF_UNIX, SOCK_DGRAM, 0);
        std::array<char, 8> bytes{};
        Address to = unix_address(path);
        Address wrong = unix_address(nowhere);
        Address from = unix_address("stale");  // not overwritten
        from.length = sizeof from.storage;
        for (int i = 0; i < 2; ++i) static_cast<void>(::sendto(sender, "abc", 3, 0, to.get(), to.length));
        static_cast<void>(::recvfrom(receiver, bytes.data(), bytes.size(), 0, from.get(), &from.length));
        static_cast<void>(::recv(receiver, bytes.data(), bytes.size(), 0));
        static_cast<void>(::sendto(sender, "abc", 3, 0, wrong.get(), wrong.length));
        // connected, and to somebody else
        static_cast<void>(::connect(sender, to.get(), to.length));
        static_cast<void>(::send(sender, "abc", 3, 0));
        static_cast<void>(::sendto(sender, "abc", 3, 0, wrong.get(), wrong.length));
    });
    const std::string own = Json(path).dump();
    const std::string other = Json(nowhere).dump();
    EXPECT_EQ(values_of(rows, "file"), (Values{own, own, own, own, other, own, other}));
    EXPECT_EQ(values_of(rows, "peer"), (Values{own, own, "null", "null", other, own, other}));
}

TRACED_TEST_F(Datagrams, OfIpHaveTheAddressGiven) {
    for (const int family : {AF_INET, AF_INET6}) {
        std::array<int, 2> gate{};
        ASSERT_EQ(::pipe(gate.data()), 0);
        const std::vector<Json> rows = rows_of(all_calls, [&] {
            const int sender = bound(loopback(family));
            const int receiver = bound(loopback(family));
            const std::array<u16, 2> ports{port_of(receiver), port_of(sender)};
            static_cast<void>(::write(gate[1], ports.data(), sizeof ports));
            exchange(sender, receiver, loopback(family, ports[0]));
        });
        std::array<u16, 2> ports{};
        ASSERT_EQ(::read(gate[0], ports.data(), sizeof ports), static_cast<ssize_t>(sizeof ports));
        ::close(gate[0]);
        ::close(gate[1]);
        ASSERT_EQ(rows.size(), 6U);
        const std::string host = family == AF_INET ? "127.0.0.1" : "::1";
        for (std::size_t i = 0; i < rows.size(); ++i) {
            const u16 port = ports.at(i < 3 ? 0 : 1);
            const std::string bracketed = family == AF_INET ? host : "[" + host + "]";
            EXPECT_EQ(rows[i].at("file"), bracketed + ":" + std::to_string(port)) << rows[i].dump();
            EXPECT_EQ(rows[i].at("peer"), host);
            EXPECT_EQ(number(rows[i].at("peer_port")), port);
        }
    }
}

TRACED_TEST_F(Datagrams, AnIpv4PeerInIpv6IsTheSamePeer) {
    std::set<std::string> files;
    u64 bytes = 0;
    const auto work = [] {
        const int receiver = bound(loopback(AF_INET));
        const u16 port = port_of(receiver);
        exchange(bound(loopback(AF_INET)), receiver, loopback(AF_INET, port));
        Address any;  // of both families
        reinterpret_cast<sockaddr_in6&>(any.storage).sin6_family = AF_INET6;
        any.length = sizeof(sockaddr_in6);
        exchange(bound(any), receiver, loopback(AF_INET6, port, true));
    };
    for (const Json& object : objects_of(work, {"--op", "sendto,sendmsg,sendmmsg", "--summary"})) {
        if (!object.contains("write_bytes")) continue;
        files.insert(text_or_null(object.at("file")));
        bytes += number(object.at("write_bytes"));
    }
    EXPECT_EQ(files.size(), 1U) << testing::PrintToString(files);
    EXPECT_EQ(bytes, 2U * (3 + 8 + 8));
}

TRACED_TEST_F(Datagrams, OfNetlinkHaveProtocolAndPort) {
    const std::vector<Json> rows = rows_of(all_calls, [] {
        const int fd = ::socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
        struct {
            nlmsghdr head;
            rtgenmsg body;
        } request{};
        request.head = {sizeof request, RTM_GETLINK, NLM_F_REQUEST | NLM_F_DUMP, 1, 0};
        sockaddr_nl kernel{};
        kernel.nl_family = AF_NETLINK;
        if (::sendto(fd, &request, sizeof request, 0, reinterpret_cast<sockaddr*>(&kernel), sizeof kernel) < 0) {
            ::_exit(2);
        }
        std::array<char, 16384> bytes{};
        iovec piece{bytes.data(), bytes.size()};
        msghdr message{};
        message.msg_name = &kernel;
        message.msg_namelen = sizeof kernel;
        message.msg_iov = &piece;
        message.msg_iovlen = 1;
        if (::recvmsg(fd, &message, 0) <= 0) ::_exit(3);
        sockaddr_nl group{};
        group.nl_family = AF_NETLINK;
        group.nl_pid = 4'000'000'000U;
        group.nl_groups = 0x10;
        static_cast<void>(::sendto(fd, &request, sizeof request, 0, reinterpret_cast<sockaddr*>(&group), sizeof group));
    });
    EXPECT_EQ(values_of(rows, "file"),
              (Values{"\"netlink:[ROUTE:0]\"", "\"netlink:[ROUTE:0]\"", "\"netlink:[ROUTE:4000000000 groups=0x10]\""}));
    EXPECT_EQ(values_of(rows, "peer"), (Values{"\"ROUTE:0\"", "\"ROUTE:0\"", "\"ROUTE:4000000000 groups=0x10\""}));
}

TRACED_TEST_F(Datagrams, OfIoUringHaveTheAddressGiven) {
    NEEDS(Uring().here(), "no io_uring here");
    const bool with_send = kernel_is_since(6, 2);  // with an address
    const Scratch scratch;
    const std::string first = scratch.path("first");
    const std::string second = scratch.path("second");
    const std::vector<Json> rows = rows_of("io_uring", [&] {
        Uring ring;
        const int sender = bound(unix_address(first));
        const int receiver = bound(unix_address(second));
        Address to = unix_address(second);
        std::array<char, 8> bytes{};
        iovec piece{bytes.data(), bytes.size()};
        msghdr out{};
        out.msg_name = to.get();
        out.msg_namelen = to.length;
        out.msg_iov = &piece;
        out.msg_iovlen = 1;
        io_uring_sqe& send = ring.add(IORING_OP_SENDMSG, sender);
        send.addr = reinterpret_cast<u64>(&out);
        send.len = 1;
        ring.submit(1, 1);
        if (ring.result().res != 8) ::_exit(2);
        Address from;
        msghdr in = out;
        in.msg_name = from.get();
        in.msg_namelen = sizeof from.storage;
        io_uring_sqe& receive = ring.add(IORING_OP_RECVMSG, receiver);
        receive.addr = reinterpret_cast<u64>(&in);
        receive.len = 1;
        ring.submit(1, 1);
        if (ring.result().res != 8) ::_exit(3);
        if (!with_send) return;
        io_uring_sqe& with_address = ring.add(IORING_OP_SEND, sender);
        with_address.addr = reinterpret_cast<u64>(bytes.data());
        with_address.len = 8;
        with_address.addr2 = reinterpret_cast<u64>(to.get());
        with_address.addr_len = static_cast<u16>(to.length);
        ring.submit(1, 1);
        if (ring.result().res != 8) ::_exit(4);
    });
    ASSERT_EQ(rows.size(), with_send ? 3U : 2U);
    EXPECT_EQ(rows[0].at("file"), second) << rows[0].dump();
    // before 5.18 a completion does not have its request
    EXPECT_EQ(rows[1].at("file"), kernel_is_since(5, 18) ? first : second) << rows[1].dump();
    if (with_send) {
        EXPECT_EQ(rows[2].at("file"), second) << rows[2].dump();
    }
}

}  // namespace
}  // namespace iolens::test
