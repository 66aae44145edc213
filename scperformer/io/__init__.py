"""Sources and sinks: one module a format or protocol."""
