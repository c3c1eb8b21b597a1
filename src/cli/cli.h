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

/// Groups a command's options by the headings of its help.
class OptionGroups {
public:
    OptionGroups() = default;
    OptionGroups(const OptionGroups&) = delete;
    OptionGroups& operator=(const OptionGroups&) = delete;
    virtual ~OptionGroups() = default;

    /// Valid as long as this object.
    virtual Flags& group(std::string_view heading) = 0;
};

/// The arguments that a command was given, besides its options.
struct Given {
    std::vector<std::string> arguments;
    std::vector<std::string> command;  ///< after "--"
};

/// How many arguments a command takes.
enum class Arity : u8 { none, at_most_one, item, any };

/// A command or subcommand.
struct Command {
    std::string_view name;
    std::string about;
    std::string examples;  ///< one "command  what it does" per line
    Arity arity = Arity::none;
    std::string arguments{};       ///< for the help: "[SECONDS]", "PATH..."
    std::string arguments_help{};  ///< description of the arguments
    bool takes_command = false;    ///< after "--"
    std::function<void(OptionGroups&)> add_options{};
    std::function<int(const Given&)> run{};  ///< returns the exit status; throws Failure, ReaderGone
    std::vector<Command> commands{};         ///< subcommands
};

/// Parses the command line and runs a command. Returns the exit status. Throws Failure, ReaderGone.
int run_command_line(std::span<char* const> args, const Command& program);

/// An option on the command line.
struct GivenOption {
    std::string names;    ///< all of them: "-Q,--queue"
    std::string heading;  ///< the group that it was added to; "" for --help
};

/// The result of parsing a command's arguments.
struct ParsedWords {
    std::vector<std::string> arguments;
    std::vector<GivenOption> options;  ///< in the order given
};

/// Parses arguments without running the command; nothing if they are invalid.
std::optional<ParsedWords> parse_words(std::span<char* const> args, const Command& command);

/// Adds --format with the command's formats.
void add_format_option(Flags& flags, std::string& word, std::span<const Format> formats, Format default_format);
/// The format of --format; `otherwise` for "". Throws Failure (usage) if it is not one of `formats`.
Format format_of(const std::string& word, std::span<const Format> formats, Format otherwise);

/// The nanoseconds of a --duration that was given as an argument. Throws Failure (usage).
u64 duration_of(const std::string& given);

}  // namespace iolens
