"""The command line for people, `generation-history`: over HTTP with a token, or straight on the database."""
