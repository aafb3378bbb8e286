-- Gives a period the usage that the ledger has, where none is known. ARGV: period, usage
begin_count(ARGV[1], ARGV[2])
