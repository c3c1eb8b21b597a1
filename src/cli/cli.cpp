// SPDX-License-Identifier: Apache-2.0
// The only file that knows CLI11.
#include "cli/cli.h"

#include <CLI/CLI.hpp>

#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>

#include "app/run.h"
#include "base/failure.h"
#include "cli/commands.h"
#include "lens/lens.h"

namespace iolens {
namespace {

const std::map<std::string, Format> formats{{"table", Format::table},
                                            {"csv", Format::csv},
                                            {"json", Format::json},
                                            {"metrics", Format::metrics},
                                            {"metrics-table", Format::metrics_table},
                                            {"iotracer", Format::iotracer}};

/// A lens's options, as CLI11's.
class CliFlags final : public Flags {
public:
    explicit CliFlags(CLI::App& app, std::string group) : app_(app), group_(std::move(group)) {}

    void toggle(const char* names, bool& target, const char* help) override {
        app_.add_flag(names, target, help)->group(group_);
    }
    void toggle_word(const char* names, std::string& target, const char* help) override {
        app_.add_flag(names, target, help)->group(group_);
    }
    void text(const char* names, std::string& target, const char* word, const char* help) override {
        one(app_.add_option(names, target, help), word)->check([](const std::string& given) {
            return given.empty() ? std::string("it is empty") : std::string();
        });
    }
    void list(const char* names, std::vector<std::string>& target, const char* word, const char* help) override {
        one(app_.add_option_function<std::string>(
                names, [&target](const std::string& given) { target = pieces(given); }, help),
            word);
    }
    void numbers(const char* names, std::vector<u64>& target, u64 least, u64 most, const char* word,
                 const char* help) override {
        one(app_.add_option_function<std::string>(
                names,
                [&target, least, most](const std::string& given) {
                    for (const std::string& piece : pieces(given)) target.push_back(whole(piece, least, most));
                },
                help),
            word);
    }
    void number(const char* names, std::optional<u64>& target, u64 least, u64 most, const char* word,
                const char* help) override {
        one(app_.add_option_function<std::string>(
                names, [&target, least, most](const std::string& given) { target = whole(given, least, most); }, help),
            word);
    }
    void real(const char* names, std::optional<double>& target, double least, double most, const char* word,
              const char* help) override {
        one(app_.add_option_function<std::string>(
                names, [&target, least, most](const std::string& given) { target = fraction(given, least, most); },
                help),
            word);
    }

    /// A list is one word of the command line: an option of CLI11 with several values would eat the words after it.
    static std::vector<std::string> pieces(const std::string& given) {
        std::vector<std::string> all;
        for (std::size_t at = 0; at <= given.size();) {
            const std::size_t end = std::min(given.find(',', at), given.size());
            if (end == at) throw CLI::ValidationError("", fmt::format("'{}' has an empty part", visible(given)));
            all.push_back(given.substr(at, end - at));
            at = end + 1;
        }
        return all;
    }
    static u64 whole(const std::string& given, u64 least, u64 most) {
        char* end = nullptr;
        errno = 0;
        const u64 n = std::strtoull(given.c_str(), &end, 10);
        const bool digits = !given.empty() && given.find_first_not_of("0123456789") == std::string::npos;
        if (!digits || errno == ERANGE || n < least || n > most) {
            throw CLI::ValidationError(
                "", fmt::format("'{}' is no whole number from {} to {}", visible(given), least, most));
        }
        return n;
    }
    static double fraction(const std::string& given, double least, double most) {
        char* end = nullptr;
        const double x = std::strtod(given.c_str(), &end);
        const bool all = !given.empty() && given.find_first_not_of("0123456789.") == std::string::npos &&
                         end == given.c_str() + given.size();
        if (!all || !std::isfinite(x) || x < least || x > most) {
            throw CLI::ValidationError("", fmt::format("'{}' is no number from {} to {}", visible(given), least, most));
        }
        return x;
    }

private:
    CLI::Option* one(CLI::Option* option, const char* word) {
        return option->group(group_)->type_name(word)->multi_option_policy(CLI::MultiOptionPolicy::Throw);
    }

