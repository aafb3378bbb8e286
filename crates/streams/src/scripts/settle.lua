-- Ends one reservation with what was used. ARGV: request, charged, settlement (JSON)
-- Returns the event's place, nothing if the reservation has ended.
return (settle(ARGV[1], tonumber(ARGV[2]), ARGV[3]))
