// SPDX-License-Identifier: Apache-2.0
// The only file that uses CLI11.
#include "cli/cli.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <array>
#include <iostream>
#include <memory>
#include <optional>

#include "base/failure.h"
#include "base/suggest.h"
#include "base/text.h"
#include "base/units.h"
#include "cli/help.h"

namespace iolens {
namespace {

CLI::ValidationError bad_value(std::string what) { return {std::move(what), CLI::ExitCodes::ValidationError}; }

/// A list is a single argument: an option of CLI11 with several values would consume the arguments after it.
std::vector<std::string> items_of(const std::string& given) {
    std::vector<std::string> items;
    for (std::size_t at = 0; at <= given.size();) {
        const std::size_t end = std::min(given.find(',', at), given.size());
        if (end == at) throw bad_value(fmt::format("'{}' has an empty item", visible(given)));
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
        throw bad_value(fmt::format("'{}' is not a whole number from {} to {}", visible(given), min, max));
    }
    return n;
}

u64 in_range(const std::string& given, std::optional<u64> value, u64 min, u64 max, std::string (*text)(u64),
             std::string_view kind, std::string_view examples) {
    if (!value) {
        throw bad_value(fmt::format("'{}' is not a {} (examples: {})", visible(given), kind, examples));
    }
    if (*value < min || *value > max) {
        const std::string range =
            max == ~u64{0} ? fmt::format("{} or more", text(min)) : fmt::format("{} to {}", text(min), text(max));
        throw bad_value(fmt::format("{} '{}' is out of range ({})", kind, visible(given), range));
    }
    return *value;
}

u64 time_in(const std::string& given, u64 bare_ns, u64 min, u64 max) {
    return in_range(given, parse_time(given, bare_ns), min, max, time_text, "time", "0.5, 10s, 500ms, 5min");
}

u64 size_in(const std::string& given, u64 bare, u64 min, u64 max) {
    return in_range(given, parse_size(given, bare), min, max, size_text, "size", "64KiB, 8MiB, 1GiB");
}

/// "-d,--disk DISK" as the help shows it, with short names in a column of their own.
std::string shown_name(std::string_view names, std::string_view value) {
    std::string shown = names.starts_with("--") ? "    " : "";
    for (const char c : names) shown += c == ',' ? std::string(", ") : std::string(1, c);
    return shown.append(value);
}

/// Implements Flags with options of CLI11.
class CliFlags final : public Flags {
public:
    CliFlags(CLI::App& app, std::string_view group) : app_(app), group_(group) {}
    [[nodiscard]] const std::string& heading() const { return group_; }
    [[nodiscard]] const std::vector<HelpEntry>& entries() const { return entries_; }

    void toggle(const char* names, bool& target, const char* help) override {
        app_.add_flag(names, target)->group(group_);
        entries_.push_back({shown_name(names, ""), help});
    }
    void toggle_word(const char* names, std::string& target, const char* word, const char* help) override {
        app_.add_flag(names, target)->group(group_);
        entries_.push_back({shown_name(names, word), help});
    }
    void text(const char* names, std::string& target, const char* word, const char* help) override {
        const auto take = [&target](const std::string& given) {
            if (given.empty()) throw bad_value("the value is empty");
            target = given;
        };
        add(names, take, word, help);
    }
    void list(const char* names, std::vector<std::string>& target, const char* word, const char* help) override {
        add(names, [&target](const std::string& given) { target = items_of(given); }, word, help);
    }
    void texts(const char* names, std::vector<std::string>& target, const char* word, const char* help) override {
        app_.add_option(names, target)
            ->type_name(word)
            ->group(group_)
            ->expected(1)
            ->allow_extra_args(false)
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
        entries_.push_back({shown_name(names, std::string(" ") + word), help});
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
        const auto take = [&target, min, max](const std::string& given) { target = whole_number(given, min, max); };
        add(names, take, word, help);
    }
    void time(const char* names, std::optional<u64>& target, u64 bare_ns, u64 min, u64 max, const char* word,
              const char* help) override {
        const auto take = [&target, bare_ns, min, max](const std::string& given) {
            target = time_in(given, bare_ns, min, max);
        };
        add(names, take, word, help);
    }
    void size(const char* names, std::optional<u64>& target, u64 bare, u64 min, u64 max, const char* word,
              const char* help) override {
        const auto take = [&target, bare, min, max](const std::string& given) {
            target = size_in(given, bare, min, max);
        };
        add(names, take, word, help);
    }

private:
    void add(const char* names, const std::function<void(const std::string&)>& take, const char* word,
             const char* help) {
        const std::string_view items = names;
        const std::string name(items.substr(items.find("--")));
        const auto take_named = [take, name](const std::string& given) {
            try {
                take(given);
            } catch (const CLI::ValidationError& error) {
                throw CLI::ValidationError(name, error.what());
            }
        };
        app_.add_option_function<std::string>(names, take_named)
            ->type_name(word)
            ->group(group_)
            ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
        entries_.push_back({shown_name(names, std::string(" ") + word), help});
    }

