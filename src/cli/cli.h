// SPDX-License-Identifier: Apache-2.0
// The command line, without its parser: commands with options and arguments.
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lens/lens.h"

namespace iolens {

/// A command's options by the headings of its help.
class OptionGroups {
public:
    OptionGroups() = default;
    OptionGroups(const OptionGroups&) = delete;
    OptionGroups& operator=(const OptionGroups&) = delete;
    virtual ~OptionGroups() = default;

    /// Valid as long as this is.
    virtual Flags& group(std::string_view heading) = 0;
};

/// What a command was given beside its options.
struct Given {
    std::vector<std::string> arguments;
    std::vector<std::string> command;  ///< behind "--"
};

/// How many arguments a command takes.
enum class Arity : u8 { none, at_most_one, item, any };

/// A command, or a further one below it.
struct Command {
    std::string_view name;
    std::string about;
    std::string examples;  ///< one "command  what it does" a line
    Arity arity = Arity::none;
    std::string arguments{};       ///< for the help: "[SECONDS]", "PATH..."
    std::string arguments_help{};  ///< what they are
    bool takes_command = false;    ///< behind "--"
    std::function<void(OptionGroups&)> add_options{};
    std::function<int(const Given&)> run{};  ///< returns the exit status; throws Failure, ReaderGone
    std::vector<Command> commands{};         ///< below it
};

/// Parses the command line and runs a command. Returns the exit status. Throws Failure, ReaderGone.
int run_command_line(std::span<char* const> args, const Command& program);

/// An option on the command line.
struct GivenOption {
    std::string names;    ///< all of them: "-Q,--queue"
    std::string heading;  ///< the group that it was added to; "" for --help
};

/// What a command would be given for these words.
struct ParsedWords {
    std::vector<std::string> arguments;
    std::vector<GivenOption> options;  ///< in their order
};

/// Parses words without running the command; nothing where they are wrong.
std::optional<ParsedWords> parse_words(std::span<char* const> args, const Command& command);

/// Adds --format, with what the command has.
void add_format_option(Flags& flags, std::string& word, std::span<const Format> formats, Format default_format);
/// The format of --format; `otherwise` for "". Throws Failure (usage) where it is none of `formats`.
Format format_of(const std::string& word, std::span<const Format> formats, Format otherwise);

/// The nanoseconds of --duration, given as an argument. Throws Failure (usage).
u64 duration_of(const std::string& given);

}  // namespace iolens
