// SPDX-License-Identifier: Apache-2.0
#include "lens/file/log.h"

#include <fmt/format.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

#include "sink/iotracer.h"

namespace iolens {

namespace {

LogKey key_of(const LoggedAccess& access) { return {access.start, access.level, access.address}; }

}  // namespace

std::span<const LoggedAccess> LogSnapshot::next() {
    sorted_.erase(sorted_.begin(), sorted_.begin() + static_cast<std::ptrdiff_t>(returned_));
    returned_ = 0;
    if (first_from_.empty() && !chunks_.empty()) {
        first_from_.resize(chunks_.size());
        LogKey first = chunks_.back()->first;
        for (std::size_t i = chunks_.size(); i-- > 0;) first_from_[i] = first = std::min(first, chunks_[i]->first);
    }
    while (true) {
        if (chunk_ == chunks_.size()) {
            returned_ = sorted_.size();
            break;
        }
        // accesses that start before all those still to be loaded
        const auto end = std::ranges::lower_bound(sorted_, first_from_[chunk_], {}, key_of);
        returned_ = static_cast<std::size_t>(end - sorted_.begin());
        if (returned_ != 0) break;
        load();
    }
    return {sorted_.data(), returned_};
}

/// Loads the next chunks: all that may contain the next access, and at least as many accesses as were left, so that
/// each access is moved only a few times.
void LogSnapshot::load() {
    const std::size_t left = sorted_.size();
    LogKey first = left != 0 ? key_of(sorted_.front()) : chunks_[chunk_]->first;
    do {
        const LogChunk& chunk = *chunks_[chunk_];
        const std::size_t skip = chunk_ == 0 ? skip_ : 0;
        first = std::min(first, chunk.first);
        sorted_.insert(sorted_.end(), chunk.accesses.begin() + static_cast<std::ptrdiff_t>(skip), chunk.accesses.end());
        chunks_[chunk_].reset();
        ++chunk_;
    } while (chunk_ != chunks_.size() && (first_from_[chunk_] <= first || sorted_.size() - left < left));
    const auto middle = sorted_.begin() + static_cast<std::ptrdiff_t>(left);
    std::ranges::sort(middle, sorted_.end(), {}, key_of);
    if (left == 0) return;
    std::vector<LoggedAccess> merged(sorted_.size());
    std::ranges::merge(std::span(sorted_.begin(), middle), std::span(middle, sorted_.end()), merged.begin(), {}, key_of,
                       key_of);
    sorted_ = std::move(merged);
}

/// A small fraction of the log, so that memory use is little more than the log's size.
std::size_t AccessLog::chunk_size() const {
    constexpr std::size_t min = 16;
    constexpr std::size_t max = 4096;
    return std::clamp(capacity_ / 16, min, max);
}

void AccessLog::drop_oldest(std::size_t max) {
    while (size_ > max) {
        const std::size_t oldest =
            (full_.empty() ? newest_.accesses.size() : full_.front()->accesses.size()) - skipped_;
        const std::size_t gone = std::min(size_ - max, oldest);
        size_ -= gone;
        skipped_ += gone;
        if (gone < oldest) return;
        skipped_ = 0;
        if (full_.empty()) {
            newest_ = {};
        } else {
            full_.pop_front();
        }
    }
}

void AccessLog::add(const LoggedAccess& access) {
    if (capacity_ == 0) return;
    const LogKey key = key_of(access);
    newest_.first = newest_.accesses.empty() ? key : std::min(newest_.first, key);
    newest_.accesses.push_back(access);
    ++size_;
    ++next_;
    drop_oldest(capacity_);
    if (newest_.accesses.size() < chunk_size()) return;
    const auto chunk = std::make_shared<LogChunk>();
    full_.push_back(chunk);
    *chunk = std::exchange(newest_, {});
}

void AccessLog::clear() { drop_oldest(0); }

void AccessLog::resize(std::size_t capacity) {
    capacity_ = capacity;
    drop_oldest(capacity_);
}

LogSnapshot AccessLog::since(u64 number) const {
    LogSnapshot some;
    const u64 first = next_ - size_;
    std::size_t skip = skipped_ + (number > first ? std::min(number, next_) - first : 0);
    auto it = full_.begin();
    for (; it != full_.end() && skip >= (*it)->accesses.size(); ++it) skip -= (*it)->accesses.size();
    some.chunks_.reserve(full_.size() + 1);
    some.chunks_.assign(it, full_.end());
    some.count_ = next_ - std::clamp(number, first, next_);
    if (!some.chunks_.empty() || skip < newest_.accesses.size()) {
        some.skip_ = skip;
        if (!newest_.accesses.empty()) some.chunks_.push_back(std::make_shared<const LogChunk>(newest_));
    }
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
        if (*end != '\0') return EINVAL;  // such as 09
        if (errno == ERANGE || number > AccessLog::max_events) return ERANGE;
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
