"""A seeded fuzzer over each parser of what strangers send; `make fuzz` is its long form."""
