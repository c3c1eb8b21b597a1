// SPDX-License-Identifier: Apache-2.0
// Properties of all columns of all lenses: every byte of an event is visible in some column, and a cell does not depend
// on the other columns that are selected.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <map>
#include <numeric>
#include <random>

#include "iolens/event/operation.h"
#include "lens/fd/columns.h"
#include "lens/lens.h"
#include "run.h"
#include "sample.h"
#include "source/recording.h"

namespace iolens {
namespace {

using Bytes = std::vector<std::byte>;

/// A record as delivered by a source: 8-byte aligned.
class TestedRecord {
public:
    explicit TestedRecord(std::span<const std::byte> bytes) : words_((bytes.size() + 7) / 8), size_(bytes.size()) {
        std::memcpy(words_.data(), bytes.data(), bytes.size());
    }
    template <typename Event>
        requires std::is_trivially_copyable_v<Event> && (!std::is_convertible_v<Event, std::span<const std::byte>>)
    explicit TestedRecord(const Event& event) : TestedRecord(std::as_bytes(std::span(&event, 1))) {}

    [[nodiscard]] const iolens_header& head() const { return *reinterpret_cast<const iolens_header*>(words_.data()); }
    [[nodiscard]] std::size_t size() const { return size_; }
    [[nodiscard]] TestedRecord with_flipped(std::size_t bit) const {
        TestedRecord other = *this;
        reinterpret_cast<unsigned char*>(other.words_.data())[bit / 8] ^= static_cast<unsigned char>(1U << bit % 8);
        return other;
    }
    /// A record of an older version, without the last fields.
    [[nodiscard]] TestedRecord cut(std::size_t size) const {
        TestedRecord other(std::as_bytes(std::span(words_)).first(size));
        reinterpret_cast<iolens_header*>(other.words_.data())->size = static_cast<u16>(size);
        return other;
    }

private:
    std::vector<u64> words_;
    std::size_t size_;
};
using Records = std::vector<TestedRecord>;

/// Sets a lens's options like the command line does.
class GivenFlags final : public Flags {
public:
    explicit GivenFlags(const std::map<std::string, std::string>& given) : given_(given) {}

    void toggle(const char* names, bool& target, const char* /*help*/) override {
        if (find(names) != nullptr) target = true;
    }
    void toggle_word(const char* names, std::string& target, const char* word, const char* help) override {
        text(names, target, word, help);
    }
    void text(const char* names, std::string& target, const char* /*word*/, const char* /*help*/) override {
        if (const std::string* value = find(names)) target = *value;
    }
    void list(const char* names, std::vector<std::string>& target, const char* /*word*/,
              const char* /*help*/) override {
        if (const std::string* value = find(names)) target = test::split(*value, ',');
    }
    void numbers(const char* /*names*/, std::vector<u64>& /*target*/, u64 /*min*/, u64 /*max*/, const char* /*word*/,
                 const char* /*help*/) override {}
    void number(const char* /*names*/, std::optional<u64>& /*target*/, u64 /*min*/, u64 /*max*/, const char* /*word*/,
                const char* /*help*/) override {}
    void time(const char* /*names*/, std::optional<u64>& /*target*/, u64 /*bare_ns*/, u64 /*min*/, u64 /*max*/,
              const char* /*word*/, const char* /*help*/) override {}
    void size(const char* /*names*/, std::optional<u64>& /*target*/, u64 /*bare*/, u64 /*min*/, u64 /*max*/,
              const char* /*word*/, const char* /*help*/) override {}

private:
    const std::string* find(std::string_view names) const {
        const auto at = given_.find(std::string(names.substr(names.find("--"))));
        return at == given_.end() ? nullptr : &at->second;
    }
    const std::map<std::string, std::string>& given_;
};

/// A lens with its options, and the formats of its rows.
struct TestedView {
    std::string name;
    std::string lens;
    std::map<std::string, std::string> options;
    std::vector<Format> formats{table_format, csv_format, json_format};
};

const TestedView block_view{.name = "block", .lens = "block", .options = {}};
const TestedView fd_view{.name = "fd", .lens = "fd", .options = {}};
const TestedView why_view{.name = "fd --why", .lens = "fd", .options = {{"--why", ""}}};
const TestedView operations_view{.name = "fd --domains", .lens = "fd", .options = {{"--domains", "ALL,HTTP"}}};
const TestedView file_view{.name = "file", .lens = "file", .options = {}};
// Formats whose columns cannot be chosen.
const TestedView fd_csv_view{.name = "fd's own csv", .lens = "fd", .options = {}, .formats = {csv_format}};
const TestedView metrics_view{.name = "metrics",
                              .lens = "fd",
                              .options = {{"--domains", "ALL,HTTP"}},
                              .formats = {format_named("metrics"), format_named("metrics-table")}};
const TestedView iotracer_view{
    .name = "iotracer", .lens = "file", .options = {}, .formats = {format_named("iotracer")}};

/// A lens that replays records.
class Replayed {
public:
    Replayed(const TestedView& view, Format format, std::vector<std::string> names = {}) : format_(format) {
        for (auto& lens : make_lenses()) {
            if (lens->info().name == view.lens) lens_ = std::move(lens);
        }
        GivenFlags flags(view.options);
        lens_->add_options(flags, nullptr);
        ViewOptions options;
        options.format = format;
        options.columns = std::move(names);
        options.replayed = true;
        view_ = lens_->prepare(options);
    }

