"""Every source of records: files, archives, replay, SeedLink."""
