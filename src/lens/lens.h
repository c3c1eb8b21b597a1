// SPDX-License-Identifier: Apache-2.0
// What the application asks of a lens: which probes, which columns, its own flags.
#pragma once

#include <algorithm>
#include <cstddef>
#include <initializer_list>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "lens/options.h"
#include "probe/bpf.h"
#include "resolve/resolver.h"
#include "sink/outlet.h"
#include "sink/sink.h"
#include "source/source.h"

namespace iolens {

/// A table made at the end: columns without a getter, and their values.
struct Summary {
    std::vector<Column> columns;
    std::vector<std::vector<Value>> rows;
    std::vector<std::string> texts;  ///< what text values point to
};

/// Appends the percentiles of a histogram, and the largest value; nulls where it has no values.
template <typename SomeHistogram>
void add_percentiles(std::vector<Value>& row, const SomeHistogram& values, std::initializer_list<double> percents) {
    const bool some = values.count() != 0;
    for (const double percent : percents) row.push_back(some ? Value(values.percentile(percent)) : Value());
    row.push_back(some ? Value(values.max()) : Value());
}

/// A way for rows out of the process, and the columns that it takes.
struct Way {
    std::unique_ptr<Outlet> outlet;
    std::vector<const Column*> columns;
};

/// What a record is to a lens.
enum class Taken : u8 {
    row,
    fact,     ///< a name: the resolver has it
    nothing,  ///< an event without a row: filtered, or part of another one
    unknown,  ///< of a kind that this version or this lens does not know, or damaged
};

/// A command below a lens's own.
class Verb {
public:
    Verb() = default;
    Verb(const Verb&) = delete;
    Verb& operator=(const Verb&) = delete;
    virtual ~Verb() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;
    [[nodiscard]] virtual std::string_view about() const = 0;
    [[nodiscard]] virtual std::string_view examples() const = 0;
    [[nodiscard]] virtual std::string_view words() const = 0;  ///< for the help: "PATH [MAX_EVENTS]"
    virtual void flags(Flags& flags) = 0;
    /// Returns the exit status. Throws Failure.
    virtual int run(const std::vector<std::string>& words) = 0;
};

class Lens {
public:
    Lens() = default;
    Lens(const Lens&) = delete;
    Lens& operator=(const Lens&) = delete;
    virtual ~Lens() = default;

    [[nodiscard]] virtual std::string_view name() const = 0;  ///< the command, and the type of its json objects
    [[nodiscard]] virtual std::string_view about() const = 0;
    [[nodiscard]] virtual std::string_view examples() const = 0;  ///< one "command  what it does" a line
    [[nodiscard]] virtual std::span<const Column> columns() const = 0;

    /// Other rows that it can have, by the type of their json objects.
    [[nodiscard]] virtual std::vector<std::pair<std::string_view, std::span<const Column>>> further_columns() const {
        return {};
    }
    /// The columns of the rows that were prepared, and the type of their json objects.
    [[nodiscard]] virtual std::span<const Column> row_columns() const { return columns(); }
    [[nodiscard]] virtual std::string_view row_type() const { return name(); }
    /// The format of the rows that were prepared: the one that was asked for, or the lens's default.
    [[nodiscard]] virtual Format format(const ViewOptions& view) const {
        return view.asked_format.value_or(default_format());
    }
    /// Has it rows for this format?
    [[nodiscard]] virtual bool has_format(Format format) const {
        return format == Format::table || format == Format::csv || format == Format::json;
    }
    /// Where rows go beside the output; asked once, after prepare(). Throws Failure.
    virtual std::vector<Way> ways() { return {}; }

    /// The columns that rows have from now on; they outlive the lens's last row.
    void select(Columns columns) {
        selected_ = columns;
        selected_roles_ = 0;
        for (const Column* column : columns) selected_roles_ |= u64{1} << static_cast<unsigned>(column->role);
    }
    [[nodiscard]] Resolver& resolver() { return resolver_; }
    [[nodiscard]] const Resolver& resolver() const { return resolver_; }