    [[nodiscard]] const std::vector<const Column*>& columns() const { return view_.columns; }
    [[nodiscard]] std::vector<const Column*> all_columns() const { return pointers_to(view_.type.columns); }

    /// Calls take(Row) for each row with the given columns.
    template <typename Take>
    void each_row(const Records& records, Columns wanted, Take take) {
        constexpr u64 wall_offset = 1'767'323'045'678'000'000 - 1'000'000'000'000;
        lens_->resolver().set_wall_offset(wall_offset);
        lens_->select(wanted);
        RowBuffer row;
        const auto taken = [&](const iolens_header& record) {
            row.clear();
            const bool is_row = lens_->take(record, row) == DecodeResult::row;
            if (is_row) take(Row(row.values));
            return is_row;
        };
        const auto advance = [&](u64 now) {
            const iolens_header clock{.ts = now, .kind = IOLENS_KIND_CLOCK, .size = sizeof clock, .cpu = 0};
            while (taken(clock)) {
            }
        };
        for (const TestedRecord& record : records) {
            taken(record.head());
            advance(0);
        }
        advance(~u64{0});
    }

    /// The rows as printed.
    std::vector<std::string> printed(const Records& records, Columns wanted) {
        std::vector<std::string> rows;
        std::string text;
        Output out = Output::into([&](std::string_view bytes) { text += bytes; });
        const auto sink = format_->make(out, {.header = false, .colour = false});
        sink->begin("row", wanted, nullptr);
        // like Pipeline
        const auto all = view_.type.columns;
        const auto time = std::ranges::find(all, Role::time, &Column::role);
        std::vector<const Column*> with_time(wanted.begin(), wanted.end());
        with_time.push_back(&*time);
        each_row(records, with_time, [&](Row row) {
            if (rows.empty()) sink->count_from(*time, row.back().number());
            sink->row(row.first(wanted.size()));
            out.flush();
            rows.push_back(std::exchange(text, {}));
        });
        return rows;
    }

private:
    Format format_;
    std::unique_ptr<Lens> lens_;
    View view_;
};

/// All columns of a view.
std::vector<std::string> names_of(const TestedView& view) {
    std::vector<std::string> names;
    for (const Column* column : Replayed(view, csv_format).all_columns()) names.emplace_back(column->name);
    return names;
}

std::string text_of_value(const Value& value) {
    if (value.is_null()) return "null";
    if (value.kind() == Value::Kind::text) return '"' + std::string(value.text()) + '"';
    return (value.is_negative() ? "-" : "") + std::to_string(value.number());
}

Records recorded(void (*write)(const std::string&)) {
    class Collect final : public Receiver {
    public:
        bool record(std::span<const std::byte> bytes) override {
            records.emplace_back(bytes);
            return true;
        }
        Records records;
    };
    const test::Scratch scratch;
    write(scratch.path("sample"));
    RecordingSource source(scratch.path("sample"));
    Collect collect;
    while (!source.ended()) source.read(collect);
    return collect.records;
}

template <std::size_t N>
void fill_with(u8 (&bytes)[N], char c) {
    std::ranges::fill(bytes, static_cast<u8>(c));
}

// --- Events with something in every field

iolens_block_event full_block_event() {
    iolens_block_event e = test::block_event(1'010'000'000'000, "", IOLENS_OP_READ, 8, 512);
    fill_with(e.comm, 'a');
    e.error = 5;
    e.requeues = 2;
    e.target.name_id = 7;
    e.target.id = {.ino = 12, .dev = 8U << 20 | 1, .generation = 34};
    e.target.kind = IOLENS_TARGET_FILE;
    e.target.source = IOLENS_TARGET_SOURCE_DIO;
    e.target.more = 3;
    e.target.authors = 2;
    e.target.author = 99;
    fill_with(e.target.author_comm, 'b');
    e.host_tgid = 2000;
    e.host_tid = 2001;
    return e;
}

iolens_call_event full_call_event(u8 file) {
    iolens_call_event e = test::call_event(1'010'000'000'000, 0, IOLENS_DIR_READ, 3, 4096);
    e.name_id = 7;
    e.ino = 12;
    e.dev = 8U << 20 | 1;
    e.generation = 34;
    e.offset = 65536;
    e.requested = 8192;
    e.file = file;
    e.flags = IOLENS_CALL_HAS_OFFSET | IOLENS_CALL_HAS_REQUESTED | IOLENS_CALL_HAS_ADDRESS | IOLENS_CALL_HAS_ASKED |
              IOLENS_CALL_HAS_LOCAL | IOLENS_CALL_HAS_PEER;
    e.family = 10;
    e.port = 443;
    e.local_port = 50000;
    for (u8 i = 0; i < 16; ++i) {
        e.peer[i] = static_cast<u8>(0x20 + i);
        e.local[i] = static_cast<u8>(0x40 + i);
    }
    e.address = 0x7f0000001000;
    e.asked = 0x5;
    e.open_id = 0x1234567;
    e.host_tgid = 2000;
    e.host_tid = 2001;
    return e;
}

iolens_vfs_event full_vfs_event(u8 level, u8 op) {
    iolens_vfs_event e{};
    e.h = {.ts = 1'010'000'000'000, .kind = IOLENS_KIND_VFS, .size = sizeof e, .cpu = 1};
    e.start = e.h.ts - 250'000;
    e.id = {.ino = 12, .dev = 8U << 20 | 1, .generation = 34};
    e.name_id = 7;
    e.address = 1 << 20;
    e.requested = 8192;
    e.result = 4096;
    e.cgroup_id = 77;
    e.tgid = 1000;
    e.tid = 1001;
    e.level = level;
    e.op = op;
    fill_with(e.comm, 'c');
    e.host_tgid = 2000;
    e.host_tid = 2001;
    if (level == IOLENS_LEVEL_BLK) {
        e.first_sector = 2048;
        e.disk = 8U << 20;
    }
    return e;
}

TestedRecord operation_record(u8 op, const std::string& first, const std::string& second,
                              u8 layer = IOLENS_LAYER_KERNEL) {
    iolens_operation_event e{};
    const std::size_t size = (sizeof e + first.size() + second.size() + 7) / 8 * 8;
    e.h = {.ts = 1'010'000'000'000, .kind = IOLENS_KIND_OPERATION, .size = static_cast<u16>(size), .cpu = 0};
    e.start = e.h.ts - 250'000;
    e.bytes = 4096;
    e.name_id = 7;
    e.tgid = 1000;
    e.tid = 1001;
    e.ppid = 999;
    e.fd = 3;
    e.call = 1;
    e.op = op;
    e.layer = layer;
    e.length1 = static_cast<u16>(first.size());
    e.length2 = static_cast<u16>(second.size());
    e.host_tid = 2001;
    Bytes bytes(size);
    std::memcpy(bytes.data(), &e, sizeof e);
    std::memcpy(bytes.data() + sizeof e, first.data(), first.size());
    std::memcpy(bytes.data() + sizeof e + first.size(), second.data(), second.size());
    return TestedRecord(bytes);
}

TestedRecord arguments_of(const iolens_call_event& call, const std::string& text) {
    iolens_arguments a{};
    const std::size_t size = (sizeof a + text.size() + 8) / 8 * 8;
    a.h = {.ts = call.start, .kind = IOLENS_KIND_ARGUMENTS, .size = static_cast<u16>(size), .cpu = 0};
    a.values[0] = static_cast<u64>(call.fd);
    a.tid = host_tid(call);
    a.call = call.call;
    a.texts = 2;
    Bytes bytes(size);
    std::memcpy(bytes.data(), &a, sizeof a);
    std::memcpy(bytes.data() + sizeof a, text.data(), text.size());
    return TestedRecord(bytes);
}

/// Facts before the events: names of a disk, a file, a thread.
Records facts() {
    iolens_task_fact task = test::task_fact(1001, "worker");
    task.host_tgid = 2000;
    task.host_tid = 2001;
    return {TestedRecord(test::disk_fact(8, 0, "sda")),
            TestedRecord(test::file_fact(7, IOLENS_FILE_REGULAR, 0, {"data", "srv"})), TestedRecord(task)};
}

Records with(Records records, const Records& more) {
    records.insert(records.end(), more.begin(), more.end());
    return records;
}

// --- A text lasts as long as its row

TEST(RowArena, LastsUntilTheRowIsCleared) {
    RowArena text;
    for (int row = 0; row < 3; ++row) {
        text.clear();
        std::vector<std::pair<std::string_view, std::string>> made;
        for (std::size_t size = 0; size < 3000; size = size * 2 + 1) {  // more than the inline memory
            const std::string expected(size, static_cast<char>('a' + made.size()));
            made.emplace_back(text.copy(expected), expected);
            made.emplace_back(text.build([&](std::string& out) { out += expected; }), expected);
            made.emplace_back(text.format(FMT_COMPILE("{}:{}"), size, expected), std::to_string(size) + ":" + expected);
        }
        for (const auto& [view, expected] : made) EXPECT_EQ(view, expected);
    }
}

TEST(RowArena, AnEmptyTextIsNotNull) {
    RowArena text;
    EXPECT_NE(text.copy(std::string_view()).data(), nullptr);
}

// --- A cell does not depend on the columns beside it

/// Separates the cells of a row in every format.
constexpr std::string_view mark = "<|>";
const Column between{.name = "between", .header = "", .help = "between two cells", .get = [](const iolens_header&) {
                         return Value(mark);
                     }};

/// One cell per row and column, as printed; for formats with fixed columns, the values.
using Cells = std::vector<std::vector<std::string>>;

Cells cells_of(const TestedView& view, Format format, const Records& records, const std::vector<const Column*>& chosen,
               bool as_values) {
    std::vector<std::string> names;
    if (!as_values) {
        for (const Column* column : chosen) names.emplace_back(column->name);
    }
    Replayed replayed(view, format, names);
    Cells cells;
    if (as_values) {
        replayed.each_row(records, chosen, [&](Row row) {
            auto& row_cells = cells.emplace_back();
            for (const Value& value : row) row_cells.push_back(text_of_value(value));
        });
        return cells;
    }
    std::vector<const Column*> wanted{&between};
    for (const Column* column : replayed.columns()) {
        wanted.push_back(column);
        wanted.push_back(&between);
    }
    for (const std::string& row : replayed.printed(records, wanted)) {
        auto& row_cells = cells.emplace_back();
        std::size_t at = row.find(mark) + mark.size();
        for (std::size_t i = 0; i < chosen.size(); ++i) {
            const std::size_t end = row.find(mark, at);
            if (end == std::string::npos) throw std::runtime_error("a row lacks cells: " + row);
            row_cells.push_back(row.substr(at, end - at));
            at = end + mark.size();
        }
    }
    return cells;
}

class CellCheck {
public:
    CellCheck(const TestedView& view, Format format, Records records, std::vector<const Column*> all, bool as_values)
        : view_(view), format_(format), records_(std::move(records)), all_(std::move(all)), as_values_(as_values) {
        for (const Column* column : all_) {
            const Cells cells = cells_of(view_, format_, records_, {column}, as_values_);
            auto& column_cells = alone_.emplace_back();
            for (const auto& row : cells) column_cells.push_back(row.front());
        }
    }

