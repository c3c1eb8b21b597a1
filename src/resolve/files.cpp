// SPDX-License-Identifier: Apache-2.0
#include "resolve/files.h"

#include <algorithm>
#include <ranges>
#include <utility>
#include <vector>

namespace iolens {

bool Files::add(const iolens_file_fact& fact, std::span<const std::byte> record) {
    if (record.size() < sizeof fact || record.size() - sizeof fact < fact.length) return false;
    const std::string_view bytes(reinterpret_cast<const char*>(record.data()) + sizeof fact, fact.length);
    std::vector<std::string_view> parts;  // from the file upwards
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t end = bytes.find('\0', at);
        if (end == std::string_view::npos) return false;
        parts.push_back(bytes.substr(at, end - at));
        at = end + 1;
    }

    Name name;
    bool path = false;
    std::string_view absolute;  // of a path that a log has in another form
    if ((fact.flags & IOLENS_FILE_LITERAL) != 0) {
        name.text = parts.empty() ? "" : std::string(parts.front());
        path = (fact.flags & IOLENS_FILE_PSEUDO) == 0;
        if (parts.size() > 1) absolute = parts[1];
    } else if ((fact.flags & IOLENS_FILE_PSEUDO) != 0) {
        name.text = parts.empty() ? "" : std::string(parts.front());
        if (fact.kind == IOLENS_FILE_ANON) {
            name.text.insert(0, "anon_inode:");
        } else if (fact.kind == IOLENS_FILE_SOCKET) {
            // an abstract address begins with a NUL and may contain more; each is shown as @
            if (bytes.starts_with('\0')) {
                name.text = bytes.substr(0, bytes.size() - 1);
                std::ranges::replace(name.text, '\0', '@');
            }
            path = true;
        } else {  // memfd and the like, as /proc/PID/fd shows them
            name.text = "/" + name.text + " (deleted)";
            path = true;
        }
    } else {
        path = true;
        if ((fact.flags & IOLENS_FILE_CUT) != 0) name.text = "…";
        for (const std::string_view part : std::views::reverse(parts)) (name.text += '/') += part;
        if (parts.empty()) name.text = "/";
        if ((fact.flags & IOLENS_FILE_DELETED) != 0) name.text += " (deleted)";
    }
    if (path) {
        name.csv = "\"";
        for (const char c : name.text) name.csv.append(c == '"' ? 2 : 1, c);
        name.csv += '"';
    } else {
        name.csv = name.text;
    }

    if (!absolute.empty()) name.text = absolute;

    names_.put(fact.name_id, std::move(name));
    last_ = nullptr;  // the next lookup must mark the name as used
    return true;
}

const Files::Name* Files::find(u64 name_id) {
    if (last_ != nullptr && last_id_ == name_id) return last_;
    last_ = names_.find(name_id);
    last_id_ = name_id;
    return last_;
}

void Files::named(const iolens_file_id& file, u64 name_id) {
    if (named_id_ == name_id && named_file_ == file) return;
    named_file_ = file;
    named_id_ = name_id;
    of_file_.put(file, name_id);
}

const Files::Name* Files::find(const iolens_file_id& file, u64 name_id) {
    if (name_id != 0) return find(name_id);
    const u64* last = of_file_.find(file);
    const Name* name = last == nullptr ? nullptr : find(*last);
    if (name != nullptr) return name;
    const auto it = given_.find(file);
    return it == given_.end() ? nullptr : find(it->second);
}

void Files::given(const iolens_file_id& file, u64 name_id) {
    names_.keep(name_id);
    given_[file] = name_id;
}

void Files::age(std::span<const u64> in_flight) {
    for (const u64 id : in_flight) static_cast<void>(names_.find(id));
    constexpr std::size_t keep = 4096;
    names_.age(keep);
    of_file_.age(keep);
    // the next lookup must mark the name as used
    last_ = nullptr;
    named_id_ = 0;
}

}  // namespace iolens
