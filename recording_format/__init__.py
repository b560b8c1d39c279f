"""What one recording is, on disk and on the wire.

Pure: no clock, no disk, no sockets. The time is an argument, and files are bytes that somebody
else reads and writes. Every service imports this package, and it imports none of them.
"""
