//! Postgres: accounts, tenants, periods, the ledger.
