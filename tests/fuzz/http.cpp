// SPDX-License-Identifier: Apache-2.0
// Any bytes as a client of the HTTP server. The first byte selects in which pieces the rest is sent, and whether the
// client then waits for the response or disconnects. The server has to end the connection, and what it sends has to be
// a response.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <cstdlib>
#include <string>
#include <string_view>

#include "base/fd.h"
#include "exporter/http.h"

namespace {

using namespace iolens;

void require(bool condition) {
    if (!condition) std::abort();
}

HttpServer& server() {
    static HttpServer it("127.0.0.1:0", [](Exposition exposition) {
        MetricsText text(exposition);
        text.family("x", MetricKind::gauge, "", "x");
        text.sample({}, u64{1});
        return text.finish();
    });
    return it;
}

Fd connect_to_server() {
    const std::string& text = server().address();
    std::uint16_t port = 0;
    std::from_chars(text.data() + text.rfind(':') + 1, text.data() + text.size(), port);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    Fd fd(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    require(::connect(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    // no TIME_WAIT: the ports would be used up
    const linger reset{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    return fd;
}

/// Appends what has arrived. True once the connection is closed.
bool receive(const Fd& client, std::string& response) {
    std::array<char, 4096> bytes{};
    while (true) {
        const ssize_t n = ::recv(client.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
        if (n < 0 && errno == EAGAIN) return false;
        if (n <= 0) return true;
        response.append(bytes.data(), static_cast<std::size_t>(n));
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    if (size == 0) return 0;
    std::string_view rest(reinterpret_cast<const char*>(data) + 1, size - 1);
    const std::size_t pieces = 1 + data[0] % 8U;
    const bool disconnects = data[0] >= 0x80;
    const std::size_t length = rest.size() / pieces + 1;
    std::string response;
    Fd client = connect_to_server();
    server().work();
    while (!rest.empty()) {
        const std::string_view piece = rest.substr(0, length);
        if (::send(client.get(), piece.data(), piece.size(), MSG_NOSIGNAL) < 0) break;
        rest.remove_prefix(piece.size());
        server().work();
    }
    if (disconnects) {
        client.reset();
    } else {
        ::shutdown(client.get(), SHUT_WR);
    }
    // far less than the lifetime of a connection: the server sees the end of the client
    for (int i = 0; server().connections() != 0; ++i) {
        require(i < 1000);
        server().work();
        if (client) receive(client, response);
    }
    if (client) receive(client, response);
    // evhttp answers with the version of the request
    require(response.empty() || response.starts_with("HTTP/"));
    require(server().timed_out() == 0 && server().refused() == 0);
    return 0;
}
