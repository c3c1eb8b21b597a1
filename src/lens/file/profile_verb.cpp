// SPDX-License-Identifier: Apache-2.0
// iolens file profile: statistics of the accesses in a log or a recording.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <fstream>
#include <tuple>

#include "base/decode.h"
#include "base/failure.h"
#include "base/output.h"
#include "base/recording_format.h"
#include "base/suggest.h"
#include "base/text.h"
#include "import/iotracer_log.h"
#include "lens/file/io_profile.h"
#include "lens/file/profile.h"
#include "lens/file/serve/verbs.h"
#include "lens/file/watch.h"
#include "resolve/extents.h"
#include "source/recording.h"

namespace iolens {
namespace {

/// Collects the reads and writes in a recording of the file lens.
class Collector final : public Receiver {
public:
    bool record(std::span<const std::byte> bytes) override {
        const iolens_header* head = decode_header(bytes);
        if (head == nullptr) return true;
        iolens_vfs_event storage;
        const iolens_vfs_event* access = access_of(*head, nobody_, decoder_, storage);
        if (access != nullptr && vfs_moves(*access)) events.push_back(*access);
        return true;
    }
    std::vector<iolens_vfs_event> events;

private:
    Decoder decoder_;
    Tasks nobody_;  // empty: a profile has no task names
};

std::vector<iolens_vfs_event> read_recording(const std::string& path) {
    RecordingSource source(path);
    if (source.lens() != "file") {
        throw Failure(Exit::usage,
                      fmt::format("'{}' is a recording of 'iolens {}'", visible(path), visible(source.lens())),
                      "record accesses with 'iolens file --record FILE'");
    }
    Collector items;
    while (!source.ended()) source.read(items);
    std::ranges::sort(items.events, {}, [](const iolens_vfs_event& e) {
        return std::tuple(e.start, e.address, e.level, e.op, e.requested, e.h.ts);
    });
    return std::move(items.events);
}

std::vector<iolens_vfs_event> read_log(std::istream& file, const std::string& path) {
    std::vector<iolens_vfs_event> items;
    u64 number = 0;
    u64 unreadable = 0;
    for (std::string line; std::getline(file, line);) {
        ++number;
        iolens_vfs_event event;
        if (line.empty() || line[0] == '#') continue;
        if (parse_iotracer_line(line, event)) {
            items.push_back(event);
        } else if (++unreadable == 1) {
            log_line(fmt::format("can't read line {}: {}", number, visible(line.substr(0, 120))));
        }
    }
    if (items.empty()) {
        throw Failure(Exit::failed, fmt::format("'{}' contains no accesses", visible(path)),
                      "use a log of 'iolens file log', or a recording of 'iolens file --record'");
    }
    if (unreadable > 1) log_line(fmt::format("skipped {}: unreadable", counted(unreadable, "line")));
    return items;
}

Ranges blocks_of(const std::vector<iolens_vfs_event>& events, u8 op) {
    Ranges some;
    for (const iolens_vfs_event& e : events) {
        if (e.level != IOLENS_LEVEL_BLK || e.op != op) continue;
        const Access access = plain_access(e);
        some.emplace_back(vfs_address(e), vfs_address(e) + access.bytes / 512);
    }
    return united(std::move(some));
}

std::string words_of(const Ranges& sectors) {
    std::string text;
    for (const auto& [first, end] : sectors)
        text += fmt::format("{}{}+{}", text.empty() ? "" : " ", first, end - first);
    return text.empty() ? "none" : text;
}

/// Prints each VFS access with the sectors that it should touch according to the extent map, and how many of them were
/// seen.
void put_map(Output& out, const std::vector<iolens_vfs_event>& events, const std::vector<Extent>& extents) {
    const std::array<Ranges, 2> blocks{blocks_of(events, IOLENS_VFS_READ), blocks_of(events, IOLENS_VFS_WRITE)};
    std::array<Ranges, 2> expected;
    append(out.buffer(), "---- VFS to BLK ----\n");
    for (const iolens_vfs_event& e : events) {
        if (e.level != IOLENS_LEVEL_VFS) continue;
        const Access access = plain_access(e);
        const Ranges sectors = sectors_of(extents, access.start, access.end);
        const u64 seen = covered(sectors, blocks.at(e.op));
        append(out.buffer(), fmt::format("{} {}+{}: expected {}, seen {} of {} sectors\n", vfs_op(e).letter,
                                         access.start, access.bytes, words_of(sectors), seen, total(sectors)));
        out.row_done();
        expected.at(e.op).insert(expected.at(e.op).end(), sectors.begin(), sectors.end());
    }
    Ranges file;
    for (const Extent& extent : extents) {
        file.emplace_back(extent.physical / 512, (extent.physical + extent.length + 511) / 512);
    }
    file = united(std::move(file));
    for (const u8 op : {IOLENS_VFS_READ, IOLENS_VFS_WRITE}) {
        const Ranges want = united(expected.at(op));
        const Ranges& have = blocks.at(op);
        append(
            out.buffer(),
            fmt::format(
                "{}: expected {}, seen {}; {} at the block level, of which {} not expected, {} outside the file's "
                "extents\n",
                vfs_ops.at(op).word, counted(total(want), "sector"), covered(want, have),
                counted(total(have), "sector"), total(have) - covered(have, want), total(have) - covered(have, file)));
    }
    out.row_done();
}

/// The levels in the order of io_profile.py.
constexpr std::array profile_levels{IOLENS_LEVEL_BLK, IOLENS_LEVEL_VFS};

/// Figures in the order of the lines, in the format of io_profile.py.
void put_text(Output& out, const std::vector<iolens_vfs_event>& events) {
    std::array<IoProfile, IOLENS_LEVELS> levels;
    for (const iolens_vfs_event& e : events) levels.at(e.level).add(e);
    append(out.buffer(), "\n");
    for (const auto level : profile_levels) append(out.buffer(), levels.at(level).text(vfs_levels.at(level)));
    out.row_done();
}

void put_json(Output& out, const std::vector<iolens_vfs_event>& events) {
    std::array<AccessProfile, IOLENS_LEVELS> levels;
    for (const iolens_vfs_event& e : events) levels.at(e.level).add(plain_access(e));
    for (const auto level : profile_levels) {
        levels.at(level).finish();
        append(out.buffer(), profile_json(vfs_levels.at(level), levels.at(level).sums()));
        out.row_done();
    }
}

class ProfileVerb final : public Verb {
public:
    std::string_view name() const override { return "profile"; }
    std::string_view about() const override {
        return "profile a log or recording per level: rates, sizes, sequential and random shares";
    }
    std::string_view examples() const override {
        return "iolens file log /srv/vm.qcow2 > vm.log; iolens file profile vm.log\n"
               "iolens file profile --map /srv/vm.qcow2 vm.log  also compare expected and accessed sectors\n"
               "iolens file profile day.iol  profile a recording of 'iolens file --record'";
    }
    std::string_view args() const override { return "LOG"; }
    void flags(Flags& flags) override {
        flags.text("--format", format_, "FORMAT",
                   "text: as io_profile.py prints it (default); json: exact counts, and rates per access");
        flags.text("--map", map_, "FILE",
                   "compare accesses with the extents of FILE, the logged file: expected and accessed sectors");
    }
    int run(const std::vector<std::string>& args) override {
        static constexpr std::array<std::string_view, 2> formats{"text", "json"};
        if (!format_.empty() && std::ranges::find(formats, std::string_view(format_)) == formats.end())
            throw Failure(Exit::usage, unknown_name("format", format_, formats), list_names("formats", formats));
        if (format_ == "json" && !map_.empty())
            throw Failure(Exit::usage, "--map has no JSON", "omit --format or --map");
        if (args.size() != 1)
            throw Failure(Exit::usage, args.empty() ? "missing LOG" : "too many arguments",
                          "usage: iolens file profile LOG");
        std::ifstream file(args[0], std::ios::binary);
        if (!file) {
            throw Failure(Exit::failed, fmt::format("can't read '{}': {}", visible(args[0]), error_text(errno)),
                          "use a log of 'iolens file log', or a recording");
        }
        std::array<char, recording_magic.size()> begin{};
        file.read(begin.data(), begin.size());
        const bool recording = begin == recording_magic;
        file.clear();
        file.seekg(0);
        const std::vector<iolens_vfs_event> events = recording ? read_recording(args[0]) : read_log(file, args[0]);
        Output out = Output::stream(STDOUT_FILENO, "standard output");
        try {
            (format_ == "json" ? put_json : put_text)(out, events);
            if (!map_.empty()) {
                const auto extents = read_extents(map_);
                if (!extents) {
                    throw Failure(Exit::failed,
                                  fmt::format("can't read the extents of '{}': {}", visible(map_), error_text(errno)),
                                  "some filesystems have none, such as tmpfs");
                }
                put_map(out, events, *extents);
            }
            out.flush();
        } catch (const ReaderGone&) {
            return 0;
        }
        return 0;
    }

private:
    std::string format_;
    std::string map_;
};

}  // namespace

std::unique_ptr<Verb> make_profile_verb() { return std::make_unique<ProfileVerb>(); }

}  // namespace iolens
