// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <poll.h>

#include <chrono>
#include <deque>
#include <functional>
#include <string>
#include <vector>

#include "base/fd.h"
#include "sink/json.h"
#include "sink/stream.h"

namespace iolens {

/// Newline-delimited JSON for every client of a unix stream socket. A client gets the rows from when it connects. A
/// client that reads too slowly is disconnected; the others never wait for it. All clients share one backlog, so that
/// memory does not grow with their number.
class ClientsSink final : public StreamSink {
public:
    /// A client that is further behind than this is disconnected (bytes).
    static constexpr std::size_t max_backlog = 64 << 20;
    /// Further clients are refused: their connection is closed at once.
    static constexpr std::size_t max_clients = 256;

    /// Creates the socket, accessible only to this user (mode 0600). Throws Failure.
    explicit ClientsSink(const std::string& path);
    ~ClientsSink() override;

    void begin(std::string_view type, Columns columns, const Column* trailing_error) override;
    void row(Row row) override;
    void loss(const Loss& loss) override;
    void flush() override;
    /// Waits for clients that read: 5 seconds, or 600 ms once SIGINT or SIGTERM has arrived. A client that receives
    /// nothing for a second, or for 400 ms after a signal, is disconnected.
    LossCause finish() override;
    [[nodiscard]] LossCause refused() const override;

    [[nodiscard]] std::size_t clients() const { return clients_.size(); }
    /// Bytes that the slowest client has not been sent.
    [[nodiscard]] std::size_t backlog() const { return backlog_.empty() ? 0 : end_ - backlog_.front().begin; }

private:
    using Clock = std::chrono::steady_clock;
    struct Client {
        Fd fd;
        std::vector<u32> processes{};  ///< that read its rows: itself, and those behind it in a pipeline …
        u64 pipe = 0;                  ///< … which are not found yet; 0: found, or none
        u64 next = 0;                  ///< stream offset of the first byte not sent to it
        Clock::time_point progress{};  ///< for finish(): when it last received something
    };
    /// A part of the stream of rows.
    struct Chunk {
        u64 begin = 0;
        std::string bytes;
    };
    void append(std::string_view lines);
    void accept_clients();
    void find_readers();
    void remove_clients(const std::function<bool(Client&)>& condition);
    void drop_disconnected();
    bool send_to(Client& client) const;
    void free_sent();

    std::string path_;
    Fd listener_;
    Output lines_;
    JsonSink json_;
    std::vector<Client> clients_;
    std::deque<Chunk> backlog_;  // data that the slowest client has not been sent
    u64 end_ = 0;                // offset after the last chunk
    std::vector<pollfd> polled_;
    Clock::time_point found_readers_{};
    u64 cut_off_ = 0;
    u64 refused_ = 0;
};

}  // namespace iolens
