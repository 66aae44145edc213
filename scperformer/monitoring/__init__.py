"""How a running picker is doing: metrics, silent stations, the status line, systemd's watchdog."""
