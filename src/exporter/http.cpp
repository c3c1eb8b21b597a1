// SPDX-License-Identifier: Apache-2.0
#include "exporter/http.h"

#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <event2/listener.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <new>
#include <utility>

#include "base/failure.h"
#include "exporter/listen.h"

namespace iolens {
namespace {

using namespace std::chrono_literals;

constexpr auto budget = 2ms;   // of one work(): the rest waits for the next one, after other work of the loop
constexpr auto pause = 100ms;  // before accept(2) is tried again
constexpr std::size_t max_write = 256 << 10;
constexpr std::size_t refusals = 256;  // of one work()

constexpr std::string_view page =
    "<!DOCTYPE html>\n<html lang=\"en\"><head><title>iolens</title></head>\n"
    "<body><h1>iolens</h1><p><a href=\"/metrics\">Metrics</a></p></body></html>\n";

/// The error callback of a listener does not get a pointer of ours: evhttp sets it. Each work() resets this.
thread_local bool accept_failed = false;

template <typename T>
T* allocated(T* object) {
    if (object == nullptr) throw std::bad_alloc();
    return object;
}

/// During its lifetime, this thread gets no SIGPIPE. libevent writes with writev(2), which has no MSG_NOSIGNAL, and the
/// program may not ignore the signal.
class WithoutSigpipe {
public:
    WithoutSigpipe() {
        sigset_t pending{};
        ::sigpending(&pending);
        was_pending_ = ::sigismember(&pending, SIGPIPE) == 1;
        ::sigemptyset(&pipe_);
        ::sigaddset(&pipe_, SIGPIPE);
        ::pthread_sigmask(SIG_BLOCK, &pipe_, &before_);
    }
    ~WithoutSigpipe() {
        const timespec now{};
        // the signal of a write(2) is this thread's own
        if (!was_pending_) ::sigtimedwait(&pipe_, nullptr, &now);
        ::pthread_sigmask(SIG_SETMASK, &before_, nullptr);
    }
    WithoutSigpipe(const WithoutSigpipe&) = delete;
    WithoutSigpipe& operator=(const WithoutSigpipe&) = delete;

private:
    sigset_t pipe_{};
    sigset_t before_{};
    bool was_pending_ = false;
};

void poll_for(int poll, int operation, int fd, std::uint32_t events) {
    epoll_event event{.events = events, .data = {.fd = fd}};
    if (::epoll_ctl(poll, operation, fd, &event) != 0) {
        throw Failure(Exit::failed, "epoll_ctl: " + error_text(errno));
    }
}

timeval as_timeval(std::chrono::milliseconds time) {
    return {.tv_sec = time.count() / 1000, .tv_usec = time.count() % 1000 * 1000};
}

void set_header(evhttp_request& request, const char* name, std::string_view value) {
    evhttp_add_header(evhttp_request_get_output_headers(&request), name, std::string(value).c_str());
}

/// Sends a response and closes the connection. All responses of a text share it: clients that don't read cost its
/// memory once.
void reply(evhttp_request& request, int status, const char* reason, std::string_view type,
           const std::shared_ptr<const std::string>& text) {
    set_header(request, "Content-Type", type);
    set_header(request, "Content-Length", std::to_string(text->size()));
    set_header(request, "Connection", "close");
    if (evhttp_request_get_command(&request) != EVHTTP_REQ_HEAD && !text->empty()) {
        auto* const owner = new std::shared_ptr<const std::string>(text);
        const auto release = [](const void* /*data*/, std::size_t /*size*/, void* shared) {
            delete static_cast<std::shared_ptr<const std::string>*>(shared);
        };
        evbuffer* const body = evhttp_request_get_output_buffer(&request);
        if (evbuffer_add_reference(body, text->data(), text->size(), release, owner) != 0) delete owner;
    }
    evhttp_send_reply(&request, status, reason, nullptr);
}

void reply(evhttp_request& request, int status, const char* reason) {
    reply(request, status, reason, "text/plain; charset=utf-8",
          std::make_shared<const std::string>(fmt::format("{} {}\n", status, reason)));
}

}  // namespace

void HttpServer::free_base(event_base* base) { event_base_free(base); }
void HttpServer::free_event(event* item) { event_free(item); }
void HttpServer::free_http(evhttp* http) { evhttp_free(http); }

HttpServer::HttpServer(std::string_view address, Metrics metrics, const HttpLimits& limits)
    : metrics_(std::move(metrics)),
      limits_(limits),
      wake_(::epoll_create1(EPOLL_CLOEXEC)),
      timer_(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK)),
      listening_(listen_on(address)) {
    if (!wake_ || !timer_) throw Failure(Exit::failed, "can't create a descriptor: " + error_text(errno));
    address_ = bound_address(listening_.get());

    event_set_log_callback([](int /*severity*/, const char* /*message*/) {});  // warnings of what clients did
    event_config* const config = allocated(event_config_new());
    event_config_set_flag(config, EVENT_BASE_FLAG_NOLOCK | EVENT_BASE_FLAG_IGNORE_ENV);
    base_.reset(event_base_new_with_config(config));
    event_config_free(config);
    allocated(base_.get());
    budget_.reset(allocated(event_new(
        base_.get(), -1, 0,
        [](evutil_socket_t /*fd*/, short /*what*/, void* self) {
            auto* const server = static_cast<HttpServer*>(self);
            server->more_ = true;
            event_base_loopbreak(server->base_.get());
        },
        this)));

    http_.reset(allocated(evhttp_new(base_.get())));
    evhttp_set_max_headers_size(http_.get(), static_cast<ev_ssize_t>(limits_.header_bytes));
    evhttp_set_max_body_size(http_.get(), 0);
    // all that libevent knows: for those that are not allowed here it would send status 501
    evhttp_set_allowed_methods(http_.get(), EVHTTP_REQ_GET | EVHTTP_REQ_HEAD | EVHTTP_REQ_POST | EVHTTP_REQ_PUT |
                                                EVHTTP_REQ_DELETE | EVHTTP_REQ_OPTIONS | EVHTTP_REQ_TRACE |
                                                EVHTTP_REQ_CONNECT | EVHTTP_REQ_PATCH);
    evhttp_set_bevcb(
        http_.get(), [](event_base* /*base*/, void* self) { return static_cast<HttpServer*>(self)->open_stream(); },
        this);
    evhttp_set_gencb(
        http_.get(), [](evhttp_request* request, void* self) { static_cast<HttpServer*>(self)->answer(*request); },
        this);
    // it does not own the descriptor, which listening_ does
    listener_ =
        allocated(evconnlistener_new(base_.get(), nullptr, nullptr, LEV_OPT_CLOSE_ON_EXEC, 0, listening_.get()));
    evconnlistener_set_error_cb(listener_, [](evconnlistener* listener, void* /*http*/) {
        accept_failed = true;
        evconnlistener_disable(listener);
    });
    if (evhttp_bind_listener(http_.get(), listener_) == nullptr) {
        evconnlistener_free(listener_);
        throw std::bad_alloc();
    }
    poll_for(wake_.get(), EPOLL_CTL_ADD, timer_.get(), EPOLLIN);
    poll_for(wake_.get(), EPOLL_CTL_ADD, listening_.get(), EPOLLIN);
    listener_polled_ = true;
}

