// SPDX-License-Identifier: Apache-2.0
// Logs of strace as a source.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "import/log_bytes.h"
#include "import/strace_import.h"
#include "import/strace_prefix.h"
#include "source/source.h"

namespace iolens {

/// One or more files of one trace, in the order of their times.
class StraceLog final : public Source {
public:
    /// `paths` may be globs, and "-" for standard input. Throws Failure (usage) if one can't be read. Prints lines that
    /// it can't parse on standard error, and the progress if that is a terminal. `arguments`: also emit the arguments
    /// of calls. `quiet`: show no progress, because rows go to the terminal.
    StraceLog(const std::vector<std::string>& paths, bool arguments, bool quiet);
    ~StraceLog() override;

    [[nodiscard]] int descriptor() const override { return -1; }
    std::size_t read(Receiver& receiver) override;
    [[nodiscard]] bool ended() const override { return ended_; }
    void stop() override;
    [[nodiscard]] iolens_loss ledger() const override;
    [[nodiscard]] u64 wall_offset_ns() const override { return 0; }
    [[nodiscard]] std::vector<FileIdentity> inputs() const override;

    [[nodiscard]] const StraceImport& import() const { return import_; }

private:
    /// The lines of one file.
    struct Input {
        explicit Input(LogFile opened) : file(std::move(opened)) {}
        /// False at the end of the file or of the run. The line is valid until the next call.
        bool next();

        LogFile file;
        std::vector<char> buffer{};
        std::size_t at = 0;   // in `buffer`: start of the unprocessed bytes
        std::size_t end = 0;  // end of the unprocessed bytes
        std::string joined{};
        std::string_view line{};
        bool waiting = false;  // `line` is not processed yet
        bool over = false;
        LinePrefixes prefixes{};
        u64 time_ns = 0;  // of the line, or of the last one that had a time
    };

    Input* oldest();
    bool fill(Input& input);
    void finish(Receiver& receiver);
    void show_progress();
    void clear_progress();

    std::vector<Input> inputs_;
    StraceImport import_;
    bool ended_ = false;
    bool progress_ = false;       // show it
    bool progress_line_ = false;  // it is on the terminal's last line
    u64 shown_ns_ = 0;
};

}  // namespace iolens
