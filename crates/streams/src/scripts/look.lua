-- Who the tenant is and what is left, without admitting anything. ARGV: tenant, generation
if redis.call('GET', 'oc:ready') ~= EPOCH then return {RECOVERING} end
local now = clock()
local t = redis.call('HMGET', 'oc:t:' .. ARGV[1], 'epoch', 'generation', 'state', 'account', 'policy', 'models')
if t[1] ~= EPOCH then return {UNKNOWN_TENANT} end
if t[2] ~= ARGV[2] then return {REVOKED} end
local period, ends, limit = current_period(t[4], now)
if period == UNKNOWN_PERIODS then return {UNKNOWN_PERIODS, t[4]} end
if not period then return {UNPAID, t[5], t[3], t[4], t[6]} end
local u = redis.call('HMGET', 'oc:u:' .. period, 'used', 'reserved')
if not u[1] then return {UNKNOWN_PERIODS, t[4]} end
return {ADMITTED, t[5], t[3], t[4], t[6], period, limit, tonumber(u[1]), tonumber(u[2] or 0), ends}
