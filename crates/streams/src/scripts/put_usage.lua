-- Gives a period the usage that the ledger has, where none is known. ARGV: period, usage
return redis.call('HSETNX', 'oc:u:' .. ARGV[1], 'used', ARGV[2])
