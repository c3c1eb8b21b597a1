// SPDX-License-Identifier: Apache-2.0
// Runs every command line of the documents, and compares the output with the one that the document shows. Command lines
// are read from the documents: a new one needs no change here.
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <functional>
#include <map>
#include <memory>
#include <regex>
#include <set>
#include <thread>

#include "help.h"
#include "markdown.h"
#include "sandbox.h"

namespace iolens::test {
namespace {

using namespace std::chrono_literals;

/// A name or number that only the reader's machine has, and its replacement.
struct Placeholder {
    std::string pattern;
    std::function<std::string(const Sandbox&)> value;
};
const std::vector<Placeholder> placeholders{
    {"-p 1234\\b", [](const Sandbox& sandbox) { return "-p " + std::to_string(sandbox.load()); }},
    {"\\bnvme0n1\\b", [](const Sandbox& sandbox) { return sandbox.disk().name(); }},
    {"\\bsda1_1234\\b", [](const Sandbox& sandbox) { return sandbox.node("/srv/vm.qcow2"); }},
    {"/var/lib/db/data\\b", [](const Sandbox&) { return "/srv/a"; }},
    {"--user ann\\b", [](const Sandbox&) { return "--user nobody"; }},
    {"\\bFILE\\b", [](const Sandbox&) { return "/srv/a"; }},
    {"\\bSTRACE_LOG\\b", [](const Sandbox&) { return "strace.log"; }},
    {"\\bLOG\\b", [](const Sandbox&) { return "vm.log"; }},
    {"\\bLENS\\b", [](const Sandbox&) { return "block"; }},
};

struct Exception {
    std::string text;
    std::string reason;
};

/// Programs that are not run. Their options, and cmake's presets, are looked up in their help.
const std::vector<Exception> programs_not_run{
    {"scripts/quickstart", "installs packages; tests/integration/quickstart runs it"},
    {"scripts/test", "installs packages, and runs this test"},
    {"scripts/style", "scripts/test runs it"},
    {"scripts/kernels", "takes half an hour"},
    {"scripts/vmlinux", "writes to the source tree"},
    {"tests/bench/", "takes minutes"},
    {"cmake", "builds"},
};

/// Inline code that is not a complete command line. Its options are looked up in the help.
const std::vector<Exception> incomplete{
    {"iolens file --op fault", "names no file"},
    {"iolens replay -", "reads standard input"},
    {"iolens file profile --map", "names no file"},
    {"iolens replay --why", "names no recording"},
};

/// Blocks that are neither commands nor output, by their first line.
const std::vector<Exception> figures{
    {"kernel user space", "a picture"},
    {"disk = vda, op = read", "needs a busy disk; tests/live/totals_test.cpp compares the shape"},
};

/// Options in inline code that belong to other programs.
const std::vector<Exception> foreign_options{
    {"--mount-proc", "unshare(1)"},
    {"--gtest_repeat", "GoogleTest"},
    {"--tool", "valgrind(1)"},
    {"--decode-pids", "strace(1)"},
};

/// Records which exceptions apply, so that unused ones are reported.
class Used {
public:
    bool any(const std::vector<Exception>& exceptions, const std::function<bool(const std::string&)>& matches) {
        bool found = false;
        for (const Exception& exception : exceptions) {
            if (!matches(exception.text)) continue;
            used_.insert(exception.text);
            found = true;
        }
        return found;
    }
    void expect_all(const std::vector<Exception>& exceptions) const {
        for (const Exception& exception : exceptions) {
            EXPECT_TRUE(used_.contains(exception.text)) << "no document has '" << exception.text << "' any longer";
        }
    }

private:
    std::set<std::string> used_;
};

struct Command {
    std::string where;  ///< docs/fd.md:12
    std::string text;   ///< as it is run
    std::string comment;
    bool repeated;  ///< another document shows it, too: it is run once
};
using Results = std::map<std::string, Result>;  ///< by command

/// The commands of a block, in order, and the output that the document shows for them.
struct Session {
    std::string document;
    std::string where;
    std::vector<Command> commands;
    std::vector<std::string> output;
};

bool is_served(const std::string& text) { return text.find("iolens file serve") != std::string::npos; }

/// Does this command line trace: is it a lens, and none of the other commands of `iolens file`?
bool traces(const std::string& text) {
    const std::vector<std::string> words = words_of(text);
    static const std::set<std::string> file_commands{"serve", "add",       "remove", "list", "status", "start",
                                                     "stop",  "timereset", "reset",  "log",  "profile"};
    return words.size() > 1 && words[0] == "iolens" &&
           (words[1] == "block" || words[1] == "fd" || words[1] == "file") &&
           (words.size() == 2 || !file_commands.contains(words[2]));
}

bool is_program(const std::string& word) {
    static const std::set<std::string> known{"iolens", "cmake",     "cat",    "echo", "jq",
                                             "curl",   "systemctl", "strace", "head"};
    return known.contains(word) || word.starts_with("scripts/") || word.starts_with("tests/bench/") ||
           word.starts_with("./");
}

bool is_command(const std::string& line) {
    const std::vector<std::string> words = words_of(parse_command_line(line).command);
    return !words.empty() && is_program(words[0]);
}

/// Such as "iolens block" or "iolens file serve" in prose; "iolens schema" and "iolens doctor" are whole command lines.
bool only_names_a_command(const std::string& span) {
    static const std::regex name("iolens( (?!schema|doctor)[a-z]+)*");
    return std::regex_match(span, name);
}

/// The command lines of all documents, with placeholders replaced.
class DocumentedCommands {
public:
    explicit DocumentedCommands(const Sandbox& sandbox) : sandbox_(sandbox) {
        for (const std::string& name : user_documents()) read(name);
    }

