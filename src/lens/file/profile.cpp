// SPDX-License-Identifier: Apache-2.0
#include "lens/file/profile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace iolens {

Access plain_access(const iolens_vfs_event& e) {
    Access a;
    const bool timed = !vfs_has(e, IOLENS_VFS_NO_END);
    a.start_ns = e.start;
    a.end_ns = e.h.ts;
    a.bytes = timed && e.result >= 0 ? static_cast<u64>(e.result) : e.requested;
    a.start = e.address;
    a.end = e.address + (e.level == IOLENS_LEVEL_BLK ? a.bytes / 512 : a.bytes);
    a.write = e.op == IOLENS_VFS_WRITE;
    a.failed = timed && e.result < 0;
    a.timed = timed;
    return a;
}

std::string profile_text(std::string_view level, AccessProfile& profile) {
    profile.finish();
    return profile_text(level, profile.sums());
}

std::string profile_text(std::string_view level, const AccessSums& profile) {
    if (profile.events() == 0) return {};
    const double seconds = static_cast<double>(profile.time_ns()) / 1e9;
    const auto rate = [&](double amount) { return seconds > 0 ? amount / seconds : 0; };
    const auto bytes = static_cast<double>(profile.bytes());
    std::string text =
        fmt::format("---- {} ----\nevents={}\ntime={:.6f} dtr={:.2f} iops={:.2f}\n", level, profile.events(), seconds,
                    rate(bytes / 1024), rate(static_cast<double>(profile.events())));
    std::map<u64, u64> sizes;
    for (const auto& [word, t] : {std::pair{"read", &profile.reads()}, std::pair{"write", &profile.writes()}}) {
        const double sequential = t->sequential_share();
        text += fmt::format("{}: io={} seq={:.4f} rand={:.4f}\n", word, t->bytes, sequential,
                            t->has_pattern() ? 1 - sequential : 0);
        for (const auto& [size, count] : t->sizes.counts()) sizes[size] += count;
    }
    text += "size distribution:\n";
    for (const auto& [size, count] : sizes) {
        const double share = static_cast<double>(count) / static_cast<double>(profile.events());
        if (share >= 0.01) text += fmt::format("{}\t{:.4f}\n", size, share);
    }
    return text;
}

std::string profile_json(std::string_view level, const AccessSums& profile) {
    if (profile.events() == 0) return {};
    const double seconds = static_cast<double>(profile.time_ns()) / 1e9;
    const auto rate = [&](u64 amount) {
        return seconds > 0 ? fmt::format("{:.3f}", static_cast<double>(amount) / seconds) : std::string("null");
    };
    std::string text = fmt::format(R"({{"level":"{}","events":{},"time_ns":{},"bytes_per_second":{},"iops":{})", level,
                                   profile.events(), profile.time_ns(), rate(profile.bytes()), rate(profile.events()));
    for (const auto& [word, t] : {std::pair{"read", &profile.reads()}, std::pair{"write", &profile.writes()}}) {
        text += fmt::format(R"(,"{}":{{"events":{},"bytes":{},"errors":{},"sequential":{},"random":{},"sizes":{{)",
                            word, t->events, t->bytes, t->errors, t->sequential, t->random);
        for (const auto& [size, count] : t->sizes.counts())
            text += fmt::format(R"({}"{}":{})", text.ends_with('{') ? "" : ",", size, count);
        text += "}}";
    }
    return text + "}\n";
}

void FileProfiles::add(const iolens_vfs_event& e, std::string_view name) {
    if (!vfs_moves(e)) {
        const Access access = plain_access(e);
        AccessTotals& t = find(e.id, name).others[e.op];
        ++t.events;
        if (access.failed) ++t.errors;
        if (access.timed) t.duration.add(access.end_ns - access.start_ns);
        return;
    }
    const std::size_t level = e.level == IOLENS_LEVEL_BLK ? IOLENS_LEVEL_BLK : IOLENS_LEVEL_VFS;
    order_.add({plain_access(e), &find(e.id, name), level}, [this](const Item& item) { take(item); });
}

void FileProfiles::take(const Item& item) {
    item.file->levels.at(item.level).add(item.access);
    levels_.at(item.level).add(item.access);
}

void FileProfiles::finish() {
    order_.finish([this](const Item& item) { take(item); });
}