    /// What is printed when no --format is given.
    [[nodiscard]] virtual Format default_format() const { return Format::table; }
    /// Does it trace a command that is given after "--"?
    [[nodiscard]] virtual bool takes_command() const { return false; }
    /// What its words on the command line are, for the help: "PATH..."; "" where the one word is SECONDS.
    [[nodiscard]] virtual std::string_view words() const { return {}; }
    /// Further commands, below its own: "iolens NAME VERB".
    virtual std::vector<Verb*> verbs() { return {}; }
    /// What ends a row of csv; asked after prepare().
    [[nodiscard]] virtual std::string_view csv_line_end() const { return "\r\n"; }

    /// Flags of the view alone, which a replay has too; and those of tracing.
    virtual void view_flags(Flags& flags) = 0;
    virtual void live_flags(Flags& flags) = 0;

    /// Checks what was asked for and chooses the columns. Throws Failure (usage).
    virtual std::vector<const Column*> prepare(const ViewOptions& view) = 0;

    /// Loads and attaches the probes. Throws Failure.
    virtual std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) = 0;

    /// Takes a record. Taken::row: `row` holds a value for each selected column, valid until the next call. The caller
    /// clears the row before each call. A record of the kind IOLENS_KIND_CLOCK stands for the passing of time: it may
    /// release a row that waited for it, and is taken again as long as it does.
    virtual Taken take(const iolens_header& record, RowBuffer& row) = 0;

    [[nodiscard]] virtual Summary summary() const = 0;
    /// Begins the summary anew, for the next interval; false: this lens can't.
    virtual bool restart_summary() { return false; }
    /// What follows a summary's table on a terminal: lines of text.
    [[nodiscard]] virtual std::string report() const { return {}; }

    /// What the ledger means in this lens's words.
    [[nodiscard]] virtual Loss explain(const iolens_loss& ledger) const = 0;

    /// Remarks of a verbose run, a line each, when tracing has stopped.
    [[nodiscard]] virtual std::vector<std::string> remarks() const = 0;

    /// The exit status of a run that went well: of a traced command its own.
    virtual int status() { return 0; }

    /// How each probe fares on this kernel.
    [[nodiscard]] virtual std::vector<ProbeStatus> examine(bool variants) const = 0;

protected:
    /// Resolves a row's ids: fills a value for each selected column.
    Taken fill(const RawRow& raw, RowBuffer& row) {
        row.values.resize(selected_.size());
        for (std::size_t i = 0; i < selected_.size(); ++i) {
            row.values[i] = resolver_.value(*selected_[i], raw, row.text);
        }
        return Taken::row;
    }
    /// Is a column of this role selected?
    [[nodiscard]] bool selected(Role role) const { return (selected_roles_ >> static_cast<unsigned>(role) & 1) != 0; }
    /// Gives a record to the resolver; nothing where it is not a fact.
    std::optional<Taken> learn(const iolens_header& record) {
        switch (resolver_.learn(record)) {
            case Resolver::Learned::yes: return Taken::fact;
            case Resolver::Learned::damaged: return Taken::unknown;
            case Resolver::Learned::no: break;
        }
        return {};
    }

    /// Counts an operation that the user did not select, and returns what take() returns for it. Pending operations
    /// were never counted as delivered.
    Taken without_row(bool pending = false) {
        without_row_ += pending ? 0U : 1U;
        return Taken::nothing;
    }
    /// Totals for the loss report. `delivered` counts the operations in rows or in a summary; the others are filtered.
    [[nodiscard]] Loss sums(const iolens_counters& n) const {
        const u64 without_row = std::min(without_row_, n.delivered);
        Loss loss;
        loss.seen = n.seen;
        loss.delivered = n.delivered - without_row;
        loss.filtered = n.filtered + without_row;
        loss.in_flight = n.in_flight;
        loss.no_end = n.no_end;
        loss.note("ring_full", "events (the ring was full: a larger --ring-size, or less output)", n.ring_full);
        return loss;
    }

private:
    Resolver resolver_;
    Columns selected_;
    u64 selected_roles_ = 0;  // bit (1 << role)
    u64 without_row_ = 0;
};

/// Every lens there is, in the order of the help text.
std::vector<std::unique_ptr<Lens>> make_lenses();

/// Every operation, with its domain, the system calls and the functions of libc that are it. A summary's form.
Summary domains_table();

/// The named columns. Throws Failure (usage) for an unknown one.
std::vector<const Column*> choose_columns(std::span<const Column> all, const std::vector<std::string>& names);

}  // namespace iolens
