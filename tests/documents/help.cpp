// SPDX-License-Identifier: Apache-2.0
#include "help.h"

#include <algorithm>
#include <regex>

#include "markdown.h"
#include "run.h"

namespace iolens::test {

namespace {

const std::vector<std::string> lenses{"block", "fd", "file"};

/// Whose options a document may name by themselves.
const std::vector<std::string> programs{"iolens",          "iolens replay",           "iolens doctor",
                                        "iolens schema",   "iolens metrics",          "iolens file serve",
                                        "iolens file add", "iolens file log",         "iolens file profile",
                                        "scripts/kernels", "scripts/style",           "scripts/test",
                                        "scripts/vmlinux", "tests/bench/attribution", "tests/bench/block",
                                        "tests/bench/fd",  "tests/bench/file",        "tests/bench/reliability"};

std::string in_source_tree(const std::string& line) { return "cd " IOLENS_SOURCE_DIR " && " + line; }

/// Does a help text describe this option, such as --top, -A or --summary=open?
bool describes(const std::string& help, const std::string& option) {
    const std::string name = option.substr(0, option.find('='));
    // "-o,--output FILE", "[--rounds N]", "--quick -R Replay"
    return std::regex_search(help, std::regex("(^|[\\s,\\[|(])" + name + "(?![A-Za-z0-9-])"));
}

bool is_option(const std::string& word) {
    static const std::regex option("--[a-z][a-z-]*(=.*)?|-[A-Za-z]");
    return std::regex_match(word, option);
}

/// Words that are letters only can be the name of a subcommand.
bool is_name(const std::string& word) { return std::regex_match(word, std::regex("[a-z]+")); }

}  // namespace

const std::string& Help::output_of(const std::string& line) {
    auto [at, is_new] = outputs_.try_emplace(line);
    if (is_new) {
        const Result r = shell(line);
        if (r.status == 0) at->second = r.out;
    }
    return at->second;
}

std::string Help::help_for(const std::vector<std::string>& words) {
    if (words[0] == "cmake") {
        return output_of("cmake --help") +
               output_of(in_source_tree("cmake --list-presets && cmake --build --list-presets"));
    }
    if (words[0] != "iolens") return output_of(in_source_tree(words[0] + " --help"));
    if (words.size() < 2 || !is_name(words[1])) return output_of("iolens --help");
    const std::string command = "iolens " + words[1];
    if (words.size() > 2 && is_name(words[2])) {
        const std::string& help = output_of(command + " " + words[2] + " --help");
        if (help.find("Usage: " + command + " " + words[2]) != std::string::npos) return help;
    }
    std::string help = output_of(command + " --help");
    if (words[1] == "replay") {  // it has the options of the lens that the recording was made with
        for (const std::string& lens : lenses) help += output_of("iolens " + lens + " --help");
    }
    return help;
}

std::string Help::objection_to_one(const std::vector<std::string>& words) {
    const std::string help = help_for(words);
    if (help.empty()) return words[0] + " has no such command, or no help";
    for (std::size_t i = 1; i < words.size() && words[i] != "--"; ++i) {
        std::string word = words[i];
        std::erase_if(word, [](char c) { return c == '[' || c == ']'; });
        if (is_option(word) && !describes(help, word)) return "there is no option " + word;
        if (words[0] == "cmake" && words[i - 1] == "--preset" && help.find('"' + word + '"') == std::string::npos) {
            return "there is no preset " + word;
        }
    }
    return "";
}

std::string Help::objection(const std::string& command) {
    std::vector<std::string> words;
    for (const std::string& word : words_of(command + " &&")) {
        if (word != "&&") {
            words.push_back(word);
        } else if (std::string wrong = objection_to_one(words); !wrong.empty()) {
            return wrong;
        } else {
            words.clear();
        }
    }
    return "";
}

bool Help::has_option(const std::string& option) {
    return std::ranges::any_of(
        programs, [&](const std::string& program) { return describes(help_for(words_of(program)), option); });
}

}  // namespace iolens::test
