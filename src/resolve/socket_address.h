// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <fmt/compile.h>

#include <array>
#include <cstring>
#include <iterator>
#include <string>
#include <string_view>

#include "base/text.h"
#include "iolens/event/header.h"

namespace iolens {

/// A socket's address as text; "" for a family without one. `bytes`: 4 for IPv4, 16 for IPv6, in network order.
class SocketAddress {
public:
    SocketAddress(u16 family, const u8* bytes) : family_(family) {
        if (::inet_ntop(family, bytes, text_.data(), static_cast<socklen_t>(text_.size())) == nullptr) text_[0] = '\0';
    }
    [[nodiscard]] std::string_view text() const { return text_.data(); }

    /// Appends 192.0.2.1:80 or [2001:db8::1]:80.
    void append_with_port(Buffer& out, u16 port) const {
        const auto to = std::back_inserter(out);
        if (family_ == AF_INET6) {
            fmt::format_to(to, FMT_COMPILE("[{}]:{}"), text(), port);
        } else {
            fmt::format_to(to, FMT_COMPILE("{}:{}"), text(), port);
        }
    }

private:
    u16 family_;
    std::array<char, INET6_ADDRSTRLEN> text_{};
};

/// The address of a netlink socket as strace -yy has it: "ROUTE:1234", its protocol and port ID, 0 for the kernel; and
/// multicast groups, if there are any: "ROUTE:0 groups=0x1". `bytes`: the port ID, the groups and the protocol, 4 each.
class NetlinkAddress {
public:
    explicit NetlinkAddress(const u8* bytes) {
        // include/uapi/linux/netlink.h
        constexpr std::array<std::string_view, 23> protocols{
            "ROUTE",   "UNUSED", "USERSOCK",      "FIREWALL",  "SOCK_DIAG", "NFLOG",  "XFRM",    "SELINUX",
            "ISCSI",   "AUDIT",  "FIB_LOOKUP",    "CONNECTOR", "NETFILTER", "IP6_FW", "DNRTMSG", "KOBJECT_UEVENT",
            "GENERIC", "17",     "SCSITRANSPORT", "ECRYPTFS",  "RDMA",      "CRYPTO", "SMC"};
        std::array<u32, 3> numbers{};
        std::memcpy(numbers.data(), bytes, sizeof numbers);
        const auto [id, groups, protocol] = numbers;
        text_ = protocol < protocols.size() ? std::string(protocols.at(protocol)) : std::to_string(protocol);
        text_ += ':' + std::to_string(id);
        if (groups != 0) text_ += fmt::format(" groups={:#x}", groups);
    }
    [[nodiscard]] std::string_view text() const { return text_; }

private:
    std::string text_;
};

}  // namespace iolens
