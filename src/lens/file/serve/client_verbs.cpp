// SPDX-License-Identifier: Apache-2.0
// Commands that use the tree of a server: iolens file add, remove, list, status, start, stop, log …
#include "lens/file/serve/verbs.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <sstream>

#include "base/failure.h"
#include "base/output.h"
#include "base/signals.h"
#include "lens/file/log.h"
#include "lens/file/profile.h"
#include "lens/file/serve/serve.h"

namespace iolens {
namespace {

namespace fs = std::filesystem;

/// Reads a whole file of a tree. Throws Failure if no server serves it.
std::string read_tree(const std::string& path, const std::string& directory) {
    const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
    if (!fd) {
        if (errno == ENOENT || errno == ENOTDIR || is_of_killed_server(errno)) {
            throw Failure(Exit::failed, fmt::format("no server for '{}'", visible(directory)),
                          "start one with 'iolens file serve', or use --dir for another directory");
        }
        throw Failure(Exit::failed, fmt::format("can't read '{}': {}", visible(path), error_text(errno)),
                      "run it as root, or as a member of the server's --group");
    }
    std::string text;
    std::array<char, 64 << 10> piece{};
    for (ssize_t n = 0; (n = ::read(fd.get(), piece.data(), piece.size())) > 0;) {
        text.append(piece.data(), static_cast<std::size_t>(n));
    }
    return text;
}

/// Writes to a file of a tree. Returns 0 or the errno from the tree.
int write_tree(const std::string& path, const std::string& directory, const std::string& text) {
    const Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    if (!fd) {
        read_tree(path, directory);  // throws with the reason
        return EACCES;
    }
    return ::write(fd.get(), text.data(), text.size()) < 0 ? errno : 0;
}

/// Prints whole lines, unchanged, or on a terminal with control characters escaped.
void put_lines(Output& out, const std::string& text) {
    if (out.is_terminal()) {
        std::istringstream lines(text);
        for (std::string line; std::getline(lines, line);) {
            append_visible(out.buffer(), line);
            out.buffer().push_back('\n');
        }
    } else {
        append(out.buffer(), text);
    }
    out.row_done();
}

/// A command that uses the tree of a server.
class TreeVerb : public Verb {
public:
    TreeVerb(std::string_view name, std::string_view args, std::string_view about, std::string_view examples)
        : name_(name), args_(args), about_(about), examples_(examples) {}
    std::string_view name() const override { return name_; }
    std::string_view about() const override { return about_; }
    std::string_view examples() const override { return examples_; }
    std::string_view args() const override { return args_; }
    void flags(Flags& flags) override {
        flags.text("--dir", directory_, "DIR", "directory of the served tree (default /run/iolens)");
    }

protected:
    struct Line {
        std::string node;
        std::string names;  // as in the control file, each after a blank
    };
    [[nodiscard]] std::string directory() const { return directory_.empty() ? std::string(default_tree) : directory_; }
    [[nodiscard]] std::vector<Line> lines() const {
        std::vector<Line> items;
        std::istringstream text(read_tree(directory() + "/control", directory()));
        for (std::string line; std::getline(text, line);) {
            const std::size_t blank = std::min(line.find(' '), line.size());
            items.push_back({line.substr(0, blank), line.substr(blank)});
        }
        return items;
    }
    /// The node of a path, or of a node's own name. Throws Failure if it isn't watched.
    [[nodiscard]] std::string node_of(const std::string& path) const {
        const std::string wanted = line_path(absolute(path));
        for (const Line& line : lines()) {
            if (line.node == path) return line.node;
            // names may contain blanks: a name ends at the end of the line, or where the next name begins
            for (std::size_t at = line.names.find(" " + wanted); at != std::string::npos;
                 at = line.names.find(" " + wanted, at + 1)) {
                const std::string rest = line.names.substr(at + 1 + wanted.size());
                if (rest.empty() || rest.starts_with(" /")) return line.node;
            }
        }
        throw Failure(Exit::failed, fmt::format("'{}' is not watched", visible(path)),
                      "'iolens file list' lists watched files, 'iolens file add' adds one");
    }
    static std::string absolute(const std::string& path) {
        std::error_code error;
        return tree_name(fs::absolute(path, error), error);
    }
    static void needs(const std::vector<std::string>& args, std::size_t min, std::size_t max, const char* what) {
        if (args.size() < min || args.size() > max) {
            throw Failure(Exit::usage, args.size() < min ? "missing PATH" : "too many arguments", what);
        }
    }

private:
    std::string_view name_;
    std::string_view args_;
    std::string_view about_;
    std::string_view examples_;
    std::string directory_;
};

class AddVerb final : public TreeVerb {
public:
    AddVerb()
        : TreeVerb("add", "PATH [MAX_EVENTS]", "start logging accesses to a file",
                   "iolens file add /srv/vm.qcow2  keep the server's default number of events\n"
                   "iolens file add /srv/vm.qcow2 100000  keep the last 100000 events") {}
    int run(const std::vector<std::string>& args) override {
        needs(args, 1, 2, "usage: iolens file add PATH [MAX_EVENTS]");
        std::string count;
        if (args.size() == 2) {
            u64 number = 0;
            const auto [end, error] = std::from_chars(args[1].data(), args[1].data() + args[1].size(), number);
            if (error != std::errc() || *end != '\0' || number == 0 || number > AccessLog::max_events) {
                throw Failure(Exit::usage,
                              fmt::format("'{}' is not a number of events from 1 to {}", visible(args[1]),
                                          u64{AccessLog::max_events}),
                              "quote a name that contains a blank");
            }
            count = fmt::format(" {}", number);
        }
        const std::string path = absolute(args[0]);
        // a path that ends in a number would be parsed as a path and a number of events
        const std::size_t blank = path.rfind(' ');
        if (count.empty() && blank != std::string::npos &&
            path.find_first_not_of("0123456789", blank + 1) == std::string::npos) {
            throw Failure(Exit::usage, fmt::format("the name '{}' ends in a blank and a number", visible(path)),
                          "add the number of events after it");
        }
        const int error = write_tree(directory() + "/control", directory(), "add " + path + count);
        switch (error) {
            case 0: return 0;
            case ENOENT:
                throw Failure(Exit::usage, fmt::format("no such file: '{}'", visible(args[0])), "use an existing file");
            case EISDIR:
                throw Failure(Exit::usage, fmt::format("'{}' is a directory", visible(args[0])),
                              "add its files; 'iolens file PATH' traces a directory");
            case EINVAL:
                throw Failure(Exit::usage, fmt::format("'{}' can't be watched", visible(args[0])),
                              "use a regular file with a path shorter than 4096 bytes");
            case EACCES:
                throw Failure(Exit::failed, fmt::format("no permission to read '{}'", visible(args[0])),
                              "the server logs only files that you can read");
            case ENOMEM:
                throw Failure(Exit::failed, "the logs would exceed the server's --max-memory",
                              "log fewer events, remove a log ('iolens file status' shows them), or raise the limit");
            case ENOSPC:
                throw Failure(Exit::failed, "the server watches its maximum number of files",
                              "raise it with 'iolens file serve --max-files'");
            default:
                throw Failure(Exit::failed, fmt::format("can't add '{}': {}", visible(args[0]), error_text(error)),
                              "the server printed the reason on its standard error");
        }
    }
};

class RemoveVerb final : public TreeVerb {
public:
    RemoveVerb()
        : TreeVerb("remove", "PATH", "stop logging a file; removing its last name deletes the log",
                   "iolens file remove /srv/vm.qcow2") {}
    int run(const std::vector<std::string>& args) override {
        needs(args, 1, 1, "usage: iolens file remove PATH");
        const int error = write_tree(directory() + "/control", directory(), "remove " + absolute(args[0]));
        if (error == ENOENT) static_cast<void>(node_of(args[0]));  // throws with the reason
        if (error != 0) {
            throw Failure(Exit::failed, fmt::format("can't remove '{}': {}", visible(args[0]), error_text(error)),
                          "'iolens file list' lists watched files");
        }
        return 0;
    }
};

class ListVerb final : public TreeVerb {
public:
    ListVerb() : TreeVerb("list", "", "list the logged files by node and names", "iolens file list") {}
    int run(const std::vector<std::string>& /*words*/) override {
        Output out = Output::stream(STDOUT_FILENO, "standard output");
        put_lines(out, read_tree(directory() + "/control", directory()));
        out.flush();
        return 0;
    }
};

class StatusVerb final : public TreeVerb {
public:
    StatusVerb()
        : TreeVerb("status", "[PATH]", "show for each logged file: running or not, since when, events and capacity",
                   "iolens file status  show all logged files\n"
                   "iolens file status -v  also show memory use and losses") {}
    void flags(Flags& flags) override {
        TreeVerb::flags(flags);
        flags.toggle("-v,--verbose", verbose_, "also show memory use and losses");
    }
    int run(const std::vector<std::string>& args) override {
        needs(args, 0, 1, "usage: iolens file status [PATH]");
        static const std::vector<Column> columns{
            {.name = "running", .header = "RUNNING", .width = -7, .help = "yes or no"},
            {.name = "since", .header = "T0", .width = 18, .help = "CLOCK_MONOTONIC, seconds"},
            {.name = "max_events", .header = "ROOM", .width = 8, .help = "number of events"},
            {.name = "events", .header = "EVENTS", .width = 8, .help = "number of events"},
            {.name = "node", .header = "NODE", .width = -14, .help = "directory in the tree"},
            {.name = "names", .header = "NAMES", .role = Role::name, .width = -10, .help = "paths"},
        };
        const std::string only = args.empty() ? std::string() : node_of(args[0]);
        Output out = Output::stream(STDOUT_FILENO, "standard output");
        const auto sink = table_format->make(out, {});
        const auto chosen = pointers_to(columns);
        sink->begin("log", chosen, nullptr);
        for (const Line& line : lines()) {
            if (!only.empty() && line.node != only) continue;
            std::istringstream text(read_tree(directory() + "/" + line.node + "/control", directory()));
            std::string running;
            std::string since;
            std::string capacity;
            std::string events;
            text >> running >> since >> capacity >> events;
            const std::string names = line.names.substr(std::min<std::size_t>(1, line.names.size()));
            const std::array row{Value(std::string_view(running == "1" ? "yes" : "no")),
                                 Value(std::string_view(since)),
                                 Value(std::string_view(capacity)),
                                 Value(std::string_view(events)),
                                 Value(std::string_view(line.node)),
                                 Value(std::string_view(names))};
            sink->row(row);
        }
        if (verbose_) {
            append(out.buffer(), "\n" + read_tree(directory() + "/status", directory()));
            out.row_done();
        }
        out.flush();
        return 0;
    }

private:
    bool verbose_ = false;
};

/// start, stop, reset, timereset.
class CommandVerb final : public TreeVerb {
public:
    using TreeVerb::TreeVerb;
    int run(const std::vector<std::string>& args) override {
        needs(args, 1, 1, "use a path, or a node of 'iolens file list'");
        const std::string node = node_of(args[0]);
        const int error = write_tree(directory() + "/" + node + "/control", directory(), std::string(name()));
        if (error != 0) {
            throw Failure(Exit::failed, fmt::format("can't {} '{}': {}", name(), visible(args[0]), error_text(error)),
                          "the server printed the reason on its standard error");
        }
        return 0;
    }
};

class LogVerb final : public TreeVerb {
public:
    LogVerb()
        : TreeVerb("log", "PATH", "print a file's log: <seconds>;<R|W>;<address>;<bytes>;<VFS|BLK>;<comm>;<pid>",
                   "iolens file log /srv/vm.qcow2  print the log\n"
                   "iolens file log --follow /srv/vm.qcow2  print it, then events as they come") {}
    void flags(Flags& flags) override {
        TreeVerb::flags(flags);
        flags.toggle("-f,--follow", follow_, "keep printing events as they come, until Ctrl-C");
    }
    int run(const std::vector<std::string>& args) override {
        needs(args, 1, 1, "use a path, or a node of 'iolens file list'");
        const std::string path = directory() + "/" + node_of(args[0]) + "/log";
        const Fd log(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
        if (!log) read_tree(path, directory());  // throws with the reason
        catch_signals();
        Output out = Output::stream(STDOUT_FILENO, "standard output");
        watch_readers({out.pipe()});
        try {
            copy(log, out);
        } catch (const ReaderGone&) {
            return 0;
        }
        return 0;
    }

private:
    void copy(const Fd& log, Output& out) const {
        std::array<char, 64 << 10> piece{};
        std::string rest;  // incomplete last line
        while (!end_asked()) {
            const ssize_t n = ::read(log.get(), piece.data(), piece.size());
            if (n < 0 && errno == EINTR) continue;
            if (n < 0)
                throw Failure(Exit::failed, "lost the server: " + error_text(errno),
                              "restart it with 'iolens file serve'");
            if (n == 0) {
                out.flush();
                if (!follow_) return;
                wait_for_input(-1, 200);
                continue;
            }
            rest.append(piece.data(), static_cast<std::size_t>(n));
            const std::size_t whole = rest.rfind('\n') + 1;
            put_lines(out, rest.substr(0, whole));
            rest.erase(0, whole);
        }
        out.flush();
    }

    bool follow_ = false;
};

}  // namespace

std::vector<std::unique_ptr<Verb>> make_file_verbs() {
    std::vector<std::unique_ptr<Verb>> items;
    items.push_back(make_serve_verb());
    items.push_back(std::make_unique<AddVerb>());
    items.push_back(std::make_unique<RemoveVerb>());
    items.push_back(std::make_unique<ListVerb>());
    items.push_back(std::make_unique<StatusVerb>());
    items.push_back(
        std::make_unique<CommandVerb>("start", "PATH", "resume logging (append)", "iolens file start /srv/vm.qcow2"));
    items.push_back(
        std::make_unique<CommandVerb>("stop", "PATH", "pause logging; keep the log", "iolens file stop /srv/vm.qcow2"));
    items.push_back(std::make_unique<CommandVerb>("reset", "PATH", "empty the log", "iolens file reset /srv/vm.qcow2"));
    items.push_back(std::make_unique<CommandVerb>("timereset", "PATH", "empty the log and restart its clock",
                                                  "iolens file timereset /srv/vm.qcow2"));
    items.push_back(std::make_unique<LogVerb>());
    items.push_back(make_profile_verb());
    return items;
}

}  // namespace iolens
