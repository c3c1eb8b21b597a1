// SPDX-License-Identifier: Apache-2.0
// The only file that knows CLI11.
#include "cli/cli.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <cmath>
#include <iostream>
#include <memory>
#include <optional>

#include "base/failure.h"
#include "base/text.h"

namespace iolens {
namespace {

/// A list is one word of the command line: an option of CLI11 with several values would eat the words after it.
std::vector<std::string> items_of(const std::string& given) {
    std::vector<std::string> items;
    for (std::size_t at = 0; at <= given.size();) {
        const std::size_t end = std::min(given.find(',', at), given.size());
        if (end == at) throw CLI::ValidationError("", fmt::format("'{}' has an empty part", visible(given)));
        items.push_back(given.substr(at, end - at));
        at = end + 1;
    }
    return items;
}

u64 whole_number(const std::string& given, u64 min, u64 max) {
    char* end = nullptr;
    errno = 0;
    const u64 n = std::strtoull(given.c_str(), &end, 10);
    const bool digits = !given.empty() && given.find_first_not_of("0123456789") == std::string::npos;
    if (!digits || errno == ERANGE || n < min || n > max) {
        throw CLI::ValidationError("", fmt::format("'{}' is no whole number from {} to {}", visible(given), min, max));
    }
    return n;
}

double real_number(const std::string& given, double min, double max) {
    char* end = nullptr;
    const double x = std::strtod(given.c_str(), &end);
    const bool is_number = !given.empty() && given.find_first_not_of("0123456789.") == std::string::npos &&
                           end == given.c_str() + given.size();
    if (!is_number || !std::isfinite(x) || x < min || x > max) {
        throw CLI::ValidationError("", fmt::format("'{}' is no number from {} to {}", visible(given), min, max));
    }
    return x;
}

/// Options as CLI11's.
class CliFlags final : public Flags {
public:
    CliFlags(CLI::App& app, std::string_view group) : app_(app), group_(group) {}
    [[nodiscard]] const std::string& heading() const { return group_; }

    void toggle(const char* names, bool& target, const char* help) override {
        app_.add_flag(names, target, help)->group(group_);
    }
    void toggle_word(const char* names, std::string& target, const char* help) override {
        app_.add_flag(names, target, help)->group(group_);
    }
    void text(const char* names, std::string& target, const char* word, const char* help) override {
        finish(app_.add_option(names, target, help), word)->check([](const std::string& given) {
            return given.empty() ? std::string("it is empty") : std::string();
        });
    }
    void list(const char* names, std::vector<std::string>& target, const char* word, const char* help) override {
        add(names, [&target](const std::string& given) { target = items_of(given); }, word, help);
    }
    void numbers(const char* names, std::vector<u64>& target, u64 min, u64 max, const char* word,
                 const char* help) override {
        const auto take = [&target, min, max](const std::string& given) {
            for (const std::string& item : items_of(given)) target.push_back(whole_number(item, min, max));
        };
        add(names, take, word, help);
    }
    void number(const char* names, std::optional<u64>& target, u64 min, u64 max, const char* word,
                const char* help) override {
        add(
            names, [&target, min, max](const std::string& given) { target = whole_number(given, min, max); }, word,
            help);
    }
    void real(const char* names, std::optional<double>& target, double min, double max, const char* word,
              const char* help) override {
        add(
            names, [&target, min, max](const std::string& given) { target = real_number(given, min, max); }, word,
            help);
    }

private:
    void add(const char* names, const std::function<void(const std::string&)>& take, const char* word,
             const char* help) {
        finish(app_.add_option_function<std::string>(names, take, help), word);
    }
    CLI::Option* finish(CLI::Option* option, const char* word) {
        return option->group(group_)->type_name(word)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    }