    [[nodiscard]] std::size_t rows() const { return alone_.front().size(); }

    /// Compares the cells of columns in this order with those of each column alone. Returns false if there is a
    /// difference.
    bool same(const std::vector<std::size_t>& order) const {
        std::vector<const Column*> chosen;
        chosen.reserve(order.size());
        for (const std::size_t i : order) chosen.push_back(all_[i]);
        const Cells cells = cells_of(view_, format_, records_, chosen, as_values_);
        if (cells.size() != rows()) {
            ADD_FAILURE() << where(order) << ": " << cells.size() << " rows, not " << rows();
            return false;
        }
        for (std::size_t row = 0; row < cells.size(); ++row) {
            for (std::size_t at = 0; at < order.size(); ++at) {
                const std::string& expected = alone_[order[at]][row];
                if (cells[row][at] == expected) continue;
                ADD_FAILURE() << where(order) << ": cell " << at << " (" << chosen[at]->name << ") of row " << row
                              << " is\n  " << cells[row][at] << "\nand alone\n  " << expected;
                return false;
            }
        }
        return true;
    }

private:
    [[nodiscard]] std::string where(const std::vector<std::size_t>& order) const {
        std::string names;
        for (const std::size_t i : order) (names += names.empty() ? "" : ",") += all_[i]->name;
        return view_.name + ", " + std::string(format_->name) + ", --columns " + names;
    }

