"""The stand-in gateway: answers like the real one, from the request alone, and says that it is a simulator."""