    std::vector<Session> sessions;

    void expect_that_nothing_is_unused() const {
        used_.expect_all(programs_not_run);
        used_.expect_all(incomplete);
        used_.expect_all(figures);
        for (std::size_t i = 0; i < placeholders.size(); ++i) {
            EXPECT_TRUE(replaced_.contains(i)) << "no document has '" << placeholders[i].pattern << "' any longer";
        }
    }

private:
    void read(const std::string& name) {
        const Document document = read_document(name);
        for (const CodeBlock& block : document.blocks) add_block(name, block);
        for (const std::string& span : document.spans) add_span(name, span);
    }

    void add_block(const std::string& name, const CodeBlock& block) {
        const std::string where = name + ":" + std::to_string(block.line);
        const std::string first = squeezed(block.lines.at(0));
        if (used_.any(figures, [&](const std::string& text) { return first == text; })) return;
        const bool session = first.starts_with("$ ");
        if (!session && !is_command(first)) {  // output of the block before it
            ASSERT_FALSE(sessions.empty()) << where << " is neither commands nor output: " << first;
            EXPECT_EQ(sessions.back().document, name) << where << ": output of which command? " << first;
            sessions.back().output.push_back(block.lines.at(0));
            return;
        }
        sessions.push_back({.document = name, .where = where, .commands = {}, .output = {}});
        std::size_t number = block.line;
        for (const std::string& line : block.lines) {
            const std::string place = name + ":" + std::to_string(number++);
            if (line.empty()) continue;
            if (!session || line.starts_with("$ ")) {
                EXPECT_TRUE(is_command(line)) << place << ": which program is this? " << line;
                add(place, line);
            } else if (sessions.back().output.empty()) {
                sessions.back().output.push_back(line);
            }
        }
    }

    void add_span(const std::string& name, const std::string& span) {
        if (!is_command(span)) return;
        if (only_names_a_command(span)) return;
        if (used_.any(incomplete, [&](const std::string& text) { return span == text; })) return;
        sessions.push_back({.document = name, .where = name, .commands = {}, .output = {}});
        add(name, span);
    }

    void add(const std::string& where, const std::string& line) {
        const CommandLine parsed = parse_command_line(line);
        const std::string program = words_of(parsed.command)[0];
        const std::string text = replace(parsed.command);
        if (used_.any(programs_not_run, [&](const std::string& prefix) { return program.starts_with(prefix); })) {
            EXPECT_EQ(help_.objection(text), "") << where << ": " << text;
            return;
        }
        const bool repeated = !texts_.insert(text).second;
        sessions.back().commands.push_back(
            {.where = where, .text = text, .comment = replace(parsed.comment), .repeated = repeated});
    }

    std::string replace(std::string text) {
        for (std::size_t i = 0; i < placeholders.size(); ++i) {
            const std::regex pattern(placeholders[i].pattern);
            if (!std::regex_search(text, pattern)) continue;
            replaced_.insert(i);
            text = std::regex_replace(text, pattern, placeholders[i].value(sandbox_));
        }
        return text;
    }

