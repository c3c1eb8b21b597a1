// SPDX-License-Identifier: Apache-2.0
#include "cli/help.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <utility>

namespace iolens {
namespace {

constexpr std::size_t indent = 2;
constexpr std::size_t gap = 2;  // between a name and its text

bool starts_character(char byte) { return (static_cast<unsigned char>(byte) & 0xc0) != 0x80; }

/// Width of one of our texts in columns: UTF-8 without wide characters.
std::size_t columns_of(std::string_view text) {
    return static_cast<std::size_t>(std::ranges::count_if(text, starts_character));
}

/// The offset at which to cut `text` to a width of `columns`.
std::size_t cut_at(std::string_view text, std::size_t columns) {
    std::size_t at = 0;
    while (at < text.size() && (columns != 0 || !starts_character(text[at]))) {
        columns -= starts_character(text[at]) ? 1 : 0;
        ++at;
    }
    return at;
}

/// The lines of `text`, broken at blanks: the first at most `first` columns wide, the others at most `other`.
std::vector<std::string> wrap(std::string_view text, std::size_t first, std::size_t other) {
    std::vector<std::string> lines(1);
    std::size_t width = first;
    std::size_t used = 0;
    const auto next_line = [&] {
        lines.emplace_back();
        width = other;
        used = 0;
    };
    while (!text.empty()) {
        const std::size_t end = std::min(text.find(' '), text.size());
        std::string_view word = text.substr(0, end);
        text.remove_prefix(std::min(end + 1, text.size()));
        if (word.empty()) continue;
        if (used != 0 && used + 1 + columns_of(word) > width) next_line();
        if (used != 0) {
            lines.back() += ' ';
            ++used;
        }
        for (; columns_of(word) > width - used; next_line()) {
            const std::size_t cut = cut_at(word, width - used);
            lines.back() += word.substr(0, cut);
            word.remove_prefix(cut);
        }
        lines.back() += word;
        used += columns_of(word);
    }
    return lines;
}

void append_paragraph(std::string& out, std::string_view text, std::size_t first_indent, std::size_t other_indent,
                      std::size_t width) {
    bool first = true;
    for (const std::string& line : wrap(text, width - first_indent, width - other_indent)) {
        out += std::string(std::exchange(first, false) ? first_indent : other_indent, ' ') + line + '\n';
    }
}

/// Names on the left and their texts in a column that starts at `max_column` at most: after a longer name, the text
/// begins on the next line.
void append_entries(std::string& out, const std::vector<HelpEntry>& entries, std::size_t max_column,
                    std::size_t width) {
    std::size_t column = 0;
    for (const HelpEntry& entry : entries) {
        const std::size_t end = indent + columns_of(entry.name) + gap;
        if (!entry.text.empty() && end <= max_column) column = std::max(column, end);
    }
    if (column == 0) column = max_column;
    for (const HelpEntry& entry : entries) {
        std::string text;
        append_paragraph(text, entry.text, column, column, width);
        if (entry.text.empty() || indent + columns_of(entry.name) + gap > column) {
            const std::size_t begin = indent + std::min(entry.name.find_first_not_of(' '), entry.name.size());
            append_paragraph(out, entry.name, begin, begin + 4, width);
            if (!entry.text.empty()) out += text;
            continue;
        }
        text.replace(indent, columns_of(entry.name), entry.name);
        out += text;
    }
}

/// "command  what it does": the command ends at two or more blanks.
std::vector<HelpEntry> parse_examples(std::string_view examples) {
    std::vector<HelpEntry> entries;
    std::istringstream lines{std::string(examples)};
    for (std::string line; std::getline(lines, line);) {
        const std::size_t end = std::min(line.find("  "), line.size());
        const std::size_t text = std::min(line.find_first_not_of(' ', end), line.size());
        entries.push_back({line.substr(0, end), line.substr(text)});
    }
    return entries;
}

}  // namespace

std::string help_text(const HelpPage& page, std::size_t width) {
    std::string out;
    append_paragraph(out, page.about, 0, 0, width);
    out += '\n';
    const std::string_view label = "Usage: ";
    bool first = true;
    for (const std::string& usage : page.usage) {
        append_paragraph(out, (first ? std::string(label) : std::string()) + usage, first ? 0 : label.size(),
                         label.size() + 4, width);
        first = false;
    }
    for (const HelpSection& section : page.sections) {
        out += '\n' + section.heading + ":\n";
        append_entries(out, section.entries, width * 2 / 5, width);
    }
    if (!page.examples.empty()) {
        out += "\nExamples:\n";
        append_entries(out, parse_examples(page.examples), width * 3 / 5, width);
    }
    return out;
}

std::size_t help_width() {
    constexpr std::size_t usual = 80;
    constexpr std::size_t narrowest = 40;
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return usual;
    return std::max<std::size_t>(size.ws_col, narrowest);
}

}  // namespace iolens
