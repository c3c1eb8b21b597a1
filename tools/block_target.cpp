// SPDX-License-Identifier: Apache-2.0
#include "block_target.h"

#include <fmt/compile.h>

#include <iterator>

namespace iolens {

std::string target_text(const iolens_block_target& t, Files& files, Disks& disks) {
    if (t.origin == IOLENS_ORIGIN_FILE) {
        const Files::Name* name = files.find(t.id, t.name_id);
        return name != nullptr ? name->text
                               : fmt::format(FMT_COMPILE("{}:{}:{}"), t.id.dev >> 20, t.id.dev & 0xfffff, t.id.ino);
    }
    if (t.origin == IOLENS_ORIGIN_RAW) return fmt::format(FMT_COMPILE("[raw {}]"), disks.name(t.id.dev));
    const Value word = origin_word(t.origin);
    return word.is_null() ? std::string() : fmt::format(FMT_COMPILE("[{}]"), word.text());
}

void append_json_or_null(Buffer& out, std::string_view text) {
    if (text.empty()) {
        append(out, "null");
    } else {
        append_json(out, text);
    }
}

void append_author_json(Buffer& out, const iolens_block_target& t) {
    if (t.authors == 0) return;
    append(out, ",\"author\":");
    append_json(out, text_of(t.author_comm));
    fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"(,"author_pid":{})"), t.author);
}

}  // namespace iolens
