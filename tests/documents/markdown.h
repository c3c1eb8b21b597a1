// SPDX-License-Identifier: Apache-2.0
// The command lines that a document shows.
#pragma once

#include <string>
#include <vector>

namespace iolens::test {

/// A block of code, fenced or indented by four spaces.
struct CodeBlock {
    std::size_t line = 0;  ///< of the document, where the block begins
    std::vector<std::string> lines;
};

struct Document {
    std::string name;  ///< docs/fd.md
    std::vector<CodeBlock> blocks;
    std::vector<std::string> spans;  ///< `inline code`, in order, also across the end of a line
};

/// Reads a document of the source tree.
Document read_document(const std::string& name);

/// README.md, CONTRIBUTING.md and docs/*.md: what a user reads.
std::vector<std::string> user_documents();
/// These, the changelog and docs/adr/*.md.
std::vector<std::string> all_documents();

/// "sudo iolens fd -- ls   # a command" is split into the command and its comment; a leading "$ " is removed.
struct CommandLine {
    std::string command;
    std::string comment;
};
CommandLine parse_command_line(const std::string& line);

/// The words of a command, without sudo; quotes are not interpreted.
std::vector<std::string> words_of(const std::string& command);

/// How an output line is divided: the number of its fields, by semicolon, comma or white space.
std::size_t field_count(const std::string& line);

/// White space between words as one space.
std::string squeezed(const std::string& line);

}  // namespace iolens::test
