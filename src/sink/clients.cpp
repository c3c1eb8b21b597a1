// SPDX-License-Identifier: Apache-2.0
#include "sink/clients.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <iterator>
#include <utility>

#include "base/failure.h"
#include "base/readers.h"
#include "base/signals.h"

namespace iolens {
namespace {

using namespace std::chrono_literals;

// Limits on how long finish() waits: for a client that receives nothing, and for all clients. After a signal, the whole
// run ends within a second.
struct Patience {
    std::chrono::milliseconds silence;
    std::chrono::milliseconds items;
};
constexpr Patience unhurried{1s, 5s};
constexpr Patience signalled{400ms, 600ms};
constexpr auto look_for_readers = 100ms;  // at most this often
constexpr int poll_ms = 20;               // a signal is noticed within this time

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    return address;
}

/// Is it the socket of a killed run, with no listener?
bool is_left_over(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ECONNREFUSED;
}

}  // namespace

ClientsSink::ClientsSink(const std::string& path)
    : path_(path), lines_(Output::into([this](std::string_view lines) { append(lines); })), json_(lines_) {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        throw Failure(Exit::usage, fmt::format("socket path '{}' is too long", visible(path)),
                      fmt::format("use a path of at most {} bytes", sizeof(sockaddr_un::sun_path) - 1));
    }
    if (is_left_over(path)) ::unlink(path.c_str());
    listener_ = Fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    const sockaddr_un address = address_of(path);
    const mode_t before = ::umask(0177);
    const int bound = ::bind(listener_.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    ::umask(before);
    if (bound != 0) {
        path_.clear();
        throw Failure(Exit::usage, fmt::format("can't create socket '{}': {}", visible(path), error_text(error)),
                      error == EADDRINUSE ? "another program listens on it, or it is not a socket: use another path"
                                          : "use a path that does not exist, in a directory that you can write to");
    }
    if (::listen(listener_.get(), SOMAXCONN) != 0) {
        throw Failure(Exit::failed, "can't listen on the socket: " + error_text(errno));
    }
}

ClientsSink::~ClientsSink() {
    remove_clients([](const Client&) { return true; });
    if (!path_.empty()) ::unlink(path_.c_str());
}

void ClientsSink::begin(std::string_view type, Columns columns, const Column* /*trailing_error*/) {
    json_.begin(type, columns, nullptr);
}

void ClientsSink::row(Row row) {
    if (!clients_.empty()) json_.row(row);
}

void ClientsSink::loss(const Loss& loss) {
    if (!clients_.empty()) json_.loss(loss);
}

/// Adds rows to the stream. Enforces the limit here, because the next flush() may be far away while rows keep coming.
void ClientsSink::append(std::string_view lines) {
    if (lines.empty() || clients_.empty()) return;
    backlog_.push_back({end_, std::string(lines)});
    end_ += lines.size();
    remove_clients([this](Client& client) {
        if (!send_to(client)) return true;
        const bool slow = end_ - client.next > max_backlog;
        cut_off_ += slow ? 1 : 0;
        return slow;
    });
    free_sent();
}

