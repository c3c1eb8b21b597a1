// SPDX-License-Identifier: Apache-2.0
// An HTTP server for metrics.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/fd.h"
#include "exporter/exposition.h"

struct bufferevent;
struct event;
struct event_base;
struct evconnlistener;
struct evhttp;
struct evhttp_request;

namespace iolens {

struct HttpLimits {
    std::size_t header_bytes = 8192;           ///< of a request: its first line and all headers
    std::size_t connections = 64;              ///< further ones are closed at once
    std::chrono::milliseconds lifetime{5000};  ///< of a connection, from accept to the last byte of the response
    /// A scrape within this time after another one gets the same text, so that clients can't keep the thread busy.
    std::chrono::milliseconds reuse{50};
};

/// Serves GET and HEAD of /metrics, and of / a page that links to it. Each connection has one request.
///
/// It has no thread: the program's loop polls descriptor() and calls work(), which never blocks. A thread of its own
/// would keep the capabilities that the program drops later, and a lock on the metrics would let a scrape delay the
/// tracing. libevent does not publish its epoll descriptor. descriptor() therefore is an epoll descriptor of our own,
/// with the listening socket, all connections (edge-triggered) and a timer: the loop wakes only if there is something
/// to do, and at once. A slow client costs its connection's memory until its lifetime ends.
class HttpServer {
public:
    using Metrics = std::function<std::string(Exposition)>;

    /// Listens on "127.0.0.1:9100" or "[::1]:9100"; port 0 is one that the kernel selects. work() calls `metrics`.
    /// Throws Failure.
    HttpServer(std::string_view address, Metrics metrics, const HttpLimits& limits = {});
    ~HttpServer();
    HttpServer(const HttpServer&) = delete;
    HttpServer& operator=(const HttpServer&) = delete;

    /// Readable if there is work.
    [[nodiscard]] int descriptor() const { return wake_.get(); }
    /// Accepts, reads, answers and closes connections, for a few milliseconds at most apart from `metrics`. Throws what
    /// `metrics` throws; the client then gets status 500.
    void work();

    /// The address and the port that it listens on, in the notation of the constructor.
    [[nodiscard]] const std::string& address() const { return address_; }
    /// Open connections.
    [[nodiscard]] std::size_t connections() const { return connections_.size(); }
    /// Number of connections that were closed at once because there were too many.
    [[nodiscard]] u64 refused() const { return refused_; }
    /// Number of connections whose lifetime ended before the response was sent.
    [[nodiscard]] u64 timed_out() const { return timed_out_; }

private:
    using Clock = std::chrono::steady_clock;

    /// A reference keeps the bufferevent, and so its descriptor, until the connection is removed from the list.
    struct Connection {
        bufferevent* stream = nullptr;
        Clock::time_point end;
        bool polled = false;  ///< in wake_
        bool cut = false;
    };
    struct Text {
        std::shared_ptr<const std::string> text;
        Clock::time_point made;
    };
    template <auto release>
    struct Release {
        template <typename T>
        void operator()(T* object) const {
            release(object);
        }
    };
    static void free_base(event_base* base);
    static void free_event(event* item);
    static void free_http(evhttp* http);

    bufferevent* open_stream();
    void answer(evhttp_request& request);
    void answer_metrics(evhttp_request& request);
    std::shared_ptr<const std::string> metrics_text(Exposition exposition);
    void run_events();
    void close_expired();
    void remove_closed();
    void refuse_pending();
    void set_timer();

    Metrics metrics_;
    HttpLimits limits_;
    std::string address_;
    Fd wake_, timer_, listening_;
    // in this order: each is freed before what it uses
    std::unique_ptr<event_base, Release<free_base>> base_;
    std::unique_ptr<event, Release<free_event>> budget_;
    std::unique_ptr<evhttp, Release<free_http>> http_;
    evconnlistener* listener_ = nullptr;  // http_ owns it
    std::vector<Connection> connections_;
    std::array<Text, 2> texts_;
    std::exception_ptr thrown_;
    Clock::time_point paused_until_;  // no new connections: out of descriptors
    bool listener_polled_ = false;
    bool more_ = false;  // work() stopped before all was done
    u64 refused_ = 0;
    u64 timed_out_ = 0;
};

}  // namespace iolens