    CLI::App& app_;
    std::string group_;
};

class CliGroups final : public OptionGroups {
public:
    explicit CliGroups(CLI::App& app) : app_(app) {}
    Flags& group(std::string_view heading) override {
        for (const auto& flags : groups_) {
            if (flags->heading() == heading) return *flags;
        }
        return *groups_.emplace_back(std::make_unique<CliFlags>(app_, heading));
    }

private:
    CLI::App& app_;
    std::vector<std::unique_ptr<CliFlags>> groups_;
};

/// A command as CLI11 has it.
struct ParsedCommand {
    const Command* command = nullptr;
    CLI::App* app = nullptr;
    std::unique_ptr<CliGroups> groups;
    std::vector<std::string> arguments;
    std::vector<std::unique_ptr<ParsedCommand>> below;
};

std::string footer(std::string_view examples) {
    std::string text = "\nexamples:\n";
    std::istringstream lines{std::string(examples)};
    for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
    return text;
}

std::unique_ptr<ParsedCommand> build(CLI::App& app, const Command& command) {
    auto parsed = std::make_unique<ParsedCommand>();
    parsed->command = &command;
    parsed->app = &app;
    parsed->groups = std::make_unique<CliGroups>(app);
    app.footer(footer(command.examples));
    switch (command.arity) {
        case Arity::none: break;
        case Arity::at_most_one:
        case Arity::item:
            app.add_option_function<std::string>(
                   command.arguments,
                   [&items = parsed->arguments](const std::string& given) { items.push_back(given); },
                   command.arguments_help)
                ->type_name("")
                ->required(command.arity == Arity::item);
            break;
        case Arity::any:
            app.add_option(command.arguments, parsed->arguments, command.arguments_help)->type_name("");
            break;
    }
    if (command.add_options) command.add_options(*parsed->groups);
    for (const Command& below : command.commands) {
        parsed->below.push_back(build(*app.add_subcommand(std::string(below.name), below.about), below));
    }
    return parsed;
}

/// The command that was named, with the names on the way to it.
const ParsedCommand* chosen_in(const ParsedCommand* parsed, std::string& name) {
    for (const auto& below : parsed->below) {
        if (!below->app->parsed()) continue;
        name += " " + std::string(below->command->name);
        return chosen_in(below.get(), name);
    }
    return parsed;
}

/// CLI11 2.1 begins some messages with a colon and a name of its own kind; ours are sentences.
std::string sentence(const CLI::ParseError& error) {
    std::string text = error.what();
    while (!text.empty() && (text.front() == ':' || text.front() == ' ')) text.erase(0, 1);
    if (const auto end = text.find('\n'); end != std::string::npos) text.resize(end);
    return visible(text);
}

Failure usage(std::string_view name, std::string what) {
    return {Exit::usage, std::move(what), fmt::format("'{} --help' shows the options, with examples", name)};
}

/// What a line without a command, or with an unknown one, is told.
std::string missing_command(std::span<char* const> args, const Command& program) {
    if (args.size() > 1) return fmt::format("there is no command or option '{}'", visible(args[1]));
    std::string names;
    for (std::size_t i = 0; i < program.commands.size(); ++i) {
        names += i == 0 ? "" : i + 1 == program.commands.size() ? " or " : ", ";
        names += program.commands[i].name;
    }
    return "which command? " + names;
}

std::size_t dashes_in(std::span<char* const> args) {
    return static_cast<std::size_t>(std::ranges::find(args, std::string_view("--")) - args.begin());
}

}  // namespace

int run_command_line(std::span<char* const> args, const Command& program) {
    CLI::App app{program.about};
    app.name(std::string(program.name));
    app.set_version_flag("-V,--version", std::string("iolens ") + IOLENS_VERSION);
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    const auto parsed = build(app, program);

    // What is behind "--" is a command to trace, and no option of ours.
    const std::size_t dashes = dashes_in(args);
    Given given;
    if (dashes != args.size()) given.command.assign(args.begin() + static_cast<std::ptrdiff_t>(dashes) + 1, args.end());
    std::string name(program.name);
    try {
        app.parse(static_cast<int>(dashes), args.data());
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {  // --help, --version
            const int status = app.exit(error);
            if (!std::cout.flush()) throw Failure(Exit::failed, "can't write to standard output: " + error_text(errno));
            return status;
        }
        const bool any = !app.get_subcommands().empty();
        chosen_in(parsed.get(), name);
        throw usage(name, any ? sentence(error) : missing_command(args, program));
    }
    const ParsedCommand& chosen = *chosen_in(parsed.get(), name);
    if (dashes != args.size() && !chosen.command->takes_command) {
        throw usage(name, fmt::format("'{}' traces no command", name));
    }
    if (dashes != args.size() && given.command.empty()) throw usage(name, "there is no command behind '--'");
    given.arguments = chosen.arguments;
    return chosen.command->run(given);
}

std::optional<ParsedWords> parse_words(std::span<char* const> args, const Command& command) {
    CLI::App app;
    app.set_help_flag();
    bool help = false;
    app.add_flag("-h,--help", help)->group("");
    const auto parsed = build(app, command);
    try {
        app.parse(static_cast<int>(dashes_in(args)), args.data());
    } catch (const CLI::ParseError&) {
        return {};
    }
    ParsedWords given{.arguments = parsed->arguments, .options = {}};
    for (const CLI::Option* option : app.parse_order()) {
        if (option->get_positional()) continue;
        given.options.push_back({option->get_name(false, true), option->get_group()});
    }
    return given;
}

void add_format_option(Flags& flags, std::string& word, std::span<const Format> formats, Format default_format) {
    std::string help = fmt::format("{} (default)", default_format->name);
    for (const Format format : formats) {
        if (format == default_format) continue;
        help += fmt::format("{}{}", format == formats.back() ? " or " : ", ", format->name);
        if (!format->note.empty()) help += fmt::format(" ({})", format->note);
    }
    flags.text("--format", word, "FORMAT", help.c_str());
}

Format format_of(const std::string& word, std::span<const Format> formats, Format otherwise) {
    if (word.empty()) return otherwise;
    std::string names;
    for (const Format format : formats) {
        if (format->name == word) return format;
        names += fmt::format(" {}", format->name);
    }
    const bool of_others =
        std::ranges::find(all_formats, std::string_view(word), &FormatInfo::name) != all_formats.end();
    throw Failure(Exit::usage,
                  of_others ? fmt::format("'{}' is not a format of these rows", word)
                            : fmt::format("there is no format '{}'", visible(word)),
                  "the formats are:" + names);
}

double seconds_of(const std::string& word) {
    try {
        return real_number(word, 0.001, 1e9);
    } catch (const CLI::ParseError& error) {
        throw Failure(Exit::usage, sentence(error), "10 for ten seconds, 0.5 for half of one");
    }
}

}  // namespace iolens
