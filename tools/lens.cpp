// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "app/run.h"
#include "base/failure.h"
#include "commands.h"

namespace iolens {
namespace {

/// Filled by the options of a lens.
struct LensRun {
    std::shared_ptr<Lens> lens;
    ViewOptions view;
    LiveOptions live;
    std::string format;
};

int run_lens(LensRun& run, const Given& given) {
    const LensInfo& info = run.lens->info();
    run.view.format = format_of(run.format, formats_of(info), nullptr);
    run.view.to_stderr = !given.command.empty();
    run.live.command = given.command;
    if (!info.arguments.empty()) {
        run.live.arguments = given.arguments;
    } else if (!given.arguments.empty()) {
        if (run.live.duration_ns) {
            throw Failure(Exit::usage, "SECONDS is given twice", "remove -D or the argument");
        }
        run.live.duration_ns = duration_of(given.arguments.front());
    }
    capture_libbpf_log(false);
    return run_live(*run.lens, run.view, run.live);
}

Command verb_command(const std::shared_ptr<Verb>& verb) {
    return {.name = verb->name(),
            .about = std::string(verb->about()),
            .examples = std::string(verb->examples()),
            .arity = verb->args().empty() ? Arity::none : Arity::any,
            .arguments = std::string(verb->args()),
            .add_options = [verb](OptionGroups& groups) { verb->flags(groups.group("Options")); },
            .run =
                [verb](const Given& given) {
                    capture_libbpf_log(false);
                    return run_verb(*verb, given.arguments);
                }};
}

}  // namespace

Command lens_command(std::unique_ptr<Lens> lens) {
    const auto run = std::make_shared<LensRun>();
    run->lens = std::move(lens);
    const LensInfo& info = run->lens->info();
    Command command{.name = info.name,
                    .about = std::string(info.about),
                    .examples = std::string(info.examples),
                    .arity = info.arguments.empty() ? Arity::at_most_one : Arity::any,
                    .arguments = info.arguments.empty() ? "[SECONDS]" : std::string(info.arguments),
                    .arguments_help = info.arguments.empty()
                                          ? "stop after SECONDS, like --duration (default: at Ctrl-C)"
                                          : std::string(info.arguments_help),
                    .takes_command = info.takes_command};
    command.add_options = [run](OptionGroups& groups) {
        Flags& view = groups.group("What to show");
        Flags& live = groups.group("Tracing");
        OptionHelp help = run->lens->info().option_help;
        help.pid = help.pid_live;
        run->lens->add_options(view, &live);
        add_view_flags(view, run->view, help);
        add_format_option(view, run->format, formats_of(run->lens->info()), run->lens->info().default_format);
        add_live_flags(live, run->live, help);
    };
    command.run = [run](const Given& given) { return run_lens(*run, given); };
    if (info.make_verbs != nullptr) {
        for (auto& verb : info.make_verbs()) command.commands.push_back(verb_command(std::move(verb)));
    }
    return command;
}

}  // namespace iolens
