// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <list>
#include <string>

#include "base/fd.h"
#include "sink/json.h"
#include "sink/outlet.h"

namespace iolens {

/// Newline-delimited JSON for every client of a unix stream socket. Each gets the rows from when it came; one that
/// reads too slowly is cut off, and the others never wait for it.
class ClientsOutlet final : public Outlet {
public:
    /// Makes the socket, for this user alone (mode 0600). Throws Failure.
    explicit ClientsOutlet(const std::string& path);
    ~ClientsOutlet() override;

    void begin(std::string_view type, Columns columns, const Column* trailing_error) override;
    void row(Row row) override;
    void loss(const Loss& loss) override;
    void flush() override;
    LossCause finish() override;

private:
    struct Client {
        Fd fd;
        std::string waiting;   ///< what its socket had no room for, behind …
        std::size_t sent = 0;  ///< … so many bytes that it had
        bool gone = false;
        [[nodiscard]] std::size_t left() const { return waiting.size() - sent; }
    };
    void take_clients();
    static void send_to(Client& client);

    std::string path_;
    Fd listener_;
    Output lines_;
    JsonSink json_;
    std::list<Client> clients_;
    u64 cut_off_ = 0;
};

}  // namespace iolens