HttpServer::~HttpServer() {
    const WithoutSigpipe blocked;
    http_.reset();
    for (const Connection& connection : connections_) bufferevent_decref(connection.stream);
}

/// Called by evhttp for each connection that it has accepted, before it sets the descriptor.
bufferevent* HttpServer::open_stream() {
    bufferevent* const stream = bufferevent_socket_new(base_.get(), -1, BEV_OPT_CLOSE_ON_FREE);
    if (stream == nullptr) return nullptr;  // evhttp tries once more
    // While a response is sent, evhttp reads all that the client sends, to see its end.
    bufferevent_setwatermark(stream, EV_READ, 0, 2 * limits_.header_bytes);
    bufferevent_set_max_single_write(stream, max_write);
    bufferevent_incref(stream);
    connections_.push_back({.stream = stream, .end = Clock::now() + limits_.lifetime});
    // libevent's loop around accept(2) ends if its callback disables the listener
    if (connections_.size() >= limits_.connections) evconnlistener_disable(listener_);
    return stream;
}

void HttpServer::answer(evhttp_request& request) {
    const evhttp_cmd_type method = evhttp_request_get_command(&request);
    const evhttp_uri* const uri = evhttp_request_get_evhttp_uri(&request);
    const char* const given = uri != nullptr ? evhttp_uri_get_path(uri) : nullptr;
    const std::string_view path = given != nullptr ? given : "";
    if (path != "/metrics" && path != "/") {
        reply(request, HTTP_NOTFOUND, "Not Found");
    } else if (method != EVHTTP_REQ_GET && method != EVHTTP_REQ_HEAD) {
        set_header(request, "Allow", "GET, HEAD");
        reply(request, HTTP_BADMETHOD, "Method Not Allowed");
    } else if (path == "/") {
        reply(request, HTTP_OK, "OK", "text/html; charset=utf-8", std::make_shared<const std::string>(page));
    } else {
        answer_metrics(request);
    }
}

void HttpServer::answer_metrics(evhttp_request& request) {
    // there may be several Accept headers: together they are one list
    std::string accept;
    for (const evkeyval* header = evhttp_request_get_input_headers(&request)->tqh_first; header != nullptr;
         header = header->next.tqe_next) {
        if (evutil_ascii_strcasecmp(header->key, "Accept") != 0) continue;
        if (!accept.empty()) accept += ',';
        accept += header->value;
    }
    const Exposition exposition = negotiate(accept);
    std::shared_ptr<const std::string> text;
    try {
        text = metrics_text(exposition);
    } catch (...) {
        // it must not pass through libevent, which is C: work() throws it again
        thrown_ = std::current_exception();
        reply(request, HTTP_INTERNAL, "Internal Server Error");
        return;
    }
    set_header(request, "Vary", "Accept");
    reply(request, HTTP_OK, "OK", content_type(exposition), text);
}

