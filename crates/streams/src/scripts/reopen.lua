-- Brings back a reservation that Redis may have lost. ARGV: request, tenant, account, period, model,
-- input, amount, output, lease ms
-- Returns 2; 1 where it has been booked since, 0 where the period's usage has to be loaded first.
if is_closed(ARGV[1]) then return 1 end
local now = clock()
local expires = now + tonumber(ARGV[9])
if redis.call('EXISTS', 'oc:r:' .. ARGV[1]) == 1 then
  redis.call('ZADD', 'oc:leases', number(expires), ARGV[1])
  return 2
end
if redis.call('HEXISTS', 'oc:u:' .. ARGV[4], 'used') == 0 then return 0 end
redis.call('HINCRBY', 'oc:u:' .. ARGV[4], 'reserved', ARGV[7])
redis.call('HINCRBY', 'oc:t:' .. ARGV[2], 'open', 1)
open_reservation(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), tonumber(ARGV[7]),
  tonumber(ARGV[8]), expires)
return 2
