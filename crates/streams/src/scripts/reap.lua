-- Books reservations whose lease has passed, as estimated. ARGV: how many at most
if redis.call('GET', 'oc:ready') ~= EPOCH then return {} end
local now = clock()
local requests = redis.call('ZRANGEBYSCORE', 'oc:leases', '-inf', '(' .. number(now), 'LIMIT', 0, ARGV[1])
for _, request in ipairs(requests) do
  if not settle(request) then redis.call('ZREM', 'oc:leases', request) end
end
return requests
