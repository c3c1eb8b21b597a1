// SPDX-License-Identifier: Apache-2.0
// The control files of 'iolens file serve', with a watcher that needs no kernel. The input is a sequence of steps, each
// a byte that selects what is done, a byte with the length of a text, and the text: a write(2) of it, or a path to
// read.
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <string_view>

#include "base/failure.h"
#include "lens/file/serve/serve.h"
#include "quiet.h"

namespace {

using namespace iolens;

void require(bool condition) {
    if (!condition) std::abort();
}

/// Undoes line_path().
std::string path_of_line(std::string_view line) {
    std::string path;
    for (std::size_t at = 0; at < line.size(); ++at) {
        if (line[at] != '\\') {
            path += line[at];
            continue;
        }
        require(line.size() - at >= 4);
        path += static_cast<char>(std::strtoul(std::string(line.substr(at + 1, 3)).c_str(), nullptr, 8));
        at += 3;
    }
    return path;
}

/// A watcher for which every path exists. A path's last byte says which file it is, so that there
/// are several names of a file; other bytes make it a directory, a missing one, one that can't be watched.
class WatchedFiles final : public FileWatcher, public Source {
public:
    FoundFile find(const std::string& path, const Credentials& /*as*/) override {
        errno = ENOENT;
        if (path.find('!') != std::string::npos) throw Failure(Exit::usage, "no such file");
        if (path.ends_with(' ') || path.ends_with('/')) throw Failure(Exit::usage, "a directory, as in 'add /x /.'");
        FoundFile found;
        found.what.id = {
            .ino = static_cast<unsigned char>(path.back()) % 8U, .dev = 8U << 20, .generation = generation};
        found.what.mode = path.find('#') != std::string::npos ? 0040755 : 0100644;
        found.path = path;
        if (path.find('%') == std::string::npos) found.disk = "sda";
        return found;
    }
    void watch(const FoundFile& found) override {
        if (watched.size() == 6) throw Failure(Exit::usage, "too many files");
        if (found.what.id.ino == 7) throw Failure(Exit::unavailable, "can't be watched");
        require(std::ranges::find(watched, found.what.id) == watched.end());
        watched.push_back(found.what.id);
    }
    void unwatch(const iolens_file_id& file) override { std::erase(watched, file); }
    bool follow(const FoundFile& /*found*/, const iolens_file_id& /*first*/) override { return false; }
    void unfollow(const iolens_watch_name& /*name*/) override {}
    std::optional<iolens_file_id> first_of(const iolens_file_id& /*file*/) override { return {}; }
    Source& source() override { return *this; }

    int descriptor() const override { return -1; }
    std::size_t read(Receiver& receiver) override {
        const std::size_t count = waiting.size();
        for (const iolens_vfs_event& e : waiting) receiver.record(std::as_bytes(std::span(&e, 1)));
        waiting.clear();
        return count;
    }
    bool ended() const override { return false; }
    void stop() override {}
    iolens_loss ledger() const override { return {}; }
    u64 wall_offset_ns() const override { return 0; }

    /// An access to each watched file, and to one that is not.
    void access(u8 op) {
        iolens_vfs_event e{};
        e.h = {.ts = ~u64{0}, .kind = IOLENS_KIND_VFS, .size = sizeof e, .cpu = 0};
        e.start = ~u64{0} - op;
        e.op = op;
        e.level = op % 2;
        e.requested = 512;
        for (const iolens_file_id& id : watched) {
            e.id = id;
            waiting.push_back(e);
        }
        e.id = {.ino = 99, .dev = 1, .generation = 1};
        waiting.push_back(e);
    }

    u32 generation = 1;
    std::vector<iolens_file_id> watched;
    std::vector<iolens_vfs_event> waiting;
};

std::string text_of_file(LogTree& tree, std::string_view path) {
    const std::unique_ptr<TreeReader> reader = tree.read(path);
    if (!reader) return {};
    std::string text;
    for (int piece = 0; piece < 4; ++piece) text += reader->more();
    return text;
}

/// The root directory, its control file and what is watched agree.
void check(LogTree& tree, const WatchedFiles& files) {
    const std::vector<std::string> names = tree.entries("/");
    require(names.size() == files.watched.size() + 2);
    const std::string lines = text_of_file(tree, "/control");
    require(static_cast<std::size_t>(std::ranges::count(lines, '\n')) == files.watched.size());
    for (std::size_t i = 2; i < names.size(); ++i) {
        require(std::ranges::count(names, names[i]) == 1);
        require(lines.find(names[i] + " /") != std::string::npos);
        require(tree.about("/" + names[i])->directory);
        require(tree.about("/" + names[i] + "/log")->readable);
        require(!text_of_file(tree, "/" + names[i] + "/control").empty());
    }
}

/// Removes the first file that is listed, by one of the names that its line has. A name may have blanks in it.
void remove_first(LogTree& tree) {
    const std::string lines = text_of_file(tree, "/control");
    const std::string_view line = std::string_view(lines).substr(0, lines.find('\n'));
    for (std::size_t begin = line.find(" /"); begin != std::string_view::npos; begin = line.find(" /", begin + 1)) {
        for (std::size_t end = begin; end != std::string_view::npos;) {
            end = line.find(" /", end + 1);
            const std::string path = path_of_line(line.substr(begin + 1, end - begin - 1));
            if (tree.write("/control", "remove " + path, {.pid = ::getpid()}) == 0) return;
        }
    }
    std::abort();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
    const Quiet quiet;
    auto watcher = std::make_unique<WatchedFiles>();
    WatchedFiles& files = *watcher;
    LogTree tree(std::move(watcher), 10);
    std::unique_ptr<TreeReader> follower;
    std::string_view rest(reinterpret_cast<const char*>(data), size);
    while (rest.size() >= 2) {
        const auto what = static_cast<unsigned char>(rest[0]);
        const std::size_t length = std::min<std::size_t>(static_cast<unsigned char>(rest[1]), rest.size() - 2);
        const std::string_view text = rest.substr(2, length);
        rest.remove_prefix(2 + length);
        require(path_of_line(line_path(text)) == text);
        const std::vector<std::string> names = tree.entries("/");
        const std::string node = "/" + names[what / 16 % names.size()];
        const std::string given = "/" + std::string(text);
        switch (what % 8) {
            case 0: tree.write("/control", text, {.pid = ::getpid()}); break;
            case 1: tree.write(node == "/status" ? node : node + "/control", text, {.pid = ::getpid()}); break;
            case 2: tree.write(given, "stop", {.pid = ::getpid()}); break;
            case 3:
                static_cast<void>(text_of_file(tree, given));
                static_cast<void>(tree.about(given));
                break;
            case 4: files.access(static_cast<u8>(what / 16 % IOLENS_VFS_OPS)); break;
            case 5: ++files.generation; break;
            case 6: follower = tree.read(node + "/log"); break;
            case 7:
                if (follower) static_cast<void>(follower->more());
                break;
        }
        check(tree, files);
    }
    // each removal takes a name away, and a file with its last one
    while (!files.watched.empty()) remove_first(tree);
    check(tree, files);
    return 0;
}