    CLI::App& app_;
    std::string group_;
    std::vector<HelpEntry> entries_;
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
    [[nodiscard]] const std::vector<std::unique_ptr<CliFlags>>& items() const { return groups_; }

private:
    CLI::App& app_;
    std::vector<std::unique_ptr<CliFlags>> groups_;
};

/// A command and its CLI11 object.
struct ParsedCommand {
    const Command* command = nullptr;
    CLI::App* app = nullptr;
    std::unique_ptr<CliGroups> groups;
    std::vector<std::string> arguments;
    std::vector<std::unique_ptr<ParsedCommand>> below;
};

std::unique_ptr<ParsedCommand> build(CLI::App& app, const Command& command) {
    auto parsed = std::make_unique<ParsedCommand>();
    parsed->command = &command;
    parsed->app = &app;
    parsed->groups = std::make_unique<CliGroups>(app);
    switch (command.arity) {
        case Arity::none: break;
        case Arity::at_most_one:
        case Arity::item:
            app.add_option_function<std::string>(
                   command.arguments,
                   [&items = parsed->arguments](const std::string& given) { items.push_back(given); })
                ->required(command.arity == Arity::item);
            break;
        case Arity::any: app.add_option(command.arguments, parsed->arguments); break;
    }
    if (command.add_options) command.add_options(*parsed->groups);
    for (const Command& below : command.commands) {
        parsed->below.push_back(build(*app.add_subcommand(std::string(below.name), below.about), below));
    }
    return parsed;
}

/// The selected command; `name` gets the names on the path to it.
const ParsedCommand* chosen_in(const ParsedCommand* parsed, std::string& name) {
    for (const auto& below : parsed->below) {
        if (!below->app->parsed()) continue;
        name += " " + std::string(below->command->name);
        return chosen_in(below.get(), name);
    }
    return parsed;
}

HelpPage help_page(const ParsedCommand& parsed, const std::string& name) {
    const Command& command = *parsed.command;
    HelpPage page{.about = command.about, .usage = {}, .sections = {}, .examples = command.examples};
    if (command.run) {
        std::string usage = name + " [OPTIONS]";
        if (!command.arguments.empty()) usage += " " + command.arguments;
        if (command.takes_command) usage += " [-- COMMAND [ARG...]]";
        page.usage.push_back(std::move(usage));
    }
    if (!command.arguments_help.empty()) {
        std::string argument = command.arguments;
        std::erase_if(argument, [](char c) { return c == '[' || c == ']'; });
        page.sections.push_back({"Arguments", {{std::move(argument), command.arguments_help}}});
    }
    if (!command.commands.empty()) {
        page.usage.push_back(name + " COMMAND [OPTIONS]");
        HelpSection& section = page.sections.emplace_back(HelpSection{.heading = "Commands", .entries = {}});
        for (const Command& below : command.commands) section.entries.push_back({std::string(below.name), below.about});
    }
    for (const auto& flags : parsed.groups->items()) page.sections.push_back({flags->heading(), flags->entries()});
    if (page.sections.empty() || page.sections.back().heading != "Options") page.sections.push_back({"Options", {}});
    page.sections.back().entries.push_back({shown_name("-h,--help", ""), "print this help"});
    if (!command.run) page.sections.back().entries.push_back({shown_name("-V,--version", ""), "print the version"});
    return page;
}

Failure usage(std::string_view name, std::string what) {
    return {Exit::usage, std::move(what), fmt::format("'{} --help' shows the options, with examples", name)};
}

std::string unknown_option(const std::string& word, const CLI::App& app) {
    std::vector<std::string> names;
    for (const CLI::Option* option : app.get_options()) {
        for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    const std::vector<std::string_view> views(names.begin(), names.end());
    return unknown_name("option", word.substr(0, word.find('=')), views);
}

/// A parse error as a sentence in our style.
std::string sentence(const CLI::ParseError& error, const CLI::App& app) {
    std::string text = error.what();
    if (dynamic_cast<const CLI::ExtrasError*>(&error) != nullptr) {
        const std::vector<std::string> args = app.remaining(true);
        if (!args.empty() && args.front().starts_with('-')) return unknown_option(args.front(), app);
        if (!args.empty()) return fmt::format("unexpected argument '{}'", visible(args.front()));
    }
    if (dynamic_cast<const CLI::RequiredError*>(&error) != nullptr) {
        return "missing " + text.substr(0, text.find(' '));
    }
    if (dynamic_cast<const CLI::ArgumentMismatch*>(&error) != nullptr) {
        const std::string option = text.substr(0, text.find(':'));
        if (text.ends_with(" missing")) return option + " needs a value";
        if (text.find("At Most 1") != std::string::npos) return option + " is given twice";
    }
    if (dynamic_cast<const CLI::ConversionError*>(&error) != nullptr) {
        // "Could not convert: --queue = x": for a toggle
        const std::size_t option = std::min(text.find("--"), text.size());
        return text.substr(option, text.find_first_of(" :", option) - option) + " takes no value";
    }
    if (const auto end = text.find('\n'); end != std::string::npos) text.resize(end);
    return visible(text);
}

/// The error for a command line without a known command.
std::string missing_command(std::span<char* const> args, const Command& program, const CLI::App& app) {
    std::vector<std::string_view> names;
    names.reserve(program.commands.size());
    for (const Command& command : program.commands) names.push_back(command.name);
    if (args.size() > 1) {
        const std::string word = args[1];
        return word.starts_with('-') ? unknown_option(word, app) : unknown_name("command", word, names);
    }
    std::string list;
    for (const std::string_view name : names) {
        list += list.empty() ? "" : name == names.back() ? " or " : ", ";
        list += name;
    }
    return "missing command: " + list;
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
    const auto parsed = build(app, program);

    // Arguments after "--" are a command to trace, not our options.
    const std::size_t dashes = dashes_in(args);
    Given given;
    if (dashes != args.size()) given.command.assign(args.begin() + static_cast<std::ptrdiff_t>(dashes) + 1, args.end());
    std::string name(program.name);
    try {
        app.parse(static_cast<int>(dashes), args.data());
    } catch (const CLI::ParseError& error) {
        const ParsedCommand& chosen = *chosen_in(parsed.get(), name);
        if (error.get_exit_code() == 0) {
            const bool help = dynamic_cast<const CLI::CallForHelp*>(&error) != nullptr;
            std::cout << (help ? help_text(help_page(chosen, name), help_width()) : error.what() + std::string("\n"));
            if (!std::cout.flush()) throw Failure(Exit::failed, "can't write to standard output: " + error_text(errno));
            return 0;
        }
        const bool any = !app.get_subcommands().empty();
        throw usage(name, any ? sentence(error, *chosen.app) : missing_command(args, program, app));
    }
    const ParsedCommand& chosen = *chosen_in(parsed.get(), name);
    if (dashes != args.size() && !chosen.command->takes_command) {
        throw usage(name, fmt::format("'{}' does not run a command", name));
    }
    if (dashes != args.size() && given.command.empty()) throw usage(name, "missing command after '--'");
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
    std::vector<std::string_view> names;
    names.reserve(formats.size());
    for (const Format format : formats) {
        if (format->name == word) return format;
        names.push_back(format->name);
    }
    const bool elsewhere =
        std::ranges::find(all_formats, std::string_view(word), &FormatInfo::name) != all_formats.end();
    throw Failure(
        Exit::usage,
        elsewhere ? fmt::format("format '{}' does not apply here", word) : unknown_name("format", word, names),
        list_names("formats", names));
}

u64 duration_of(const std::string& given) {
    try {
        return time_in(given, bare_duration, min_duration, max_duration);
    } catch (const CLI::ParseError& error) {
        throw Failure(Exit::usage, error.what(), "10 is ten seconds; 500ms and 5min have units");
    }
}

}  // namespace iolens
