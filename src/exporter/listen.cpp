// SPDX-License-Identifier: Apache-2.0
#include "exporter/listen.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdint>
#include <cstring>
#include <optional>
#include <system_error>

#include "base/failure.h"
#include "base/text.h"

namespace iolens {
namespace {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;

    [[nodiscard]] const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
    [[nodiscard]] sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
};

std::optional<SocketAddress> parse_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return {};
    const std::string_view port_text = text.substr(colon + 1);
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(port_text.data(), port_text.data() + port_text.size(), port);
    if (error != std::errc() || end != port_text.data() + port_text.size()) return {};

    std::string_view host = text.substr(0, colon);
    SocketAddress address;
    if (host.starts_with('[') && host.ends_with(']')) {
        host = host.substr(1, host.size() - 2);
        sockaddr_in6 v6{};
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        if (::inet_pton(AF_INET6, std::string(host).c_str(), &v6.sin6_addr) != 1) return {};
        std::memcpy(&address.storage, &v6, sizeof v6);
        address.size = sizeof v6;
    } else {
        sockaddr_in v4{};
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        if (::inet_pton(AF_INET, std::string(host).c_str(), &v4.sin_addr) != 1) return {};
        std::memcpy(&address.storage, &v4, sizeof v4);
        address.size = sizeof v4;
    }
    return address;
}

std::string listen_hint(int error) {
    switch (error) {
        case EADDRINUSE: return "another program listens on it: use another port";
        case EADDRNOTAVAIL: return "use an address of this machine, or 0.0.0.0 or [::] for all of them";
        case EACCES: return "use a port from 1024 up, or run iolens as root";
        default: return {};
    }
}

}  // namespace

Fd listen_on(std::string_view address) {
    const std::optional<SocketAddress> parsed = parse_address(address);
    if (!parsed) {
        throw Failure(Exit::usage, fmt::format("invalid address '{}'", visible(address)),
                      "use ADDRESS:PORT, such as 127.0.0.1:9100 or [::1]:9100");
    }
    Fd socket(::socket(parsed->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const int on = 1;
    const bool listens = socket && ::setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0 &&
                         ::bind(socket.get(), parsed->get(), parsed->size) == 0 &&
                         ::listen(socket.get(), SOMAXCONN) == 0;
    if (!listens) {
        const int error = errno;
        throw Failure(Exit::usage, fmt::format("can't listen on {}: {}", visible(address), error_text(error)),
                      listen_hint(error));
    }
    return socket;
}

std::string bound_address(int fd) {
    SocketAddress address;
    address.size = sizeof address.storage;
    std::array<char, INET6_ADDRSTRLEN> host{};
    if (::getsockname(fd, address.get(), &address.size) != 0) {
        throw Failure(Exit::failed, "can't read the address of the socket: " + error_text(errno));
    }
    if (address.storage.ss_family == AF_INET6) {
        sockaddr_in6 v6{};
        std::memcpy(&v6, &address.storage, sizeof v6);
        ::inet_ntop(AF_INET6, &v6.sin6_addr, host.data(), host.size());
        return fmt::format("[{}]:{}", host.data(), ntohs(v6.sin6_port));
    }
    sockaddr_in v4{};
    std::memcpy(&v4, &address.storage, sizeof v4);
    ::inet_ntop(AF_INET, &v4.sin_addr, host.data(), host.size());
    return fmt::format("{}:{}", host.data(), ntohs(v4.sin_port));
}

}  // namespace iolens