/// Sends as much as the client's socket accepts. False: the client has disconnected.
bool ClientsSink::send_to(Client& client) const {
    while (client.next < end_) {
        const auto chunk = std::prev(std::ranges::upper_bound(backlog_, client.next, {}, &Chunk::begin));
        const std::string_view rest = std::string_view(chunk->bytes).substr(client.next - chunk->begin);
        const ssize_t n = ::send(client.fd.get(), rest.data(), rest.size(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0) return errno == EAGAIN;
        client.next += static_cast<u64>(n);
    }
    return true;
}

/// Frees the chunks that all clients have been sent.
void ClientsSink::free_sent() {
    u64 first = end_;
    for (const Client& client : clients_) first = std::min(first, client.next);
    while (!backlog_.empty() && backlog_.front().begin + backlog_.front().bytes.size() <= first) backlog_.pop_front();
}

/// Drops the clients that have closed their connection, even while no rows are sent to them. (A client that has only
/// shut down its sending side still reads: that is POLLRDHUP without POLLHUP.)
void ClientsSink::drop_disconnected() {
    polled_.clear();
    for (const Client& client : clients_) polled_.push_back({client.fd.get(), 0, 0});
    if (polled_.empty() || ::poll(polled_.data(), polled_.size(), 0) <= 0) return;
    remove_clients([this](const Client& client) {
        const auto it = std::ranges::find(polled_, client.fd.get(), &pollfd::fd);
        return (it->revents & (POLLHUP | POLLERR)) != 0;
    });
}

void ClientsSink::remove_clients(const std::function<bool(Client&)>& condition) {
    std::erase_if(clients_, [&](Client& client) {
        if (!condition(client)) return false;
        for (const u32 pid : client.processes) row_readers().remove(pid);
        return true;
    });
}

/// Finds the processes behind the clients' own. This scans all processes of the machine, so it is done for all clients
/// at once.
void ClientsSink::find_readers() {
    const auto now = Clock::now();
    const bool wanted = std::ranges::any_of(clients_, [](const Client& client) { return client.pipe != 0; });
    if (!wanted || now - found_readers_ < look_for_readers) return;
    found_readers_ = now;
    const PipeReaders readers;
    for (Client& client : clients_) {
        if (client.pipe == 0) continue;
        for (const PipeReader& reader : readers.behind(std::exchange(client.pipe, 0))) {
            row_readers().add(reader.pid, reader.pipe);
            client.processes.push_back(reader.pid);
        }
    }
}

void ClientsSink::accept_clients() {
    while (true) {
        Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        pollfd gone{fd.get(), 0, 0};
        if (::poll(&gone, 1, 0) == 1) continue;  // already disconnected
        if (clients_.size() == max_clients) {
            ++refused_;
            continue;
        }
        Client& client = clients_.emplace_back(Client{.fd = std::move(fd), .next = end_});
        ucred peer{};
        socklen_t size = sizeof peer;
        const bool known = ::getsockopt(client.fd.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid > 0;
        if (!known) continue;  // in another pid namespace
        client.processes.push_back(static_cast<u32>(peer.pid));
        row_readers().add(static_cast<u32>(peer.pid));
        client.pipe = stdout_pipe_of(static_cast<u32>(peer.pid));
    }
}

void ClientsSink::flush() {
    lines_.flush();
    drop_disconnected();
    remove_clients([this](Client& client) { return !send_to(client); });
    free_sent();
    accept_clients();
    find_readers();
}

LossCause ClientsSink::finish() {
    flush();
    const auto start = Clock::now();
    auto deadline = start + unhurried.items;
    bool hurried = false;
    for (Client& client : clients_) client.progress = start;
    while (true) {
        const auto now = Clock::now();
        if (!hurried && end_asked()) {
            hurried = true;
            deadline = std::min(deadline, now + signalled.items);
        }
        remove_clients([&](Client& client) {
            const u64 before = client.next;
            if (!send_to(client) || client.next == end_) return true;
            if (client.next != before) client.progress = now;
            const bool slow = now >= deadline || now - client.progress >= (hurried ? signalled : unhurried).silence;
            cut_off_ += slow ? 1 : 0;
            return slow;
        });
        free_sent();
        if (clients_.empty()) break;
        polled_.clear();
        for (const Client& client : clients_) polled_.push_back({client.fd.get(), POLLOUT, 0});
        ::poll(polled_.data(), polled_.size(), poll_ms);
    }
    return {"clients_cut_off", "socket client", "disconnected for reading too slowly", cut_off_};
}

LossCause ClientsSink::refused() const {
    return {"clients_refused", "socket client", "refused, too many were connected", refused_};
}

}  // namespace iolens
