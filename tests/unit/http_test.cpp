// SPDX-License-Identifier: Apache-2.0
#include "exporter/http.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <vector>

#include "base/failure.h"
#include "base/fd.h"

namespace iolens {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

std::uint16_t port_of(const HttpServer& server) {
    const std::string& address = server.address();
    std::uint16_t port = 0;
    std::from_chars(address.data() + address.rfind(':') + 1, address.data() + address.size(), port);
    return port;
}

/// A client; its socket does not block.
class Client {
public:
    explicit Client(const HttpServer& server, int receive_buffer = 0)
        : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        if (receive_buffer != 0) {
            ::setsockopt(fd_.get(), SOL_SOCKET, SO_RCVBUF, &receive_buffer, sizeof receive_buffer);
        }
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port_of(server));
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) fd_.reset();
    }
    bool send(std::string_view bytes) {
        return ::send(fd_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT) ==
               static_cast<ssize_t>(bytes.size());
    }
    /// Reads what there is. True once the connection is closed.
    bool receive() {
        std::array<char, 65536> bytes{};
        while (!closed_) {
            const ssize_t n = ::recv(fd_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
            if (n > 0) {
                text_.append(bytes.data(), static_cast<std::size_t>(n));
            } else if (n < 0 && errno == EAGAIN) {
                return false;
            } else {
                closed_ = true;
            }
        }
        return true;
    }
    void shut_down() { ::shutdown(fd_.get(), SHUT_WR); }
    void close() { fd_.reset(); }
    [[nodiscard]] const std::string& text() const { return text_; }
    [[nodiscard]] std::string body() const {
        const std::size_t at = text_.find("\r\n\r\n");
        return at == std::string::npos ? "" : text_.substr(at + 4);
    }
    [[nodiscard]] bool has(std::string_view header) const {
        return text_.find(fmt::format("\r\n{}\r\n", header)) < text_.find("\r\n\r\n") + 2;
    }

private:
    Fd fd_;
    std::string text_;
    bool closed_ = false;
};

/// Runs the server as the program's loop does: work() only if its descriptor is readable. Returns false if the
/// condition does not become true in time.
bool run_until(HttpServer& server, const std::function<bool()>& condition, std::chrono::milliseconds limit = 10s) {
    const Clock::time_point end = Clock::now() + limit;
    while (!condition()) {
        if (Clock::now() >= end) return false;
        pollfd wake{server.descriptor(), POLLIN, 0};
        if (::poll(&wake, 1, 1) == 1) server.work();
    }
    return true;
}

/// Sends a request and returns the client that has received the response.
Client fetch(HttpServer& server, std::string_view request) {
    Client client(server);
    EXPECT_TRUE(client.send(request));
    EXPECT_TRUE(run_until(server, [&] { return client.receive(); })) << request;
    return client;
}

std::string sample(Exposition exposition) { return exposition == Exposition::openmetrics ? "open\n# EOF\n" : "text\n"; }

/// True once the server has no connection; then it does not keep the loop awake.
bool becomes_idle(HttpServer& server) {
    if (!run_until(server, [&] { return server.connections() == 0; })) return false;
    return run_until(server, [&] {
        pollfd wake{server.descriptor(), POLLIN, 0};
        return ::poll(&wake, 1, 20) == 0;
    });
}