    const Sandbox& sandbox_;
    Help help_;
    Used used_;
    std::set<std::size_t> replaced_;
    std::set<std::string> texts_;
};

/// The shell executes the command in its own process, so that the command gets the signals.
std::unique_ptr<Background> start(const std::string& text) {
    return std::make_unique<Background>(std::vector<std::string>{"/bin/sh", "-c", "exec " + text});
}

/// Runs a command to its end. One that would run until Ctrl-C gets SIGINT after its first rows, or after half a second.
Result run_command(const std::string& text) {
    const bool traced = traces(text);
    const std::unique_ptr<Background> command = start((traced ? "env IOLENS_DIAGNOSTICS=1 " : "") + text);
    const bool ends = traced ? text.find(" -- ") != std::string::npos : text.find(" --follow ") == std::string::npos;
    if (ends || (traced && !command->wait_for_line("attached in"))) return command->stop(0);
    const auto until = std::chrono::steady_clock::now() + 500ms;
    while (std::chrono::steady_clock::now() < until && std::ranges::count(command->out(), '\n') < 3) {
        std::this_thread::sleep_for(20ms);
    }
    return command->stop(SIGINT);
}

/// The exit status is 0, and standard error has no warning and no error. Lines after "attached in" are the progress
/// messages that IOLENS_DIAGNOSTICS asks for.
void expect_accepted(const Command& command, const Result& r) {
    EXPECT_EQ(r.status, 0) << command.where << ": " << command.text << "\n" << r.err;
    EXPECT_EQ(r.err.find("hint: "), std::string::npos) << command.where << ": " << command.text << "\n" << r.err;
    const std::size_t attached = r.err.find("iolens: attached in");
    if (attached != std::string::npos) {
        EXPECT_EQ(r.err.substr(0, attached), "") << command.where << ": " << command.text;
    } else if (!traces(command.text)) {
        EXPECT_EQ(r.err, is_served(command.text) ? "iolens: serving /run/iolens\n" : "")
            << command.where << ": " << command.text;
    }
}

bool is_heading(const std::string& line) {
    return std::ranges::none_of(line, [](char c) { return c >= '0' && c <= '9'; });
}

/// Has an output this heading, or a row of this shape?
bool shows(const Result& result, const std::string& line) {
    return std::ranges::any_of(split(result.out + result.err, '\n'), [&](const std::string& own) {
        return is_heading(line) ? squeezed(own) == squeezed(line) : field_count(own) == field_count(line);
    });
}

/// "sda1_1234 /srv/vm.qcow2" and "1 364.35 10000 100: running, since when" behind a `cat`: a line of its output.
void expect_output_as_in_comment(const Command& command, const Result& result) {
    if (!command.text.starts_with("cat ") || command.comment.empty()) return;
    EXPECT_TRUE(shows(result, command.comment.substr(0, command.comment.find(": "))))
        << command.where << ": " << command.text << " shows no line like\n"
        << command.comment << "\nbut\n"
        << result.out;
}

TEST(Documents, EveryCommandLineIsAcceptedAndShowsWhatTheDocumentSays) {
    NEEDS(Sandbox::missing().empty(), Sandbox::missing());
    Sandbox sandbox;
    DocumentedCommands documented(sandbox);
    Results results;  // has all keys before the threads start, so that no thread changes the map
    std::map<std::string, std::unique_ptr<Background>> servers;  // run as long as the others
    std::map<std::string, std::vector<std::string>> in_order;    // document to its other commands
    for (const Session& session : documented.sessions) {
        for (const Command& command : session.commands) {
            if (command.repeated) continue;
            results[command.text] = {};
            if (is_served(command.text)) {
                servers[command.text] = start(command.text);
            } else {
                in_order[session.document].push_back(command.text);
            }
        }
    }
    ASSERT_TRUE(wait_until([&] { return servers.empty() || ::access("/run/iolens/control", R_OK) == 0; }));
    std::vector<std::jthread> workers;
    for (const auto& document : in_order) {
        workers.emplace_back([&results, &commands = document.second] {
            for (const std::string& command : commands) results.at(command) = run_command(command);
        });
    }
    workers.clear();
    for (auto& [command, server] : servers) results[command] = server->stop(SIGINT);

    for (const Session& session : documented.sessions) {
        for (const Command& command : session.commands) {
            if (!command.repeated) expect_accepted(command, results[command.text]);
            expect_output_as_in_comment(command, results[command.text]);
        }
        for (const std::string& line : session.output) {
            EXPECT_TRUE(std::ranges::any_of(session.commands,
                                            [&](const Command& command) { return shows(results[command.text], line); }))
                << session.where << ": no command of it prints a line like\n"
                << line;
        }
    }
    EXPECT_GT(results.size(), 40U);
    documented.expect_that_nothing_is_unused();
}

TEST(Documents, EveryOptionInProseExists) {
    Help help;
    Used used;
    std::set<std::string> options;
    const std::regex pattern("(^|[ \\[])(--[a-z][a-z_-]*)");
    for (const std::string& name : all_documents()) {
        for (const std::string& span : read_document(name).spans) {
            if (is_command(span)) {
                EXPECT_EQ(help.objection(span), "") << name << ": " << span;
                continue;
            }
            for (std::sregex_iterator at(span.begin(), span.end(), pattern), end; at != end; ++at) {
                const std::string option = (*at)[2];
                if (used.any(foreign_options, [&](const std::string& text) { return text == option; })) continue;
                if (options.insert(option).second) {
                    EXPECT_TRUE(help.has_option(option)) << name << ": " << option;
                }
            }
        }
    }
    EXPECT_GT(options.size(), 20U);
    used.expect_all(foreign_options);
}

}  // namespace
}  // namespace iolens::test
