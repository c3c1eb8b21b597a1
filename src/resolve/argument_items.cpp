// SPDX-License-Identifier: Apache-2.0
#include "resolve/argument_items.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <linux/netlink.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <algorithm>
#include <bit>
#include <csignal>
#include <iterator>
#include <optional>

#include "resolve/argument_values.h"
#include "resolve/socket_address.h"

namespace iolens {
namespace {

/// The struct at the start of the bytes; the rest of it is zero if they are fewer.
template <typename T>
T struct_at(std::string_view bytes) {
    T found{};
    bytes.copy(reinterpret_cast<char*>(&found), sizeof found);
    return found;
}

void append(std::string& out, fmt::string_view format, const auto&... arguments) {
    fmt::vformat_to(std::back_inserter(out), format, fmt::make_format_args(arguments...));
}

/// {sa_family=AF_INET, sin_port=htons(80), sin_addr=inet_addr("192.0.2.1")}
void append_address(std::string& out, std::string_view bytes) {
    const auto family = struct_at<sa_family_t>(bytes);
    const auto text = [&](const auto& address) {
        return std::string(SocketAddress(family, reinterpret_cast<const u8*>(&address)).text());
    };
    switch (family) {
        case AF_UNIX: {
            std::string_view path = bytes.substr(std::min(sizeof family, bytes.size()));
            out += "{sa_family=AF_UNIX";
            if (!path.empty()) {
                const bool abstract = path.front() == '\0';
                out += abstract ? ", sun_path=@" : ", sun_path=";
                path = abstract ? path.substr(1) : path.substr(0, path.find('\0'));
                append_quoted(out, path);
            }
            out += '}';
            return;
        }
        case AF_INET: {
            const auto a = struct_at<sockaddr_in>(bytes);
            append(out, "{{sa_family=AF_INET, sin_port=htons({}), sin_addr=inet_addr(\"{}\")}}", ntohs(a.sin_port),
                   text(a.sin_addr));
            return;
        }
        case AF_INET6: {
            const auto a = struct_at<sockaddr_in6>(bytes);
            append(out,
                   "{{sa_family=AF_INET6, sin6_port=htons({}), sin6_flowinfo=htonl({}), inet_pton(AF_INET6, \"{}\", "
                   "&sin6_addr), sin6_scope_id={}}}",
                   ntohs(a.sin6_port), ntohl(a.sin6_flowinfo), text(a.sin6_addr), a.sin6_scope_id);
            return;
        }
        case AF_NETLINK: {
            const auto a = struct_at<sockaddr_nl>(bytes);
            append(out, "{{sa_family=AF_NETLINK, nl_pid={}, nl_groups={}}}", a.nl_pid,
                   a.nl_groups == 0 ? "00000000" : fmt::format("{:#08x}", a.nl_groups));
            return;
        }
        default:
            if (family == AF_UNSPEC) {
                out += "{sa_family=AF_UNSPEC, sa_data=";
            } else if (family == AF_PACKET) {
                out += "{sa_family=AF_PACKET, sa_data=";
            } else {
                append(out, "{{sa_family={:#x}, sa_data=", family);
            }
            append_quoted(out, bytes.substr(std::min(sizeof family, bytes.size())));
            out += '}';
    }
}

iolens_item_iovec widened(std::string_view bytes) {
    const auto words = struct_at<std::array<u32, 2>>(bytes);
    return {words[0], words[1]};
}

/// [{iov_base=0x7f0000001000, iov_len=5}]
void append_vector(std::string& out, std::string_view bytes, const ArgumentItem& item) {
    std::string_view separator;
    const std::size_t size = item.narrow ? 2 * sizeof(u32) : sizeof(iolens_item_iovec);
    out += '[';
    for (; bytes.size() >= size; bytes.remove_prefix(size)) {
        const iolens_item_iovec piece = item.narrow ? widened(bytes) : struct_at<iolens_item_iovec>(bytes);
        (out += separator) += "{iov_base=";
        append_value(out, '*', piece.base);
        append(out, ", iov_len={}}}", piece.length);
        separator = ", ";
    }
    if (item.cut) (out += separator) += "...";
    out += ']';
}

void append_message(std::string& out, const ArgumentItem& item) {
    const auto message = struct_at<iolens_item_message>(item.bytes);
    const std::string_view pieces = item.bytes.substr(std::min(sizeof message, item.bytes.size()));
    const auto [given, got] = message.name_length;
    const std::string_view address(reinterpret_cast<const char*>(message.address), sizeof message.address);
    out += "{msg_name=";
    if (message.address_length >= sizeof(sa_family_t)) {
        append_address(out, address.substr(0, message.address_length));
    } else {
        append_value(out, '*', message.name);
    }
    append(out, ", msg_namelen={}", given);
    if (got != given) append(out, " => {}", got);
    out += ", msg_iov=";
    if (pieces.empty()) {
        append_value(out, '*', message.iov);
    } else {
        append_vector(out, pieces, item);
    }
    append(out, ", msg_iovlen={}", message.iov_count);
    if (message.control_length != 0) {
        out += ", msg_control=";
        append_value(out, '*', message.control);
    }
    append(out, ", msg_controllen={}, msg_flags=", message.control_length);
    append_value(out, 'm', message.flags);
    out += '}';
}

/// S_IFREG|S_ISUID|0755
void append_mode(std::string& out, u32 mode) {
    switch (mode & S_IFMT) {
        case S_IFREG: out += "S_IFREG"; break;
        case S_IFDIR: out += "S_IFDIR"; break;
        case S_IFCHR: out += "S_IFCHR"; break;
        case S_IFBLK: out += "S_IFBLK"; break;
        case S_IFIFO: out += "S_IFIFO"; break;
        case S_IFSOCK: out += "S_IFSOCK"; break;
        case S_IFLNK: out += "S_IFLNK"; break;
        default: append(out, "{:#o}", mode & S_IFMT);
    }
    if ((mode & S_ISUID) != 0) out += "|S_ISUID";
    if ((mode & S_ISGID) != 0) out += "|S_ISGID";
    if ((mode & S_ISVTX) != 0) out += "|S_ISVTX";
    const u32 permissions = mode & 0777;
    out += permissions == 0 ? "|000" : fmt::format("|{:#03o}", permissions);
}

/// {st_mode=S_IFREG|0644, st_size=12, ...}
void append_stat(std::string& out, const iolens_item_stat& s, std::string_view prefix) {
    append(out, "{}mode=", prefix);
    append_mode(out, s.mode);
    if (S_ISCHR(s.mode) || S_ISBLK(s.mode)) {
        if (prefix == "st_") {
            append(out, ", st_rdev=makedev({:#x}, {:#x})", s.major, s.minor);
        } else {
            append(out, ", stx_rdev_major={:#x}, stx_rdev_minor={:#x}", s.major, s.minor);
        }
    } else {
        append(out, ", {}size={}", prefix, s.size);
    }
    out += ", ...}";
}

void append_statx_mask(std::string& out, u32 mask) {
    struct Named {
        u32 bits;
        std::string_view name;
    };
    constexpr std::array names{
        Named{0xfff, "STATX_ALL"},     Named{0x7ff, "STATX_BASIC_STATS"},    Named{0x800, "STATX_BTIME"},
        Named{0x1000, "STATX_MNT_ID"}, Named{0x2000, "STATX_DIOALIGN"},      Named{0x4000, "STATX_MNT_ID_UNIQUE"},
        Named{0x8000, "STATX_SUBVOL"}, Named{0x10000, "STATX_WRITE_ATOMIC"}, Named{0x20000, "STATX_DIO_READ_ALIGN"}};
    std::string_view separator;
    for (const Named& named : names) {
        if ((mask & named.bits) != named.bits) continue;
        (out += separator) += named.name;
        separator = "|";
        mask &= ~named.bits;
    }
    if (mask != 0 || separator.empty()) append(out, mask == 0 ? "{}{}" : "{}{:#x}", separator, mask);
}

/// {mask=[INT CHLD]}, or {mask=~[KILL STOP]} if most are in it
void append_signals(std::string& out, u64 mask) {
    constexpr int inverted_from = 64 * 2 / 3;
    const bool inverted = std::popcount(mask) >= inverted_from;
    if (inverted) mask = ~mask;
    std::string_view separator;
    out += inverted ? "{mask=~[" : "{mask=[";
    for (int signal = 1; signal <= 64; ++signal) {
        if ((mask >> (signal - 1) & 1) == 0) continue;
        const char* name = signal < 32 ? ::sigabbrev_np(signal) : nullptr;
        out += separator;
        out += name != nullptr ? std::string(name) : signal == 32 ? "RTMIN" : fmt::format("RT_{}", signal - 32);
        separator = " ";
    }
    out += "]}";
}

}  // namespace

void append_strings(std::string& out, std::string_view first, bool single, const ArgumentItem& item) {
    std::string_view separator;
    const auto add = [&](std::string_view text) {
        out += separator;
        append_quoted(out, text);
        separator = ", ";
    };
    out += '[';
    if (first.data() != nullptr) add(first);
    std::string_view rest = item.kind == IOLENS_ITEM_STRINGS ? item.bytes : std::string_view();
    while (!rest.empty()) {
        const std::size_t end = std::min(rest.find('\0'), rest.size());
        add(rest.substr(0, end));
        rest.remove_prefix(std::min(end + 1, rest.size()));
    }
    if (!single && (item.kind != IOLENS_ITEM_STRINGS || item.cut)) (out += separator) += "...";
    out += ']';
}

void append_item(std::string& out, const ArgumentItem& item, u64 value) {
    switch (item.kind) {
        case IOLENS_ITEM_ADDRESS: append_address(out, item.bytes); return;
        case IOLENS_ITEM_ADDRESS_BACK:
            if (item.bytes.size() < sizeof(iolens_item_lengths) + sizeof(sa_family_t)) break;
            append_address(out, item.bytes.substr(sizeof(iolens_item_lengths)));
            return;
        case IOLENS_ITEM_MESSAGE: append_message(out, item); return;
        case IOLENS_ITEM_VECTOR: append_vector(out, item.bytes, item); return;
        case IOLENS_ITEM_STAT:
            out += '{';
            append_stat(out, struct_at<iolens_item_stat>(item.bytes), "st_");
            return;
        case IOLENS_ITEM_STATX: {
            const auto s = struct_at<iolens_item_stat>(item.bytes);
            out += "{stx_mask=";
            append_statx_mask(out, s.mask);
            out += ", stx_attributes=";
            append_value(out, 'x', s.attributes);
            out += ", ";
            append_stat(out, s, "stx_");
            return;
        }
        case IOLENS_ITEM_FDS: {
            const auto fds = struct_at<std::array<s32, 2>>(item.bytes);
            append(out, "[{}, {}]", fds[0], fds[1]);
            return;
        }
        case IOLENS_ITEM_SIGNALS: append_signals(out, struct_at<u64>(item.bytes)); return;
        default: break;
    }
    append_value(out, '*', value);
}

void append_lengths(std::string& out, const ArgumentItem& item) {
    const auto lengths = struct_at<iolens_item_lengths>(item.bytes);
    append(out, lengths.given == lengths.got ? "[{}]" : "[{} => {}]", lengths.given, lengths.got);
}

}  // namespace iolens
