// SPDX-License-Identifier: Apache-2.0
#include "import/logged_file.h"

#include <arpa/inet.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "import/strace_value.h"

namespace iolens {
namespace {

bool has(std::string_view text, std::string_view word) { return text.find(word) != std::string_view::npos; }

/// The bytes of "\x7f\x00\x00\x01", as -X raw prints an address; "" if there is no such text.
std::string raw_bytes(std::string_view text) {
    return text.starts_with('"') ? unquoted(text).value_or("") : std::string();
}

/// The port in "htons(80)" or "\x00\x50".
u16 port_of(std::string_view text) {
    if (const std::string bytes = raw_bytes(text); bytes.size() == 2) {
        return static_cast<u16>(static_cast<u8>(bytes[0]) << 8 | static_cast<u8>(bytes[1]));
    }
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

}  // namespace

LoggedFile shown_file(std::string_view shown, bool deleted) {
    LoggedFile file;
    file.shown = shown;
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
        if (deleted) file.name += " (deleted)";
        file.is_path = true;
        return file;
    }
    file.name = shown;
    const bool upper = !shown.empty() && shown[0] >= 'A' && shown[0] <= 'Z';  // TCP:[…], UNIX-STREAM:[…]
    if (shown.starts_with("pipe:[")) {
        file.kind = IOLENS_FILE_PIPE;
        file.ino = static_cast<u64>(leading_number(shown.substr(6)).value_or(0));
    } else if (shown.starts_with("anon_inode:") || shown.starts_with("pidfd:") || shown.starts_with("pid:") ||
               shown.starts_with("signalfd:") || shown.starts_with("eventfd:")) {
        file.kind = IOLENS_FILE_ANON;
    } else if (!upper && !shown.starts_with("socket:") && shown.find("->") == std::string_view::npos) {
        file.kind = IOLENS_FILE_OTHER;  // a namespace: "net:[4026531833]"
    } else {
        file.kind = IOLENS_FILE_SOCKET;
        file.peer = shown_peer(shown);
        // UNIX-STREAM:[1234->1235,"/run/x"]
        if (const std::size_t quote = shown.find('"'); quote != std::string_view::npos) {
            if (auto path = unquoted(shown.substr(quote))) {
                file.name = std::move(*path);
                if (quote != 0 && shown[quote - 1] == '@') file.name.insert(0, "@");
                file.is_path = true;
            }
        }
    }
    return file;
}

std::vector<std::string_view> pair_of(std::string_view text) {
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

std::optional<LoggedAddress> address_of(std::string_view text, std::string& path) {
    std::string_view family = by_name(member_of(text, "sa_family="));
    // -X raw
    if (family.starts_with("0x1,")) family = "AF_UNIX";
    if (family.starts_with("0x2,")) family = "AF_INET";
    if (family.starts_with("0xa,")) family = "AF_INET6";
    LoggedAddress address;
    std::string host;
    if (family.starts_with("AF_INET6") || family.starts_with("PF_INET6")) {
        address.family = AF_INET6;
        address.port = port_of(member_of(text, "sin6_port="));
        const std::string_view rest = member_of(text, "inet_pton(");
        if (const std::size_t quote = rest.find('"'); quote != std::string_view::npos) {
            host = unquoted(rest.substr(quote)).value_or("");
        }
    } else if (family.starts_with("AF_INET") || family.starts_with("PF_INET")) {
        address.family = AF_INET;
        address.port = port_of(member_of(text, "sin_port="));
        host = unquoted(member_of(text, "inet_addr(")).value_or("");
    } else if (family.starts_with("AF_UNIX") || family.starts_with("AF_FILE") || family.starts_with("AF_LOCAL")) {
        address.family = AF_UNIX;
        std::string_view given = member_of(text, "sun_path=");
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
    const std::string raw = raw_bytes(member_of(text, address.family == AF_INET6 ? "sin6_addr=" : "sin_addr="));
    if (raw.size() == (address.family == AF_INET6 ? 16U : 4U)) {
        std::ranges::copy(raw, address.bytes.begin());
        return address;
    }
    if (::inet_pton(address.family, host.c_str(), address.bytes.data()) != 1) return {};
    return address;
}

}  // namespace iolens