    const TestedView& view_;
    Format format_;
    Records records_;
    std::vector<const Column*> all_;
    bool as_values_;
    std::vector<std::vector<std::string>> alone_;  // by column, then by row
};

/// Two columns in each order, one column twice, and all columns in several orders.
void check_cells(const TestedView& view, const Records& records, std::vector<const Column*> all, bool as_values) {
    constexpr unsigned seed = 20260102;
    constexpr int orders = 20;
    constexpr int enough = 5;  // differences; most have the same cause
    for (const Format format : view.formats) {
        SCOPED_TRACE("seed of the orders: " + std::to_string(seed));
        const CellCheck check(view, format, records, all, as_values);
        ASSERT_GT(check.rows(), 0U) << view.name;
        int differences = 0;
        const auto count = [&](bool same) { differences += same ? 0 : 1; };
        for (std::size_t first = 0; first < all.size() && differences < enough; ++first) {
            for (std::size_t second = 0; second < all.size(); ++second) count(check.same({first, second}));
        }
        std::mt19937 random(seed);
        std::vector<std::size_t> order(all.size() * 2);
        for (std::size_t i = 0; i < order.size(); ++i) order[i] = i % all.size();
        for (int i = 0; i < orders && differences < enough; ++i) {
            // not std::shuffle, because its order depends on the library
            for (std::size_t n = order.size(); n > 1; --n) std::swap(order[n - 1], order[random() % n]);
            count(check.same(order));
        }
    }
}

void check_cells(const TestedView& view, const Records& records) {
    check_cells(view, records, Replayed(view, csv_format).all_columns(), false);
}

Records block_records() {
    const iolens_block_event full = full_block_event();
    iolens_block_event second = full;
    second.sector = full.sector + full.bytes / 512;
    fill_with(second.target.author_comm, 'd');
    return with(
        with(recorded(test::write_sample), facts()),
        {TestedRecord(full), TestedRecord(second), TestedRecord(full).cut(offsetof(iolens_block_event, target))});
}

Records fd_records() {
    iolens_call_event socket = full_call_event(IOLENS_FILE_SOCKET);
    iolens_call_event other = socket;
    other.family = 2;
    std::swap(other.peer, other.local);
    iolens_call_event open = full_call_event(IOLENS_FILE_REGULAR);
    open.call = 257;  // openat
    open.direction = IOLENS_DIR_NONE;
    open.asked = 0x80042;
    return with(with(recorded(test::write_fd_sample), facts()),
                {TestedRecord(socket), TestedRecord(other), TestedRecord(full_call_event(IOLENS_FILE_REGULAR)),
                 arguments_of(open, "/srv/" + std::string(5000, 'x')), TestedRecord(open)});
}

Records operation_records() {
    return with(with(recorded(test::write_operations_sample), facts()),
                {operation_record(IOLENS_OPERATION_RENAME, "old name", "new name"),
                 operation_record(IOLENS_OPERATION_START, "make", "")});
}

Records file_records() {
    return with(with(recorded(test::write_file_sample), facts()),
                {TestedRecord(full_vfs_event(IOLENS_LEVEL_VFS, IOLENS_VFS_WRITE)),
                 TestedRecord(full_vfs_event(IOLENS_LEVEL_BLK, IOLENS_VFS_READ))});
}

TEST(Cells, OfBlockDoNotDependOnOtherColumns) { check_cells(block_view, block_records()); }
TEST(Cells, OfFdDoNotDependOnOtherColumns) { check_cells(fd_view, fd_records()); }
TEST(Cells, OfWhyDoNotDependOnOtherColumns) { check_cells(why_view, recorded(test::write_why_sample)); }
TEST(Cells, OfOperationsDoNotDependOnOtherColumns) { check_cells(operations_view, operation_records()); }
TEST(Cells, OfFileDoNotDependOnOtherColumns) { check_cells(file_view, file_records()); }
/// Clients of --socket get all columns as JSON, regardless of the output format.
TEST(Cells, OfClientsDoNotDependOnTheOutput) {
    for (const auto& [view, records] :
         {std::pair{&block_view, block_records()}, std::pair{&fd_view, fd_records()},
          std::pair{&why_view, recorded(test::write_why_sample)}, std::pair{&operations_view, operation_records()},
          std::pair{&file_view, file_records()}}) {
        std::vector<std::vector<std::string>> of_json;
        for (const Format output : {json_format, table_format, csv_format}) {
            Replayed replayed(*view, output, names_of(*view));
            std::vector<std::vector<std::string>> rows;
            replayed.each_row(records, replayed.all_columns(), [&](Row row) {
                auto& row_values = rows.emplace_back();
                for (const Value& value : row) row_values.push_back(text_of_value(value));
            });
            if (output == json_format) of_json = rows;
            EXPECT_EQ(rows, of_json) << view->name << ", " << output->name;
        }
    }
}

/// The whole program: times in a table are relative to a time of the first row.
TEST(Cells, OfTimesDoNotDependOnOtherColumns) {
    const test::Scratch scratch;
    const auto column = [&](const std::string& names, std::size_t which) {
        const test::Result r = test::run({test::iolens_path(), "replay", "--no-header", "--format", "table",
                                          "--columns", names, scratch.path("sample")});
        EXPECT_EQ(r.status, 0) << r.err;
        std::string cells;
        for (const std::string& line : test::split(r.out, '\n')) {
            if (line.starts_with('#')) continue;
            std::vector<std::string> words;
            for (const std::string& word : test::split(line, ' ')) {
                if (!word.empty() && !word.starts_with('!')) words.push_back(word);
            }
            if (which < words.size()) cells += words[which] + '\n';
        }
        return cells;
    };
    for (const auto& [write, other] : {std::pair{&test::write_fd_sample, std::string("end_ns")},
                                       std::pair{&test::write_file_sample, std::string("start_ns")}}) {
        write(scratch.path("sample"));
        const std::string time = column("time_ns", 0);
        const std::string alone = column(other, 0);
        EXPECT_NE(alone, time);
        EXPECT_EQ(time.substr(0, 9), "0.000000\n");
        EXPECT_EQ(column("time_ns," + other, 0), time);
        EXPECT_EQ(column(other + ",time_ns", 1), time);
        EXPECT_EQ(column("time_ns," + other, 1), alone);
        EXPECT_EQ(column(other + ",time_ns", 0), alone);
    }
}
TEST(Cells, OfFixedFormatsDoNotDependOnOtherColumns) {
    check_cells(fd_csv_view, fd_records(), pointers_to(call_csv_columns), true);
    check_cells(metrics_view, operation_records(), {metrics_columns.begin(), metrics_columns.end()}, true);
    check_cells(iotracer_view, file_records(), pointers_to(iotracer_columns), true);
}

/// A sink that needs a column relies on the kind declared in the table.
TEST(Cells, AreOfTheKindThatTheirColumnDeclares) {
    const auto check = [](const TestedView& view, const Records& records, Columns columns) {
        std::size_t rows = 0;
        Replayed(view, view.formats.front()).each_row(records, columns, [&](Row row) {
            ++rows;
            for (std::size_t i = 0; i < columns.size(); ++i) {
                EXPECT_NE(columns[i]->kind, Value::Kind::null) << columns[i]->name;
                EXPECT_TRUE(row[i].is_null() || row[i].kind() == columns[i]->kind) << columns[i]->name;
            }
        });
        EXPECT_GT(rows, 0U) << view.name;
    };
    check(metrics_view, operation_records(), metrics_columns);
    check(iotracer_view, file_records(), pointers_to(iotracer_columns));
}

// --- Every byte of an event shows

/// Bits of an event that change no cell, with the reason.
struct Hidden {
    std::size_t offset;
    std::size_t size;
    u64 bits;  // of a field of up to 8 bytes; ~0: all bits
    std::string why;
    bool may_show = false;  // a carry may make it visible
};
using Hiddens = std::vector<Hidden>;

const Hidden* find_hidden(const Hiddens& all, std::size_t bit) {
    for (const Hidden& hidden : all) {
        const std::size_t first = hidden.offset * 8;
        if (bit < first || bit >= first + hidden.size * 8) continue;
        if (hidden.bits == ~u64{0} || (hidden.bits >> (bit - first) & 1) != 0) return &hidden;
    }
    return nullptr;
}

/// An event to check; together, the `bases` use each field.
struct EventCheck {
    const TestedView& view;
    Records before;
    Records bases;
    Hiddens hidden;           // in all formats
    Hiddens hidden_in_table;  // in addition
};

/// A row of the last record, and its values.
struct Shown {
    std::string text;
    std::vector<std::string> values;
};

Shown shown(const EventCheck& check, Format format, const TestedRecord& first, const TestedRecord& last, bool fixed) {
    Replayed printer(check.view, format, fixed ? std::vector<std::string>() : names_of(check.view));
    const std::vector<const Column*> wanted = printer.columns();
    // a table's times are relative to the previous row
    Records records = check.before;
    records.push_back(first);
    const std::size_t rows_before = printer.printed(records, wanted).size();
    Replayed again(check.view, format, fixed ? std::vector<std::string>() : names_of(check.view));
    records.push_back(last);
    const std::vector<std::string> rows = again.printed(records, wanted);
    Shown result;
    if (rows.size() > rows_before) result.text = rows.back();
    if (!fixed) return result;
    std::vector<std::vector<std::string>> values;
    Replayed(check.view, format).each_row(records, wanted, [&](Row row) {
        auto& row_values = values.emplace_back();
        for (const Value& value : row) row_values.push_back(text_of_value(value));
    });
    if (values.size() > rows_before) result.values = values.back();
    return result;
}

/// The same event ten seconds earlier.
TestedRecord earlier(const TestedRecord& record) {
    Bytes bytes(record.size());
    std::memcpy(bytes.data(), &record.head(), record.size());
    constexpr u64 ago = 10'000'000'000;
    auto* head = reinterpret_cast<iolens_header*>(bytes.data());
    head->ts -= ago;
    if (head->kind != IOLENS_KIND_BLOCK) {  // in other events the start is the first field
        u64 start = 0;
        std::memcpy(&start, bytes.data() + sizeof *head, sizeof start);
        start -= ago;
        std::memcpy(bytes.data() + sizeof *head, &start, sizeof start);
    }
    return TestedRecord(bytes);
}

#if defined(__has_feature)
constexpr bool sanitized = __has_feature(address_sanitizer);
#else
constexpr bool sanitized = false;
#endif

/// With sanitizers, which are ten times slower, one bit of each byte; otherwise all bits.
constexpr bool is_tried(std::size_t bit) { return !sanitized || bit % 8 == bit / 8 % 8; }

/// For formats with selectable columns: each bit changes a cell, unless it is listed as hidden.
void check_bits(const EventCheck& check) {
    std::size_t size = 0;
    for (const TestedRecord& base : check.bases) size = std::max(size, base.size());
    for (const Format format : check.view.formats) {
        std::vector<std::string> before;
        for (const TestedRecord& base : check.bases)
            before.push_back(shown(check, format, earlier(base), base, false).text);
        for (std::size_t bit = 0; bit < size * 8; ++bit) {
            if (!is_tried(bit)) continue;
            const std::size_t byte = bit / 8;
            if (byte >= offsetof(iolens_header, kind) && byte < offsetof(iolens_header, cpu))
                continue;  // kind and size
            bool shows = false;
            for (std::size_t i = 0; i < check.bases.size() && !shows; ++i) {
                const TestedRecord& base = check.bases[i];
                if (byte >= base.size()) continue;
                shows = shown(check, format, earlier(base), base.with_flipped(bit), false).text != before[i];
            }
            const Hidden* hidden = find_hidden(check.hidden, bit);
            if (hidden == nullptr && format == table_format) hidden = find_hidden(check.hidden_in_table, bit);
            const bool as_listed = hidden == nullptr ? shows : !shows || hidden->may_show;
            EXPECT_TRUE(as_listed) << check.view.name << ", " << format->name << ": bit " << bit % 8 << " of byte "
                                   << byte
                                   << (hidden == nullptr ? " shows nowhere"
                                                         : " shows, which was hidden: " + hidden->why);
        }
    }
}

/// For formats with fixed columns: each change of a value is visible, and each column shows some part of the event.
void check_fixed(const EventCheck& check, const std::vector<std::string_view>& no_part_of_event) {
    for (const Format format : check.view.formats) {
        const std::vector<const Column*> columns = Replayed(check.view, format).columns();
        std::vector<bool> changes(columns.size());
        for (const TestedRecord& base : check.bases) {
            const Shown before = shown(check, format, earlier(base), base, true);
            ASSERT_EQ(before.values.size(), columns.size()) << check.view.name;
            for (std::size_t bit = 0; bit < base.size() * 8; ++bit) {
                const std::size_t byte = bit / 8;
                if (byte >= offsetof(iolens_header, kind) && byte < offsetof(iolens_header, cpu)) continue;
                const Shown after = shown(check, format, earlier(base), base.with_flipped(bit), true);
                if (after.values.size() != columns.size()) continue;  // no longer a row
                for (std::size_t i = 0; i < columns.size(); ++i) {
                    if (after.values[i] != before.values[i]) changes[i] = true;
                }
                if (after.values == before.values || find_hidden(check.hidden, bit) != nullptr) continue;
                EXPECT_NE(after.text, before.text)
                    << check.view.name << ", " << format->name << ": bit " << bit % 8 << " of byte " << byte;
            }
        }
        for (std::size_t i = 0; i < columns.size(); ++i) {
            if (std::ranges::find(no_part_of_event, columns[i]->name) != no_part_of_event.end()) continue;
            EXPECT_TRUE(changes[i]) << check.view.name << ", " << format->name << ": " << columns[i]->name;
        }
    }
}

constexpr u64 below_us = 0x3ff;  // in nanoseconds
constexpr u64 all_bits = ~u64{0};

TEST(Bytes, OfABlockEventShow) {
    iolens_block_event succeeded = full_block_event();
    succeeded.error = 0;
    check_bits(
        {.view = block_view,
         .before = facts(),
         .bases = {TestedRecord(full_block_event()), TestedRecord(succeeded)},
         .hidden = {{offsetof(iolens_block_event, flags), 2, IOLENS_BLOCK_BIO,
                     "a request or a bio: the columns mean the same for both"},
                    {offsetof(iolens_block_event, flags), 2, 0x1e00, "inside the kernel only"},
                    {offsetof(iolens_block_event, flags), 2, 0x8000, "not used"},
                    {offsetof(iolens_block_event, host_tid), 4, all_bits, "tells threads apart, but has no column"},
                    {offsetof(iolens_block_event, reserved), 4, all_bits, "not used"}},
         .hidden_in_table = {{offsetof(iolens_header, ts), 8, below_us, "a table shows us", true},
                             {offsetof(iolens_block_event, queue_ns), 8, below_us, "a table shows us", true},
                             {offsetof(iolens_block_event, device_ns), 8, below_us, "a table shows us", true},
                             {offsetof(iolens_block_event, comm) + 14, 2, all_bits, "a table cuts it"},
                             {offsetof(iolens_block_event, target) + offsetof(iolens_block_target, author_comm) + 14, 2,
                              all_bits, "a table cuts it"}}});
}

EventCheck call_check(const TestedView& view, u64 took_ns = 250'000) {
    const auto event = [&](u8 file) {
        iolens_call_event e = full_call_event(file);
        e.h.ts = e.start + took_ns;
        return e;
    };
    iolens_call_event file = event(IOLENS_FILE_REGULAR);
    file.result = 0;
    iolens_call_event unconnected = event(IOLENS_FILE_SOCKET);
    unconnected.flags = 0;
    iolens_call_event messages = event(IOLENS_FILE_SOCKET);
    messages.call = 307;  // sendmmsg
    messages.result = 100;
    messages.messages = 3;
    return {
        .view = view,
        .before = facts(),
        .bases = {TestedRecord(event(IOLENS_FILE_SOCKET)), TestedRecord(file), TestedRecord(unconnected),
                  TestedRecord(messages)},
        .hidden = {{offsetof(iolens_call_event, sequence), 4, all_bits, "tells the calls of a log apart"},
                   {offsetof(iolens_call_event, flags), 2, IOLENS_CALL_NO_FILE, "the kind of the file is none then"},
                   {offsetof(iolens_call_event, flags), 2, IOLENS_CALL_APPEND, "open's flags show it"},
                   {offsetof(iolens_call_event, flags), 2, IOLENS_CALL_STREAM,
                    "shown as tcp: unless IOLENS_CALL_DATAGRAM is set"},
                   {offsetof(iolens_call_event, flags), 2, IOLENS_CALL_WATCHED, "used by a filter only"},
                   {offsetof(iolens_call_event, flags), 2, 0x8000, "not used"}},
        .hidden_in_table = {{offsetof(iolens_header, ts), 8, below_us, "a table shows us", true},
                            {offsetof(iolens_call_event, start), 8, below_us, "a table shows us", true}}};
}

TEST(Bytes, OfACallShow) { check_bits(call_check(fd_view)); }

TEST(Bytes, OfACallShowWithWhy) {
    check_bits(call_check(why_view, 5'000'000));  // a call of less than 1 ms has no row
}

TEST(Bytes, OfACallShowInItsOwnCsv) {
    EventCheck check = call_check(fd_csv_view);
    check.hidden = {{offsetof(iolens_header, ts), 8, below_us, "this csv shows us", true},
                    {offsetof(iolens_call_event, start), 8, below_us, "this csv shows us", true}};
    check_fixed(check, {});
}

EventCheck vfs_check(const TestedView& view) {
    iolens_vfs_event fault = full_vfs_event(IOLENS_LEVEL_VFS, IOLENS_VFS_FAULT);
    fault.result = 0;
    return {.view = view,
            .before = facts(),
            .bases = {TestedRecord(full_vfs_event(IOLENS_LEVEL_BLK, IOLENS_VFS_READ)),
                      TestedRecord(full_vfs_event(IOLENS_LEVEL_VFS, IOLENS_VFS_WRITE)), TestedRecord(fault)},
            .hidden = {{offsetof(iolens_vfs_event, flags), 2, IOLENS_VFS_BIO | IOLENS_VFS_TRIED | IOLENS_VFS_ENDED,
                        "inside the kernel only"},
                       {offsetof(iolens_vfs_event, flags), 2, 0xfe00, "not used"},
                       {offsetof(iolens_vfs_event, host_tid), 4, all_bits, "tells threads apart, but has no column"}},
            .hidden_in_table = {{offsetof(iolens_header, ts), 8, below_us, "a table shows us", true},
                                {offsetof(iolens_vfs_event, start), 8, below_us, "a table shows us", true},
                                {offsetof(iolens_vfs_event, comm) + 14, 2, all_bits, "a table cuts it"}}};
}

TEST(Bytes, OfAnAccessShow) { check_bits(vfs_check(file_view)); }

TEST(Bytes, OfAnAccessShowInIotracersFormat) {
    EventCheck check = vfs_check(iotracer_view);
    check.bases.pop_back();  // the format has reads and writes only
    check.hidden.clear();
    check_fixed(check, {});
}

EventCheck operation_check(const TestedView& view) {
    const TestedRecord rename = operation_record(IOLENS_OPERATION_RENAME, "old name", "new");
    const std::size_t texts_end = sizeof(iolens_operation_event) + 11;
    return {.view = view,
            .before = facts(),
            .bases = {rename, operation_record(IOLENS_OPERATION_START, "make", "", IOLENS_LAYER_LIBC)},
            .hidden = {{offsetof(iolens_header, cpu), 4, all_bits, "io-monitor's records have no processor"},
                       {texts_end, rename.size() - texts_end, all_bits, "padding"}},
            .hidden_in_table = {{offsetof(iolens_header, ts), 8, below_us, "a table shows us", true},
                                {offsetof(iolens_operation_event, start), 8, below_us, "a table shows us", true}}};
}

TEST(Bytes, OfAnOperationShow) { check_bits(operation_check(operations_view)); }

TEST(Bytes, OfAnOperationShowInMetrics) {
    EventCheck check = operation_check(metrics_view);
    check.hidden = {{offsetof(iolens_header, ts), 8, below_us, "the table of metrics shows 100 ns", true},
                    {offsetof(iolens_operation_event, start), 8, below_us, "the table of metrics shows 100 ns", true}};
    check_fixed(check, {"facility"});
}

}  // namespace
}  // namespace iolens
