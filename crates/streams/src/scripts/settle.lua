-- Ends one reservation with what was used. ARGV: request, charged, settlement (JSON)
local id = settle(ARGV[1], tonumber(ARGV[2]), ARGV[3])
if not id then return {0} end
return {1, id}
