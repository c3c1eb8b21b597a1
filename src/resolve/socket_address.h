// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <arpa/inet.h>
#include <fmt/compile.h>

#include <array>
#include <iterator>
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

}  // namespace iolens
