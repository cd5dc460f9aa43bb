"""Tables: one request a row, and the ledger of the answers."""
