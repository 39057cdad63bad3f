"""The background process of a state home, and the thin front that a client starts; importing this costs nothing."""
