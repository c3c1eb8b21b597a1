// SPDX-License-Identifier: Apache-2.0
#include "import/fd_tables.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "import/strace_value.h"

namespace iolens {
namespace {

bool has(std::string_view text, std::string_view word) { return text.find(word) != std::string_view::npos; }

bool is_clone(std::string_view name) {
    return name == "clone" || name == "clone3" || name == "fork" || name == "vfork";
}

/// The value of "name=" in a struct, up to the next comma or bracket.
std::string_view member(std::string_view text, std::string_view name) {
    const std::size_t at = text.find(name);
    return at == std::string_view::npos ? std::string_view() : text.substr(at + name.size());
}

/// The port in "htons(80)".
u16 port_of(std::string_view text) {
    if (!text.starts_with("htons(")) return 0;
    const auto number = leading_number(text.substr(6));
    return number && *number > 0 && *number < 65536 ? static_cast<u16>(*number) : u16{0};
}

/// "[127.0.0.1:40000->127.0.0.1:80]" from -yy: the address after the arrow.
std::optional<LoggedAddress> shown_peer(std::string_view text) {
    const std::size_t open = text.find('[');
    const std::size_t arrow = text.rfind("->");
    if (open == std::string_view::npos || arrow == std::string_view::npos || !text.ends_with(']')) return {};
    const std::string_view peer = text.substr(arrow + 2, text.size() - arrow - 3);
    const std::size_t colon = peer.rfind(':');
    if (colon == std::string_view::npos) return {};
    const auto port = leading_number(peer.substr(colon + 1));
    std::string host(peer.substr(0, colon));
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    LoggedAddress address;
    for (const int family : {AF_INET, AF_INET6}) {
        if (::inet_pton(family, host.c_str(), address.bytes.data()) == 1) {
            address.family = static_cast<u16>(family);
            address.port = static_cast<u16>(port.value_or(0));
            return address;
        }
    }
    return {};
}

/// Interprets what -y and -yy print in <>.
LoggedFile shown_file(std::string_view shown) {
    LoggedFile file;
    std::string decoded;
    if (shown.starts_with('\\')) {  // -xx
        const std::size_t more = shown.rfind('<');
        decoded = unquoted('"' + std::string(shown.substr(0, more)) + '"').value_or(std::string(shown));
        if (more != std::string_view::npos) decoded += shown.substr(more);
        shown = decoded;
    }
    if (shown.starts_with('/')) {
        // -yy: "</dev/null<char 1:3>>"
        if (const std::size_t more = shown.rfind('<'); more != std::string_view::npos && shown.ends_with('>')) {
            file.kind = has(shown.substr(more), "<block") ? IOLENS_FILE_DISK : IOLENS_FILE_CHARACTER;
            shown = shown.substr(0, more);
        } else {
            file.kind = IOLENS_FILE_REGULAR;
        }
        file.name = shown;
        if (decoded.empty()) file.name = unquoted('"' + file.name + '"').value_or(file.name);
        file.is_path = true;
        return file;
    }
    file.name = shown;
    if (shown.starts_with("pipe:[")) {
        file.kind = IOLENS_FILE_PIPE;
        file.ino = static_cast<u64>(leading_number(shown.substr(6)).value_or(0));
    } else if (shown.starts_with("anon_inode:")) {
        file.kind = IOLENS_FILE_ANON;
    } else if (shown.find(":[") != std::string_view::npos && shown[0] >= 'a' && shown[0] <= 'z' &&
               !shown.starts_with("socket:")) {
        file.kind = IOLENS_FILE_OTHER;  // a namespace: "net:[4026531833]"; sockets are "TCP:[…]"
    } else {
        file.kind = IOLENS_FILE_SOCKET;
        file.peer = shown_peer(shown);
        // UNIX-STREAM:[1234->1235,"/run/x"]
        if (const std::size_t quote = shown.find('"'); quote != std::string_view::npos) {
            if (auto path = unquoted(shown.substr(quote))) {
                file.name = std::move(*path);
                file.is_path = true;
            }
        }
    }
    return file;
}

LoggedFile named(u8 kind, std::string name, bool is_path = false) {
    LoggedFile file;
    file.kind = kind;
    file.name = std::move(name);
    file.is_path = is_path;
    return file;
}

std::string path_of(std::string_view given) {
    auto path = unquoted(given);
    if (!path) return std::string(given);
    if (given.ends_with("\"...")) *path += "…";
    return std::move(*path);
}

}  // namespace

std::shared_ptr<FdTables::Table>& FdTables::table(u32 tid) {
    Thread& thread = tables_[tid];
    std::shared_ptr<Table>& fds = thread.table;
    thread.used = ++looks_;
    if (!fds) {
        fds = std::make_shared<Table>();
        (*fds)[0] = named(IOLENS_FILE_OTHER, "stdin");
        (*fds)[1] = named(IOLENS_FILE_OTHER, "stdout");
        (*fds)[2] = named(IOLENS_FILE_OTHER, "stderr");
    }
    return fds;
}

void FdTables::name_main(u32 tid) {
    // Extract first: inserting an element invalidates iterators.
    if (auto unnamed = tables_.extract(0); !unnamed.empty()) tables_[tid] = std::move(unnamed.mapped());
    if (const auto unnamed = cloning_.extract(0); !unnamed.empty()) cloning_[tid] = unnamed.mapped();
}

/// Evicts the least recently used half: a log need not report that a thread has exited.
void FdTables::evict_idle() {
    constexpr std::size_t max = 1 << 16;
    if (tables_.size() <= max) return;
    std::vector<u64> used;
    used.reserve(tables_.size());
    for (const auto& [tid, thread] : tables_) used.push_back(thread.used);
    const auto middle = used.begin() + static_cast<std::ptrdiff_t>(used.size() / 2);
    std::ranges::nth_element(used, middle);
    std::erase_if(tables_, [oldest_left = *middle](const auto& item) { return item.second.used < oldest_left; });
    if (cloning_.size() > max) cloning_.clear();
}

void FdTables::meet(const LoggedCall& call, bool begun) {
    evict_idle();
    if (!tables_.contains(call.tid) && !cloning_.empty()) {
        // a child's first call can precede the end of its parent's clone
        const auto parent = cloning_.begin();
        const std::shared_ptr<Table>& from = table(parent->first);
        tables_[call.tid] = {parent->second ? from : std::make_shared<Table>(*from), ++looks_};
        cloning_.erase(parent);
    }
    if (begun && is_clone(call.name)) {
        table(call.tid);
        cloning_[call.tid] = has(*call.text, "CLONE_FILES");
    }
}

void FdTables::add(u32 tid, const LoggedCall& call, LoggedFile file, std::string_view flags) {
    if (!call.result_file.empty()) {
        LoggedFile shown = shown_file(call.result_file);
        if (shown.is_path || file.kind != IOLENS_FILE_SOCKET) file = std::move(shown);
    }
    file.close_on_exec = has(flags, "CLOEXEC");
    file.open_id = ++opened_;
    (*table(tid))[static_cast<int>(call.result)] = std::move(file);
}

void FdTables::apply(const LoggedCall& call) {
    const u32 tid = call.tid;
    const std::string_view name = call.name;
    const bool failed = !call.has_result || call.result < 0;
    if (is_clone(name)) {
        cloning_.erase(tid);
        if (failed || call.result == 0) return;
        const auto child = static_cast<u32>(call.result);
        if (tables_.contains(child)) return;  // already added by meet()
        const std::shared_ptr<Table>& from = table(tid);
        tables_[child] = {has(call.all_arguments, "CLONE_FILES") ? from : std::make_shared<Table>(*from), ++looks_};
        return;
    }
    if (name == "connect") {  // EINPROGRESS counts as connected, too
        std::string path;
        const auto number = leading_number(call.argument(0));
        const auto address = address_of(call.argument(1), path);
        if (!number || !address || (failed && call.error != EINPROGRESS)) return;
        LoggedFile& file = (*table(tid))[static_cast<int>(*number)];
        file.kind = IOLENS_FILE_SOCKET;
        if (address->family == AF_INET || address->family == AF_INET6) {
            file.peer = address;
        } else if (!path.empty()) {
            file.name = std::move(path);
            file.is_path = true;
        } else {
            std::string_view family = member(call.argument(1), "sa_family=");
            family = family.substr(0, family.find_first_of(",}"));
            file.name = std::string(family) + ":fd=" + std::to_string(*number);
            file.is_path = false;
        }
        return;
    }
    if (failed) return;
    if (name == "open" || name == "openat" || name == "openat2" || name == "creat") {
        const std::size_t at = name.starts_with("openat") ? 1 : 0;
        add(tid, call, named(IOLENS_FILE_REGULAR, path_of(call.argument(at)), true), call.argument(at + 1));
    } else if (name == "close") {
        if (const auto fd = leading_number(call.argument(0))) table(tid)->erase(static_cast<int>(*fd));
    } else if (name == "close_range") {
        const auto first = leading_number(call.argument(0));
        const auto last = leading_number(call.argument(1));
        if (!first || !last) return;
        std::shared_ptr<Table>& fds = table(tid);
        if (has(call.argument(2), "UNSHARE")) fds = std::make_shared<Table>(*fds);
        for (auto it = fds->begin(); it != fds->end();) {
            const bool inside = it->first >= *first && static_cast<u32>(it->first) <= static_cast<u32>(*last);
            if (inside && has(call.argument(2), "CLOEXEC")) it->second.close_on_exec = true;
            it = inside && !has(call.argument(2), "CLOEXEC") ? fds->erase(it) : std::next(it);
        }
    } else if (name == "dup" || name == "dup2" || name == "dup3" ||
               (name == "fcntl" && call.argument(1).starts_with("F_DUPFD"))) {
        LoggedFile file = file_of(tid, call.argument(0));
        // only look at the flags: a path that -y prints can contain any word
        file.close_on_exec = has(call.argument(name == "fcntl" ? 1 : 2), "CLOEXEC");
        (*table(tid))[static_cast<int>(call.result)] = std::move(file);
    } else if (name == "fcntl" && call.argument(1) == "F_SETFD") {
        const auto fd = leading_number(call.argument(0));
        if (!fd) return;
        const auto it = table(tid)->find(static_cast<int>(*fd));
        if (it != table(tid)->end()) it->second.close_on_exec = has(call.argument(2), "CLOEXEC");
    } else if (name == "pipe" || name == "pipe2" || name == "socketpair") {
        const bool pipe = name != "socketpair";
        const auto fds = pair_of(call.argument(pipe ? 0 : 3));
        if (fds.size() != 2) return;
        const s64 ends[2] = {leading_number(fds[0]).value_or(-1), leading_number(fds[1]).value_or(-1)};
        for (std::size_t i = 0; i < 2; ++i) {
            const std::string_view shown = file_behind_fd(fds[i]);
            LoggedFile file =
                pipe ? named(IOLENS_FILE_OTHER, (i == 0 ? "pipe<-" : "pipe->") + std::to_string(ends[1 - i]))
                     : named(IOLENS_FILE_SOCKET, "unix:");
            if (!shown.empty()) file = shown_file(shown);
            file.close_on_exec = has(call.all_arguments, "CLOEXEC");
            file.open_id = ++opened_;
            (*table(tid))[static_cast<int>(ends[i])] = std::move(file);
        }
    } else if (name == "socket") {
        std::string type(call.argument(1).substr(0, call.argument(1).find('|')));
        if (has(call.argument(0), "_UNIX") || has(call.argument(0), "_FILE") || has(call.argument(0), "_LOCAL")) {
            type = "unix";
        } else if (type == "SOCK_DGRAM") {
            type = "udp";
        } else if (type == "SOCK_STREAM") {
            type = "tcp";
        }
        add(tid, call, named(IOLENS_FILE_SOCKET, type + ":"), call.argument(1));
    } else if (name == "accept" || name == "accept4") {
        std::string path;
        LoggedFile file = named(IOLENS_FILE_SOCKET, "fd=" + std::to_string(call.result));
        const auto address = address_of(call.argument(1), path);
        if (address && address->family != AF_UNIX) file.peer = address;
        if (address && address->family == AF_UNIX) {
            const bool unnamed = path.empty();
            file = named(IOLENS_FILE_SOCKET, unnamed ? "unix:" : std::move(path), !unnamed);
        }
        add(tid, call, std::move(file), call.argument(3));
    } else if (name == "eventfd" || name == "eventfd2") {
        add(tid, call, named(IOLENS_FILE_ANON, "anon_inode:[eventfd]"), call.argument(1));
    } else if (name == "epoll_create" || name == "epoll_create1") {
        add(tid, call, named(IOLENS_FILE_ANON, "anon_inode:[eventpoll]"), call.argument(0));
    } else if (name == "timerfd_create") {
        add(tid, call, named(IOLENS_FILE_ANON, "anon_inode:[timerfd]"), call.argument(1));
    } else if (name == "signalfd4" || name == "signalfd") {
        add(tid, call, named(IOLENS_FILE_ANON, "anon_inode:[signalfd]"), call.argument(3));
    } else if (name == "pidfd_open") {
        add(tid, call, named(IOLENS_FILE_ANON, "anon_inode:[pidfd]"), "CLOEXEC");
    } else if (name.starts_with("inotify_init")) {
        add(tid, call, named(IOLENS_FILE_ANON, "anon_inode:inotify"), call.argument(0));
    } else if (name == "memfd_create") {
        add(tid, call, named(IOLENS_FILE_REGULAR, "/memfd:" + path_of(call.argument(0)) + " (deleted)", true),
            call.argument(1));
    } else if (name == "execve" || name == "execveat") {
        std::shared_ptr<Table>& fds = table(tid);
        fds = std::make_shared<Table>(*fds);  // no longer shared
        std::erase_if(*fds, [](const auto& item) { return item.second.close_on_exec; });
    } else if (name == "unshare" && has(call.all_arguments, "CLONE_FILES")) {
        std::shared_ptr<Table>& fds = table(tid);
        fds = std::make_shared<Table>(*fds);
    }
}

LoggedFile FdTables::file_of(u32 tid, std::string_view given) {
    const auto number = leading_number(given);
    const std::string_view shown = file_behind_fd(given);
    const auto& fds = table(tid);
    const auto known = number ? fds->find(static_cast<int>(*number)) : fds->end();
    if (!shown.empty()) {
        LoggedFile file = shown_file(shown);
        if (known != fds->end()) file.open_id = known->second.open_id;
        // we may know more of a socket than its inode
        if (known == fds->end() || file.is_path || file.peer || file.kind != IOLENS_FILE_SOCKET) return file;
        return known->second;
    }
    if (known != fds->end()) return known->second;
    return named(IOLENS_FILE_OTHER, "fd=" + std::to_string(number.value_or(-1)));
}

std::vector<std::string_view> FdTables::pair_of(std::string_view text) {
    std::vector<std::string_view> fds;
    const std::size_t open = text.find('[');
    if (open == std::string_view::npos) return fds;
    text.remove_prefix(open + 1);
    const std::string_view first = text;
    const std::string_view shown = file_behind_fd(first);
    const std::size_t from = shown.empty() ? 0 : static_cast<std::size_t>(shown.data() + shown.size() - first.data());
    const std::size_t comma = text.find(',', from);
    if (comma == std::string_view::npos) return fds;
    std::string_view second = text.substr(comma + 1);
    while (second.starts_with(' ')) second.remove_prefix(1);
    fds.push_back(first.substr(0, comma));
    fds.push_back(second);
    return fds;
}

std::optional<LoggedAddress> FdTables::address_of(std::string_view text, std::string& path) {
    const std::string_view family = member(text, "sa_family=");
    LoggedAddress address;
    std::string host;
    if (family.starts_with("AF_INET6") || family.starts_with("PF_INET6")) {
        address.family = AF_INET6;
        address.port = port_of(member(text, "sin6_port="));
        const std::string_view rest = member(text, "inet_pton(");
        if (const std::size_t quote = rest.find('"'); quote != std::string_view::npos) {
            host = unquoted(rest.substr(quote)).value_or("");
        }
    } else if (family.starts_with("AF_INET") || family.starts_with("PF_INET")) {
        address.family = AF_INET;
        address.port = port_of(member(text, "sin_port="));
        host = unquoted(member(text, "inet_addr(")).value_or("");
    } else if (family.starts_with("AF_UNIX") || family.starts_with("AF_FILE") || family.starts_with("AF_LOCAL")) {
        address.family = AF_UNIX;
        std::string_view given = member(text, "sun_path=");
        const bool abstract = given.starts_with('@');
        if (abstract) given.remove_prefix(1);
        path = unquoted(given).value_or("");
        if (abstract) path.insert(0, "@");
        return address;
    } else if (!family.empty()) {
        address.family = 0xffff;
        return address;
    } else {
        return {};
    }
    if (::inet_pton(address.family, host.c_str(), address.bytes.data()) != 1) return {};
    return address;
}

}  // namespace iolens
