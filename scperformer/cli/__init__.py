"""The command line: one module a subcommand, imported when it is called."""

EXIT_OK, EXIT_SOME_FAILED, EXIT_NOTHING_DONE = 0, 1, 2
