// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/output.h"
#include "lens/lens.h"
#include "sink/recorder.h"
#include "sink/sink.h"
#include "source/source.h"

namespace iolens {

/// Passes records from a source to a sink, and to a recording.
class Pipeline final : public Receiver {
public:
    Pipeline(Lens& lens, const ViewOptions& view, const LiveOptions& live, bool intervals = false);

    /// The output's identity, if it is a regular file.
    [[nodiscard]] std::optional<FileIdentity> output_file() const { return out_.identity(); }
    /// Ends the run when the reader of the rows or of the recording has gone.
    void watch_readers() const { iolens::watch_readers({out_.pipe(), recorder_ != nullptr ? recorder_->pipe() : -1}); }

    void begin();
    void set_wall_offset(u64 ns);
    void set_recorder(Recorder* recorder) { recorder_ = recorder; }
    /// Called when the rows' reader has gone, or their file is full: further records only go to the recording.
    void record_only();
    /// Continues with the file that has the output's name now: another program may have renamed or truncated the old
    /// one.
    void reopen();

    bool record(std::span<const std::byte> bytes) override;

    /// Shows the deferred rows that are released at this time.
    void advance(u64 now_ns);

    /// Prints a summary since the previous one, on a terminal in its place.
    void interval(u64 now_ns);
    /// The last one, if summaries are shown instead of rows.
    void last_interval(u64 now_ns);

    [[nodiscard]] bool full() const { return rows_ >= limit_; }
    void flush();

    void finish(const iolens_loss& ledger, bool summary);

private:
    /// If rows have another destination, they only go to the output if it is a named file.
    static Output open_output(const ViewOptions& view, bool other_way);

    DecodeResult take(const iolens_header& record);

    void show();
    void show_text(std::string_view text);

    Lens& lens_;
    View view_;
    std::vector<const Column*>
        wanted_;             // the columns and the trailing error, if somebody reads them; then those of extra sinks
    std::size_t shown_ = 0;  // number of them for the output
    u64 limit_;
    Output out_;
    bool timed_;      // a summary at each interval
    bool intervals_;  // summaries instead of rows
    std::vector<Column> interval_columns_;
    const Column* trailing_error_ = nullptr;
    const Column* counted_from_ = nullptr;  // see Sink::count_from()
    std::unique_ptr<Sink> sink_;
    Recorder* recorder_ = nullptr;
    bool only_recorded_ = false;
    RowBuffer row_;
    u64 wall_offset_ns_ = 0;
    u64 rows_ = 0;
    u64 unreadable_ = 0;
    u64 unknown_ = 0;
};

}  // namespace iolens