    CLI::App& app_;
    std::string group_;
};

/// CLI11 2.1 begins some messages with a colon and a name of its own kind; ours are sentences.
std::string sentence(const CLI::ParseError& error) {
    std::string text = error.what();
    while (!text.empty() && (text.front() == ':' || text.front() == ' ')) text.erase(0, 1);
    if (const auto end = text.find('\n'); end != std::string::npos) text.resize(end);
    return visible(text);
}

std::string footer(std::string_view examples) {
    std::string text = "\nexamples:\n";
    std::istringstream lines{std::string(examples)};
    for (std::string line; std::getline(lines, line);) text += "  " + line + "\n";
    return text;
}

struct Command {
    ViewOptions view;
    LiveOptions live;
    std::string seconds;
    CLI::App* app = nullptr;
};

template <typename Target>
void add_format(CLI::App& app, Target& format,
                const std::string& help = "table (default), csv or json (one object a line)") {
    app.add_option_function<std::string>(
           "--format",
           [&format](const std::string& given) {
               const auto at = formats.find(given);
               if (at == formats.end()) {
                   throw CLI::ValidationError(
                       "", fmt::format("there is no format '{}': table, csv or json; of fd --domains also metrics and "
                                       "metrics-table; of file also iotracer",
                                       visible(given)));
               }
               format = at->second;
           },
           help)
        ->group("What to show")
        ->type_name("FORMAT")
        ->multi_option_policy(CLI::MultiOptionPolicy::Throw);
}

struct VerbCommand {
    Verb* verb = nullptr;
    CLI::App* app = nullptr;
    std::vector<std::string> words;
};

std::string format_help(const Lens& lens) {
    std::string help = lens.default_format() == Format::csv ? "csv (default), table or json (one object a line)"
                                                            : "table (default), csv or json (one object a line)";
    if (lens.has_format(Format::metrics)) {
        help += "; with --domains metrics (then the default) or metrics-table, as io-monitor's";
    }
    if (lens.has_format(Format::iotracer)) help += "; iotracer: its log's lines";
    return help;
}

std::string version_text() { return std::string("iolens ") + IOLENS_VERSION; }

}  // namespace

int run_command_line(int argc, char** argv) {
    auto lenses = make_lenses();
    CLI::App app{"iolens: a Linux machine's I/O, seen live"};
    app.name("iolens");
    app.set_version_flag("-V,--version", version_text());
    app.require_subcommand(1);
    app.get_formatter()->column_width(34);
    app.footer(
        footer("sudo iolens block -Q 10     ten seconds of block requests, with their time in the queue\n"
               "sudo iolens doctor          what works on this kernel, and why not\n"
               "sudo iolens fd -- git status   what a command reads and writes\n"
               "iolens replay day.iol       show a recording again\n"
               "iolens schema               every column with unit and meaning\n"
               "iolens block --help         the options of a lens"));

    std::vector<std::unique_ptr<Command>> commands;
    std::vector<std::unique_ptr<VerbCommand>> verbs;
    for (const auto& lens : lenses) {
        auto c = std::make_unique<Command>();
        c->app = app.add_subcommand(std::string(lens->name()), std::string(lens->about()));
        c->app->footer(footer(lens->examples()));
        if (lens->words().empty()) {
            c->app->add_option("SECONDS", c->seconds, "end after so long")->type_name("");
        } else {
            c->app->add_option(std::string(lens->words()), c->live.words)->type_name("");
        }
        CliFlags view(*c->app, "What to show");
        lens->view_flags(view);
        add_view_flags(view, c->view);
        add_format(*c->app, c->view.asked_format, format_help(*lens));
        CliFlags live(*c->app, "Tracing");
        lens->live_flags(live);
        add_live_flags(live, c->live);
        for (Verb* verb : lens->verbs()) {
            auto v = std::make_unique<VerbCommand>();
            v->verb = verb;
            v->app = c->app->add_subcommand(std::string(verb->name()), std::string(verb->about()));
            v->app->footer(footer(verb->examples()));
            if (!verb->words().empty()) v->app->add_option(std::string(verb->words()), v->words)->type_name("");
            CliFlags flags(*v->app, "Options");
            verb->flags(flags);
            verbs.push_back(std::move(v));
        }
        commands.push_back(std::move(c));
    }

    Command replay;
    std::string recording;
    replay.app = app.add_subcommand("replay", "show a recording again; needs no privilege");
    replay.app->footer(
        footer("iolens replay day.iol                      all of it\n"
               "iolens replay -Q -m 10 day.iol             what took the device 10 ms or more\n"
               "iolens replay --format csv day.iol         for a spreadsheet or a database\n"
               "iolens replay --summary -o /dev/null day.iol"));
    replay.app->add_option("FILE", recording, "what --record wrote")->required()->type_name("");
    CliFlags replay_flags(*replay.app, "What to show");
    for (const auto& lens : lenses) lens->view_flags(replay_flags);
    add_view_flags(replay_flags, replay.view);
    add_format(*replay.app, replay.view.asked_format);

    Format doctor_format = Format::table;
    CLI::App* doctor = app.add_subcommand("doctor", "what works on this kernel, and why not");
    add_format(*doctor, doctor_format);
    bool variants = false;
    doctor->add_flag("--variants", variants, "also try the variants of probes that this kernel doesn't need");
    doctor->footer(footer("sudo iolens doctor\nsudo iolens doctor --format json"));

    Format schema_format = Format::table;
    CLI::App* schema = app.add_subcommand("schema", "every column with unit and meaning");
    add_format(*schema, schema_format);
    bool schema_domains = false;
    schema
        ->add_flag("--domains", schema_domains, "the domains and operations of 'iolens fd --domains', with their calls")
        ->group("What to show");
    schema->footer(footer("iolens schema\niolens schema --format csv\niolens schema --domains"));

    // What is behind "--" is a command to trace, and no option of ours.
    const auto words = std::span(argv, static_cast<std::size_t>(argc));
    const auto dashes = std::ranges::find(words, std::string_view("--"));
    const std::vector<std::string> behind(dashes == words.end() ? dashes : dashes + 1, words.end());
    try {
        app.parse(static_cast<int>(dashes - words.begin()), argv);
        for (std::size_t i = 0; i < commands.size(); ++i) {
            Command& c = *commands[i];
            if (!c.app->parsed() || dashes == words.end()) continue;
            if (!lenses[i]->takes_command()) throw CLI::ValidationError("", "this lens traces no command");
            if (behind.empty()) throw CLI::ValidationError("", "there is no command behind '--'");
            c.live.command = behind;
            c.view.to_stderr = true;
        }
        if (dashes != words.end() && (replay.app->parsed() || doctor->parsed() || schema->parsed())) {
            throw CLI::ValidationError("", "'--' and a command are for lenses that trace one");
        }
        for (auto& c : commands) {
            if (c->seconds.empty()) continue;
            if (c->live.duration_s) throw CLI::ValidationError("", "SECONDS is given twice");
            c->live.duration_s = CliFlags::fraction(c->seconds, 0.001, 1e9);
        }
    } catch (const CLI::ParseError& error) {
        if (error.get_exit_code() == 0) {  // --help, --version
            const int status = app.exit(error);
            if (!std::cout.flush()) throw Failure(Exit::failed, "can't write to standard output: " + error_text(errno));
            return status;
        }
        std::string which = "iolens";
        for (const CLI::App* sub : app.get_subcommands()) which += " " + sub->get_name();
        std::string what = sentence(error);
        if (app.get_subcommands().empty()) {
            what = argc < 2 ? "which command? block, fd, file, replay, doctor or schema"
                            : fmt::format("there is no command or option '{}'", visible(argv[1]));
        }
        throw Failure(Exit::usage, what, "'" + which + " --help' shows the options, with examples");
    }

    for (const auto& v : verbs) {
        if (!v->app->parsed()) continue;
        capture_libbpf_log(false);
        return v->verb->run(v->words);
    }
    for (std::size_t i = 0; i < commands.size(); ++i) {
        if (!commands[i]->app->parsed()) continue;
        capture_libbpf_log(false);
        ViewOptions& view = commands[i]->view;
        view.format = view.asked_format.value_or(lenses[i]->default_format());
        return run_live(*lenses[i], view, commands[i]->live);
    }
    if (replay.app->parsed()) {
        run_replay(lenses, replay.view, recording);
        return static_cast<int>(Exit::ok);
    }
    if (doctor->parsed()) {
        capture_libbpf_log(false);
        return run_doctor(lenses, doctor_format, variants);
    }
    return schema_domains ? run_domains(schema_format) : run_schema(lenses, schema_format);
}

}  // namespace iolens
