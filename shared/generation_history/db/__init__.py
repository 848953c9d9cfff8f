"""The database: connections, transactions, and what its errors mean."""
