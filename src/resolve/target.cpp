// SPDX-License-Identifier: Apache-2.0
#include "resolve/target.h"

#include <fmt/compile.h>

#include <iterator>

namespace iolens {

void append_target(Buffer& out, const iolens_block_target& t, Files& files, Disks& disks) {
    const auto to = std::back_inserter(out);
    if (t.kind == IOLENS_TARGET_FILE) {
        const Files::Name* name = files.find(t.id, t.name_id);
        if (name != nullptr) {
            append(out, name->text);
        } else {
            fmt::format_to(to, FMT_COMPILE("{}:{}:{}"), t.id.dev >> 20, t.id.dev & 0xfffff, t.id.ino);
        }
    } else if (t.kind == IOLENS_TARGET_RAW) {
        fmt::format_to(to, FMT_COMPILE("[raw {}]"), disks.name(t.id.dev));
    } else if (const Value word = target_kind_word(t.kind); !word.is_null()) {
        fmt::format_to(to, FMT_COMPILE("[{}]"), word.text());
    }
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
