"""Ask a model about each row of a table: requests, limits, the ledger, and the frame of the answers."""
