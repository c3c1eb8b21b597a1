// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <array>
#include <exception>
#include <memory>
#include <optional>

#include "app/run.h"
#include "base/failure.h"
#include "base/signals.h"
#include "base/text.h"
#include "commands.h"

namespace iolens {
namespace {

/// Filled by the options of a replay.
struct Replay {
    std::unique_ptr<Lens> lens;  // null if there is no recording
    std::optional<RecordingSource> recording;
    std::exception_ptr failure;  // why there is none; thrown when the command is run, because --help needs none
    ViewOptions view;
    std::string format;
};

void open_recording(Replay& replay, const std::string& path) {
    catch_signals();  // opening a recording can take long
    replay.recording.emplace(path);
    replay.lens = lens_of(*replay.recording);
}

constexpr std::string_view of_every_lens = "every lens";

/// Throws Failure (usage) for an option that only recordings of another lens have. Not with --help, which shows the
/// options of this lens.
void check_options(const Lens& lens, const ParsedWords& given) {
    const auto is_help = [](const GivenOption& option) { return option.heading.empty(); };
    if (std::ranges::any_of(given.options, is_help)) return;
    const std::string_view name = lens.info().name;
    for (const auto& [names, owner] : given.options) {
        if (owner == of_every_lens || owner == name) continue;
        throw Failure(Exit::usage, fmt::format("{} is not an option of {} recordings", names, name),
                      fmt::format("{} recordings have it; 'iolens replay {} --help' shows the options of this one",
                                  owner, visible(given.arguments.front())));
    }
}

/// Opens the recording that the command line names, before the options are parsed; only once, since it may be a pipe.
void find_recording(Replay& replay, std::span<char* const> args) {
    const auto lenses = make_lenses();
    ViewOptions view;
    std::string format;
    Command any{.name = "replay", .about = {}, .examples = {}, .arity = Arity::at_most_one, .arguments = "FILE"};
    any.add_options = [&](OptionGroups& groups) {
        for (const auto& lens : lenses) lens->add_options(groups.group(lens->info().name), nullptr);
        Flags& flags = groups.group(of_every_lens);
        add_view_flags(flags, view);
        flags.text("--format", format, "FORMAT", "");
    };
    const std::optional<ParsedWords> given = parse_words(args, any);
    if (!given || given->arguments.empty()) return;
    try {
        open_recording(replay, given->arguments.front());
    } catch (const Failure&) {
        replay.failure = std::current_exception();
        return;
    }
    check_options(*replay.lens, *given);
}

}  // namespace

Command replay_command(std::span<char* const> args) {
    const auto replay = std::make_shared<Replay>();
    const bool chosen = args.size() > 1 && std::string_view(args[1]) == "replay";
    if (chosen) find_recording(*replay, args.subspan(1));
    Command command{
        .name = "replay",
        .about = "show a recording made with --record; needs no privileges",
        .examples =
            "iolens replay day.iol  show all of it\n"
            "iolens replay -Q -m 10 day.iol  show requests that took the device 10 ms or more\n"
            "iolens replay --format csv day.iol  write csv for a spreadsheet or a database\n"
            "iolens replay --summary -o /dev/null day.iol  print only the summary\n"
            "iolens replay --help day.iol  show this help with the options of the recording's lens",
        .arity = Arity::item,
        .arguments = "FILE",
        .arguments_help = "a recording; '-' is standard input. Name it with --help to see the options of its lens"};
    command.add_options = [replay](OptionGroups& groups) {
        Flags& view = groups.group("What to show");
        if (replay->lens) {
            const LensInfo& info = replay->lens->info();
            replay->lens->add_options(view, nullptr);
            add_view_flags(view, replay->view, info.option_help);
            add_format_option(view, replay->format, formats_of(info), info.default_format);
        } else {
            add_view_flags(view, replay->view);
            add_format_option(view, replay->format, plain_formats, table_format);
        }
    };
    command.run = [replay](const Given& given) {
        if (replay->failure) std::rethrow_exception(replay->failure);
        if (!replay->lens) open_recording(*replay, given.arguments.front());
        replay->view.format = format_of(replay->format, formats_of(replay->lens->info()), nullptr);
        run_replay(*replay->lens, replay->view, *replay->recording);
        return static_cast<int>(Exit::ok);
    };
    return command;
}

}  // namespace iolens
