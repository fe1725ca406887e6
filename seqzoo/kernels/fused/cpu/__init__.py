"""The CPU target: `cpp_source` generates C++ on top of `recurrence.h`; `native` compiles, caches and runs it."""
