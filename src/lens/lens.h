// SPDX-License-Identifier: Apache-2.0
// A lens: what it is, as data, and the few questions that only its code can answer.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "lens/options.h"
#include "lens/summary.h"
#include "probe/bpf.h"
#include "resolve/resolver.h"
#include "sink/formats.h"
#include "sink/sink.h"
#include "sink/stream.h"
#include "source/source.h"

namespace iolens {

/// What a turn of the loop found.
enum class Progress : u8 {
    idle,
    busy,   ///< there was work: the next turn comes soon
    ended,  ///< there will be no more work
};

/// What the loop in src/app runs: a trace, a replay, a server.
class Polled {
public:
    Polled() = default;
    Polled(const Polled&) = delete;
    Polled& operator=(const Polled&) = delete;
    virtual ~Polled() = default;

    /// The descriptors that the loop polls for input before it calls work() again. Empty: it does not wait, since
    /// work() does.
    [[nodiscard]] virtual std::span<const int> descriptors() const = 0;
    /// Does what there is to do now, by CLOCK_BOOTTIME. Also called when nothing became readable.
    virtual Progress work(u64 now_ns) = 0;
    /// The time at which work() is called at the latest; ~0: none.
    [[nodiscard]] virtual u64 deadline_ns() const { return ~u64{0}; }
};

/// A server: it runs until SIGINT or SIGTERM.
class Service : public Polled {
public:
    /// Loads, attaches and opens, with the signals caught. Throws Failure.
    virtual void start() = 0;
    /// Ends it. False: half a second after a signal, a thread of it still waits in a system call that can't be
    /// interrupted, such as a lookup on a dead NFS mount. The destructor would wait for it, _exit(2) does not.
    virtual bool stop() = 0;
};

/// A further command below a lens's own: "iolens file serve".
class Verb {
public:
    Verb() = default;
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual std::string_view about() const = 0;
    [[nodiscard]] virtual std::string_view examples() const = 0;
    [[nodiscard]] virtual std::string_view args() const = 0;  ///< for the help: "PATH [MAX_EVENTS]"
    virtual void flags(Flags& flags) = 0;
    /// Returns the exit status. Throws Failure.
    virtual int run(const std::vector<std::string>& args) = 0;
    /// After run(): the server that the loop in src/app is to run; nullptr if the command is done.
    [[nodiscard]] virtual std::unique_ptr<Service> take_service() { return nullptr; }
};

/// Rows of one kind: the type of their JSON objects, and all columns that they can have.
struct RowType {
    std::string_view name;
    std::span<const Column> columns;
};

/// A format whose columns cannot be chosen: its rows have those that it needs.
struct FixedFormat {
    Format format;
    Columns columns;

    /// Takes what columns_for() made for this format. Fails to compile for other columns.
    consteval FixedFormat(Format fixed, Columns needed) : format(fixed), columns(needed) {
        const auto name_of = [](const Column* column) { return column->name; };
        if (!std::ranges::equal(fixed->needs, needed, {}, &NeededColumn::name, name_of)) {
            throw "the format needs other columns";
        }
    }
};

/// What a lens is.
struct LensInfo {
    std::string_view name;  ///< the command, and the name in a recording
    std::string_view about;
    std::string_view examples;                     ///< one "command  what it does" a line
    std::string_view arguments{};                  ///< for the help: "PATH..."; "" where the one argument is SECONDS
    std::string_view arguments_help{};             ///< what they are
    std::span<const RowType> row_types;            ///< the first is the usual one
    std::span<const FixedFormat> fixed_formats{};  ///< beside those for rows of any kind
    Format default_format = table_format;          ///< where no option chooses another
    bool takes_command = false;                    ///< traces a command behind "--"
    OptionHelp option_help{};
    std::vector<std::unique_ptr<Verb>> (*make_verbs)() = nullptr;
};

/// The formats of a lens's rows, in the order of the table of formats.
std::vector<Format> formats_of(const LensInfo& lens);

/// The columns of a lens's fixed format; none where the columns can be chosen.
Columns fixed_columns(const LensInfo& lens, Format format);

/// Where rows also go, beside the output, and the columns that they have there.
struct ExtraSink {
    std::unique_ptr<StreamSink> sink;
    std::vector<const Column*> columns;
};

/// What is shown, as the options have it.
struct View {
    Format format = table_format;
    RowType type;
    std::vector<const Column*> columns;
    std::string_view csv_line_end = "\r\n";
    std::vector<ExtraSink> extra_sinks{};
};

/// What a record is to a lens.
enum class DecodeResult : u8 {
    row,
    fact,     ///< a name: the resolver has it
    nothing,  ///< an event without a row: filtered, or part of another one
    unknown,  ///< of a kind that this version or this lens does not know, or damaged
};

class Lens {
public:
    Lens() = default;
    Lens(const Lens&) = delete;
    Lens& operator=(const Lens&) = delete;
    virtual ~Lens() = default;

