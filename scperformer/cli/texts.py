"""Help that several subcommands share."""

CUSTOM_MODEL_HELP = (
    "a model of your own instead: a Python module, or its .py file, with load_model(**arguments)"
)
LOADER_ARGUMENTS_HELP = "arguments of --model's load_model, \"key=value other='with blanks'\""
NO_CONTEXT_HELP = "let the network answer each window alone, without the model's context stage"
TABLES_OF_PICKS = (
    "Tables of picks, CSV with a header or JSON lines: columns network, station and either phase, "
    "time (a row a pick) or p_time, s_time (a row a record; empty where nobody picked). If known: "
    "file (the record), event, location, channel, probability, polarity (or p_polarity, "
    "s_polarity), uncertainty_s, decision_delay_s; other columns are ignored. Times are UTC, such "
    "as 2019-07-04T16:07:25.5. Crustal phases (Pg, Pn, Sn, ...) count as P or S, others are left "
    "out and counted."
)
