"""One conversation with a model: messages, requests, tool calls; no display."""