    [[nodiscard]] virtual const LensInfo& info() const = 0;

    /// Adds its options: those of the view, which a replay has, too, and where `live` is given those of tracing.
    virtual void add_options(Flags& view, Flags* live) = 0;

    /// Checks the options and chooses the columns. Throws Failure (usage).
    virtual View prepare(const ViewOptions& view) = 0;

    /// Loads and attaches the probes. Throws Failure.
    virtual std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) = 0;

    /// Takes a record. Taken::row: `row` holds a value for each selected column, valid until the next call. The caller
    /// clears the row before each call. A record of the kind IOLENS_KIND_CLOCK stands for the passing of time: it may
    /// release a row that waited for it, and is taken again as long as it does.
    virtual DecodeResult take(const iolens_header& record, RowBuffer& row) = 0;

    /// Its texts are valid until the next record. With `restart`, the next summary begins here.
    virtual Summary summary(bool restart) = 0;

    /// The ledger in the words of the lens.
    [[nodiscard]] virtual Loss losses(const iolens_loss& ledger) const = 0;

    /// Lines for a verbose run, when tracing has stopped.
    [[nodiscard]] virtual std::vector<std::string> diagnostics() const = 0;

    /// The result of loading each program on this kernel.
    [[nodiscard]] virtual std::vector<ProbeStatus> examine(bool variants) const = 0;

    /// The columns that rows have from now on. They must outlive the rows.
    void select(Columns columns);
    [[nodiscard]] Resolver& resolver() { return resolver_; }
    [[nodiscard]] const Resolver& resolver() const { return resolver_; }

protected:
    /// Resolves a row's ids: fills a value for each selected column.
    DecodeResult fill(const RawRow& raw, RowBuffer& row) {
        row.values.resize(selected_.size());
        for (std::size_t i = 0; i < selected_.size(); ++i) {
            row.values[i] = resolver_.value(*selected_[i], raw, row.text);
        }
        return DecodeResult::row;
    }
    /// Is a column of this role selected?
    [[nodiscard]] bool selected(Role role) const { return (selected_roles_ >> static_cast<unsigned>(role) & 1) != 0; }
    /// Gives a record to the resolver; nothing where it is not a fact.
    std::optional<DecodeResult> learn(const iolens_header& record) {
        switch (resolver_.learn(record)) {
            case Resolver::Learned::yes: return DecodeResult::fact;
            case Resolver::Learned::damaged: return DecodeResult::unknown;
            case Resolver::Learned::no: break;
        }
        return {};
    }

    /// Counts an operation that the filters drop here, and returns what take() returns for it. Pending operations were
    /// never counted as delivered.
    DecodeResult without_row(bool pending = false) {
        without_row_ += pending ? 0U : 1U;
        return DecodeResult::nothing;
    }
    [[nodiscard]] u64 without_row_count() const { return without_row_; }

private:
    Resolver resolver_;
    Columns selected_;
    u64 selected_roles_ = 0;  // bit (1 << role)
    u64 without_row_ = 0;
};

/// Every lens, in the order of the help text.
std::vector<std::unique_ptr<Lens>> make_lenses();

/// Every operation, with its domain, the system calls and the functions of libc that are it. A summary's form.
Summary domains_table();

}  // namespace iolens