std::shared_ptr<const std::string> HttpServer::metrics_text(Exposition exposition) {
    Text& last = texts_.at(static_cast<std::size_t>(exposition));
    const Clock::time_point now = Clock::now();
    if (!last.text || now - last.made >= limits_.reuse) {
        last.text.reset();
        last.text = std::make_shared<const std::string>(metrics_(exposition));
        last.made = now;
    }
    return last.text;
}

void HttpServer::work() {
    const WithoutSigpipe blocked;
    // Events first, then what they are for: an event in between wakes the loop once more.
    std::array<epoll_event, 128> events{};
    while (::epoll_wait(wake_.get(), events.data(), static_cast<int>(events.size()), 0) ==
           static_cast<int>(events.size())) {
    }
    std::uint64_t expirations = 0;
    static_cast<void>(::read(timer_.get(), &expirations, sizeof expirations) == 0);

    close_expired();
    run_events();
    remove_closed();
    refuse_pending();
    for (Connection& connection : connections_) {
        if (std::exchange(connection.polled, true)) continue;
        poll_for(wake_.get(), EPOLL_CTL_ADD, bufferevent_getfd(connection.stream),
                 EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
    }
    set_timer();
    if (thrown_) std::rethrow_exception(std::exchange(thrown_, nullptr));
}

/// Runs libevent until nothing is ready, or the budget is spent.
void HttpServer::run_events() {
    more_ = false;
    const timeval time = as_timeval(budget);
    event_add(budget_.get(), &time);
    event_base_loop(base_.get(), EVLOOP_NONBLOCK);
    event_del(budget_.get());
}

void HttpServer::close_expired() {
    const Clock::time_point now = Clock::now();
    for (Connection& connection : connections_) {
        if (connection.cut || now < connection.end) continue;
        connection.cut = true;
        ++timed_out_;
        // Reset: the kernel must not hold the rest of the response. evhttp sees the end of the connection, and frees
        // it.
        const int fd = bufferevent_getfd(connection.stream);
        const linger reset{.l_onoff = 1, .l_linger = 0};
        ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        ::shutdown(fd, SHUT_RDWR);
    }
}

/// Removes the connections that evhttp has freed: they have no callbacks any more.
void HttpServer::remove_closed() {
    const std::size_t removed = std::erase_if(connections_, [](const Connection& connection) {
        bufferevent_event_cb callback = nullptr;
        bufferevent_getcb(connection.stream, nullptr, nullptr, &callback, nullptr);
        if (callback != nullptr) return false;
        bufferevent_decref(connection.stream);
        return true;
    });
    // libevent closes their descriptors when its loop runs for the next time
    if (removed != 0) more_ = true;
}

/// Closes the connections that wait although there are too many, and sets whether further ones are accepted.
void HttpServer::refuse_pending() {
    const bool full = connections_.size() >= limits_.connections;
    for (std::size_t i = 0; full && i < refusals; ++i) {
        if (!Fd(::accept4(listening_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK))) {
            accept_failed = errno != EAGAIN && errno != EINTR && errno != ECONNABORTED;
            break;
        }
        ++refused_;
    }
    const Clock::time_point now = Clock::now();
    if (std::exchange(accept_failed, false)) paused_until_ = now + pause;
    const bool paused = now < paused_until_;
    if (full || paused) {
        evconnlistener_disable(listener_);
    } else {
        evconnlistener_enable(listener_);
    }
    if (paused == listener_polled_) {
        poll_for(wake_.get(), EPOLL_CTL_MOD, listening_.get(), paused ? 0U : std::uint32_t{EPOLLIN});
        listener_polled_ = !paused;
    }
}

/// Sets when descriptor() becomes readable without input.
void HttpServer::set_timer() {
    const Clock::time_point now = Clock::now();
    Clock::time_point next = more_ ? now : Clock::time_point::max();
    if (!listener_polled_) next = std::min(next, paused_until_);
    for (const Connection& connection : connections_) {
        if (!connection.cut) next = std::min(next, connection.end);
    }
    itimerspec time{};  // all zero: the timer is off
    if (next != Clock::time_point::max()) {
        const auto ns = std::max<std::chrono::nanoseconds>(next - now, 1ns).count();
        time.it_value = {.tv_sec = ns / 1'000'000'000, .tv_nsec = ns % 1'000'000'000};
    }
    ::timerfd_settime(timer_.get(), 0, &time, nullptr);
}

}  // namespace iolens
