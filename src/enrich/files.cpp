// SPDX-License-Identifier: Apache-2.0
#include "enrich/files.h"

#include <algorithm>
#include <ranges>
#include <utility>
#include <vector>

namespace iolens {

bool Files::told(const iolens_file_fact& fact, std::span<const std::byte> record) {
    if (record.size() < sizeof fact || record.size() - sizeof fact < fact.length) return false;
    const std::string_view bytes(reinterpret_cast<const char*>(record.data()) + sizeof fact, fact.length);
    std::vector<std::string_view> parts;  // from the file up
    for (std::size_t at = 0; at < bytes.size();) {
        const std::size_t end = bytes.find('\0', at);
        if (end == std::string_view::npos) return false;
        parts.push_back(bytes.substr(at, end - at));
        at = end + 1;
    }

    Name name;
    bool path = false;
    if ((fact.flags & IOLENS_FILE_LITERAL) != 0) {
        name.text = parts.empty() ? "" : std::string(parts.front());
        path = (fact.flags & IOLENS_FILE_PSEUDO) == 0;
    } else if ((fact.flags & IOLENS_FILE_PSEUDO) != 0) {
        name.text = parts.empty() ? "" : std::string(parts.front());
        if (fact.kind == IOLENS_FILE_ANON) {
            name.text.insert(0, "anon_inode:");
        } else if (fact.kind == IOLENS_FILE_SOCKET) {
            // an abstract address begins with a NUL and may have more of them; each is shown as @
            if (bytes.starts_with('\0')) {
                name.text = bytes.substr(0, bytes.size() - 1);
                std::ranges::replace(name.text, '\0', '@');
            }
            path = true;
        } else {  // memfd and its like, as /proc/PID/fd has them
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

    names_.put(fact.name_id, std::move(name));
    last_ = nullptr;  // its next use is to be seen
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
    if (of_file_.size() >= most_) {
        before_ = std::move(of_file_);
        of_file_.clear();
    }
    of_file_[file] = name_id;
}

const Files::Name* Files::find(const iolens_file_id& file, u64 name_id) {
    if (name_id != 0) return find(name_id);
    if (const auto at = of_file_.find(file); at != of_file_.end()) return find(at->second);
    const auto at = before_.find(file);
    if (at == before_.end()) return nullptr;
    const u64 id = at->second;
    named(file, id);
    return find(id);
}

}  // namespace iolens
