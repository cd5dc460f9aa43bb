"""Recordings of what a gateway said: their file, which of them answers a request, and the transport that plays them."""
