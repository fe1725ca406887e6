"""A CPU: `cpp_source` writes C++ on top of `recurrence.h`, `native` compiles, keeps and runs it."""
