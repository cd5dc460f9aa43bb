"""How bytes become a reply: transports, the strict reading of a stream, the private loop."""
