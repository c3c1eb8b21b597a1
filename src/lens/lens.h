// SPDX-License-Identifier: Apache-2.0
// A lens: its description as data, and the few functions that need code.
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
#include "lens/verb.h"
#include "probe/bpf.h"
#include "resolve/resolver.h"
#include "sink/formats.h"
#include "sink/sink.h"
#include "sink/stream.h"
#include "source/source.h"

namespace iolens {

/// A kind of row: the type of its JSON objects, and all columns that it can have.
struct RowType {
    std::string_view name;
    std::span<const Column> columns;
};

/// A format whose columns cannot be chosen: its rows have the columns that it needs.
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

/// Description of a lens.
struct LensInfo {
    std::string_view name;  ///< the command, and the name in a recording
    std::string_view about;
    std::string_view examples;                     ///< one "command  what it does" per line
    std::string_view arguments{};                  ///< for the help: "PATH..."; "" if the one argument is SECONDS
    std::string_view arguments_help{};             ///< description of the arguments
    std::span<const RowType> row_types;            ///< the first is the default
    std::span<const FixedFormat> fixed_formats{};  ///< in addition to the formats for rows of any kind
    Format default_format = table_format;          ///< if no option selects another
    bool takes_command = false;                    ///< traces a command after "--"
    OptionHelp option_help{};
    std::vector<std::unique_ptr<Verb>> (*make_verbs)() = nullptr;
};

/// The formats of a lens's rows, in the order of all_formats.
std::vector<Format> formats_of(const LensInfo& lens);

/// The columns of a lens's fixed format; none if the columns can be chosen.
Columns fixed_columns(const LensInfo& lens, Format format);

/// A destination of rows besides the output, and the columns that rows have there.
struct ExtraSink {
    std::unique_ptr<StreamSink> sink;
    std::vector<const Column*> columns;
};

/// What to show, according to the options.
struct View {
    Format format = table_format;
    RowType type;
    std::vector<const Column*> columns;
    std::string_view csv_line_end = "\r\n";
    std::vector<ExtraSink> extra_sinks{};
    std::string_view summary_type{};  ///< "histogram": summaries of this type are shown instead of rows
};

/// The result of decoding a record.
enum class DecodeResult : u8 {
    row,
    fact,     ///< a name: stored in the resolver
    nothing,  ///< an event without a row: filtered, or part of another one
    unknown,  ///< of a kind unknown to this version or this lens, or damaged
};

class Lens {
public:
    Lens() = default;
    Lens(const Lens&) = delete;
    Lens& operator=(const Lens&) = delete;
    virtual ~Lens() = default;

    [[nodiscard]] virtual const LensInfo& info() const = 0;

    /// Adds the lens's options: options of the view, which a replay also has, and if `live` is given those of tracing.
    virtual void add_options(Flags& view, Flags* live) = 0;

    /// Checks the options and chooses the columns. Throws Failure (usage).
    virtual View prepare(const ViewOptions& view) = 0;

    /// Loads and attaches the probes. Throws Failure.
    virtual std::unique_ptr<Source> open(const ViewOptions& view, const LiveOptions& live) = 0;

    /// Takes a record. DecodeResult::row: `row` holds a value for each selected column, valid until the next call. The
    /// caller clears the row before each call. A record of the kind IOLENS_KIND_CLOCK means that time has passed: it
    /// may release a deferred row, and is passed again as long as it does.
    virtual DecodeResult take(const iolens_header& record, RowBuffer& row) = 0;

    /// Texts are valid until the next record. With `restart`, the next summary begins here.
    virtual Summary summary(bool restart) = 0;

    /// The ledger in the terms of the lens.
    [[nodiscard]] virtual Loss losses(const iolens_loss& ledger) const = 0;

    /// Lines for a verbose run, after tracing has stopped.
    [[nodiscard]] virtual std::vector<std::string> diagnostics() const = 0;

    /// The result of loading each program on this kernel.
    [[nodiscard]] virtual std::vector<ProbeStatus> examine(bool variants) const = 0;

    /// Sets the columns of all further rows. They must outlive the rows.
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
    /// True if nobody reads rows.
    [[nodiscard]] bool nothing_selected() const { return selected_.empty(); }
    /// Is a column of this role selected?
    [[nodiscard]] bool selected(Role role) const { return (selected_roles_ >> static_cast<unsigned>(role) & 1) != 0; }
    /// Passes a record to the resolver; nothing if it is not a fact.
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

/// Every operation, with its domain and the system calls and functions of libc that perform it, as a summary.
Summary domains_table();

}  // namespace iolens
