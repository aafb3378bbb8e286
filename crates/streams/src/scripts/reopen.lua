-- Brings back a reservation that Redis may have lost. ARGV: as of replay.lua up to the ledger, then
-- input, amount, output, lease ms
-- Returns 3; 1 where it has been booked since, and as `missing` says.
if is_closed(ARGV[1]) then return 1 end
local missing = missing(ARGV[1], ARGV[4], ARGV[6], ARGV[7])
if missing then return missing end
local now = clock()
local expires = now + tonumber(ARGV[11])
if redis.call('EXISTS', 'oc:r:' .. ARGV[1]) == 1 then
  redis.call('ZADD', 'oc:leases', number(expires), ARGV[1])
  return 3
end
redis.call('HINCRBY', 'oc:u:' .. ARGV[4], 'reserved', ARGV[9])
redis.call('HINCRBY', 'oc:t:' .. ARGV[2], 'open', 1)
open_reservation(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[8]), tonumber(ARGV[9]),
  tonumber(ARGV[10]), expires)
return 3
