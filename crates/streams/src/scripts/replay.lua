-- Brings back a settlement that Redis has lost. ARGV: request, tenant, account, period, model,
-- charged, settlement
-- Returns nothing where the period's usage has to be loaded first.
local id = settle(ARGV[1], tonumber(ARGV[6]), ARGV[7])
if id then return id end
if redis.call('HEXISTS', 'oc:u:' .. ARGV[4], 'used') == 0 then return false end
return book(ARGV[1], ARGV[2], ARGV[3], ARGV[4], ARGV[5], tonumber(ARGV[6]), ARGV[7])
