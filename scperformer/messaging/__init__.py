"""SeisComP's messaging without its libraries: frames, session, publisher, notifiers."""