FileProfiles::OfFile& FileProfiles::find(const iolens_file_id& id, std::string_view name) {
    if (files_.size() >= max_ && !files_.contains(id)) return rest_;
    auto& file = files_[id];
    if (!file) file = std::make_unique<OfFile>();
    if (!name.empty() && file->name != name) file->name = name;
    return *file;
}

Summary FileProfiles::summary() const {
    Summary s;
    const auto number = [](const char* key, const char* header, int width, const char* help, Unit unit = Unit::none,
                           Role role = Role::plain) {
        return Column{.name = key, .header = header, .unit = unit, .role = role, .width = width, .help = help};
    };
    s.columns = {
        Column{.name = "file", .header = "FILE", .role = Role::name, .width = -30, .help = "path of the file"},
        Column{.name = "level", .header = "LVL", .width = -3, .help = "VFS or BLK"},
        Column{
            .name = "op", .header = "OP", .width = -5, .help = "read, write, or another operation that --op selects"},
        number("calls", "CALLS", 9, "number of accesses or bios"),
        number("bytes", "BYTES", 13, "bytes transferred", Unit::bytes),
        number("errors", "ERRORS", 6, "number of failed accesses"),
        number("sequential_percent", "SEQ%", 5, "share that starts where the previous access ended"),
        number("random_percent", "RND%", 5, "share that starts elsewhere"),
        number("size_p50_bytes", "SIZE p50", 9, "median size", Unit::bytes),
        number("size_max_bytes", "max", 9, "largest size", Unit::bytes),
        number("p50_ns", "LAT p50", 9, "median duration", Unit::nanoseconds, Role::duration),
        number("p90_ns", "p90", 9, "90th percentile of durations", Unit::nanoseconds, Role::duration),
        number("p99_ns", "p99", 9, "99th percentile of durations", Unit::nanoseconds, Role::duration),
        number("max_ns", "max", 9, "longest duration", Unit::nanoseconds, Role::duration),
    };
    const_cast<FileProfiles&>(*this).finish();  // flushes the accesses that are held back
    std::vector<const OfFile*> files;
    files.reserve(files_.size());
    for (const auto& [id, file] : files_) files.push_back(file.get());
    std::ranges::sort(files, {}, [](const OfFile* file) { return file->name; });
    for (const OfFile* file : files) add_rows(s, *file, true);
    add_rows(s, rest_, false);  // many files: the order of their accesses means nothing
    return s;
}

void FileProfiles::add_rows(Summary& s, const OfFile& file, bool patterns) {
    for (std::size_t level = 0; level < IOLENS_LEVELS; ++level) {
        const AccessSums& profile = file.levels.at(level);
        for (const auto& [op, t] :
             {std::pair{IOLENS_VFS_READ, &profile.reads()}, {IOLENS_VFS_WRITE, &profile.writes()}}) {
            if (t->events != 0) add_row(s, file, level, vfs_ops.at(op).word, *t, patterns && t->has_pattern());
        }
        if (level != IOLENS_LEVEL_VFS) continue;
        for (const auto& [op, t] : file.others) add_row(s, file, level, vfs_ops.at(op).word, t, false);
    }
}

void FileProfiles::add_row(Summary& s, const OfFile& file, std::size_t level, std::string_view op,
                           const AccessTotals& t, bool pattern) {
    const auto percent = static_cast<u64>(std::lround(t.sequential_share() * 100));
    const bool sized = !t.sizes.counts().empty();
    u64 median = 0;
    u64 below = 0;
    for (const auto& [size, count] : t.sizes.counts()) {
        median = std::min(size, t.largest);
        below += count;
        if (below * 2 >= t.events) break;
    }
    std::vector<Value> row{file.name.empty() ? Value() : Value(std::string_view(file.name)),
                           Value(vfs_levels.at(level)),
                           Value(op),
                           Value(t.events),
                           sized ? Value(t.bytes) : Value(),
                           Value(t.errors),
                           pattern ? Value(percent) : Value(),
                           pattern ? Value(100 - percent) : Value(),
                           sized ? Value(median) : Value(),
                           sized ? Value(t.largest) : Value()};
    add_percentiles(row, t.duration, {50, 90, 99});
    s.rows.push_back(std::move(row));
}

std::string FileProfiles::report() const {
    const_cast<FileProfiles&>(*this).finish();
    std::string text;
    for (std::size_t level = 0; level < IOLENS_LEVELS; ++level) {
        text += profile_text(vfs_levels.at(level), levels_.at(level));
    }
    return text;
}

}  // namespace iolens
