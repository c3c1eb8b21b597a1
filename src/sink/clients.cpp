// SPDX-License-Identifier: Apache-2.0
#include "sink/clients.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <vector>

#include "base/failure.h"

namespace iolens {
namespace {

constexpr std::size_t most_waiting = 32 << 20;  // bytes
constexpr int patience_ms = 5000;               // at the end, for a client that reads nothing

sockaddr_un address_of(const std::string& path) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    path.copy(static_cast<char*>(address.sun_path), sizeof address.sun_path - 1);
    return address;
}

/// A socket that nobody listens on any more, of a run that was killed.
bool is_left_over(const std::string& path) {
    struct stat info{};
    if (::lstat(path.c_str(), &info) != 0 || !S_ISSOCK(info.st_mode)) return false;
    const Fd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const sockaddr_un address = address_of(path);
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0 &&
           errno == ECONNREFUSED;
}

}  // namespace

ClientsOutlet::ClientsOutlet(const std::string& path)
    : path_(path),
      lines_(Output::into([this](std::string_view lines) {
          for (Client& client : clients_) {
              client.waiting += lines;
              send_to(client);
          }
      })),
      json_(lines_) {
    if (path.size() >= sizeof(sockaddr_un::sun_path)) {
        throw Failure(Exit::usage, fmt::format("'{}' is too long for a socket", visible(path)),
                      fmt::format("at most {} bytes", sizeof(sockaddr_un::sun_path) - 1));
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
        throw Failure(Exit::usage, fmt::format("can't make the socket '{}': {}", visible(path), error_text(error)),
                      error == EADDRINUSE ? "another program listens there, or it is no socket: name another"
                                          : "name a file that isn't there, in a folder that you may write to");
    }
    if (::listen(listener_.get(), SOMAXCONN) != 0) {
        throw Failure(Exit::failed, "can't listen on a socket: " + error_text(errno), "");
    }
}

ClientsOutlet::~ClientsOutlet() {
    if (!path_.empty()) ::unlink(path_.c_str());
}

void ClientsOutlet::begin(std::string_view type, Columns columns, const Column* /*trailing_error*/) {
    json_.begin(type, columns, nullptr);
}

void ClientsOutlet::row(Row row) {
    if (!clients_.empty()) json_.row(row);
}

void ClientsOutlet::loss(const Loss& loss) {
    if (!clients_.empty()) json_.loss(loss);
}

void ClientsOutlet::take_clients() {
    while (true) {
        Fd fd(::accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
        if (!fd) return;
        clients_.emplace_back().fd = std::move(fd);
    }
}

/// Sends what its socket has room for.
void ClientsOutlet::send_to(Client& client) {
    while (client.left() != 0 && !client.gone) {
        const ssize_t n = ::send(client.fd.get(), client.waiting.data() + client.sent, client.left(), MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR) continue;
        if (n < 0 && errno == EAGAIN) break;
        client.gone = n < 0;
        if (n > 0) client.sent += static_cast<std::size_t>(n);
    }
    // what was sent is thrown away when it is most of it, so that each byte is moved about once
    if (client.sent > client.waiting.size() / 2) {
        client.waiting.erase(0, client.sent);
        client.sent = 0;
    }
}

void ClientsOutlet::flush() {
    lines_.flush();
    take_clients();
    for (Client& client : clients_) {
        send_to(client);
        if (client.gone || client.left() <= most_waiting) continue;
        client.gone = true;
        ++cut_off_;
    }
    std::erase_if(clients_, [](const Client& client) { return client.gone; });
}

LossCause ClientsOutlet::finish() {
    flush();
    while (true) {
        std::vector<pollfd> waiting;
        for (const Client& client : clients_) {
            if (client.left() != 0) waiting.push_back({client.fd.get(), POLLOUT, 0});
        }
        if (waiting.empty()) break;
        const int ready = ::poll(waiting.data(), waiting.size(), patience_ms);
        if (ready < 0 && errno == EINTR) continue;
        if (ready <= 0) {
            cut_off_ += waiting.size();
            break;
        }
        flush();
    }
    clients_.clear();
    return {"clients_cut_off", "clients of the socket that read too slowly, cut off", cut_off_};
}

}  // namespace iolens
