"""The local stack: Postgres, SeaweedFS, a Sora simulator and the functions, on loopback."""
