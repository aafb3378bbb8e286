-- Brings back a settlement that Redis has lost. ARGV: request, tenant, account, period, model,
-- charged, settlement
-- Returns its place; 1 where it has been booked since, 0 where the period's usage has to be loaded
-- first.
if is_closed(ARGV[1]) then return 1 end
local id = settle(ARGV[1], tonumber(ARGV[6]), ARGV[7])
if not id then
  if redis.call('HEXISTS', 'oc:u:' .. ARGV[4], 'used') == 0 then return 0 end
  id = book(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7])
end
close(ARGV[1])
return id
