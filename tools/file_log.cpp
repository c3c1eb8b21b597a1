// SPDX-License-Identifier: Apache-2.0
#include "file_log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "sink/iotracer.h"

namespace iolens {

void AccessLog::add(const LoggedAccess& access) {
    if (room_ == 0) return;
    if (accesses_.size() >= room_) accesses_.pop_front();
    accesses_.push_back(access);
    ++next_;
}

void AccessLog::clear() {
    accesses_.clear();
    accesses_.shrink_to_fit();
}

void AccessLog::resize(std::size_t room) {
    room_ = room;
    while (accesses_.size() > room_) accesses_.pop_front();
    accesses_.shrink_to_fit();
}

std::vector<LoggedAccess> AccessLog::since(u64 number) const {
    const u64 first = next_ - accesses_.size();
    const auto skip = static_cast<std::ptrdiff_t>(number > first ? std::min(number, next_) - first : 0);
    std::vector<LoggedAccess> some(accesses_.begin() + skip, accesses_.end());
    std::ranges::sort(some, {}, [](const LoggedAccess& a) { return std::pair(a.start, a.level); });
    return some;
}

void append_line(Buffer& out, const LoggedAccess& access, u64 began) {
    append_iotracer_line(out, {.since_ns = access.start - std::min(began, access.start),
                               .rw = vfs_ops.at(access.op).letter,
                               .address = access.address,
                               .bytes = access.bytes,
                               .level = vfs_levels.at(access.level),
                               .comm = text_of(access.comm),
                               .pid = access.pid});
}

std::string_view trimmed(std::string_view text, std::string_view blanks) {
    const std::size_t begin = text.find_first_not_of(blanks);
    if (begin == std::string_view::npos) return {};
    return text.substr(begin, text.find_last_not_of(blanks) - begin + 1);
}

int parse_control(std::string_view text, ControlCommand& command) {
    constexpr std::size_t longest = 4096 + 19;  // a path, a command and a number
    if (text.size() > longest || text.find('\0') != std::string_view::npos) return EINVAL;
    text = trimmed(text);
    const std::size_t word = std::min(text.find(' '), text.size());
    const std::string_view name = text.substr(0, word);
    if (name != "add" && name != "remove") return EINVAL;
    command = {};
    command.what = name == "add" ? ControlCommand::What::add : ControlCommand::What::remove;
    std::string_view path = trimmed(text.substr(word));
    if (path.empty()) return EINVAL;
    const std::size_t blank = path.rfind(' ');
    const std::string_view last = blank == std::string_view::npos ? std::string_view() : path.substr(blank + 1);
    if (command.what == ControlCommand::What::add && !last.empty() &&
        last.find_first_not_of("0123456789") == std::string_view::npos) {
        char* end = nullptr;
        const std::string digits(last);
        errno = 0;
        const u64 number = std::strtoull(digits.c_str(), &end, 0);
        if (*end != '\0') return EINVAL;  // 09
        if (errno == ERANGE || number > AccessLog::most_events) return ERANGE;
        if (number == 0) return EINVAL;
        command.max_events = number;
        path = trimmed(path.substr(0, blank));
    }
    command.path = path;
    return 0;
}

std::string tree_name(const std::filesystem::path& path, std::error_code& error) {
    const std::filesystem::path own = path.filename();
    if (own.empty() || own == "." || own == "..") return std::filesystem::weakly_canonical(path, error).string();
    return (std::filesystem::weakly_canonical(path.parent_path(), error) / own).string();
}

std::string line_path(std::string_view path) {
    std::string line;
    for (const char c : path) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte < 0x20 || byte == 0x7f || c == '\\') {
            line += fmt::format("\\{:03o}", byte);
        } else {
            line += c;
        }
    }
    return line;
}

}  // namespace iolens
