-- Brings back a settlement that Redis has lost. ARGV: request, tenant, account, period, model, process
-- that it was booked in at the latest, whether it is in the ledger (1, 0, or nothing if that is not
-- known), charged, settlement
-- Returns its place; 1 where it counts already, and as `missing` says.
if is_closed(ARGV[1]) then return 1 end
local missing = missing(ARGV[1], ARGV[4], ARGV[6], ARGV[7])
if missing then return missing end
local id = settle(ARGV[1], tonumber(ARGV[8]), ARGV[9])
  or book(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[8]), ARGV[9])
close(ARGV[1])
return id
