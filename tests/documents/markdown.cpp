// SPDX-License-Identifier: Apache-2.0
#include "markdown.h"

#include <algorithm>
#include <filesystem>
#include <sstream>

#include "run.h"

namespace iolens::test {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view indentation = "    ";
constexpr std::string_view fence = "```";

std::vector<std::string> documents_in(const std::string& directory) {
    std::vector<std::string> names;
    for (const auto& entry : fs::directory_iterator(fs::path(IOLENS_SOURCE_DIR) / directory)) {
        if (entry.path().extension() == ".md") names.push_back(directory + "/" + entry.path().filename().string());
    }
    std::ranges::sort(names);
    return names;
}

std::vector<std::string> spans_of(const std::string& prose) {
    std::vector<std::string> spans;
    for (std::size_t begin = prose.find('`'); begin != std::string::npos;) {
        const std::size_t end = prose.find('`', begin + 1);
        if (end == std::string::npos) break;
        spans.push_back(squeezed(prose.substr(begin + 1, end - begin - 1)));
        begin = prose.find('`', end + 1);
    }
    return spans;
}

}  // namespace

Document read_document(const std::string& name) {
    Document document{.name = name, .blocks = {}, .spans = {}};
    std::string prose;
    bool fenced = false;
    bool indented = false;
    bool after_blank = true;
    std::size_t number = 0;
    for (const std::string& line : split(slurp((fs::path(IOLENS_SOURCE_DIR) / name).string()), '\n')) {
        ++number;
        if (line.starts_with(fence)) {
            fenced = !fenced;
            if (fenced) document.blocks.push_back({.line = number, .lines = {}});
            continue;
        }
        indented = !fenced && line.starts_with(indentation) && (indented || after_blank);
        if (indented && after_blank) document.blocks.push_back({.line = number, .lines = {}});
        after_blank = line.empty();
        if (fenced || indented) {
            document.blocks.back().lines.push_back(indented ? line.substr(indentation.size()) : line);
        } else {
            prose += line + "\n";
        }
    }
    document.spans = spans_of(prose);
    return document;
}

std::vector<std::string> user_documents() {
    std::vector<std::string> names{"README.md", "CONTRIBUTING.md"};
    std::ranges::copy(documents_in("docs"), std::back_inserter(names));
    return names;
}

std::vector<std::string> all_documents() {
    std::vector<std::string> names = user_documents();
    names.emplace_back("CHANGELOG.md");
    std::ranges::copy(documents_in("docs/adr"), std::back_inserter(names));
    return names;
}

CommandLine parse_command_line(const std::string& line) {
    const std::string text = line.starts_with("$ ") ? line.substr(2) : line;
    const std::size_t hash = text.find(" # ");
    const std::string command = text.substr(0, hash);
    return {.command = command.substr(0, command.find_last_not_of(' ') + 1),
            .comment = hash == std::string::npos ? "" : text.substr(hash + 3)};
}

std::vector<std::string> words_of(const std::string& command) {
    std::istringstream stream(command);
    std::vector<std::string> words;
    for (std::string word; stream >> word;) {
        if (!words.empty() || word != "sudo") words.push_back(word);
    }
    return words;
}

std::size_t field_count(const std::string& line) {
    for (const char separator : {';', ','}) {
        if (line.find(separator) != std::string::npos) {
            return static_cast<std::size_t>(std::ranges::count(line, separator)) + 1;
        }
    }
    return words_of(line).size();
}

std::string squeezed(const std::string& line) {
    std::istringstream stream(line);
    std::string text;
    for (std::string word; stream >> word;) text += (text.empty() ? "" : " ") + word;
    return text;
}

}  // namespace iolens::test