TEST(Http, MetricsInBothFormats) {
    HttpServer server("127.0.0.1:0", sample);
    const Client text = fetch(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(text.text().starts_with("HTTP/1.1 200 OK\r\n")) << text.text();
    EXPECT_TRUE(text.has("Content-Type: text/plain; version=0.0.4; charset=utf-8")) << text.text();
    EXPECT_TRUE(text.has("Content-Length: 5"));
    EXPECT_TRUE(text.has("Connection: close"));
    EXPECT_EQ(text.body(), "text\n");

    const Client open = fetch(server,
                              "GET /metrics?x=1 HTTP/1.1\r\nHost: x\r\nAccept: application/openmetrics-text;q=0.9\r\n"
                              "Accept: text/plain;q=0.1\r\n\r\n");
    EXPECT_TRUE(open.has("Content-Type: application/openmetrics-text; version=1.0.0; charset=utf-8")) << open.text();
    EXPECT_EQ(open.body(), "open\n# EOF\n");

    const Client old = fetch(server, "GET /metrics HTTP/1.0\r\n\r\n");
    EXPECT_EQ(old.body(), "text\n");
    EXPECT_TRUE(becomes_idle(server));
}

TEST(Http, HeadHasTheHeadersOnly) {
    HttpServer server("127.0.0.1:0", sample);
    const Client client = fetch(server, "HEAD /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(client.text().starts_with("HTTP/1.1 200 OK\r\n")) << client.text();
    EXPECT_TRUE(client.has("Content-Length: 5")) << client.text();
    EXPECT_EQ(client.body(), "");
}

TEST(Http, TheRootLinksToTheMetrics) {
    HttpServer server("127.0.0.1:0", sample);
    const Client client = fetch(server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(client.has("Content-Type: text/html; charset=utf-8")) << client.text();
    EXPECT_NE(client.body().find("<a href=\"/metrics\">"), std::string::npos);
}

TEST(Http, OtherPathsAndMethodsAreErrors) {
    HttpServer server("127.0.0.1:0", sample);
    const auto status = [&](std::string_view request) { return fetch(server, request).text().substr(9, 3); };
    EXPECT_EQ(status("GET /metrics/x HTTP/1.1\r\nHost: x\r\n\r\n"), "404");
    EXPECT_EQ(status("GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n"), "404");
    EXPECT_EQ(status("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "404");
    EXPECT_EQ(status("DELETE /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "405");
    EXPECT_EQ(status("PUT / HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n"), "405");
    EXPECT_EQ(status("BREW /metrics HTTP/1.1\r\nHost: x\r\n\r\n"), "501");
    const Client post = fetch(server, "POST /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(post.text().starts_with("HTTP/1.1 405 ")) << post.text();
    EXPECT_TRUE(post.has("Allow: GET, HEAD")) << post.text();
    // a body is not accepted
    const std::string body = status("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello");
    EXPECT_TRUE(body == "413" || body == "400") << body;
}

TEST(Http, HeadersAreLimited) {
    HttpServer server("127.0.0.1:0", sample);
    const auto with_header = [](std::size_t size) {
        return "GET /metrics HTTP/1.1\r\nHost: x\r\nX: " + std::string(size, 'x') + "\r\n\r\n";
    };
    EXPECT_TRUE(fetch(server, with_header(8000)).text().starts_with("HTTP/1.1 200 "));
    EXPECT_FALSE(fetch(server, with_header(8192)).text().starts_with("HTTP/1.1 2"));
    EXPECT_FALSE(fetch(server, "GET /" + std::string(9000, 'x')).text().starts_with("HTTP/1.1 2"));
    // without an end, and more of them than fits into the buffers of the sockets
    Client endless(server);
    std::size_t sent = 0;
    EXPECT_TRUE(run_until(server, [&] {
        if (endless.send("A: b\r\n")) ++sent;
        return endless.receive();
    }));
    EXPECT_TRUE(becomes_idle(server));
}

TEST(Http, ASlowClientTimesOutAndDelaysNobody) {
    HttpServer server("127.0.0.1:0", sample, {.lifetime = 300ms});
    Client slow(server);
    const Clock::time_point start = Clock::now();
    Clock::time_point last = start;
    std::size_t served = 0;
    // a byte each 10 ms never lets a timeout of silence end
    EXPECT_TRUE(run_until(server, [&] {
        if (Clock::now() - last < 10ms) return false;
        last = Clock::now();
        slow.send("x");
        if (fetch(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body() == "text\n") ++served;
        EXPECT_LT(Clock::now() - last, 1s);
        return slow.receive();
    }));
    EXPECT_GE(Clock::now() - start, 300ms);
    EXPECT_LT(Clock::now() - start, 3s);
    EXPECT_GT(served, 2U);
    EXPECT_EQ(server.timed_out(), 1U);
    EXPECT_TRUE(becomes_idle(server));
}

TEST(Http, AClientThatDoesNotReadTimesOut) {
    const std::string large(32 << 20, 'x');
    HttpServer server("127.0.0.1:0", [&](Exposition) { return large; }, {.lifetime = 500ms});
    Client idle(server, 4096);
    idle.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(run_until(server, [&] { return server.connections() == 1; }));
    // meanwhile it sends: that must be neither kept nor waited for
    EXPECT_TRUE(run_until(server, [&] {
        idle.send(std::string(4096, 'y'));
        return server.connections() == 0;
    }));
    EXPECT_EQ(server.timed_out(), 1U);
    EXPECT_TRUE(becomes_idle(server));
}

TEST(Http, ALargeResponseIsComplete) {
    const std::string large(32 << 20, 'x');
    HttpServer server("127.0.0.1:0", [&](Exposition) { return large; });
    EXPECT_EQ(fetch(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body().size(), large.size());
    EXPECT_EQ(server.timed_out(), 0U);
}

TEST(Http, FurtherConnectionsAreRefused) {
    HttpServer server("127.0.0.1:0", sample);
    std::vector<Client> clients;
    for (int i = 0; i < 200; ++i) clients.emplace_back(server);
    EXPECT_TRUE(run_until(server, [&] { return server.refused() == 136; })) << server.refused();
    EXPECT_EQ(server.connections(), 64U);
    for (Client& client : clients) client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(run_until(server, [&] { return std::ranges::all_of(clients, &Client::receive); }));
    EXPECT_EQ(std::ranges::count(clients, "text\n", &Client::body), 64);
    EXPECT_TRUE(becomes_idle(server));
    EXPECT_EQ(server.refused(), 136U);
    // and then it accepts again
    EXPECT_EQ(fetch(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body(), "text\n");
}

TEST(Http, TwoHundredConcurrentClientsAreServed) {
    HttpServer server("127.0.0.1:0", sample, {.connections = 200});
    std::vector<Client> clients;
    for (int i = 0; i < 200; ++i) clients.emplace_back(server);
    for (Client& client : clients) client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_TRUE(run_until(server, [&] { return std::ranges::all_of(clients, &Client::receive); }));
    EXPECT_EQ(std::ranges::count(clients, "text\n", &Client::body), 200);
    EXPECT_TRUE(becomes_idle(server));
}

TEST(Http, GarbageEndsTheConnection) {
    HttpServer server("127.0.0.1:0", sample);
    std::string bytes;
    for (int i = 0; i < 256; ++i) bytes += static_cast<char>(i);
    for (const std::string& garbage :
         {bytes, std::string("\r\n\r\n"), std::string("GET\r\n\r\n"), std::string("GET /metrics\r\n\r\n"),
          std::string("GET /metrics HTTP/9.9\r\n\r\n"), std::string("GET http://[ HTTP/1.1\r\n\r\n"),
          std::string("GET /metrics HTTP/1.1\r\nno colon\r\n\r\n"), std::string("\x16\x03\x01\x02\x00\x01", 6),
          std::string("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
          std::string("POST /metrics HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n-1\r\n"),
          std::string("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n")}) {
        Client client(server);
        client.send(garbage);
        client.shut_down();
        EXPECT_TRUE(run_until(server, [&] { return client.receive(); }, 3s)) << garbage;
        EXPECT_TRUE(becomes_idle(server)) << garbage;
    }
    // pipelined: one response, and the end
    std::string many;
    for (int i = 0; i < 50; ++i) many += "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n";
    const std::string text = fetch(server, many).text();
    EXPECT_EQ(text.find("HTTP/1.1", 1), std::string::npos) << text;
    EXPECT_TRUE(becomes_idle(server));
    EXPECT_EQ(server.timed_out(), 0U);
}

TEST(Http, AClientThatIsGoneRaisesNoSignal) {
    struct sigaction fatal{};
    struct sigaction before{};
    fatal.sa_handler = SIG_DFL;
    ::sigaction(SIGPIPE, &fatal, &before);
    const std::string large(8 << 20, 'x');
    HttpServer server("127.0.0.1:0", [&](Exposition) { return large; });
    for (int i = 0; i < 10; ++i) {
        Client client(server, 4096);
        client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_TRUE(run_until(server, [&] { return server.connections() == 1; }));
        client.close();
        EXPECT_TRUE(becomes_idle(server));
    }
    ::sigaction(SIGPIPE, &before, nullptr);
}

TEST(Http, DescriptorsAreClosed) {
    const auto open = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                             std::filesystem::directory_iterator());
    };
    const auto before = open();
    {
        HttpServer server("127.0.0.1:0", sample);
        const auto idle = open();
        for (int i = 0; i < 20; ++i) fetch(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
        EXPECT_TRUE(becomes_idle(server));
        EXPECT_EQ(open(), idle);
        const Client waiting(server);
        EXPECT_TRUE(run_until(server, [&] { return server.connections() == 1; }));
    }
    EXPECT_EQ(open(), before);
}

/// Out of descriptors, it waits: it does not keep the loop busy.
TEST(Http, WithoutDescriptorsItTriesAgain) {
    HttpServer server("127.0.0.1:0", sample);
    Client client(server);
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    rlimit before{};
    ::getrlimit(RLIMIT_NOFILE, &before);
    const rlimit none{.rlim_cur = 3, .rlim_max = before.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &none);
    std::size_t calls = 0;
    const Clock::time_point end = Clock::now() + 300ms;
    while (Clock::now() < end) {
        pollfd wake{server.descriptor(), POLLIN, 0};
        if (::poll(&wake, 1, 1) == 1) {
            server.work();
            ++calls;
        }
    }
    ::setrlimit(RLIMIT_NOFILE, &before);
    EXPECT_GT(calls, 0U);
    EXPECT_LT(calls, 20U);
    EXPECT_TRUE(run_until(server, [&] { return client.receive(); }));
    EXPECT_EQ(client.body(), "text\n");
}

TEST(Http, ScrapesShareAText) {
    int calls = 0;
    HttpServer server("127.0.0.1:0", [&](Exposition) { return std::to_string(++calls) + "\n"; }, {.reuse = 1h});
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(fetch(server, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body(), "1\n");
    }
    HttpServer fresh("127.0.0.1:0", [&](Exposition) { return std::to_string(++calls) + "\n"; }, {.reuse = 0ms});
    EXPECT_EQ(fetch(fresh, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body(), "2\n");
    EXPECT_EQ(fetch(fresh, "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").body(), "3\n");
}

TEST(Http, AnErrorOfTheMetricsIsThrownByWork) {
    HttpServer server("127.0.0.1:0", [](Exposition) -> std::string { throw std::runtime_error("no metrics"); });
    Client client(server);
    client.send("GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n");
    EXPECT_THROW(static_cast<void>(run_until(server, [&] { return client.receive(); })), std::runtime_error);
    EXPECT_TRUE(run_until(server, [&] { return client.receive(); }));
    EXPECT_TRUE(client.text().starts_with("HTTP/1.1 500 ")) << client.text();
}

TEST(Http, AddressesThatCantBeListenedOn) {
    for (const char* address :
         {"", "9100", ":9100", "localhost:9100", "127.0.0.1", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536",
          "127.0.0.1:-1", "127.0.0.1:1x", "::1:9100", "[::1]", "[::1:9100", "[127.0.0.1]:9100", "1.2.3:9100"}) {
        try {
            const HttpServer server(address, sample);
            ADD_FAILURE() << address;
        } catch (const Failure& failure) {
            EXPECT_EQ(failure.status(), Exit::usage);
            EXPECT_NE(std::string(failure.what()).find("invalid address"), std::string::npos) << address;
            EXPECT_NE(failure.hint(), "");
        }
    }
    const HttpServer first("127.0.0.1:0", sample);
    try {
        const HttpServer second(first.address(), sample);
        ADD_FAILURE();
    } catch (const Failure& failure) {
        EXPECT_EQ(std::string(failure.what()), "can't listen on " + first.address() + ": Address already in use");
        EXPECT_EQ(failure.hint(), "another program listens on it: use another port");
    }
    try {
        const HttpServer other("192.0.2.1:0", sample);
        ADD_FAILURE();
    } catch (const Failure& failure) {
        EXPECT_NE(failure.hint(), "");
    }
}

TEST(Http, ListensOnIpv6) {
    if (!std::filesystem::exists("/proc/net/if_inet6")) GTEST_SKIP() << "no IPv6";
    std::unique_ptr<HttpServer> server;
    try {
        server = std::make_unique<HttpServer>("[::1]:0", sample);
    } catch (const Failure& failure) {
        GTEST_SKIP() << failure.what();
    }
    EXPECT_TRUE(server->address().starts_with("[::1]:")) << server->address();
    const Fd client(::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port_of(*server));
    address.sin6_addr = in6addr_loopback;
    ASSERT_EQ(::connect(client.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    EXPECT_TRUE(run_until(*server, [&] { return server->connections() == 1; }));
}

}  // namespace
}  // namespace iolens
